#pragma once

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

}  // namespace nodeplane
