#pragma once
#include "wire/view.h"

namespace nodeplane::wire {

inline constexpr size_t kSctpHeaderLength = 12;

// RFC 9260 section 3.1. The sum is a CRC32C without a pseudo-header and covers the ports.
struct SctpHeader {
  Be16 sport;
  Be16 dport;
  Be32 verification_tag;
  Be32 checksum;
};
static_assert(sizeof(SctpHeader) == 12 && alignof(SctpHeader) == 1);

inline const SctpHeader* check_sctp(const uint8_t* p, size_t n) noexcept {
  return check_at<SctpHeader>(p, n);
}

}  // namespace nodeplane::wire
