#pragma once
#include "wire/view.h"

namespace nodeplane::wire {

inline constexpr size_t kIcmpHeaderLength = 8;
inline constexpr size_t kIcmpInnerL4Min = 8;  // quoted bytes behind the inner header (RFC 792)

// ICMP (RFC 792).
inline constexpr uint8_t kIcmpEchoReply = 0;
inline constexpr uint8_t kIcmpUnreachable = 3;
inline constexpr uint8_t kIcmpSourceQuench = 4;
inline constexpr uint8_t kIcmpRedirect = 5;
inline constexpr uint8_t kIcmpEchoRequest = 8;
inline constexpr uint8_t kIcmpTimeExceeded = 11;
inline constexpr uint8_t kIcmpParameterProblem = 12;

inline constexpr uint8_t kIcmpCodeNetUnreachable = 0;
inline constexpr uint8_t kIcmpCodeHostUnreachable = 1;
inline constexpr uint8_t kIcmpCodePortUnreachable = 3;
inline constexpr uint8_t kIcmpCodeFragmentationNeeded = 4;
inline constexpr uint8_t kIcmpCodeAdminProhibited = 13;
inline constexpr uint8_t kIcmpCodeTtlExceeded = 0;

// ICMPv6 (RFC 4443; below 128 an error).
inline constexpr uint8_t kIcmp6Unreachable = 1;
inline constexpr uint8_t kIcmp6PacketTooBig = 2;
inline constexpr uint8_t kIcmp6TimeExceeded = 3;
inline constexpr uint8_t kIcmp6ParameterProblem = 4;
inline constexpr uint8_t kIcmp6EchoRequest = 128;
inline constexpr uint8_t kIcmp6EchoReply = 129;
inline constexpr uint8_t kIcmp6RouterSolicitation = 133;
inline constexpr uint8_t kIcmp6RouterAdvertisement = 134;
inline constexpr uint8_t kIcmp6NeighbourSolicitation = 135;
inline constexpr uint8_t kIcmp6NeighbourAdvertisement = 136;
inline constexpr uint8_t kIcmp6Redirect = 137;

inline constexpr uint8_t kIcmp6CodeNoRoute = 0;
inline constexpr uint8_t kIcmp6CodeAdminProhibited = 1;
inline constexpr uint8_t kIcmp6CodeAddressUnreachable = 3;
inline constexpr uint8_t kIcmp6CodePortUnreachable = 4;
inline constexpr uint8_t kIcmp6CodeHopLimitExceeded = 0;

inline constexpr size_t kIcmpChecksumOffset = 2;

// RFC 792 and RFC 4443 section 2.1. The rest is two numbers in an echo, unused:16 and the MTU in a
// v4 frag-needed (RFC 1191 section 4), the 32-bit MTU in a packet-too-big.
struct IcmpHeader {
  uint8_t type;
  uint8_t code;
  Be16 checksum;
  Be16 id;
  Be16 sequence;

  uint16_t mtu4() const noexcept { return sequence.host(); }
  void set_mtu4(uint16_t mtu) noexcept { sequence.set(mtu); }
  uint32_t mtu6() const noexcept { return (uint32_t{id.host()} << 16) | sequence.host(); }
  void set_mtu6(uint32_t mtu) noexcept {
    id.set(static_cast<uint16_t>(mtu >> 16));
    sequence.set(static_cast<uint16_t>(mtu));
  }
};
static_assert(sizeof(IcmpHeader) == 8 && alignof(IcmpHeader) == 1);

inline const IcmpHeader* check_icmp(const uint8_t* p, size_t n) noexcept {
  return check_at<IcmpHeader>(p, n);
}
// Errors whose quoted packet names a flow that a translator mends (RFC 5508 section 4).
inline bool icmp4_is_flow_error(uint8_t type) noexcept {
  return type == kIcmpUnreachable || type == kIcmpTimeExceeded || type == kIcmpParameterProblem;
}
// All that quote a packet, translated or not.
inline bool icmp4_is_error(uint8_t type) noexcept {
  return icmp4_is_flow_error(type) || type == kIcmpSourceQuench || type == kIcmpRedirect;
}
inline bool icmp6_is_flow_error(uint8_t type) noexcept {
  return type >= kIcmp6Unreachable && type <= kIcmp6ParameterProblem;
}
inline bool icmp6_is_error(uint8_t type) noexcept { return type < 128; }

}  // namespace nodeplane::wire
