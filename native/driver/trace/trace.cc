#include "driver/trace/trace.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "driver/holder.h"
#include "driver/options.h"
#include "packet/place.h"

namespace nodeplane {

namespace {

constexpr uint64_t kFileBytesMax = 1ull << 30;
constexpr uint32_t kBufferBytes = 1 << 20;  // per queue
constexpr uint32_t kNameMax = 255;
constexpr uint8_t kNanoseconds = 9;

// draft-ietf-opsawg-pcapng section 4.3: enhanced packet block, its option epb_flags.
enum class Direction : uint32_t { kIn = 1, kOut = 2 };
struct BlockHead {
  uint32_t type = 6;
  uint32_t bytes;
  uint32_t interface = 0;
  uint32_t time_high, time_low;
  uint32_t captured, length;
};
struct BlockTail {
  uint16_t flags_code = 2, flags_length = 4;
  Direction direction;
  uint32_t end_of_options = 0;
  uint32_t bytes;
};
constexpr uint32_t padded(uint32_t n) noexcept { return (n + 3) & ~3u; }
constexpr uint32_t block_bytes(uint32_t length) noexcept {
  return static_cast<uint32_t>(sizeof(BlockHead) + sizeof(BlockTail)) + padded(length);
}

Time wall_clock() noexcept {
  timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  return static_cast<Time>(ts.tv_sec) * kSecond + static_cast<Time>(ts.tv_nsec);
}

// Each queue gathers whole blocks and appends them at once, so that workers need no lock.
struct alignas(64) Queue {
  std::unique_ptr<uint8_t[]> bytes{new uint8_t[kBufferBytes]};
  uint32_t used = 0;
  uint32_t refused = 0;
};

class Trace final : public Holder {
 public:
  Trace(std::unique_ptr<Port> inner, int fd, std::string path, uint64_t bytes_max)
      : Holder(std::move(inner)),
        fd_(fd),
        path_(std::move(path)),
        bytes_max_(bytes_max),
        queues_(caps_.queues) {
    caps_.description += ", traced to " + path_;
  }
  ~Trace() override {
    for (Queue& queue : queues_) flush(queue);
    close(fd_);
  }
  void start(const std::string& name) noexcept;
  uint32_t receive(uint32_t queue, Packet* packets, uint32_t max, FrameCache& frames,
                   Counters& counters) noexcept override;
  uint32_t transmit(uint32_t queue, Packet* const* packets, uint32_t count,
                    FrameCache& frames) noexcept override;
  uint32_t refused(uint32_t queue) const noexcept override { return queues_[queue].refused; }
  void set_time(Time now) noexcept override {
    told_ = now;
    inner_->set_time(now);
  }
  std::string failure() noexcept override;

 private:
  void write_packet(Queue& queue, const FrameArena& arena, const Packet& p, Time time,
                    Direction direction) noexcept;
  void flush(Queue& queue) noexcept;

  int fd_;
  std::string path_;
  uint64_t bytes_max_;
  std::optional<Time> told_;
  std::atomic<uint64_t> bytes_{0};  // promised to blocks so far
  std::atomic<int> error_{0};
  std::vector<Queue> queues_;
};

// Section header and the one interface: Ethernet, nanoseconds, the port's name.
void Trace::start(const std::string& name) noexcept {
  Queue& queue = queues_[0];
  const auto put = [&queue](auto value) {
    std::memcpy(queue.bytes.get() + queue.used, &value, sizeof value);
    queue.used += static_cast<uint32_t>(sizeof value);
  };
  put(uint32_t{0x0a0d0d0a}), put(uint32_t{28}), put(uint32_t{0x1a2b3c4d});
  put(uint16_t{1}), put(uint16_t{0}), put(~uint64_t{0}), put(uint32_t{28});
  const auto length = static_cast<uint16_t>(std::min<size_t>(name.size(), kNameMax));
  const uint32_t bytes = 16 + 4 + padded(length) + 8 + 4 + 4;
  put(uint32_t{1}), put(bytes), put(uint16_t{1}), put(uint16_t{0}), put(uint32_t{0});
  put(uint16_t{2}), put(length);  // if_name
  std::memset(queue.bytes.get() + queue.used, 0, padded(length));
  std::memcpy(queue.bytes.get() + queue.used, name.data(), length);
  queue.used += padded(length);
  put(uint16_t{9}), put(uint16_t{1}), put(uint32_t{kNanoseconds});  // if_tsresol
  put(uint32_t{0}), put(bytes);
  bytes_ = queue.used;
  flush(queue);
}

// What does not fit into the file any more is left out; shorter packets behind it may still fit.
void Trace::write_packet(Queue& queue, const FrameArena& arena, const Packet& p, Time time,
                         Direction direction) noexcept {
  const uint32_t bytes = block_bytes(p.length);
  if (bytes > kBufferBytes || error_.load(std::memory_order_relaxed) != 0) return;
  if (bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes > bytes_max_) {
    bytes_.fetch_sub(bytes, std::memory_order_relaxed);
    return;
  }
  uint8_t* at = queue.bytes.get() + queue.used;
  const BlockHead head{.bytes = bytes,
                       .time_high = static_cast<uint32_t>(time >> 32),
                       .time_low = static_cast<uint32_t>(time),
                       .captured = p.length,
                       .length = p.length};
  const BlockTail tail{.direction = direction, .bytes = bytes};
  std::memcpy(at, &head, sizeof head);
  copy_out(arena, p, at + sizeof head);
  std::memset(at + sizeof head + p.length, 0, padded(p.length) - p.length);
  std::memcpy(at + bytes - sizeof tail, &tail, sizeof tail);
  queue.used += bytes;
}

uint32_t Trace::receive(uint32_t index, Packet* packets, uint32_t max, FrameCache& frames,
                        Counters& counters) noexcept {
  Queue& queue = queues_[index];
  const std::optional<Time> own = inner_->next_time();
  const uint32_t n = inner_->receive(index, packets, max, frames, counters);
  if (n == 0) {
    flush(queue);  // quiet: let people see what there was
    return 0;
  }
  const Time time = own ? *own : wall_clock();
  for (uint32_t i = 0; i < n; ++i) {
    if (queue.used + block_bytes(packets[i].length) > kBufferBytes) flush(queue);
    write_packet(queue, frames.arena(), packets[i], time, Direction::kIn);
  }
  return n;
}

// Frames that the port takes are gone, so blocks are written before and those of packets that it
// did not take are forgotten. Packets go in portions that fit into the buffer.
uint32_t Trace::transmit(uint32_t index, Packet* const* packets, uint32_t count,
                         FrameCache& frames) noexcept {
  Queue& queue = queues_[index];
  const Time time = told_ ? *told_ : wall_clock();
  uint32_t ends[kBatchSize];
  uint32_t done = 0;
  queue.refused = 0;
  while (done < count) {
    const uint32_t begin = queue.used;
    uint32_t portion = 0;
    for (; portion < kBatchSize && done + portion < count; ++portion) {
      const Packet& p = *packets[done + portion];
      if (queue.used + block_bytes(p.length) > kBufferBytes) {
        if (portion != 0) break;
        flush(queue);
      }
      write_packet(queue, frames.arena(), p, time, Direction::kOut);
      ends[portion] = queue.used;
    }
    const uint32_t sent = inner_->transmit(index, packets + done, portion, frames);
    queue.refused += inner_->refused(index);
    done += sent;
    if (sent == portion) continue;
    const uint32_t end = sent != 0 ? ends[sent - 1] : begin;
    bytes_.fetch_sub(queue.used - end, std::memory_order_relaxed);
    queue.used = end;
    break;
  }
  return done;
}

void Trace::flush(Queue& queue) noexcept {
  // A short write would leave half a block for another queue to write behind: it ends the trace.
  ssize_t n = 0;
  if (queue.used != 0 && error_.load(std::memory_order_relaxed) == 0) {
    do n = write(fd_, queue.bytes.get(), queue.used);
    while (n < 0 && errno == EINTR);
    if (n < 0) error_ = errno;
    if (n >= 0 && n < static_cast<ssize_t>(queue.used)) error_ = ENOSPC;
  }
  queue.used = 0;
}

std::string Trace::failure() noexcept {
  for (Queue& queue : queues_) flush(queue);
  const std::string why = inner_->failure();
  if (error_ == 0) return why;
  return (why.empty() ? "" : why + "; ") + path_ + ": " + std::strerror(error_);
}

}  // namespace

std::unique_ptr<Port> hold_trace(std::unique_ptr<Port> inner, const PortSpec& spec,
                                 std::string* error) {
  const std::string path = option(spec, "trace");
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) {
    *error = path + ": " + std::strerror(errno);
    return nullptr;
  }
  auto trace = std::make_unique<Trace>(std::move(inner), fd, path,
                                       option_number(spec, "traceMaxBytes", kFileBytesMax));
  trace->start(spec.name);
  return trace;
}

}  // namespace nodeplane
