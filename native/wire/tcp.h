#pragma once
#include "wire/view.h"

namespace nodeplane::wire {

inline constexpr size_t kTcpHeaderMin = 20;
inline constexpr size_t kTcpHeaderMax = 60;

// RFC 9293 section 3.1. The flag bits are in base/ip.h.
struct TcpHeader {
  Be16 sport;
  Be16 dport;
  Be32 sequence;
  Be32 acknowledgement;
  uint8_t offset_reserved;
  uint8_t flags;
  Be16 window;
  Be16 checksum;
  Be16 urgent;

  uint8_t data_offset() const noexcept { return offset_reserved >> 4; }
  size_t header_length() const noexcept { return size_t{4} * data_offset(); }
  void set_data_offset(uint8_t words) noexcept {
    offset_reserved = static_cast<uint8_t>(words << 4);
  }
};
static_assert(sizeof(TcpHeader) == 20 && alignof(TcpHeader) == 1);

inline constexpr size_t kTcpChecksumOffset = 16;

inline const TcpHeader* check_tcp(const uint8_t* p, size_t n) noexcept {
  return check_at<TcpHeader>(p, n);
}

}  // namespace nodeplane::wire
