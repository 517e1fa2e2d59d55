#include <immintrin.h>

#include "kernel/hash/hash.h"

namespace nodeplane {
namespace {

// Eight SipHash-1-3 states in the 64-bit lanes of four registers; hash_scalar.cc has the meaning.
// Everything here is internal to this file: no function that another file could share may carry
// AVX-512 code.
struct Sip8 {
  __m512i v0, v1, v2, v3;
};

__m512i set(uint64_t word) noexcept { return _mm512_set1_epi64(static_cast<int64_t>(word)); }

Sip8 start(HashSeed seed) noexcept {
  return Sip8{set(seed.k0 ^ 0x736f6d6570736575), set(seed.k1 ^ 0x646f72616e646f6d),
              set(seed.k0 ^ 0x6c7967656e657261), set(seed.k1 ^ 0x7465646279746573)};
}
// Forced into the loops: called, the states would go through memory.
[[gnu::always_inline]] inline void round(Sip8& s) noexcept {
  s.v0 = _mm512_add_epi64(s.v0, s.v1);
  s.v2 = _mm512_add_epi64(s.v2, s.v3);
  s.v1 = _mm512_xor_si512(_mm512_rol_epi64(s.v1, 13), s.v0);
  s.v3 = _mm512_xor_si512(_mm512_rol_epi64(s.v3, 16), s.v2);
  s.v0 = _mm512_rol_epi64(s.v0, 32);
  s.v2 = _mm512_add_epi64(s.v2, s.v1);
  s.v0 = _mm512_add_epi64(s.v0, s.v3);
  s.v1 = _mm512_xor_si512(_mm512_rol_epi64(s.v1, 17), s.v2);
  s.v3 = _mm512_xor_si512(_mm512_rol_epi64(s.v3, 21), s.v0);
  s.v2 = _mm512_rol_epi64(s.v2, 32);
}
[[gnu::always_inline]] inline void absorb(Sip8& s, __m512i words) noexcept {
  s.v3 = _mm512_xor_si512(s.v3, words);
  round(s);
  s.v0 = _mm512_xor_si512(s.v0, words);
}
// Each lane's hash, folded into its low half; the eight of them, lane by lane.
[[gnu::always_inline]] inline __m256i finish(Sip8& s, size_t key_bytes) noexcept {
  absorb(s, set(uint64_t{key_bytes} << 56));
  s.v2 = _mm512_xor_si512(s.v2, set(0xff));
  round(s);
  round(s);
  round(s);
  const __m512i h = _mm512_xor_si512(_mm512_xor_si512(s.v0, s.v1), _mm512_xor_si512(s.v2, s.v3));
  return _mm512_cvtepi64_epi32(_mm512_xor_si512(h, _mm512_srli_epi64(h, 32)));
}
void store(__m256i hashes, uint32_t* out) noexcept {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), hashes);
}
int64_t load_word(const uint8_t* p) noexcept {
  int64_t word;
  std::memcpy(&word, p, 8);
  return word;
}
// 32 bytes of a key and of the fourth one behind it.
__m512i load_two(const uint8_t* p, size_t stride) noexcept {
  const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 4 * stride));
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

}  // namespace

void hash_v4_avx512(const KeyV4* keys, size_t n, HashSeed seed, uint32_t* out) noexcept {
  const Sip8 begin = start(seed);
  // The unpacks leave the keys in lanes 0 4 1 5 2 6 3 7.
  const __m256i order = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m512i a = _mm512_loadu_si512(keys + i), b = _mm512_loadu_si512(keys + i + 4);
    Sip8 s = begin;
    absorb(s, _mm512_unpacklo_epi64(a, b));
    absorb(s, _mm512_unpackhi_epi64(a, b));
    store(_mm256_permutevar8x32_epi32(finish(s, sizeof(KeyV4)), order), out + i);
  }
  hash_v4_avx2(keys + i, n - i, seed, out + i);
}

void hash_v6_avx512(const KeyV6* keys, size_t n, HashSeed seed, uint32_t* out) noexcept {
  const Sip8 begin = start(seed);
  constexpr size_t kStride = sizeof(KeyV6);
  // Halves of two registers, each with the words of two keys twice.
  const __m512i even = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
  const __m512i odd = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const uint8_t* const p = reinterpret_cast<const uint8_t*>(keys + i);
    const __m512i k0 = load_two(p, kStride), k1 = load_two(p + kStride, kStride);
    const __m512i k2 = load_two(p + 2 * kStride, kStride);
    const __m512i k3 = load_two(p + 3 * kStride, kStride);
    const __m512i low01 = _mm512_unpacklo_epi64(k0, k1), low23 = _mm512_unpacklo_epi64(k2, k3);
    const __m512i high01 = _mm512_unpackhi_epi64(k0, k1), high23 = _mm512_unpackhi_epi64(k2, k3);
    const auto last = [p](size_t k) { return load_word(p + k * kStride + 32); };
    Sip8 s = begin;
    absorb(s, _mm512_permutex2var_epi64(low01, even, low23));
    absorb(s, _mm512_permutex2var_epi64(high01, even, high23));
    absorb(s, _mm512_permutex2var_epi64(low01, odd, low23));
    absorb(s, _mm512_permutex2var_epi64(high01, odd, high23));
    absorb(s, _mm512_setr_epi64(last(0), last(1), last(2), last(3), last(4), last(5), last(6),
                                last(7)));
    store(finish(s, sizeof(KeyV6)), out + i);
  }
  hash_v6_avx2(keys + i, n - i, seed, out + i);
}

}  // namespace nodeplane
