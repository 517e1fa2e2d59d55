#pragma once
#include <cstdint>
#include <cstring>

#include "copy/copy_bytes.h"

namespace nodeplane::memif {

// The line will be written: asked for as one's own at once, where the compiler's own builtin would
// only read it on a baseline x86.
inline void prefetch_to_write(void* at) noexcept {
#if defined(__x86_64__)
  asm volatile("prefetchw %0" : : "m"(*static_cast<uint8_t*>(at)));
#else
  __builtin_prefetch(at, 1);
#endif
}

// A register's worth.
using Quarter [[gnu::vector_size(16)]] = uint64_t;
inline Quarter load_quarter(const uint8_t* at) noexcept {
  Quarter q;
  std::memcpy(&q, at, sizeof q);
  return q;
}

// The smallest packets in line, by four loads and four stores that overlap in the middle, and not a
// byte more than there are; a call costs as much.
inline void copy_packet(uint8_t* to, const uint8_t* from, uint32_t bytes) noexcept {
  constexpr uint32_t kHalf = 32, kQuarter = sizeof(Quarter);
  if (bytes - kHalf > kHalf) return copy_bytes(to, from, bytes);
  const uint32_t second = bytes - kHalf;
  const Quarter a = load_quarter(from), b = load_quarter(from + kQuarter);
  const Quarter c = load_quarter(from + second), d = load_quarter(from + second + kQuarter);
  std::memcpy(to, &a, kQuarter);
  std::memcpy(to + kQuarter, &b, kQuarter);
  std::memcpy(to + second, &c, kQuarter);
  std::memcpy(to + second + kQuarter, &d, kQuarter);
}

}  // namespace nodeplane::memif
