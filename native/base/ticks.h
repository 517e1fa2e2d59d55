#pragma once
#include <cstdint>

namespace nodeplane {

// The CPU's own clock, for spans too short for a call of the system. Constant in rate and common to
// all cores on every machine that is measured; how fast it goes is found out by asking twice.
inline uint64_t ticks_now() noexcept {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
  uint64_t t;
  __asm__ volatile("mrs %0, cntvct_el0" : "=r"(t));
  return t;
#else
#error "no tick counter is known for this CPU"
#endif
}

}  // namespace nodeplane
