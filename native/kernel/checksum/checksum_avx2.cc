#include <immintrin.h>

#include "kernel/checksum/checksum.h"

namespace nodeplane {
namespace {

constexpr size_t kStep = 64;

__m256i load(const uint8_t* p) noexcept {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

}  // namespace

// 32-bit halves are added in 64-bit lanes, which cannot overflow below 16 GiB, and folded at the
// end; checksum_scalar.cc has the meaning and does the rest behind the last whole step.
uint16_t checksum_avx2(const uint8_t* p, size_t n) noexcept {
  if (n < kStep) return checksum_scalar(p, n);
  const __m256i low_half = _mm256_set1_epi64x(0xffffffff);
  __m256i low = _mm256_setzero_si256(), high = _mm256_setzero_si256();
  for (; n >= kStep; p += kStep, n -= kStep) {
    const __m256i a = load(p), b = load(p + 32);
    low = _mm256_add_epi64(low, _mm256_and_si256(a, low_half));
    high = _mm256_add_epi64(high, _mm256_srli_epi64(a, 32));
    low = _mm256_add_epi64(low, _mm256_and_si256(b, low_half));
    high = _mm256_add_epi64(high, _mm256_srli_epi64(b, 32));
  }
  const __m256i lanes = _mm256_add_epi64(low, high);
  const __m128i two =
      _mm_add_epi64(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
  uint64_t sum = static_cast<uint64_t>(_mm_cvtsi128_si64(two)) +
                 static_cast<uint64_t>(_mm_extract_epi64(two, 1));
  sum = (sum >> 32) + (sum & 0xffffffff);
  sum += checksum_scalar(p, n);
  sum = (sum >> 16) + (sum & 0xffff);
  sum = (sum >> 16) + (sum & 0xffff);
  sum = (sum >> 16) + (sum & 0xffff);
  return static_cast<uint16_t>(sum);
}

}  // namespace nodeplane
