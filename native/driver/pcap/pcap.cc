#include "driver/pcap/pcap.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "driver/options.h"
#include "driver/pcap/reader.h"
#include "driver/pcap/writer.h"
#include "packet/place.h"

namespace nodeplane {

namespace {

constexpr uint32_t kMtuDefault = 1500;

class PcapPort final : public Port {
 public:
  PcapPort(const PortSpec& spec, std::unique_ptr<CaptureReader> reader,
           std::unique_ptr<CaptureWriter> writer)
      : reader_(std::move(reader)), writer_(std::move(writer)) {
    caps_.mtu = spec.mtu != 0 ? spec.mtu : kMtuDefault;
    caps_.chains = true;
    caps_.description = "pcap offline";
  }

  const PortCaps& caps() const noexcept override { return caps_; }
  uint32_t receive(uint32_t queue, Packet* packets, uint32_t max, FrameCache& frames,
                   Counters& counters) noexcept override;
  uint32_t transmit(uint32_t queue, Packet* const* packets, uint32_t count,
                    FrameCache& frames) noexcept override;
  uint32_t refused(uint32_t) const noexcept override { return refused_; }
  void release(uint32_t, FrameCache&) noexcept override {}
  std::optional<Time> next_time() noexcept override;
  void set_time(Time now) noexcept override { now_ = now; }
  std::string failure() noexcept override;

 private:
  PortCaps caps_;
  Time now_ = 0;
  uint32_t refused_ = 0;
  std::unique_ptr<CaptureReader> reader_;
  std::unique_ptr<CaptureWriter> writer_;
};

// Packets of one time only, for a batch has one. Lost records are counted as they are passed.
uint32_t PcapPort::receive(uint32_t, Packet* packets, uint32_t max, FrameCache& frames,
                           Counters& counters) noexcept {
  uint32_t n = 0;
  const std::optional<Time> time = next_time();
  while (n < max && next_time() == time && time) {
    const Record& record = *reader_->peek();
    Packet& p = packets[n];
    if (record.bytes == nullptr) {
      count_lost(counters, Drop::kRxTruncated);
    } else if (place_bytes(p, frames, record.bytes, record.length)) {
      p.flags = 0;
      p.gso = Gso::kNone;
      n++;
    } else if (n != 0) {
      break;  // what the batch gives back may do for the rest
    } else {
      count_lost(counters, Drop::kNoFrame);
    }
    reader_->next();
  }
  return n;
}

uint32_t PcapPort::transmit(uint32_t, Packet* const* packets, uint32_t count,
                            FrameCache& frames) noexcept {
  refused_ = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const Packet& p = *packets[i];
    if (writer_ != nullptr) {
      writer_->begin(now_, p.length);
      each_piece(frames.arena(), p,
                 [this](const uint8_t* bytes, uint32_t length) { writer_->put(bytes, length); });
      if (writer_->failed()) refused_++;
    }
    frames.give_chain(p.frame);
  }
  return count;
}

std::optional<Time> PcapPort::next_time() noexcept {
  const Record* record = reader_ != nullptr ? reader_->peek() : nullptr;
  return record != nullptr ? std::optional<Time>(record->time) : std::nullopt;
}

std::string PcapPort::failure() noexcept {
  std::string why = reader_ != nullptr ? reader_->failure() : std::string();
  if (writer_ == nullptr) return why;
  writer_->flush();
  const std::string second = writer_->failure();
  return why.empty() || second.empty() ? why + second : why + "; " + second;
}

bool same_file(int fd, const std::string& path) {
  struct stat a, b;
  return fstat(fd, &a) == 0 && stat(path.c_str(), &b) == 0 && a.st_dev == b.st_dev &&
         a.st_ino == b.st_ino && S_ISREG(a.st_mode);
}

}  // namespace

std::unique_ptr<Port> open_pcap(const PortSpec& spec, FrameArena&, std::string* error) {
  const std::string in = option(spec, "in");
  const std::string out = option(spec, "out");
  if (spec.queues > 1) {
    *error = "a pcap port has one queue";
    return nullptr;
  }
  std::unique_ptr<CaptureReader> reader;
  if (!in.empty()) {
    const int fd = open(in.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
      *error = in + ": " + std::strerror(errno);
      return nullptr;
    }
    // Opening the output empties it: an input of that name would be lost before it is read.
    const bool same = !out.empty() && same_file(fd, out);
    reader = CaptureReader::open(fd, in, error);
    if (same && reader != nullptr) *error = out + ": is the port's input too";
    if (same || reader == nullptr) return nullptr;
  }
  std::unique_ptr<CaptureWriter> writer;
  if (!out.empty()) {
    writer = CaptureWriter::open(out, error);
    if (writer == nullptr) return nullptr;
  }
  return std::make_unique<PcapPort>(spec, std::move(reader), std::move(writer));
}

}  // namespace nodeplane
