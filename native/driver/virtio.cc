#include "driver/virtio.h"

#include <netinet/in.h>

#include "base/sum.h"
#include "packet/place.h"

namespace nodeplane {

namespace {

// linux/virtio_net.h is not C++: one of its fields is named `class`.
constexpr uint8_t kNeedsSum = 1;
constexpr uint8_t kGsoNone = 0, kGsoTcp4 = 1, kGsoTcp6 = 4;
constexpr uint8_t kGsoUdp = 5;     // segments of UDP, not fragments: Linux 6.2
constexpr uint8_t kGsoEcn = 0x80;  // a bit beside the type
constexpr uint16_t kTcpSum = 16, kUdpSum = 6, kSctpSum = 8;
constexpr uint32_t kTcpHeader = 20, kUdpHeader = 8;
constexpr uint32_t kExtensionsMax = 8;

struct Transport {
  uint32_t at;  // 0: none was found
  uint8_t protocol;
};

uint16_t be16(const uint8_t* p) noexcept { return static_cast<uint16_t>(p[0] << 8 | p[1]); }

bool is_extension(uint8_t next) noexcept {
  return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS;
}

// Where the outer transport header begins; only asked of packets with a partial sum.
Transport outer_transport(const Packet& p) noexcept {
  uint32_t at = 12;
  for (int tags = 0; tags < 2 && at + 6 <= p.linear; ++tags, at += 4)
    if (be16(p.data + at) != 0x8100 && be16(p.data + at) != 0x88a8) break;
  const uint16_t type = at + 2 <= p.linear ? be16(p.data + at) : 0;
  at += 2;
  if (type == 0x0800 && at + 20 <= p.linear) return {at + (p.data[at] & 0xf) * 4u, p.data[at + 9]};
  if (type != 0x86dd || at + 40 > p.linear) return {0, 0};
  uint8_t next = p.data[at + 6];
  at += 40;
  for (uint32_t i = 0; i < kExtensionsMax && is_extension(next) && at + 2 <= p.linear; ++i) {
    next = p.data[at];
    at += (p.data[at + 1] + 1u) * 8;
  }
  return {at, next};
}

// The sum over everything from `start` on, put where it belongs (as skb_checksum_help does).
bool finish(const FrameArena& arena, Packet& p, uint32_t start, uint32_t offset) noexcept {
  if (start + offset + 2 > p.linear) return false;
  uint64_t sum = 0;
  uint32_t at = 0;  // bytes passed
  each_piece(arena, p, [&](const uint8_t* bytes, uint32_t length) {
    for (uint32_t i = start > at ? std::min(start - at, length) : 0; i < length; ++i)
      sum += (at + i - start) % 2 == 0 ? bytes[i] : uint64_t{bytes[i]} << 8;
    at += length;
  });
  const uint16_t folded = static_cast<uint16_t>(~sum_fold(sum));
  const uint16_t check = folded == 0 ? 0xffff : folded;
  std::memcpy(p.data + start + offset, &check, 2);
  return true;
}

bool read_partial(const FrameArena& arena, const VirtioHeader& header, Packet& p) noexcept {
  const Transport outer = outer_transport(p);
  const bool is_outer = outer.at == header.sum_start;
  const bool tcp = outer.protocol == IPPROTO_TCP && header.sum_offset == kTcpSum;
  const bool udp = outer.protocol == IPPROTO_UDP && header.sum_offset == kUdpSum;
  const bool sctp = outer.protocol == IPPROTO_SCTP && header.sum_offset == kSctpSum;
  if (is_outer && (tcp || udp || sctp)) {
    p.flags |= kFlagPartialChecksum;
    // A CRC cannot be left to the kernel: this header tells only of Internet checksums.
    if (sctp) p.flags |= kFlagForceComplete;
    p.l4 = header.sum_start;
    p.protocol = outer.protocol;
    return true;
  }
  return p.gso == Gso::kNone && finish(arena, p, header.sum_start, header.sum_offset);
}

}  // namespace

bool read_header(const FrameArena& arena, const VirtioHeader& header, Packet& p) noexcept {
  p.flags = 0;
  p.gso_size = header.gso_size;
  switch (header.gso_type & ~kGsoEcn) {
    case kGsoNone:
      p.gso = Gso::kNone;
      break;
    case kGsoTcp4:
      p.gso = Gso::kTcp4;
      break;
    case kGsoTcp6:
      p.gso = Gso::kTcp6;
      break;
    case kGsoUdp:
      p.gso = Gso::kUdp;
      break;
    default:
      return false;
  }
  if (p.gso != Gso::kNone && p.gso_size == 0) return false;
  if ((header.flags & kNeedsSum) == 0) return true;
  return read_partial(arena, header, p);
}

bool write_header(const Packet& p, VirtioHeader* header) noexcept {
  *header = {};
  const bool tcp = p.protocol == IPPROTO_TCP;
  const bool partial = (p.flags & kFlagPartialChecksum) != 0;
  if (!partial && p.gso == Gso::kNone) return true;
  if (p.l4 == 0 || (!tcp && p.protocol != IPPROTO_UDP)) return false;
  if (partial) {
    header->flags = kNeedsSum;
    header->sum_start = p.l4;
    header->sum_offset = tcp ? kTcpSum : kUdpSum;
  }
  if (p.gso == Gso::kNone) return true;
  header->gso_type = p.gso == Gso::kTcp4 ? kGsoTcp4 : p.gso == Gso::kTcp6 ? kGsoTcp6 : kGsoUdp;
  header->gso_size = p.gso_size;
  // Only a hint for how much to copy; the kernel pulls options itself.
  header->header_length = static_cast<uint16_t>(p.l4 + (tcp ? kTcpHeader : kUdpHeader));
  return true;
}

}  // namespace nodeplane
