#include "driver/af_packet/af_packet.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "driver/link.h"
#include "driver/options.h"
#include "driver/virtio.h"
#include "packet/place.h"

namespace nodeplane {

namespace {

constexpr uint32_t kQueuesMax = 16;
constexpr uint32_t kReceiveMax = 64;  // packets per system call
constexpr uint32_t kTransmitMax = 256;
constexpr uint32_t kPiecesMax = 1024;  // frames per system call, packet headers not counted
constexpr uint32_t kPacketPiecesMax = 128;
constexpr uint32_t kCallsPerStatistics = 256;
constexpr int kSocketBytes = 16 << 20;
constexpr uint32_t kVlanBytes = 4;
constexpr int kFanoutIgnoreOutgoing = 0x4000;  // PACKET_FANOUT_FLAG_IGNORE_OUTGOING, Linux 5.10

struct alignas(8) Control {
  uint8_t bytes[CMSG_SPACE(sizeof(tpacket_auxdata))];
};

// One socket and the memory for its system calls. A packet is received into one frame; what is
// longer than that lands in `overflow` and is copied on, for a chain laid out for each of 64
// packets of 64 KiB would hold thousands of frames.
struct alignas(64) Queue {
  int fd = -1;
  uint32_t refused = 0;
  uint32_t calls = 0;  // since the kernel's statistics were read
  uint32_t frames[kReceiveMax];
  VirtioHeader headers_in[kReceiveMax];
  iovec pieces_in[kReceiveMax][3];
  Control controls[kReceiveMax];
  mmsghdr messages_in[kReceiveMax];
  std::unique_ptr<uint8_t[]> overflow{new uint8_t[size_t{kReceiveMax} * kVirtioPacketMax]};
  VirtioHeader headers_out[kTransmitMax];
  iovec pieces_out[kTransmitMax + kPiecesMax];
  mmsghdr messages_out[kTransmitMax];

  ~Queue() {
    if (fd >= 0) close(fd);
  }
  uint8_t* overflow_of(uint32_t i) noexcept {
    return overflow.get() + size_t{i} * kVirtioPacketMax;
  }
};

class PacketPort final : public Port {
 public:
  bool open(const PortSpec& spec, std::string* error);

  const PortCaps& caps() const noexcept override { return caps_; }
  uint32_t receive(uint32_t queue, Packet* packets, uint32_t max, FrameCache& frames,
                   Counters& counters) noexcept override;
  uint32_t transmit(uint32_t queue, Packet* const* packets, uint32_t count,
                    FrameCache& frames) noexcept override;
  uint32_t refused(uint32_t queue) const noexcept override { return queues_[queue]->refused; }
  void release(uint32_t, FrameCache&) noexcept override {}
  int wait_fd(uint32_t queue) const noexcept override { return queues_[queue]->fd; }

 private:
  bool add_queue(int index, bool promiscuous, std::string* error);
  bool join(const PortSpec& spec, std::string* error);
  PortCaps caps_;
  std::vector<std::unique_ptr<Queue>> queues_;
};

bool PacketPort::open(const PortSpec& spec, std::string* error) {
  const uint32_t count = spec.queues == 0 ? 1 : spec.queues;
  const Link link(spec.interface);
  int index;
  if (option(spec, "take") == "services") {
    *error = "af_packet cannot share its interface with the host (take: services)";
    return false;
  }
  if (count > kQueuesMax) {
    *error = "an af_packet port has at most " + std::to_string(kQueuesMax) + " queues";
    return false;
  }
  if (!link.index(&index, error) || !link.mtu(&caps_.mtu, error) || !link.mac(caps_.mac, error))
    return false;
  if (spec.mtu > caps_.mtu) {
    *error = "interface " + spec.interface + ": its MTU is " + std::to_string(caps_.mtu) +
             ", the configuration says " + std::to_string(spec.mtu);
    return false;
  }
  if (spec.mtu != 0) caps_.mtu = spec.mtu;
  for (uint32_t q = 0; q < count; ++q)
    if (!add_queue(index, option_flag(spec, "promiscuous", false), error)) return false;
  if (count > 1 && !join(spec, error)) return false;
  caps_.queues = static_cast<uint16_t>(count);
  caps_.chains = caps_.gso = caps_.partial_checksum_in = caps_.partial_checksum_out = true;
  caps_.description = "af_packet, " + std::to_string(count) +
                      (count == 1 ? " queue" : " queues by flow") +
                      ", partial checksums and segmentation offload";
  return true;
}

bool PacketPort::add_queue(int index, bool promiscuous, std::string* error) {
  const auto failed = [error](const char* what) {
    const int why = errno;
    *error = std::string("af_packet: ") + what + ": " + std::strerror(why);
    if (why == EPERM) *error += " (CAP_NET_RAW is missing)";
    return false;
  };
  auto queue = std::make_unique<Queue>();
  // Protocol 0: nothing arrives before all is set and the socket bound to its interface.
  const int fd = queue->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return failed("socket");
  const auto set = [fd](int option, int value) {
    return setsockopt(fd, SOL_PACKET, option, &value, sizeof value) == 0;
  };
  if (!set(PACKET_VNET_HDR, 1)) return failed("virtio-net header");
  if (!set(PACKET_AUXDATA, 1)) return failed("auxiliary data");
  if (!set(PACKET_IGNORE_OUTGOING, 1)) return failed("ignore outgoing");
  for (const int option : {SO_RCVBUFFORCE, SO_SNDBUFFORCE})
    if (setsockopt(fd, SOL_SOCKET, option, &kSocketBytes, sizeof kSocketBytes) != 0)
      setsockopt(fd, SOL_SOCKET, option == SO_RCVBUFFORCE ? SO_RCVBUF : SO_SNDBUF, &kSocketBytes,
                 sizeof kSocketBytes);
  // Neighbour discovery comes to multicast addresses that the host has not joined.
  packet_mreq membership{};
  membership.mr_ifindex = index;
  membership.mr_type = promiscuous ? PACKET_MR_PROMISC : PACKET_MR_ALLMULTI;
  if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership, sizeof membership) != 0)
    return failed("membership");
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = index;
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return failed("bind");
  for (uint32_t i = 0; i < kReceiveMax; ++i) {
    queue->pieces_in[i][0] = {&queue->headers_in[i], sizeof(VirtioHeader)};
    queue->pieces_in[i][2] = {queue->overflow_of(i), kVirtioPacketMax};
  }
  queues_.push_back(std::move(queue));
  return true;
}

// The sockets share the interface's packets by flow. The group's own flag replaces
// PACKET_IGNORE_OUTGOING, which holds for single sockets only.
bool PacketPort::join(const PortSpec& spec, std::string* error) {
  const int kind = PACKET_FANOUT_HASH | kFanoutIgnoreOutgoing;
  int group = (kind | PACKET_FANOUT_FLAG_UNIQUEID) << 16;
  for (const auto& queue : queues_) {
    if (setsockopt(queue->fd, SOL_PACKET, PACKET_FANOUT, &group, sizeof group) != 0) {
      *error = "af_packet on " + spec.interface + ": fanout: " + std::strerror(errno);
      return false;
    }
    socklen_t size = sizeof group;
    getsockopt(queue->fd, SOL_PACKET, PACKET_FANOUT, &group, &size);
    group = (group & 0xffff) | kind << 16;
  }
  return true;
}

// The kernel takes a VLAN tag out of the bytes and tells it beside them.
void put_vlan_back(const msghdr& message, Packet& p, VirtioHeader* header) noexcept {
  for (const cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr;
       c = CMSG_NXTHDR(const_cast<msghdr*>(&message), const_cast<cmsghdr*>(c))) {
    if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA) continue;
    tpacket_auxdata aux;
    std::memcpy(&aux, CMSG_DATA(c), sizeof aux);
    if (!(aux.tp_status & TP_STATUS_VLAN_VALID) || p.linear < 2 * ETH_ALEN) return;
    const uint16_t type =
        aux.tp_status & TP_STATUS_VLAN_TPID_VALID ? aux.tp_vlan_tpid : ETH_P_8021Q;
    const uint16_t tag[2] = {htons(type), htons(aux.tp_vlan_tci)};
    p.data -= kVlanBytes;
    std::memmove(p.data, p.data + kVlanBytes, 2 * ETH_ALEN);
    std::memcpy(p.data + 2 * ETH_ALEN, tag, kVlanBytes);
    p.linear += kVlanBytes;
    p.length += kVlanBytes;
    header->sum_start += kVlanBytes;
    return;
  }
}

void count_kernel_drops(Queue& in, Counters& counters) noexcept {
  tpacket_stats stats{};
  socklen_t size = sizeof stats;
  in.calls = 0;
  if (getsockopt(in.fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) == 0)
    counters.add(Counter::kKernelDropped, stats.tp_drops);
}

uint32_t PacketPort::receive(uint32_t queue, Packet* packets, uint32_t max, FrameCache& frames,
                             Counters& counters) noexcept {
  Queue& in = *queues_[queue];
  FrameArena& arena = frames.arena();
  const uint32_t room = first_room(arena);
  uint32_t ready = 0;
  for (; ready < std::min(max, kReceiveMax); ++ready) {
    in.frames[ready] = frames.take();
    if (in.frames[ready] == kFrameNone) break;
    in.pieces_in[ready][1] = {arena.at(in.frames[ready]) + kFrameHeadroom, room};
    msghdr& m = in.messages_in[ready].msg_hdr;
    m = {};
    m.msg_iov = in.pieces_in[ready];
    m.msg_iovlen = 3;
    m.msg_control = &in.controls[ready];
    m.msg_controllen = sizeof(Control);
  }
  const int got = ready == 0 ? 0 : recvmmsg(in.fd, in.messages_in, ready, MSG_DONTWAIT, nullptr);
  // A packet whose offload the header cannot tell is lost in the kernel, with this for a word.
  if (got < 0 && errno == EINVAL) count_lost(counters, Drop::kBadOffload);
  const uint32_t count = got > 0 ? static_cast<uint32_t>(got) : 0;
  uint32_t n = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const mmsghdr& message = in.messages_in[i];
    Packet& p = packets[n];
    const uint32_t bytes = message.msg_len - static_cast<uint32_t>(sizeof(VirtioHeader));
    p.frame = in.frames[i];
    p.data = arena.at(p.frame) + kFrameHeadroom;
    p.length = std::min(bytes, room);
    p.linear = static_cast<uint16_t>(p.length);
    Drop lost = Drop::kNone;
    if (message.msg_hdr.msg_flags & MSG_TRUNC) {
      lost = Drop::kRxTruncated;
    } else if (bytes > room && !append_bytes(p, frames, in.overflow_of(i), bytes - room)) {
      lost = Drop::kNoFrame;
    } else {
      put_vlan_back(message.msg_hdr, p, &in.headers_in[i]);
      if (!read_header(arena, in.headers_in[i], p)) lost = Drop::kBadOffload;
    }
    if (lost == Drop::kNone) {
      n++;
    } else {
      count_lost(counters, lost);
      frames.give_chain(p.frame);
    }
  }
  for (uint32_t i = count; i < ready; ++i) frames.give(in.frames[i]);
  if (count != 0) in.calls++;
  if (in.calls >= (count == 0 ? 1 : kCallsPerStatistics)) count_kernel_drops(in, counters);
  return n;
}

// Messages for the first packets; stops before one that cannot be told, or when the room is full.
uint32_t lay_out(Queue& out, const FrameArena& arena, Packet* const* packets,
                 uint32_t count) noexcept {
  uint32_t ready = 0, pieces = 0;
  for (; ready < std::min(count, kTransmitMax); ++ready) {
    iovec* const first = out.pieces_out + ready + pieces;
    uint32_t used = 0;
    if (pieces + kPacketPiecesMax > kPiecesMax) break;
    if (!write_header(*packets[ready], &out.headers_out[ready])) break;
    each_piece(arena, *packets[ready], [&](uint8_t* bytes, uint32_t length) {
      if (used < kPacketPiecesMax) first[1 + used] = {bytes, length};
      used++;
    });
    if (used > kPacketPiecesMax) break;
    first[0] = {&out.headers_out[ready], sizeof(VirtioHeader)};
    msghdr& m = out.messages_out[ready].msg_hdr;
    m = {};
    m.msg_iov = first;
    m.msg_iovlen = 1 + used;
    pieces += used;
  }
  return ready;
}

uint32_t PacketPort::transmit(uint32_t queue, Packet* const* packets, uint32_t count,
                              FrameCache& frames) noexcept {
  Queue& out = *queues_[queue];
  out.refused = 0;
  uint32_t done = 0;
  while (done < count) {
    const uint32_t ready = lay_out(out, frames.arena(), packets + done, count - done);
    int sent = -1;
    errno = EMSGSIZE;
    if (ready != 0) sent = sendmmsg(out.fd, out.messages_out, ready, MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS)) break;
    uint32_t gone = sent > 0 ? static_cast<uint32_t>(sent) : 0;
    if (sent <= 0) {
      // Nobody will take any more of them if the interface is gone; else it is this one's fault.
      gone = errno == ENETDOWN || errno == ENXIO || errno == ENODEV ? count - done : 1;
      out.refused += gone;
    }
    for (uint32_t i = 0; i < gone; ++i) frames.give_chain(packets[done + i]->frame);
    done += gone;
  }
  return done;
}

}  // namespace

std::unique_ptr<Port> open_af_packet(const PortSpec& spec, FrameArena&, std::string* error) {
  auto port = std::make_unique<PacketPort>();
  return port->open(spec, error) ? std::move(port) : nullptr;
}

}  // namespace nodeplane
