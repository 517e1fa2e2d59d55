#include <immintrin.h>

#include "kernel/hash/hash.h"

namespace nodeplane {
namespace {

// Four SipHash-1-3 states in the 64-bit lanes of four registers; hash_scalar.cc has the meaning.
// Everything here is internal to this file: no function that another file could share may carry
// AVX2 code.
struct Sip4 {
  __m256i v0, v1, v2, v3;
};

template <int kBits>
__m256i rotate(__m256i x) noexcept {
  return _mm256_or_si256(_mm256_slli_epi64(x, kBits), _mm256_srli_epi64(x, 64 - kBits));
}
__m256i rotate32(__m256i x) noexcept { return _mm256_shuffle_epi32(x, 0xb1); }
__m256i rotate16(__m256i x) noexcept {
  const __m256i bytes = _mm256_setr_epi8(6, 7, 0, 1, 2, 3, 4, 5, 14, 15, 8, 9, 10, 11, 12, 13,  //
                                         6, 7, 0, 1, 2, 3, 4, 5, 14, 15, 8, 9, 10, 11, 12, 13);
  return _mm256_shuffle_epi8(x, bytes);
}

Sip4 start(HashSeed seed) noexcept {
  return Sip4{_mm256_set1_epi64x(static_cast<int64_t>(seed.k0 ^ 0x736f6d6570736575)),
              _mm256_set1_epi64x(static_cast<int64_t>(seed.k1 ^ 0x646f72616e646f6d)),
              _mm256_set1_epi64x(static_cast<int64_t>(seed.k0 ^ 0x6c7967656e657261)),
              _mm256_set1_epi64x(static_cast<int64_t>(seed.k1 ^ 0x7465646279746573))};
}
// Forced into the loops: called, the states would go through memory, and scalar would be faster.
[[gnu::always_inline]] inline void round(Sip4& s) noexcept {
  s.v0 = _mm256_add_epi64(s.v0, s.v1);
  s.v2 = _mm256_add_epi64(s.v2, s.v3);
  s.v1 = _mm256_xor_si256(rotate<13>(s.v1), s.v0);
  s.v3 = _mm256_xor_si256(rotate16(s.v3), s.v2);
  s.v0 = rotate32(s.v0);
  s.v2 = _mm256_add_epi64(s.v2, s.v1);
  s.v0 = _mm256_add_epi64(s.v0, s.v3);
  s.v1 = _mm256_xor_si256(rotate<17>(s.v1), s.v2);
  s.v3 = _mm256_xor_si256(rotate<21>(s.v3), s.v0);
  s.v2 = rotate32(s.v2);
}
[[gnu::always_inline]] inline void absorb(Sip4& s, __m256i words) noexcept {
  s.v3 = _mm256_xor_si256(s.v3, words);
  round(s);
  s.v0 = _mm256_xor_si256(s.v0, words);
}
// Each lane's hash, folded into its low half.
[[gnu::always_inline]] inline __m256i finish(Sip4& s, size_t key_bytes) noexcept {
  absorb(s, _mm256_set1_epi64x(static_cast<int64_t>(uint64_t{key_bytes} << 56)));
  s.v2 = _mm256_xor_si256(s.v2, _mm256_set1_epi64x(0xff));
  round(s);
  round(s);
  round(s);
  const __m256i h = _mm256_xor_si256(_mm256_xor_si256(s.v0, s.v1), _mm256_xor_si256(s.v2, s.v3));
  return _mm256_xor_si256(h, _mm256_srli_epi64(h, 32));
}
// The low halves of lanes a, b, c, d, in the order that `order` names them.
void store(__m256i h, __m256i order, uint32_t* out) noexcept {
  const __m256i packed = _mm256_permutevar8x32_epi32(h, order);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm256_castsi256_si128(packed));
}
__m256i load(const uint8_t* p) noexcept {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
int64_t load_word(const uint8_t* p) noexcept {
  int64_t word;
  std::memcpy(&word, p, 8);
  return word;
}

}  // namespace

void hash_v4_avx2(const KeyV4* keys, size_t n, HashSeed seed, uint32_t* out) noexcept {
  const Sip4 begin = start(seed);
  // The unpacks leave the keys in lanes 0 2 1 3.
  const __m256i order = _mm256_setr_epi32(0, 4, 2, 6, 0, 0, 0, 0);
  size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    const uint8_t* p = reinterpret_cast<const uint8_t*>(keys + i);
    const __m256i a = load(p), b = load(p + 32);
    Sip4 s = begin;
    absorb(s, _mm256_unpacklo_epi64(a, b));
    absorb(s, _mm256_unpackhi_epi64(a, b));
    store(finish(s, sizeof(KeyV4)), order, out + i);
  }
  hash_v4_scalar(keys + i, n - i, seed, out + i);
}

void hash_v6_avx2(const KeyV6* keys, size_t n, HashSeed seed, uint32_t* out) noexcept {
  const Sip4 begin = start(seed);
  const __m256i order = _mm256_setr_epi32(0, 2, 4, 6, 0, 0, 0, 0);
  constexpr size_t kStride = sizeof(KeyV6);
  size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    const uint8_t* p = reinterpret_cast<const uint8_t*>(keys + i);
    const __m256i a = load(p), b = load(p + kStride);
    const __m256i c = load(p + 2 * kStride), d = load(p + 3 * kStride);
    const __m256i ab_even = _mm256_unpacklo_epi64(a, b), ab_odd = _mm256_unpackhi_epi64(a, b);
    const __m256i cd_even = _mm256_unpacklo_epi64(c, d), cd_odd = _mm256_unpackhi_epi64(c, d);
    Sip4 s = begin;
    absorb(s, _mm256_permute2x128_si256(ab_even, cd_even, 0x20));
    absorb(s, _mm256_permute2x128_si256(ab_odd, cd_odd, 0x20));
    absorb(s, _mm256_permute2x128_si256(ab_even, cd_even, 0x31));
    absorb(s, _mm256_permute2x128_si256(ab_odd, cd_odd, 0x31));
    absorb(s, _mm256_setr_epi64x(load_word(p + 32), load_word(p + kStride + 32),
                                 load_word(p + 2 * kStride + 32), load_word(p + 3 * kStride + 32)));
    store(finish(s, sizeof(KeyV6)), order, out + i);
  }
  hash_v6_scalar(keys + i, n - i, seed, out + i);
}

}  // namespace nodeplane
