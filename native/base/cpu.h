#pragma once
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace nodeplane {

// What this CPU, and the kernel under it, can do beyond the baseline the build targets.
inline bool cpu_has_sse42() noexcept {
  __builtin_cpu_init();
  return __builtin_cpu_supports("sse4.2") != 0;
}
inline bool cpu_has_avx2() noexcept {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") != 0;
}
inline bool cpu_has_avx512() noexcept {  // F, BW and VL: what packets' bytes need
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl");
}
// 64 bytes stored at once, to a device's dedicated or shared queue. CPUID leaf 7, ECX.
inline bool cpu_leaf7_ecx(unsigned bit) noexcept {
#if defined(__x86_64__)
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (c >> bit & 1) != 0;
#else
  (void)bit;
  return false;
#endif
}
inline bool cpu_has_movdir64b() noexcept { return cpu_leaf7_ecx(28); }
inline bool cpu_has_enqcmd() noexcept { return cpu_leaf7_ecx(29); }
// Asks for a line that will be written: no other core keeps a copy then. Compilers make a plain prefetch
// of __builtin_prefetch(p, 1) for the baseline; CPUs without this one take it as no operation.
inline void prefetch_to_write(const void* p) noexcept {
#if defined(__x86_64__)
  __asm__ volatile("prefetchw %0" : : "m"(*static_cast<const char*>(p)));
#else
  __builtin_prefetch(p, 1, 3);
#endif
}
// Inside a loop that waits for another core's next few instructions.
inline void cpu_relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

}  // namespace nodeplane
