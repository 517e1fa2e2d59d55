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

// The smallest packets in line, by what two loads of 32 bytes cover; a call costs as much.
inline void copy_packet(uint8_t* to, const uint8_t* from, uint32_t bytes) noexcept {
  constexpr uint32_t kHalf = 32;
  if (bytes - kHalf > kHalf) return copy_bytes(to, from, bytes);
  struct Half {
    uint64_t words[kHalf / 8];
  } first, last;
  std::memcpy(&first, from, kHalf);
  std::memcpy(&last, from + bytes - kHalf, kHalf);
  std::memcpy(to, &first, kHalf);
  std::memcpy(to + bytes - kHalf, &last, kHalf);
}

}  // namespace nodeplane::memif
