#pragma once
#include <cstring>

#include "wire/view.h"

namespace nodeplane::wire {

inline constexpr size_t kMacLength = 6;
inline constexpr uint8_t kMacBroadcast[kMacLength] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

inline constexpr uint16_t kEthertypeIpv4 = 0x0800;
inline constexpr uint16_t kEthertypeArp = 0x0806;
inline constexpr uint16_t kEthertypeVlan = 0x8100;  // 802.1Q customer tag
inline constexpr uint16_t kEthertypeIpv6 = 0x86dd;
inline constexpr uint16_t kEthertypeQinq = 0x88a8;  // 802.1ad service tag

// IEEE 802.3 section 3.1, Ethernet II.
struct EthHeader {
  uint8_t dst[kMacLength];
  uint8_t src[kMacLength];
  Be16 type;
};
static_assert(sizeof(EthHeader) == 14 && alignof(EthHeader) == 1);

inline const EthHeader* check_eth(const uint8_t* p, size_t n) noexcept {
  return check_at<EthHeader>(p, n);
}
// The group bit: multicast and broadcast (IEEE 802 section 8.2).
inline bool mac_is_group(const uint8_t* mac) noexcept { return (mac[0] & 1) != 0; }
inline bool mac_equal(const uint8_t* a, const uint8_t* b) noexcept {
  return std::memcmp(a, b, kMacLength) == 0;
}
inline bool mac_is_zero(const uint8_t* mac) noexcept {
  return (mac[0] | mac[1] | mac[2] | mac[3] | mac[4] | mac[5]) == 0;
}
// 33:33 and the last 32 bits of the address (RFC 2464 section 7).
inline void mac_of_multicast6(const uint8_t* address, uint8_t* mac) noexcept {
  mac[0] = mac[1] = 0x33;
  std::memcpy(mac + 2, address + 12, 4);
}

}  // namespace nodeplane::wire
