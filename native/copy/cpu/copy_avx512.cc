#if defined(__x86_64__)
#include <immintrin.h>

#include "copy/cpu/variants.h"

namespace nodeplane {
namespace {

constexpr size_t kLine = sizeof(__m512i);

__m512i load(const uint8_t* p) { return _mm512_loadu_si512(p); }
void store(uint8_t* p, __m512i v) { _mm512_storeu_si512(p, v); }
void stream(uint8_t* p, __m512i v) { _mm512_stream_si512(reinterpret_cast<__m512i*>(p), v); }

size_t to_line(const uint8_t* p) { return kLine - (reinterpret_cast<uintptr_t>(p) & (kLine - 1)); }

// A part of a line.
void copy_part(uint8_t* to, const uint8_t* from, size_t bytes) {
  const __mmask64 mask = (uint64_t{1} << bytes) - 1;
  _mm512_mask_storeu_epi8(to, mask, _mm512_maskz_loadu_epi8(mask, from));
}

}  // namespace

// Unaligned ends, whole lines between them.
void copy_avx512(uint8_t* to, const uint8_t* from, size_t bytes) noexcept {
  const __m512i head = load(from);
  const __m512i tail = load(from + bytes - kLine);
  uint8_t* const end = to + bytes;
  const size_t skip = to_line(to);
  store(to, head);
  uint8_t* t = to + skip;
  const uint8_t* f = from + skip;
  for (; t + 4 * kLine <= end; t += 4 * kLine, f += 4 * kLine) {
    const __m512i a = load(f), b = load(f + kLine);
    const __m512i c = load(f + 2 * kLine), d = load(f + 3 * kLine);
    store(t, a);
    store(t + kLine, b);
    store(t + 2 * kLine, c);
    store(t + 3 * kLine, d);
  }
  for (; t + kLine < end; t += kLine, f += kLine) store(t, load(f));
  store(end - kLine, tail);
}

// Whole lines past the caches; the broken ones at the ends through them, so that no line is both.
void copy_far_avx512(uint8_t* to, const uint8_t* from, size_t bytes) noexcept {
  const size_t skip = to_line(to) & (kLine - 1);
  copy_part(to, from, skip);
  uint8_t* t = to + skip;
  const uint8_t* f = from + skip;
  uint8_t* const end = to + bytes;
  for (; t + 2 * kLine <= end; t += 2 * kLine, f += 2 * kLine) {
    const __m512i a = load(f), b = load(f + kLine);
    stream(t, a);
    stream(t + kLine, b);
  }
  if (t + kLine <= end) {
    stream(t, load(f));
    t += kLine;
    f += kLine;
  }
  copy_part(t, f, static_cast<size_t>(end - t));
}

}  // namespace nodeplane
#endif
