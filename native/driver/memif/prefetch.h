#pragma once
#include <cstdint>

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

}  // namespace nodeplane::memif
