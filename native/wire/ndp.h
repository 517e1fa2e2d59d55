#pragma once
#include "wire/eth.h"
#include "wire/icmp.h"

namespace nodeplane::wire {

inline constexpr uint8_t kNdpHopLimit = 255;  // RFC 4861 section 7.1: never forwarded
inline constexpr uint8_t kNdpOptionSourceMac = 1;
inline constexpr uint8_t kNdpOptionTargetMac = 2;
inline constexpr uint32_t kNdpFlagRouter = 0x80000000;
inline constexpr uint32_t kNdpFlagSolicited = 0x40000000;
inline constexpr uint32_t kNdpFlagOverride = 0x20000000;

// RFC 4861 sections 4.3 and 4.4: a solicitation's flags are reserved.
struct NdpMessage {
  uint8_t type;
  uint8_t code;
  Be16 checksum;
  Be32 flags;
  uint8_t target[16];
};
static_assert(sizeof(NdpMessage) == 24 && alignof(NdpMessage) == 1);

// RFC 4861 section 4.6.1, and the first 8 bytes of every option.
struct NdpOption {
  uint8_t type;
  uint8_t length;  // in 8-byte units, never 0
  uint8_t mac[kMacLength];

  size_t bytes() const noexcept { return size_t{length} * 8; }
};
static_assert(sizeof(NdpOption) == 8 && alignof(NdpOption) == 1);

inline const NdpMessage* check_ndp(const uint8_t* p, size_t n) noexcept {
  return check_at<NdpMessage>(p, n);
}
inline const NdpOption* check_ndp_option(const uint8_t* p, size_t n) noexcept {
  return check_at<NdpOption>(p, n);
}

}  // namespace nodeplane::wire
