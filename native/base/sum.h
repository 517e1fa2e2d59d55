#pragma once
#include <cstdint>
#include <cstring>

#include "base/flow_key.h"

namespace nodeplane {

// One's complement arithmetic over 16-bit words in raw (memory) order. Byte order does not matter
// to such sums (RFC 1071 section 2 B), so nothing here swaps.

constexpr uint16_t sum_fold(uint64_t sum) noexcept {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);  // at most 0x1'0000'ffff before, 0x2'fffe behind
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}
constexpr uint32_t sum_words(uint32_t v) noexcept { return (v & 0xffff) + (v >> 16); }
inline uint32_t sum_words(const uint8_t (&address)[16]) noexcept {
  uint32_t w[4];
  std::memcpy(w, address, 16);
  return sum_words(w[0]) + sum_words(w[1]) + sum_words(w[2]) + sum_words(w[3]);
}
constexpr uint16_t inverted(uint32_t v) noexcept { return static_cast<uint16_t>(~v); }

// What a TCP or UDP sum field holds of a packet whose sum hardware is to finish: its pseudo-header's,
// folded (RFC 9293 section 3.1, RFC 8200 section 8.1). `length`: bytes that the sum covers.
template <class Key>
uint16_t pseudo_sum(const Key& key, uint32_t length) noexcept {
  return sum_fold(uint64_t{sum_words(key.src)} + sum_words(key.dst) +
                  sum_words(__builtin_bswap32(length)) + __builtin_bswap16(key.protocol));
}

// RFC 1624 eqn. 3: HC' = ~(~HC + ~m + m'), where delta = ~m + m' over all words that changed.
constexpr uint16_t sum_apply(uint16_t check, uint16_t delta) noexcept {
  return inverted(sum_fold(uint32_t{inverted(check)} + delta));
}
constexpr uint16_t sum_delta(uint16_t before, uint16_t after) noexcept {
  return sum_fold(uint32_t{inverted(before)} + after);
}

// What a change of addresses adds to a sum that covers them, not yet folded: 32-bit words will do, and
// ~m is -m whatever the width (RFC 1071 section 2).
inline uint64_t address_change(const KeyV4& key, uint32_t new_src, uint32_t new_dst) noexcept {
  return uint64_t{~key.src} + uint64_t{~key.dst} + new_src + new_dst;
}
inline uint64_t address_change(const uint8_t (&before)[16], const uint8_t (&after)[16]) noexcept {
  uint32_t b[4], a[4];
  std::memcpy(b, before, 16);
  std::memcpy(a, after, 16);
  uint64_t sum = 0;
  for (int i = 0; i < 4; ++i) sum += uint64_t{~b[i]} + a[i];
  return sum;
}
inline uint64_t address_change(const KeyV6& key, const uint8_t (&new_src)[16],
                               const uint8_t (&new_dst)[16]) noexcept {
  return address_change(key.src, new_src) + address_change(key.dst, new_dst);
}
template <class Key, class Address>
uint16_t address_delta(const Key& key, const Address& new_src, const Address& new_dst) noexcept {
  return sum_fold(address_change(key, new_src, new_dst));
}
template <class Key>
uint32_t port_change(const Key& key, uint16_t new_sport, uint16_t new_dport) noexcept {
  return uint32_t{inverted(key.sport)} + inverted(key.dport) + new_sport + new_dport;
}

// SideV4.l3_delta and Side.l4_delta. ICMP's sum covers the identifier but no address; ICMPv6's
// covers both (RFC 4443 section 2.3). SCTP has a CRC and uses none.
inline uint16_t l3_delta(const KeyV4& key, uint32_t new_src, uint32_t new_dst) noexcept {
  return address_delta(key, new_src, new_dst);
}
template <class Key, class Address>
uint16_t l4_delta(const Key& key, const Address& new_src, const Address& new_dst,
                  uint16_t new_sport, uint16_t new_dport) noexcept {
  const uint32_t ports = port_change(key, new_sport, new_dport);
  if (key.protocol == kProtocolIcmp) return sum_fold(ports);
  return sum_fold(address_change(key, new_src, new_dst) + ports);
}

}  // namespace nodeplane
