#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace nodeplane {

inline constexpr size_t kCopyInlineMax = 64;  // copied where it is asked for, without a call
inline constexpr size_t kCopyLibcMin =
    16384;  // from here on libc's string instructions win (not sooner on Zen 5)
inline constexpr size_t kCopyFarBytesMin = 1024;  // past the caches: only what fills several lines

// How this CPU copies more than kCopyInlineMax bytes; memcpy is the meaning of every variant.
struct CopyKernels {
  using Copy = void (*)(uint8_t* to, const uint8_t* from, size_t bytes) noexcept;
  Copy near;  // destination through the caches
  Copy far;   // destination past them; visible to others after copy_fence only
  const char* name;
};
// Never null; the best one that this CPU has.
const CopyKernels& copy_kernels() noexcept;
// By name (libc, avx2, avx512); null when this CPU or build has none of that name.
const CopyKernels* copy_kernels_named(const char* name) noexcept;

extern std::atomic<CopyKernels::Copy> copy_bytes_near;  // of copy_kernels()

// memcpy for packets: buffers that do not overlap, mostly of 64 to 9,216 bytes.
inline void copy_bytes(void* to, const void* from, size_t bytes) noexcept {
  auto* t = static_cast<uint8_t*>(to);
  const auto* f = static_cast<const uint8_t*>(from);
  if (bytes > kCopyInlineMax) {
    copy_bytes_near.load(std::memory_order_relaxed)(t, f, bytes);
    return;
  }
  // Both ends, which overlap in the middle: as many loads and then stores as the size class has.
  auto ends = [=]<size_t N>(std::integral_constant<size_t, N>) {
    uint8_t head[N], tail[N];
    std::memcpy(head, f, N);
    std::memcpy(tail, f + bytes - N, N);
    std::memcpy(t, head, N);
    std::memcpy(t + bytes - N, tail, N);
  };
  if (bytes >= 32) return ends(std::integral_constant<size_t, 32>{});
  if (bytes >= 16) return ends(std::integral_constant<size_t, 16>{});
  if (bytes >= 8) return ends(std::integral_constant<size_t, 8>{});
  if (bytes >= 4) return ends(std::integral_constant<size_t, 4>{});
  if (bytes >= 2) return ends(std::integral_constant<size_t, 2>{});
  if (bytes == 1) *t = *f;
}

// The same past the caches, for destinations that are not looked at before the caches have
// forgotten them (see distance.h). Fenced by the caller, once for many.
inline void copy_bytes_far(void* to, const void* from, size_t bytes) noexcept {
  if (bytes < kCopyFarBytesMin) return copy_bytes(to, from, bytes);
  copy_kernels().far(static_cast<uint8_t*>(to), static_cast<const uint8_t*>(from), bytes);
}
// What copy_bytes_far wrote is visible to whoever sees a release store after this.
void copy_fence() noexcept;

}  // namespace nodeplane
