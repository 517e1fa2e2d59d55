#pragma once
#include <immintrin.h>

#include "path/express_wide.h"
#include "wire/tcp.h"
#include "wire/udp.h"

// Words of a step's packets in registers, for the files that are compiled for AVX-512. Each has its own
// copy of everything here: no function that another file could share may carry AVX-512 code.
namespace nodeplane::express_lane {
namespace {

constexpr __mmask16 kWhole = 0xffff;
constexpr uint32_t kLow = 0xffff;  // the lower half of a word
constexpr uint32_t kUdpSumAt = wire::kUdpChecksumOffset, kTcpSumAt = wire::kTcpChecksumOffset;
template <class F>
constexpr uint32_t kL4 = kL3 + Header<F>::kBytes;

// Stores among which GCC shall not look for the registers they came from, to take words out of these one
// by one.
inline void spill() noexcept { __asm__ volatile("" ::: "memory"); }

inline __m128i read16(const void* p) noexcept {
  return _mm_loadu_si128(static_cast<const __m128i*>(p));
}
inline __m256i read32(const void* p) noexcept {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
// The bits in which the two differ, added to `found`.
inline __m128i with_differing(__m128i found, __m128i a, __m128i b) noexcept {
  return _mm_ternarylogic_epi32(found, a, b, 0xf6);
}
inline __m256i with_differing(__m256i found, __m256i a, __m256i b) noexcept {
  return _mm256_ternarylogic_epi32(found, a, b, 0xf6);
}
template <class T>
inline void put(uint8_t* p, T v) noexcept {
  __builtin_memcpy(p, &v, sizeof v);
}

inline __m512i all(uint32_t v) noexcept { return _mm512_set1_epi32(static_cast<int>(v)); }
inline __m512i low(__m512i v) noexcept { return _mm512_and_si512(v, all(kLow)); }
inline __m512i high(__m512i v) noexcept { return _mm512_srli_epi32(v, 16); }
inline __m512i halves(__m512i v) noexcept { return _mm512_add_epi32(low(v), high(v)); }
// Of the one's complement sum of two numbers of 16 bits, in the lower halves.
inline __m512i fold(__m512i sum) noexcept { return _mm512_add_epi32(sum, high(sum)); }
inline __m512i inverted(__m512i v) noexcept { return _mm512_andnot_si512(v, all(kLow)); }
// A number of 16 bits in network order, from the lower halves.
inline __m512i host16(__m512i v) noexcept {
  return low(_mm512_or_si512(_mm512_slli_epi32(v, 8), _mm512_srli_epi32(low(v), 8)));
}
template <class T>
inline __m512i widened(const T* values) noexcept {
  if constexpr (sizeof(T) == 1) return _mm512_cvtepu8_epi32(read16(values));
  return _mm512_cvtepu16_epi32(read32(values));
}

struct Words {
  __m512i a, b, c, d;
};
// 16 bytes at `offset` of packets r, r + 4, r + 8 and r + 12.
template <class T>
[[gnu::always_inline]] inline __m512i row(const T* const* p, uint32_t r, size_t offset) noexcept {
  const __m512i one = _mm512_castsi128_si512(read16(p[r] + offset));
  const __m512i two = _mm512_inserti32x4(one, read16(p[r + 4] + offset), 1);
  const __m512i three = _mm512_inserti32x4(two, read16(p[r + 8] + offset), 2);
  return _mm512_inserti32x4(three, read16(p[r + 12] + offset), 3);
}
// Four rows to words or back: it is its own inverse.
[[gnu::always_inline]] inline Words turned(const Words& r) noexcept {
  const __m512i low01 = _mm512_unpacklo_epi32(r.a, r.b), low23 = _mm512_unpacklo_epi32(r.c, r.d);
  const __m512i high01 = _mm512_unpackhi_epi32(r.a, r.b), high23 = _mm512_unpackhi_epi32(r.c, r.d);
  return Words{_mm512_unpacklo_epi64(low01, low23), _mm512_unpackhi_epi64(low01, low23),
               _mm512_unpacklo_epi64(high01, high23), _mm512_unpackhi_epi64(high01, high23)};
}
// The four words at `offset`, each of all packets. Those not used cost nothing.
template <class T>
[[gnu::always_inline]] inline Words words(const T* const* p, size_t offset) noexcept {
  return turned(Words{row(p, 0, offset), row(p, 1, offset), row(p, 2, offset), row(p, 3, offset)});
}
// Back: 16 bytes of each packet, one behind the other.
[[gnu::always_inline]] inline void lay_out(const Words& w, void* out) noexcept {
  const Words r = turned(w);
  const __m512i left01 = _mm512_shuffle_i32x4(r.a, r.b, 0x44);  // packets 0 4 1 5
  const __m512i left23 = _mm512_shuffle_i32x4(r.c, r.d, 0x44);
  const __m512i right01 = _mm512_shuffle_i32x4(r.a, r.b, 0xee);  // 8 12 9 13
  const __m512i right23 = _mm512_shuffle_i32x4(r.c, r.d, 0xee);
  auto* const to = static_cast<__m512i*>(out);
  _mm512_storeu_si512(to, _mm512_shuffle_i32x4(left01, left23, 0x88));
  _mm512_storeu_si512(to + 1, _mm512_shuffle_i32x4(left01, left23, 0xdd));
  _mm512_storeu_si512(to + 2, _mm512_shuffle_i32x4(right01, right23, 0x88));
  _mm512_storeu_si512(to + 3, _mm512_shuffle_i32x4(right01, right23, 0xdd));
}

}  // namespace
}  // namespace nodeplane::express_lane
