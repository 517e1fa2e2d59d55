#include "driver/memif/memif.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>
#include <utility>

#include "driver/memif/hub.h"
#include "driver/memif/ip_link.h"
#include "driver/memif/queue.h"
#include "driver/options.h"

namespace nodeplane {

namespace memif {
namespace {

constexpr uint32_t kMtuDefault = 1500;
constexpr uint32_t kFrameBytesMax = 9216;  // VPP takes no more
constexpr uint32_t kRingSizeDefault = 1024;
constexpr uint32_t kBufferBytesDefault = 2048;  // as DPDK, whose fast path writes so much unasked
constexpr uint32_t kBufferBytesMin = 256, kBufferBytesMax = 65536;
constexpr size_t kSecretMax = 24;
constexpr uint64_t kLentBytesMax = uint64_t{4} << 30;  // offsets in a slot are 32 bits

class MemifPort final : public Port {
 public:
  explicit MemifPort(FrameArena& arena) : arena_(arena) {}
  ~MemifPort() override;
  bool open(const PortSpec& spec, std::string* error);

  const PortCaps& caps() const noexcept override { return caps_; }
  uint32_t receive(uint32_t queue, Packet* packets, uint32_t max, FrameCache& frames,
                   Counters& counters) noexcept override;
  uint32_t transmit(uint32_t queue, Packet* const* packets, uint32_t count,
                    FrameCache& frames) noexcept override;
  uint32_t refused(uint32_t queue) const noexcept override { return lines_[queue]->refused; }
  Drop refused_as(uint32_t queue) const noexcept override { return lines_[queue]->refused_as; }
  void release(uint32_t queue, FrameCache& frames) noexcept override {
    lines_[queue]->queue.release(frames);
  }
  int wait_fd(uint32_t queue) const noexcept override { return seat_->wait_fd(queue); }
  bool arm(uint32_t queue) noexcept override {
    Line& line = *lines_[queue];
    return !(line.ip && line.ip->has_answers()) && line.queue.arm();
  }
  std::string stats_json() const override;
  std::vector<std::string> news() override;

 private:
  // A queue with what stands between it and the worker.
  struct Line {
    Line(Seat& seat, FrameArena& arena, const QueueOptions& options)
        : queue(seat, arena, options) {}
    Queue queue;
    std::unique_ptr<IpLink> ip;  // ip mode only
    uint32_t refused = 0;        // of the last transmit
    Drop refused_as = Drop::kNotTransmittable;
  };
  bool read(const PortSpec& spec, std::string* error);
  bool reserve(std::string* error);
  void describe(const PortSpec& spec);
  uint32_t transmit_ip(Line& line, Packet* const* packets, uint32_t count,
                       FrameCache& frames) noexcept;
  void refuse(Line& line, uint32_t count, Drop why) noexcept {
    if (line.refused == 0) line.refused_as = why;
    line.refused += count;
  }

  FrameArena& arena_;
  PortCaps caps_;
  Wish wish_;
  std::string why_copying_;  // asked to lend, but does not
  CopyEngine* copy_ = nullptr;
  uint32_t quota_ = 0;
  bool keeps_ = false;  // the quota is a promise
  uint32_t reserved_ = 0;
  bool added_ = false;
  std::unique_ptr<Seat> seat_;
  std::shared_ptr<Hub> hub_;
  std::vector<std::unique_ptr<Line>> lines_;
};

// A locally administered address that is the same after a restart (FNV-1a over what the port is).
void stable_mac(const Wish& wish, uint8_t* mac) {
  uint64_t hash = 0xcbf29ce484222325;
  const std::string what = wish.socket + '#' + std::to_string(wish.id) +
                           (wish.role == Role::kServer ? "#server" : "#client");
  for (const char c : what) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  hash ^= hash >> 29;
  mac[0] = 0x02;
  std::memcpy(mac + 1, &hash, 5);
}

bool read_mac(const std::string& text, uint8_t* mac) {
  unsigned b[6];
  char rest;
  if (std::sscanf(text.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x%c", b, b + 1, b + 2, b + 3, b + 4, b + 5,
                  &rest) != 6)
    return false;
  for (int i = 0; i < 6; ++i) mac[i] = static_cast<uint8_t>(b[i]);
  return (mac[0] & 1) == 0;
}

MemifPort::~MemifPort() {
  {
    FrameCache frames(arena_);
    for (auto& line : lines_) {
      line->queue.close(frames);
      if (line->ip) line->ip->close(frames);
    }
  }
  if (added_) hub_->remove(seat_.get());
  arena_.unreserve(reserved_);
}

bool MemifPort::read(const PortSpec& spec, std::string* error) {
  const std::string role = option(spec, "role", "server"), mode = option(spec, "mode", "ethernet");
  wish_.port = spec.name;
  wish_.role = role == "client" ? Role::kClient : Role::kServer;
  wish_.mode = mode == "ip" ? Mode::kIp : Mode::kEthernet;
  wish_.socket = option(spec, "socket", spec.interface.c_str());
  wish_.id = static_cast<uint32_t>(option_number(spec, "id", 0));
  wish_.secret = option(spec, "secret");
  wish_.queues = spec.queues == 0 ? 1 : spec.queues;
  const uint64_t ring_size = option_number(spec, "ringSize", kRingSizeDefault);
  const uint64_t buffer_bytes = option_number(spec, "bufferSize", kBufferBytesDefault);
  caps_.mtu = spec.mtu == 0 ? kMtuDefault : spec.mtu;
  if ((role != "server" && role != "client") || (mode != "ethernet" && mode != "ip"))
    *error = "role is server or client, mode is ethernet or ip";
  else if (wish_.socket.empty())
    *error = "a memif port needs a socket";
  else if (!std::has_single_bit(ring_size) || ring_size < 1u << kRingLog2Min ||
           ring_size > 1u << kRingLog2Max)
    *error = "ringSize must be a power of two, 32 to 16384";
  else if (buffer_bytes < kBufferBytesMin || buffer_bytes > kBufferBytesMax)
    *error = "bufferSize must be 256 to 65536";
  else if (wish_.queues > kQueuesMax)
    *error = "a memif port has at most " + std::to_string(kQueuesMax) + " queues";
  else if (caps_.mtu > kFrameBytesMax - kEthernetBytes)
    *error = "a memif port's MTU is at most " + std::to_string(kFrameBytesMax - kEthernetBytes);
  else if (wish_.secret.size() > kSecretMax)
    *error = "a memif secret has at most 24 bytes";
  stable_mac(wish_, caps_.mac);
  const std::string mac = option(spec, "mac");
  if (!mac.empty() && !read_mac(mac, caps_.mac)) *error = "mac " + mac + " is not a station's";
  if (!error->empty()) return false;
  wish_.log2_ring_size = static_cast<uint8_t>(std::countr_zero(ring_size));
  wish_.buffer_bytes = static_cast<uint32_t>(buffer_bytes);
  if (wish_.role == Role::kClient && option_flag(spec, "zeroCopy", false)) {
    if (wish_.mode == Mode::kIp)
      why_copying_ = "ip mode needs room before the packet";
    else if (arena_.frame_size() < kLentFrameMin)
      why_copying_ = "frames are shorter than 2048 bytes";
    else if (arena_.bytes() > kLentBytesMax)
      why_copying_ = "the frames are more than 4 GiB";
    else
      wish_.lent = &arena_;
  }
  keeps_ = wish_.lent != nullptr || !option(spec, "quota").empty();
  quota_ = static_cast<uint32_t>(std::min<uint64_t>(
      option_number(spec, "quota", std::max<uint64_t>(2 * ring_size, kQuotaMin) * wish_.queues),
      kFrameCountMax));
  return true;
}

bool MemifPort::reserve(std::string* error) {
  const uint32_t least = kQuotaMin * wish_.queues;
  if (quota_ < least) {
    *error = "quota must be at least " + std::to_string(least) + ": " + std::to_string(kQuotaMin) +
             " frames for each queue";
    return false;
  }
  if (!keeps_) return true;
  if (!arena_.reserve(quota_)) {
    const uint64_t all = uint64_t{arena_.reserved()} + quota_;
    *error = "a quota of " + std::to_string(quota_) +
             " frames leaves too few for the rest: " + "memif ports together may keep " +
             std::to_string(arena_.reservable()) + " of " + std::to_string(arena_.count()) +
             "; frames.count must be at least " +
             std::to_string((all * 100 + kFrameShareReserved - 1) / kFrameShareReserved);
    return false;
  }
  reserved_ = quota_;
  return true;
}

bool MemifPort::open(const PortSpec& spec, std::string* error) {
  error->clear();
  if (!read(spec, error) || !reserve(error)) return false;
  seat_ = std::make_unique<Seat>(wish_.queues);
  if (!seat_->ok()) {
    *error = "memif: no descriptors for the queues";
    return false;
  }
  copy_ = spec.copy;
  QueueOptions options;
  options.memory = wish_.role == Role::kServer ? Memory::kPeers
                   : wish_.lent != nullptr     ? Memory::kLent
                                               : Memory::kOwn;
  const bool is_ip = wish_.mode == Mode::kIp;
  if (is_ip) options.start += kEthernetBytes;
  options.ring_size = 1u << wish_.log2_ring_size;
  options.quota = quota_ / wish_.queues;
  uint8_t peer_mac[6];
  std::memcpy(peer_mac, caps_.mac, sizeof peer_mac);
  peer_mac[5] ^= 1;
  for (options.index = 0; options.index < wish_.queues; ++options.index) {
    auto line = std::make_unique<Line>(*seat_, arena_, options);
    if (!line->queue.open(spec.copy, error)) return false;
    if (is_ip) line->ip = std::make_unique<IpLink>(caps_.mac, peer_mac);
    lines_.push_back(std::move(line));
  }
  describe(spec);
  hub_ = Hub::get(error);
  added_ = hub_ != nullptr && hub_->add(wish_, seat_.get(), error);
  return added_;
}

void MemifPort::describe(const PortSpec& spec) {
  caps_.queues = wish_.queues;
  caps_.chains = true;
  std::string& text = caps_.description;
  text = std::string("memif ") + (wish_.role == Role::kServer ? "server" : "client") + " id " +
         std::to_string(wish_.id) + " at " + wish_.socket + ", " + std::to_string(wish_.queues) +
         (wish_.queues == 1 ? " queue" : " queues");
  if (wish_.mode == Mode::kIp) text += ", ip mode";
  if (wish_.lent != nullptr) {
    text += ", frames lent";
    return;
  }
  text += ", copy by " + (spec.copy != nullptr ? spec.copy->description() : std::string("cpu"));
  if (!why_copying_.empty()) text += " (no zero copy: " + why_copying_ + ")";
}

uint32_t MemifPort::receive(uint32_t queue, Packet* packets, uint32_t max, FrameCache& frames,
                            Counters& counters) noexcept {
  Line& line = *lines_[queue];
  if (line.ip == nullptr) return line.queue.receive(packets, max, frames, counters);
  const uint32_t answers = line.ip->answers(packets, max, arena_);
  if (answers == max) return answers;
  const uint32_t n = line.queue.receive(packets + answers, max - answers, frames, counters);
  line.ip->put_on(packets + answers, n);
  return answers + n;
}

uint32_t MemifPort::transmit(uint32_t queue, Packet* const* packets, uint32_t count,
                             FrameCache& frames) noexcept {
  Line& line = *lines_[queue];
  line.refused = 0;
  if (line.ip != nullptr) return transmit_ip(line, packets, count, frames);
  const uint32_t taken = line.queue.transmit(packets, count, frames);
  if (line.queue.refused() != 0) refuse(line, line.queue.refused(), line.queue.refused_as());
  return taken;
}

// In runs of IP packets; what is none of them ends here. Packets that are not taken get their
// Ethernet header back, for they will come again.
uint32_t MemifPort::transmit_ip(Line& line, Packet* const* packets, uint32_t count,
                                FrameCache& frames) noexcept {
  uint32_t i = 0;
  while (i < count) {
    const IpLink::Kind kind = IpLink::kind_of(*packets[i]);
    if (kind == IpLink::Kind::kOther) {
      frames.give_chain(packets[i++]->frame);
      refuse(line, 1, Drop::kNotTransmittable);
      continue;
    }
    if (kind != IpLink::Kind::kIp) {
      line.ip->answer(*packets[i++], kind, frames);
      continue;
    }
    uint32_t run = 0;
    for (; i + run < count && IpLink::kind_of(*packets[i + run]) == IpLink::Kind::kIp; ++run)
      IpLink::take_off(*packets[i + run]);
    const uint32_t taken = line.queue.transmit(packets + i, run, frames);
    if (line.queue.refused() != 0) refuse(line, line.queue.refused(), line.queue.refused_as());
    for (uint32_t k = taken; k < run; ++k) IpLink::put_back(*packets[i + k]);
    i += taken;
    if (taken < run) break;
  }
  return i;
}

// A peer's words become JSON only without what could end a string.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    const bool is_plain = c >= ' ' && c < 0x7f && c != '"' && c != '\\';
    out += is_plain ? c : '?';
  }
  return out + '"';
}

std::string MemifPort::stats_json() const {
  uint64_t sums[8] = {};
  uint64_t ring_in = 0, ring_out = 0;
  for (const auto& line : lines_) {
    const Queue::Tallies& t = line->queue.tallies;
    const Tally* const each[] = {&t.rx_packets,  &t.rx_bytes, &t.tx_packets, &t.tx_bytes,
                                 &t.frames_held, &t.cut,      &t.rings};
    for (size_t i = 0; i < std::size(each); ++i) sums[i] += each[i]->get();
    ring_in = std::max(ring_in, t.ring_in.get());
    ring_out = std::max(ring_out, t.ring_out.get());
  }
  std::string out = "{";
  const auto number = [&out](const char* name, uint64_t value) {
    out += std::string(out.size() == 1 ? "\"" : ",\"") + name + "\":" + std::to_string(value);
  };
  const char* const names[] = {"rx_packets",  "rx_bytes", "tx_packets", "tx_bytes",
                               "frames_held", "cut",      "rings"};
  for (size_t i = 0; i < std::size(names); ++i) number(names[i], sums[i]);
  number("quota", quota_);
  number("ring_in", ring_in);
  number("ring_out", ring_out);
  std::string peer, reason;
  {
    const std::lock_guard hold(seat_->told_lock);
    const Seat::Told& told = seat_->told;
    number("connects", told.connects);
    number("disconnects", told.disconnects);
    number("violations", told.violations);
    number("refused", told.refused);
    peer = told.peer;
    reason = told.last_reason;
  }
  return out + ",\"peer\":" + quoted(peer) + ",\"last_reason\":" + quoted(reason) +
         ",\"copy\":" + (copy_ != nullptr ? copy_->stats_json() : "{}") + "}";
}

std::vector<std::string> MemifPort::news() {
  const std::lock_guard hold(seat_->told_lock);
  return std::exchange(seat_->told.news, {});
}

}  // namespace
}  // namespace memif

std::unique_ptr<Port> open_memif(const PortSpec& spec, FrameArena& arena, std::string* error) {
  auto port = std::make_unique<memif::MemifPort>(arena);
  return port->open(spec, error) ? std::move(port) : nullptr;
}

}  // namespace nodeplane
