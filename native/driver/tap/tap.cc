#include "driver/tap/tap.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "driver/link.h"
#include "driver/options.h"
#include "driver/virtio.h"
#include "packet/place.h"

namespace nodeplane {

namespace {

constexpr uint32_t kQueuesMax = 16;
constexpr uint32_t kFrameSizeMin = 2048;
// Frames that the longest packet takes, for any frame size from kFrameSizeMin up.
constexpr uint32_t kSlotsMax =
    1 + (kVirtioPacketMax - (kFrameSizeMin - kFrameHeadroom) + kFrameSizeMin - 1) / kFrameSizeMin;
constexpr uint32_t kPiecesMax = 128;               // frames of a packet to be sent
constexpr unsigned int kOffloadUdp = 0x20 | 0x40;  // TUN_F_USO4, TUN_F_USO6: Linux 6.2

// Frames laid out for one read, as many as the longest packet takes. Those that a packet left empty
// serve the next one; what is left at the end goes back.
class Slots {
 public:
  Slots(FrameCache& frames, uint32_t count, VirtioHeader* header) noexcept
      : frames_(frames), arena_(frames.arena()), count_(count), empty_(count) {
    pieces_[0] = {header, sizeof *header};
  }
  ~Slots() {
    for (uint32_t i = empty_; i < count_; ++i) frames_.give(slots_[i]);
  }
  Slots(const Slots&) = delete;
  Slots& operator=(const Slots&) = delete;
  const iovec* pieces() const noexcept { return pieces_; }
  int piece_count() const noexcept { return static_cast<int>(count_) + 1; }

  bool fill() noexcept {
    for (; empty_ != 0; --empty_) {
      const uint32_t i = empty_ - 1;
      slots_[i] = frames_.take();
      if (slots_[i] == kFrameNone) return false;
      pieces_[i + 1] = i == 0 ? iovec{arena_.at(slots_[i]) + kFrameHeadroom, first_room(arena_)}
                              : iovec{arena_.at(slots_[i]), arena_.frame_size()};
    }
    return true;
  }
  // Describes what was read as a packet; the frames stay ours until hand_over.
  void lay_out(Packet& p, uint32_t bytes) noexcept {
    const uint32_t linear = std::min(bytes, first_room(arena_));
    p.frame = slots_[0];
    p.data = arena_.at(p.frame) + kFrameHeadroom;
    p.length = bytes;
    p.linear = static_cast<uint16_t>(linear);
    arena_.link(p.frame) = {kFrameNone, 0, 0};
    used_ = 1;
    for (uint32_t rest = bytes - linear; rest != 0;) {
      const uint32_t piece = std::min(rest, arena_.frame_size());
      arena_.link(slots_[used_]) = {kFrameNone, 0, static_cast<uint16_t>(piece)};
      arena_.link(slots_[used_ - 1]).next = slots_[used_];
      used_++;
      rest -= piece;
    }
  }
  void hand_over() noexcept { empty_ = used_; }

 private:
  FrameCache& frames_;
  FrameArena& arena_;
  uint32_t count_;
  uint32_t empty_;  // the first ones hold no frame
  uint32_t used_ = 0;
  uint32_t slots_[kSlotsMax];
  iovec pieces_[1 + kSlotsMax];
};

class TapPort final : public Port {
 public:
  explicit TapPort(const FrameArena& arena)
      : slots_(1 + (kVirtioPacketMax - first_room(arena) + arena.frame_size() - 1) /
                       arena.frame_size()) {}
  ~TapPort() override {
    for (const Queue& queue : queues_) close(queue.fd);
  }
  bool open(const PortSpec& spec, std::string* error);

  const PortCaps& caps() const noexcept override { return caps_; }
  uint32_t receive(uint32_t queue, Packet* packets, uint32_t max, FrameCache& frames,
                   Counters& counters) noexcept override;
  uint32_t transmit(uint32_t queue, Packet* const* packets, uint32_t count,
                    FrameCache& frames) noexcept override;
  uint32_t refused(uint32_t queue) const noexcept override { return queues_[queue].refused; }
  void release(uint32_t, FrameCache&) noexcept override {}
  int wait_fd(uint32_t queue) const noexcept override { return queues_[queue].fd; }

 private:
  struct alignas(64) Queue {
    int fd;
    uint32_t refused = 0;
  };
  bool add_queue(const PortSpec& spec, bool offload, std::string* error);
  bool set_link(const PortSpec& spec, std::string* error);

  PortCaps caps_;
  uint32_t slots_;
  std::string name_;
  std::vector<Queue> queues_;
};

bool TapPort::open(const PortSpec& spec, std::string* error) {
  const uint32_t count = spec.queues == 0 ? 1 : spec.queues;
  const bool offload = option_flag(spec, "offload", true);
  if (count > kQueuesMax) {
    *error = "a tap port has at most " + std::to_string(kQueuesMax) + " queues";
    return false;
  }
  name_ = spec.interface;
  queues_.reserve(count);
  for (uint32_t q = 0; q < count; ++q)
    if (!add_queue(spec, offload, error)) return false;
  if (!set_link(spec, error)) return false;
  caps_.queues = static_cast<uint16_t>(count);
  caps_.chains = true;
  caps_.gso = caps_.partial_checksum_in = caps_.partial_checksum_out = offload;
  caps_.description = "tap " + name_ + ", " + std::to_string(count) +
                      (count == 1 ? " queue" : " queues") +
                      (offload ? ", partial checksums and segmentation offload" : "");
  return true;
}

bool TapPort::add_queue(const PortSpec& spec, bool offload, std::string* error) {
  ifreq request{};
  const auto failed = [&](const char* what) {
    const int why = errno;
    *error = "tap " + name_ + ": " + what + ": " + std::strerror(why);
    if (why == EPERM || why == EACCES) *error += " (CAP_NET_ADMIN is missing)";
    return false;
  };
  if (name_.size() >= IFNAMSIZ) {
    errno = ENAMETOOLONG;
    return failed("name");
  }
  const int fd = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return failed("/dev/net/tun");
  queues_.push_back({fd});
  std::strncpy(request.ifr_name, name_.c_str(), IFNAMSIZ - 1);
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  if (spec.queues > 1) request.ifr_flags |= IFF_MULTI_QUEUE;
  if (ioctl(fd, TUNSETIFF, &request) != 0) return failed("making the interface");
  name_ = request.ifr_name;
  int size = sizeof(VirtioHeader);
  if (ioctl(fd, TUNSETVNETHDRSZ, &size) != 0) return failed("virtio-net header");
  const unsigned int offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
  if (!offload) {
    if (ioctl(fd, TUNSETOFFLOAD, 0) != 0) return failed("offloads");
  } else if (ioctl(fd, TUNSETOFFLOAD, offloads | kOffloadUdp) != 0 &&
             ioctl(fd, TUNSETOFFLOAD, offloads) != 0) {
    return failed("offloads");
  }
  const int persist = option_flag(spec, "persist", false) ? 1 : 0;
  if (ioctl(fd, TUNSETPERSIST, persist) != 0) return failed("persist");
  return true;
}

bool TapPort::set_link(const PortSpec& spec, std::string* error) {
  const Link link(name_);
  const std::string wanted = option(spec, "mac");
  uint8_t mac[6];
  if (!wanted.empty()) {
    if (!read_mac(wanted, mac)) {
      *error = "tap " + name_ + ": '" + wanted + "' is no MAC address";
      return false;
    }
    if (!link.set_mac(mac, error)) return false;
  }
  if (spec.mtu != 0 && !link.set_mtu(spec.mtu, error)) return false;
  if (!link.set_up(error) || !link.mtu(&caps_.mtu, error) || !link.mac(caps_.mac, error))
    return false;
  caps_.mac[5] ^= 1;
  return true;
}

uint32_t TapPort::receive(uint32_t queue, Packet* packets, uint32_t max, FrameCache& frames,
                          Counters& counters) noexcept {
  const int fd = queues_[queue].fd;
  VirtioHeader header;
  Slots slots(frames, slots_, &header);
  uint32_t n = 0;
  // Without frames enough for the longest, a packet might be cut short: it rather waits in the
  // kernel.
  while (n < max && slots.fill()) {
    const ssize_t got = readv(fd, slots.pieces(), slots.piece_count());
    if (got < 0 && errno == EINTR) continue;
    if (got < static_cast<ssize_t>(sizeof header)) break;
    Packet& p = packets[n];
    slots.lay_out(p, static_cast<uint32_t>(got - sizeof header));
    if (!read_header(frames.arena(), header, p)) {
      count_lost(counters, Drop::kBadOffload);
      continue;
    }
    slots.hand_over();
    n++;
  }
  return n;
}

uint32_t TapPort::transmit(uint32_t queue, Packet* const* packets, uint32_t count,
                           FrameCache& frames) noexcept {
  Queue& out = queues_[queue];
  out.refused = 0;
  for (uint32_t n = 0; n < count; ++n) {
    const Packet& p = *packets[n];
    VirtioHeader header;
    iovec pieces[1 + kPiecesMax];
    int used = 1;
    pieces[0] = {&header, sizeof header};
    each_piece(frames.arena(), p, [&](uint8_t* bytes, uint32_t length) {
      if (used <= static_cast<int>(kPiecesMax)) pieces[used] = {bytes, length};
      used++;
    });
    ssize_t sent = -1;
    errno = EMSGSIZE;
    if (used <= static_cast<int>(kPiecesMax) && write_header(p, &header)) {
      do sent = writev(out.fd, pieces, used);
      while (sent < 0 && errno == EINTR);
    }
    if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS)) return n;
    if (sent < 0) out.refused++;
    frames.give_chain(p.frame);
  }
  return count;
}

}  // namespace

std::unique_ptr<Port> open_tap(const PortSpec& spec, FrameArena& arena, std::string* error) {
  auto port = std::make_unique<TapPort>(arena);
  return port->open(spec, error) ? std::move(port) : nullptr;
}

}  // namespace nodeplane
