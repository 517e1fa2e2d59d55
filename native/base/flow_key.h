#pragma once
#include <cstdint>
#include <cstring>

#include "base/ip.h"

namespace nodeplane {

// Keys hold wire bytes: addresses and ports as they lie in the packet (network order). For echo the
// identifier is the source port of a request and the destination port of a reply, the other is 0,
// so that a reply's key is always the mirror of its request's.
struct KeyV4 {
  uint32_t src, dst;
  uint16_t sport, dport;
  uint16_t network;
  uint8_t protocol;
  uint8_t zero;
  bool operator==(const KeyV4& o) const noexcept { return std::memcmp(this, &o, sizeof o) == 0; }
};
static_assert(sizeof(KeyV4) == 16);

struct KeyV6 {
  uint8_t src[16], dst[16];
  uint16_t sport, dport;
  uint16_t network;
  uint8_t protocol;
  uint8_t zero;
  bool operator==(const KeyV6& o) const noexcept { return std::memcmp(this, &o, sizeof o) == 0; }
};
static_assert(sizeof(KeyV6) == 40);

inline IpAddress key_src(const KeyV4& k) noexcept { return IpAddress::from_v4(k.src); }
inline IpAddress key_dst(const KeyV4& k) noexcept { return IpAddress::from_v4(k.dst); }
inline IpAddress key_src(const KeyV6& k) noexcept { return IpAddress::from_bytes(k.src, 6); }
inline IpAddress key_dst(const KeyV6& k) noexcept { return IpAddress::from_bytes(k.dst, 6); }

}  // namespace nodeplane
