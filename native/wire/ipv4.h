#pragma once
#include "wire/view.h"

namespace nodeplane::wire {

inline constexpr size_t kIpv4HeaderMin = 20;
inline constexpr size_t kIpv4HeaderMax = 60;
inline constexpr uint16_t kIpv4Reserved = 0x8000;
inline constexpr uint16_t kIpv4DontFragment = 0x4000;
inline constexpr uint16_t kIpv4MoreFragments = 0x2000;
inline constexpr uint16_t kIpv4OffsetMask = 0x1fff;

// RFC 791 section 3.1.
struct Ipv4Header {
  uint8_t version_ihl;
  uint8_t tos;
  Be16 total_length;
  Be16 id;
  Be16 fragment;
  uint8_t ttl;
  uint8_t protocol;
  Be16 checksum;
  Be32 src;
  Be32 dst;

  uint8_t version() const noexcept { return version_ihl >> 4; }
  uint8_t ihl() const noexcept { return version_ihl & 0x0f; }
  size_t header_length() const noexcept { return size_t{4} * ihl(); }
  bool dont_fragment() const noexcept { return (fragment.host() & kIpv4DontFragment) != 0; }
  bool more_fragments() const noexcept { return (fragment.host() & kIpv4MoreFragments) != 0; }
  uint32_t fragment_offset() const noexcept { return (fragment.host() & kIpv4OffsetMask) * 8u; }
  bool is_fragment() const noexcept {
    return (fragment.host() & (kIpv4MoreFragments | kIpv4OffsetMask)) != 0;
  }
};
static_assert(sizeof(Ipv4Header) == 20 && alignof(Ipv4Header) == 1);

inline const Ipv4Header* check_ipv4(const uint8_t* p, size_t n) noexcept {
  return check_at<Ipv4Header>(p, n);
}
// 224.0.0.0/4; the address as it lies in memory.
inline bool ipv4_is_multicast(uint32_t raw) noexcept { return (raw & 0xf0) == 0xe0; }
inline bool ipv4_is_limited_broadcast(uint32_t raw) noexcept { return raw == 0xffffffff; }

}  // namespace nodeplane::wire
