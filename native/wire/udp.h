#pragma once
#include "wire/view.h"

namespace nodeplane::wire {

inline constexpr size_t kUdpHeaderLength = 8;
inline constexpr size_t kUdpChecksumOffset = 6;

// RFC 768.
struct UdpHeader {
  Be16 sport;
  Be16 dport;
  Be16 length;
  Be16 checksum;  // zero over IPv4: the sender made none
};
static_assert(sizeof(UdpHeader) == 8 && alignof(UdpHeader) == 1);

inline const UdpHeader* check_udp(const uint8_t* p, size_t n) noexcept {
  return check_at<UdpHeader>(p, n);
}

}  // namespace nodeplane::wire
