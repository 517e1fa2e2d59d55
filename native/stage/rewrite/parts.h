#pragma once
#include <cstring>

#include "base/crc32c.h"
#include "base/sum.h"
#include "packet/batch.h"
#include "table/flow.h"

// What rewrite's files share with one another and nobody else.
namespace nodeplane::rewriting {

// Finishes the transport sum over the whole chain, in software, from the headers as they now are.
// False: the packet is too short for it, or chained wrongly.
bool complete_sum(Packet& p, const FrameArena& arena) noexcept;

// Mends an ICMP error and the packet it quotes, and gives what that adds to the outer IPv4 header's
// sum.
uint16_t translate_error4(Packet& p, const SideV4& side) noexcept;
void translate_error6(Packet& p, const SideV6& side) noexcept;

inline uint16_t load16(const uint8_t* p) noexcept {
  uint16_t v;
  std::memcpy(&v, p, 2);
  return v;
}
inline void store16(uint8_t* p, uint16_t v) noexcept { std::memcpy(p, &v, 2); }

// A sum field whose covered words changed by delta.
inline void mend(uint8_t* field, uint16_t delta) noexcept {
  store16(field, sum_apply(load16(field), delta));
}
// UDP: zero means that there is none and stays, a sum that comes to zero is sent as ones (RFC 768).
inline void mend_udp(uint8_t* field, uint16_t delta) noexcept {
  const uint16_t before = load16(field);
  if (before == 0) return;
  const uint16_t after = sum_apply(before, delta);
  store16(field, after == 0 ? 0xffff : after);
}

// SCTP's CRC when its ports, the four bytes in front, changed and `behind` bytes follow them: it moves
// by the CRC of the change, so a packet that came damaged stays damaged, and no payload is read.
inline void mend_crc(uint8_t* field, uint32_t before, uint32_t after, uint32_t behind) noexcept {
  uint32_t crc;
  const uint32_t change = before ^ after;
  if (change == 0) return;
  std::memcpy(&crc, field, 4);
  crc ^= crc32c_zeros(crc32c(0, reinterpret_cast<const uint8_t*>(&change), 4), behind);
  std::memcpy(field, &crc, 4);
}

}  // namespace nodeplane::rewriting
