#pragma once
#include <cstring>

#include "wire/view.h"

namespace nodeplane::wire {

inline constexpr size_t kIpv6HeaderLength = 40;
inline constexpr uint32_t kIpv6MinimumMtu = 1280;
inline constexpr uint32_t kIpv6ExtensionCountMax = 8;
inline constexpr size_t kIpv6ExtensionBytesMax = 256;

inline constexpr uint8_t kNextHopByHop = 0;
inline constexpr uint8_t kNextRouting = 43;
inline constexpr uint8_t kNextFragment = 44;
inline constexpr uint8_t kNextAuthentication = 51;
inline constexpr uint8_t kNextNone = 59;
inline constexpr uint8_t kNextDestination = 60;

// RFC 8200 section 3.
struct Ipv6Header {
  Be32 version_class_flow;
  Be16 payload_length;
  uint8_t next_header;
  uint8_t hop_limit;
  uint8_t src[16];
  uint8_t dst[16];

  uint8_t version() const noexcept { return version_class_flow.bytes[0] >> 4; }
  void set_version() noexcept { version_class_flow.set(0x60000000); }
};
static_assert(sizeof(Ipv6Header) == 40 && alignof(Ipv6Header) == 1);

// The first 8 bytes that all extension headers share in shape (RFC 8200 section 4).
struct Ipv6Extension {
  uint8_t next_header;
  uint8_t length;  // in 8-byte units without the first; AH: in 4-byte units less 2 (RFC 4302 2.2)
  uint8_t data[6];

  size_t bytes() const noexcept { return (size_t{length} + 1) * 8; }
  size_t authentication_bytes() const noexcept { return (size_t{length} + 2) * 4; }
};
static_assert(sizeof(Ipv6Extension) == 8 && alignof(Ipv6Extension) == 1);

// RFC 8200 section 4.5.
struct Ipv6Fragment {
  uint8_t next_header;
  uint8_t reserved;
  Be16 offset_more;
  Be32 id;

  uint32_t offset() const noexcept { return offset_more.host() & 0xfff8u; }
  bool more() const noexcept { return (offset_more.host() & 1) != 0; }
};
static_assert(sizeof(Ipv6Fragment) == 8 && alignof(Ipv6Fragment) == 1);

inline const Ipv6Header* check_ipv6(const uint8_t* p, size_t n) noexcept {
  return check_at<Ipv6Header>(p, n);
}
inline const Ipv6Extension* check_ipv6_extension(const uint8_t* p, size_t n) noexcept {
  return check_at<Ipv6Extension>(p, n);
}
inline const Ipv6Fragment* check_ipv6_fragment(const uint8_t* p, size_t n) noexcept {
  return check_at<Ipv6Fragment>(p, n);
}
// Headers that a chain goes on behind (RFC 8200 section 4.1, RFC 4302 for AH). ESP ends it.
inline bool ipv6_is_extension(uint8_t next) noexcept {
  return next == kNextHopByHop || next == kNextRouting || next == kNextFragment ||
         next == kNextAuthentication || next == kNextDestination;
}
inline bool ipv6_is_multicast(const uint8_t* a) noexcept { return a[0] == 0xff; }
inline bool ipv6_is_link_local(const uint8_t* a) noexcept {
  return a[0] == 0xfe && (a[1] & 0xc0) == 0x80;
}
inline bool ipv6_is_unspecified(const uint8_t* a) noexcept {
  uint64_t high, low;
  std::memcpy(&high, a, 8);
  std::memcpy(&low, a + 8, 8);
  return (high | low) == 0;
}
// ff02::1:ffXX:XXXX of an address (RFC 4291 section 2.7.1).
inline void ipv6_solicited_node(const uint8_t* address, uint8_t* out) noexcept {
  static constexpr uint8_t kPrefix[13] = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};
  std::memcpy(out, kPrefix, 13);
  std::memcpy(out + 13, address + 13, 3);
}

}  // namespace nodeplane::wire
