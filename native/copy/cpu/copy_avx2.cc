#if defined(__x86_64__)
#include <immintrin.h>

#include "copy/cpu/variants.h"

namespace nodeplane {
namespace {

constexpr size_t kLane = sizeof(__m256i);

__m256i load(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
void store(uint8_t* p, __m256i v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
void stream(uint8_t* p, __m256i v) { _mm256_stream_si256(reinterpret_cast<__m256i*>(p), v); }

size_t to_boundary(const uint8_t* p, size_t unit) {
  return unit - (reinterpret_cast<uintptr_t>(p) & (unit - 1));
}

}  // namespace

// Unaligned ends, aligned stores between them: a store that crosses a line costs two.
void copy_avx2(uint8_t* to, const uint8_t* from, size_t bytes) noexcept {
  const __m256i head = load(from);
  const __m256i tail0 = load(from + bytes - 2 * kLane);
  const __m256i tail1 = load(from + bytes - kLane);
  uint8_t* const end = to + bytes;
  const size_t skip = to_boundary(to, kLane);
  store(to, head);
  uint8_t* t = to + skip;
  const uint8_t* f = from + skip;
  for (; t + 4 * kLane <= end; t += 4 * kLane, f += 4 * kLane) {
    const __m256i a = load(f), b = load(f + kLane);
    const __m256i c = load(f + 2 * kLane), d = load(f + 3 * kLane);
    store(t, a);
    store(t + kLane, b);
    store(t + 2 * kLane, c);
    store(t + 3 * kLane, d);
  }
  for (; t + 2 * kLane < end; t += kLane, f += kLane) store(t, load(f));
  store(end - 2 * kLane, tail0);
  store(end - kLane, tail1);
}

// Whole lines past the caches; the broken ones at the ends through them, so that no line is both.
void copy_far_avx2(uint8_t* to, const uint8_t* from, size_t bytes) noexcept {
  constexpr size_t kLine = 64;
  const size_t skip = to_boundary(to, kLine) & (kLine - 1);
  __builtin_memcpy(to, from, skip);
  uint8_t* t = to + skip;
  const uint8_t* f = from + skip;
  uint8_t* const end = to + bytes;
  for (; t + kLine <= end; t += kLine, f += kLine) {
    const __m256i a = load(f), b = load(f + kLane);
    stream(t, a);
    stream(t + kLane, b);
  }
  __builtin_memcpy(t, f, static_cast<size_t>(end - t));
}

}  // namespace nodeplane
#endif
