#pragma once
#include "wire/eth.h"

namespace nodeplane::wire {

inline constexpr uint16_t kArpHardwareEthernet = 1;
inline constexpr uint16_t kArpRequest = 1;
inline constexpr uint16_t kArpReply = 2;

// RFC 826, for Ethernet and IPv4.
struct ArpPacket {
  Be16 hardware;
  Be16 protocol;
  uint8_t hardware_length;
  uint8_t protocol_length;
  Be16 operation;
  uint8_t sender_mac[kMacLength];
  Be32 sender;
  uint8_t target_mac[kMacLength];
  Be32 target;

  bool is_ethernet_ipv4() const noexcept {
    return hardware.host() == kArpHardwareEthernet && protocol.host() == kEthertypeIpv4 &&
           hardware_length == kMacLength && protocol_length == 4;
  }
};
static_assert(sizeof(ArpPacket) == 28 && alignof(ArpPacket) == 1);

inline const ArpPacket* check_arp(const uint8_t* p, size_t n) noexcept {
  return check_at<ArpPacket>(p, n);
}

}  // namespace nodeplane::wire
