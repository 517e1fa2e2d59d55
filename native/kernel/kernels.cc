#include "kernel/kernels.h"

#include <cstdio>
#include <cstdlib>

#include "base/cpu.h"
#include "kernel/checksum/checksum.h"
#include "kernel/guess/guess.h"
#include "kernel/hash/hash.h"

namespace nodeplane {
namespace {

constexpr const char* kForceVariable = "NODEPLANE_KERNEL";

bool always() noexcept { return true; }

// ThreadSanitizer takes a vector load for one that is not atomic.
#if defined(NODEPLANE_PROBE_PORTABLE)
constexpr auto guess_by_avx2 = guess_scalar, guess_by_avx512 = guess_scalar;
#else
constexpr auto guess_by_avx2 = guess_avx2, guess_by_avx512 = guess_avx512;
#endif

// A set names the newest instructions in it; kernels without a variant for those use an older one.
struct Variant {
  bool (*runs_here)() noexcept;
  Kernels kernels;
};
constexpr Variant kVariants[] = {
    // best first
    {cpu_has_avx512,
     {hash_v4_avx512, hash_v6_avx512, crc_v4_sse42, crc_v6_sse42, checksum_avx2, guess_by_avx512,
      "avx512"}},
    {cpu_has_avx2,
     {hash_v4_avx2, hash_v6_avx2, crc_v4_sse42, crc_v6_sse42, checksum_avx2, guess_by_avx2,
      "avx2"}},
    {cpu_has_sse42,
     {hash_v4_scalar, hash_v6_scalar, crc_v4_sse42, crc_v6_sse42, checksum_scalar, guess_scalar,
      "sse42"}},
    {always,
     {hash_v4_scalar, hash_v6_scalar, crc_v4_scalar, crc_v6_scalar, checksum_scalar, guess_scalar,
      "scalar"}},
};

const Kernels& best() noexcept {
  const Variant* variant = kVariants;
  while (!variant->runs_here()) ++variant;
  return variant->kernels;
}

const Kernels& decide() noexcept {
  const char* forced = std::getenv(kForceVariable);
  if (forced == nullptr || *forced == '\0') return best();
  if (const Kernels* named = kernels_named(forced)) return *named;
  std::fprintf(stderr, "nodeplane: %s=%s: no such kernels on this machine, which has",
               kForceVariable, forced);
  for (const Variant& v : kVariants) {
    if (v.runs_here()) std::fprintf(stderr, " %s", v.kernels.name);
  }
  std::fprintf(stderr, "; using %s\n", best().name);
  return best();
}

}  // namespace

const Kernels& kernels() noexcept {
  static const Kernels& chosen = decide();
  return chosen;
}

const Kernels* kernels_named(const char* name) noexcept {
  for (const Variant& v : kVariants) {
    if (std::strcmp(name, v.kernels.name) == 0 && v.runs_here()) return &v.kernels;
  }
  return nullptr;
}

}  // namespace nodeplane
