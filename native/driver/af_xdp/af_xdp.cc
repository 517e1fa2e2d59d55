#include "driver/af_xdp/af_xdp.h"

#include <unistd.h>

#include <bit>
#include <charconv>
#include <cstring>
#include <vector>

#include "driver/af_xdp/link.h"
#include "driver/af_xdp/napi.h"
#include "driver/af_xdp/program.h"
#include "driver/af_xdp/socket.h"
#include "driver/af_xdp/xdp_take.h"

namespace nodeplane {
namespace af_xdp {
namespace {

constexpr uint32_t kRingMin = 64, kRingMax = 1 << 16;           // entries
constexpr uint32_t kTakeDefault = 1 << 18, kTakeMax = 1 << 23;  // rows
constexpr uint32_t kDeferDefault = 20, kDeferMax = 1000;        // us
constexpr uint32_t kEtherAndTags = 14 + 2 * 4;                  // bytes before the IP packet, QinQ

struct Settings {
  std::vector<Mode> modes{Mode::kNative, Mode::kGeneric};
  Sockets::Options sockets;
  bool services = false;
  uint32_t take_max = kTakeDefault;
  uint32_t defer_us = 0;
};

// Reads options by key, keeping the first mistake.
class Reader {
 public:
  Reader(const std::map<std::string, std::string>& options, std::string* error)
      : options_(options), error_(error) {}
  bool failed() const { return failed_; }

  // The index of the value among the choices, 0 when the option is not given.
  size_t choice(const char* key, std::initializer_list<const char*> choices) {
    const auto found = options_.find(key);
    if (found == options_.end()) return 0;
    size_t i = 0;
    for (const char* one : choices) {
      if (found->second == one) return i;
      ++i;
    }
    fail(key, found->second);
    return 0;
  }

  uint32_t number(const char* key, uint32_t otherwise, uint32_t low, uint32_t high, bool power) {
    const auto found = options_.find(key);
    if (found == options_.end()) return otherwise;
    const std::string& text = found->second;
    uint32_t value = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool read = problem == std::errc() && end == text.data() + text.size();
    if (read && value >= low && value <= high && (!power || std::has_single_bit(value)))
      return value;
    fail(key, text + ", not " + (power ? "a power of two" : "a number") + " from " +
                  std::to_string(low) + " to " + std::to_string(high));
    return otherwise;
  }

 private:
  void fail(const std::string& key, const std::string& value) {
    if (!failed_) *error_ = "option " + key + " is " + value;
    failed_ = true;
  }
  const std::map<std::string, std::string>& options_;
  std::string* error_;
  bool failed_ = false;
};

bool read_settings(const PortSpec& spec, Settings* settings, std::string* error) {
  Reader reader(spec.options, error);
  const size_t mode = reader.choice("mode", {"auto", "native", "generic"});
  if (mode == 1) settings->modes = {Mode::kNative};
  if (mode == 2) settings->modes = {Mode::kGeneric};
  Sockets::Options& sockets = settings->sockets;
  sockets.queues = spec.queues;
  sockets.copy = static_cast<CopyMode>(reader.choice("copy", {"auto", "zero-copy", "copy"}));
  sockets.needs_wakeup = reader.choice("needWakeup", {"true", "false"}) == 0;
  RingSizes& rings = sockets.rings;
  rings.rx = reader.number("rxRing", rings.rx, kRingMin, kRingMax, true);
  rings.tx = reader.number("txRing", rings.tx, kRingMin, kRingMax, true);
  rings.fill = reader.number("fillRing", 2 * rings.rx, kRingMin, 2 * kRingMax, true);
  rings.completion = reader.number("completionRing", rings.tx, kRingMin, 2 * kRingMax, true);
  sockets.tx_budget = reader.number("txBudget", 0, 32, kRingMax, false);
  settings->services = reader.choice("take", {"all", "services"}) == 1;
  settings->take_max = reader.number("takeMax", kTakeDefault, 1, kTakeMax, false);
  // What a shared interface has of its own stays as it is.
  const uint32_t otherwise = settings->services ? 0 : kDeferDefault;
  settings->defer_us = reader.number("deferUs", otherwise, 0, kDeferMax, false);
  if (!reader.failed() && mode == 2 && sockets.copy == CopyMode::kZeroCopy) {
    *error = "mode generic has no zero-copy";
    return false;
  }
  return !reader.failed();
}

// Bytes of IP packet that one frame holds behind its headroom.
uint32_t mtu_max(uint32_t frame_size) { return frame_size - kFrameHeadroom - kEtherAndTags; }

bool check_mtu(const PortSpec& spec, const Link& link, const FrameArena& arena,
               std::string* error) {
  const uint32_t most = mtu_max(arena.frame_size());
  const std::string mtu = std::to_string(link.mtu);
  if (link.mtu > most) {
    *error = "the MTU " + mtu + " of " + link.name + " is too large: a frame of " +
             std::to_string(arena.frame_size()) + " bytes holds " + std::to_string(most);
    *error += link.mtu <= mtu_max(4096) ? ". Use frames of 4096 bytes"
                                        : ", one of 4096 bytes " + std::to_string(mtu_max(4096));
    *error +=
        ", or lower the MTU (ip link set dev " + link.name + " mtu " + std::to_string(most) + ")";
    return false;
  }
  if (spec.mtu > link.mtu) {
    *error = "mtu " + std::to_string(spec.mtu) + " is asked for, but " + link.name + " has " + mtu;
    return false;
  }
  return true;
}

// Packets of a queue without a socket would be lost, so the numbers must be equal.
bool check_queues(const PortSpec& spec, const Link& link, std::string* error) {
  if (spec.queues == 0 || spec.queues > TAKE_QUEUE_MAX) {
    *error = "queues must be 1 to " + std::to_string(TAKE_QUEUE_MAX);
    return false;
  }
  if (link.rx_queues == 0) return true;  // unknown: binding will tell
  const uint32_t fewer = std::min(link.rx_queues, link.tx_queues);
  const std::string wanted = std::to_string(spec.queues);
  if (spec.queues <= fewer && spec.queues == link.rx_queues) return true;
  *error = link.name + " has " + std::to_string(link.rx_queues) + " receive and " +
           std::to_string(link.tx_queues) + " transmit queues, the port has queues: " + wanted;
  if (spec.queues < link.rx_queues) *error += "; packets on the others would be lost";
  *error += ". Set queues: " + std::to_string(fewer) + ", or change the interface: ethtool -L " +
            link.name +
            (link.driver == "veth" ? " rx " + wanted + " tx " + wanted : " combined " + wanted);
  return false;
}

bool check_link(const PortSpec& spec, const Link& link, const FrameArena& arena,
                std::string* error) {
  if (!link.up) {
    *error = "interface " + link.name + " is down: ip link set dev " + link.name + " up";
    return false;
  }
  return check_mtu(spec, link, arena, error) && check_queues(spec, link, error);
}

}  // namespace

class AfXdpPort final : public Port {
 public:
  AfXdpPort() = default;
  // The program goes first: nothing is received any more when the sockets close.
  ~AfXdpPort() override {
    deferral_.reset();
    program_.reset();
    sockets_.reset();
    if (lock_ >= 0) close(lock_);
  }
  bool open(const PortSpec& spec, FrameArena& arena, std::string* error);

  const PortCaps& caps() const noexcept override { return caps_; }
  uint32_t receive(uint32_t queue, Packet* packets, uint32_t max, FrameCache& frames,
                   Counters& counters) noexcept override {
    return sockets_->queue(queue).receive(packets, max, frames, counters);
  }
  uint32_t transmit(uint32_t queue, Packet* const* packets, uint32_t count,
                    FrameCache& frames) noexcept override {
    return sockets_->queue(queue).transmit(packets, count, frames);
  }
  uint32_t refused(uint32_t queue) const noexcept override {
    return sockets_->queue(queue).refused();
  }
  void release(uint32_t queue, FrameCache& frames) noexcept override {
    sockets_->queue(queue).release(frames);
  }
  int wait_fd(uint32_t queue) const noexcept override { return sockets_->queue(queue).fd(); }
  bool arm(uint32_t queue) noexcept override { return sockets_->queue(queue).arm(); }
  bool take(std::span<const TakeRow> rows, std::string* error) noexcept override;
  bool take_change(std::span<const TakeRow> come, std::span<const TakeRow> gone,
                   std::string* error) noexcept override {
    return !settings_.services || program_->take_maps().change(come, gone, error);
  }
  std::string stats_json() const override;

 private:
  bool open_mode(Mode mode, FrameArena& arena, std::string* error);
  void describe(const std::string& why_not_native);
  void defer();

  Settings settings_;
  Link link_;
  PortCaps caps_;
  int lock_ = -1;
  Mode mode_ = Mode::kNative;
  LeftOver left_over_;
  // Shared interfaces with a left-over program: it goes on dropping what is ours until take() has
  // said what that is, and is replaced then. Before, the new one would pass everything.
  bool attach_later_ = false;
  std::unique_ptr<Program> program_;
  std::unique_ptr<Sockets> sockets_;
  std::unique_ptr<Deferral> deferral_;
};

bool AfXdpPort::open(const PortSpec& spec, FrameArena& arena, std::string* error) {
  if (!read_settings(spec, &settings_, error)) return false;
  if (const std::string missing = missing_capabilities(); !missing.empty()) {
    *error = "AF_XDP needs " + missing + ": run as root, or give it to the node binary (setcap)";
    return false;
  }
  if (!read_link(spec.interface, &link_, error) || !check_link(spec, link_, arena, error))
    return false;
  lock_ = lock_link(link_, error);
  if (lock_ < 0 || !find_left_over(link_, &left_over_, error)) return false;
  // The left-over's mode first: only within one mode it can be replaced in one step.
  if (settings_.modes.size() > 1 && left_over_.fd >= 0 && left_over_.mode == Mode::kGeneric)
    settings_.modes = {Mode::kGeneric, Mode::kNative};
  attach_later_ = settings_.services && left_over_.fd >= 0;
  std::string reasons;
  bool is_open = false;
  for (const Mode mode : settings_.modes) {
    std::string reason;
    is_open = open_mode(mode, arena, &reason);
    if (is_open) break;
    reasons += (reasons.empty() ? "" : "; ") + reason;
  }
  if (!is_open) {
    *error = reasons;
    return false;
  }
  caps_.queues = spec.queues;
  caps_.mtu = spec.mtu != 0 ? spec.mtu : link_.mtu;
  caps_.unknown_partial = true;
  std::memcpy(caps_.mac, link_.mac, sizeof caps_.mac);
  defer();
  describe(reasons);
  return true;
}

// A veth has its NAPI once it has a program, or has one left over.
void AfXdpPort::defer() {
  if (settings_.defer_us != 0) deferral_ = Deferral::open(link_.index, settings_.defer_us * 1000);
}

bool AfXdpPort::open_mode(Mode mode, FrameArena& arena, std::string* error) {
  Sockets::Options options = settings_.sockets;
  if (mode == Mode::kGeneric) {
    if (options.copy == CopyMode::kZeroCopy) {
      *error = "generic mode has no zero-copy";
      return false;
    }
    options.copy = CopyMode::kCopy;
  }
  program_ = Program::load(settings_.services ? settings_.take_max : 0, error);
  if (!program_) return false;
  sockets_ = Sockets::open(link_, options, arena, error);
  bool done = sockets_ != nullptr;
  for (uint32_t q = 0; done && q < sockets_->count(); ++q)
    done = program_->add_socket(q, sockets_->queue(q).fd(), error);
  // Last, so that whatever fails before leaves the interface as it was.
  if (done && !attach_later_) done = program_->attach(link_, mode, left_over_, error);
  if (!done) {
    program_.reset();
    sockets_.reset();
  }
  mode_ = mode;
  return done;
}

void AfXdpPort::describe(const std::string& why_not_native) {
  const std::string queues =
      std::to_string(caps_.queues) + (caps_.queues == 1 ? " queue" : " queues");
  caps_.description = std::string("af_xdp ") + (mode_ == Mode::kNative ? "native " : "generic ") +
                      (sockets_->zero_copy() ? "zero-copy" : "copy") + ", " + queues +
                      (settings_.sockets.needs_wakeup ? ", need-wakeup" : "") + ", take " +
                      (settings_.services ? "services" : "all");
  if (!sockets_->zero_copy())
    caps_.description += ", " +
                         std::to_string(sockets_->tx_budget() != 0 ? sockets_->tx_budget() : 32) +
                         " per send";
  if (deferral_)
    caps_.description += ", NAPI deferred " + std::to_string(settings_.defer_us) + " us";
  else if (settings_.defer_us != 0)
    caps_.description += ", NAPI not deferred (kernel or driver cannot)";
  if (left_over_.fd >= 0)
    caps_.description +=
        ", replaced a left-over program (id " + std::to_string(left_over_.id) + ")";
  // Native mode switches the peer's segmentation offloads off by itself, generic mode does not.
  if (mode_ == Mode::kGeneric && link_.driver == "veth")
    caps_.description +=
        ", the veth peer needs ethtool -K tso off gso off tx-udp-segmentation off: larger packets "
        "than a frame are lost";
  if (!why_not_native.empty()) caps_.description += "; " + why_not_native;
}

bool AfXdpPort::take(std::span<const TakeRow> rows, std::string* error) noexcept {
  if (!settings_.services) return true;
  if (!program_->take_maps().replace(rows, error)) return false;
  if (attach_later_ && !program_->attach(link_, mode_, left_over_, error)) return false;
  attach_later_ = false;
  return true;
}

std::string AfXdpPort::stats_json() const {
  std::string text = "{\"queues\":[";
  for (uint32_t q = 0; q < sockets_->count(); ++q)
    text += (q == 0 ? "" : ",") + sockets_->queue(q).stats_json();
  return text + "]}";
}

}  // namespace af_xdp

std::unique_ptr<Port> open_af_xdp(const PortSpec& spec, FrameArena& arena, std::string* error) {
  auto port = std::make_unique<af_xdp::AfXdpPort>();
  if (!port->open(spec, arena, error)) return nullptr;
  return port;
}

}  // namespace nodeplane
