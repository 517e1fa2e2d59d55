#include "copy/copy_bytes.h"

#include "base/cpu.h"
#include "copy/cpu/variants.h"

namespace nodeplane {
namespace {

constexpr size_t kAliasPage = 4096;
constexpr size_t kAliasSpan = 64;

// The string instructions of AMD's Zen 3 and 4, which libc takes for long copies, fall to a fifth of
// their speed when the destination follows the source closely within the 4 KiB page.
bool string_copy_pays(const uint8_t* to, const uint8_t* from, size_t bytes) noexcept {
  if (bytes < kCopyLibcMin) return false;
  const size_t ahead = reinterpret_cast<uintptr_t>(to) - reinterpret_cast<uintptr_t>(from);
  return ahead % kAliasPage >= kAliasSpan;
}

template <CopyKernels::Copy vector>
void copy_mixed(uint8_t* to, const uint8_t* from, size_t bytes) noexcept {
  if (string_copy_pays(to, from, bytes)) {
    std::memcpy(to, from, bytes);
  } else {
    vector(to, from, bytes);
  }
}

bool always() noexcept { return true; }

struct Variant {
  bool (*runs_here)() noexcept;
  CopyKernels kernels;
};
constexpr Variant kVariants[] = {
// best first
#if defined(__x86_64__)
    {cpu_has_avx512, {copy_mixed<copy_avx512>, copy_far_avx512, "avx512"}},
    {cpu_has_avx2, {copy_mixed<copy_avx2>, copy_far_avx2, "avx2"}},
#endif
    {always, {copy_libc, copy_libc, "libc"}},
};

// What copy_bytes_near is until the first long copy: whoever comes first finds out.
void copy_first(uint8_t* to, const uint8_t* from, size_t bytes) noexcept {
  const CopyKernels::Copy near = copy_kernels().near;
  copy_bytes_near.store(near, std::memory_order_relaxed);
  near(to, from, bytes);
}

}  // namespace

constinit std::atomic<CopyKernels::Copy> copy_bytes_near{copy_first};

void copy_libc(uint8_t* to, const uint8_t* from, size_t bytes) noexcept {
  std::memcpy(to, from, bytes);
}

const CopyKernels& copy_kernels() noexcept {
  static const CopyKernels& chosen = [&]() -> const CopyKernels& {
    const Variant* variant = kVariants;
    while (!variant->runs_here()) ++variant;
    return variant->kernels;
  }();
  return chosen;
}

const CopyKernels* copy_kernels_named(const char* name) noexcept {
  for (const Variant& v : kVariants) {
    if (std::strcmp(name, v.kernels.name) == 0 && v.runs_here()) return &v.kernels;
  }
  return nullptr;
}

void copy_fence() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_sfence();
#endif
}

}  // namespace nodeplane
