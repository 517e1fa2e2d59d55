#pragma once
#include <cstdint>

#include "packet/packet.h"

namespace nodeplane {

// The header in front of each packet on tap and af_packet sockets: struct virtio_net_hdr, little
// endian (virtio 1.2 section 5.1.6). It carries partial sums and segmentation both ways.
struct VirtioHeader {
  uint8_t flags;
  uint8_t gso_type;
  uint16_t header_length;
  uint16_t gso_size;
  uint16_t sum_start;
  uint16_t sum_offset;
};
static_assert(sizeof(VirtioHeader) == 10);

// Longest packet that comes with one: 64 KiB of IP behind Ethernet and two VLAN tags.
inline constexpr uint32_t kVirtioPacketMax = 65535 + 14 + 8;

// What the header says, told in the Packet: flags, gso, gso_size, and l4 and protocol of a partial
// sum. A partial sum that does not stand in the outer transport header (a tunnel's inner one) is
// finished here, for the corridor knows only the outer one. False: the header contradicts the
// packet or asks for what nobody can carry.
bool read_header(const FrameArena& arena, const VirtioHeader& header, Packet& p) noexcept;

// The header for a packet whose l4 and protocol are known. False: it cannot be told.
bool write_header(const Packet& p, VirtioHeader* header) noexcept;

}  // namespace nodeplane
