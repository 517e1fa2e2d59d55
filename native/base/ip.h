#pragma once
#include <cstdint>
#include <cstring>

namespace nodeplane {

// An address of either family in 16 bytes, network order; IPv4 in the first 4, the rest zero.
struct IpAddress {
  uint8_t bytes[16];

  uint32_t v4() const noexcept {  // raw, network order
    uint32_t v;
    std::memcpy(&v, bytes, 4);
    return v;
  }
  static IpAddress from_v4(uint32_t raw) noexcept {
    IpAddress a{};
    std::memcpy(a.bytes, &raw, 4);
    return a;
  }
  static IpAddress from_bytes(const uint8_t* p, uint8_t family) noexcept {
    IpAddress a{};
    std::memcpy(a.bytes, p, family == 4 ? 4 : 16);
    return a;
  }
  bool operator==(const IpAddress& o) const noexcept {
    return std::memcmp(bytes, o.bytes, 16) == 0;
  }
};
static_assert(sizeof(IpAddress) == 16);

// Whether the first `length` bits of a and b are equal.
inline bool prefix_matches(const uint8_t* a, const uint8_t* b, uint8_t length) noexcept {
  const uint32_t whole = length / 8, rest = length % 8;
  if (std::memcmp(a, b, whole) != 0) return false;
  if (rest == 0) return true;
  const uint8_t mask = static_cast<uint8_t>(0xff << (8 - rest));
  return ((a[whole] ^ b[whole]) & mask) == 0;
}

inline constexpr uint8_t kProtocolIcmp = 1;
inline constexpr uint8_t kProtocolTcp = 6;
inline constexpr uint8_t kProtocolUdp = 17;
inline constexpr uint8_t kProtocolIcmp6 = 58;
inline constexpr uint8_t kProtocolSctp = 132;

inline constexpr uint8_t kTcpFin = 0x01;
inline constexpr uint8_t kTcpSyn = 0x02;
inline constexpr uint8_t kTcpRst = 0x04;
inline constexpr uint8_t kTcpPsh = 0x08;
inline constexpr uint8_t kTcpAck = 0x10;

}  // namespace nodeplane
