#include "kernel/hash/hash.h"

namespace nodeplane {
namespace {

// SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012, with one
// compression and three finalisation rounds), of a key that is a whole number of 64-bit words.
// 64 bits are folded to 32 by XOR of the halves.
struct Sip {
  uint64_t v0, v1, v2, v3;

  explicit Sip(HashSeed seed) noexcept
      : v0(seed.k0 ^ 0x736f6d6570736575),
        v1(seed.k1 ^ 0x646f72616e646f6d),
        v2(seed.k0 ^ 0x6c7967656e657261),
        v3(seed.k1 ^ 0x7465646279746573) {}

  static uint64_t rotate(uint64_t x, int bits) noexcept { return (x << bits) | (x >> (64 - bits)); }
  void round() noexcept {
    v0 += v1;
    v2 += v3;
    v1 = rotate(v1, 13) ^ v0;
    v3 = rotate(v3, 16) ^ v2;
    v0 = rotate(v0, 32);
    v2 += v1;
    v0 += v3;
    v1 = rotate(v1, 17) ^ v2;
    v3 = rotate(v3, 21) ^ v0;
    v2 = rotate(v2, 32);
  }
  void absorb(uint64_t word) noexcept {
    v3 ^= word;
    round();
    v0 ^= word;
  }
  uint64_t finish() noexcept {
    v2 ^= 0xff;
    round();
    round();
    round();
    return v0 ^ v1 ^ v2 ^ v3;
  }
};

template <class Key>
uint32_t sip(const Key& key, HashSeed seed) noexcept {
  static_assert(sizeof(Key) % 8 == 0);
  uint64_t words[sizeof(Key) / 8];
  std::memcpy(words, &key, sizeof key);
  Sip state(seed);
  for (const uint64_t word : words) state.absorb(word);
  state.absorb(uint64_t{sizeof(Key)} << 56);  // the last block holds only the length
  const uint64_t h = state.finish();
  return static_cast<uint32_t>(h ^ (h >> 32));
}

// CRC32C (Castagnoli, reflected polynomial 0x82f63b78: RFC 9260 appendix A), one byte a step. The
// start value is the seed's low half and nothing is inverted at the end, so that a longer key is
// the shorter ones in turn.
struct CrcTable {
  uint32_t row[256];
  constexpr CrcTable() noexcept : row() {
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t c = i;
      for (int bit = 0; bit < 8; ++bit) c = (c >> 1) ^ ((c & 1) != 0 ? 0x82f63b78u : 0u);
      row[i] = c;
    }
  }
};
constexpr CrcTable kCrc;

template <class Key>
uint32_t crc(const Key& key, HashSeed seed) noexcept {
  uint8_t bytes[sizeof(Key)];
  std::memcpy(bytes, &key, sizeof key);
  uint32_t c = static_cast<uint32_t>(seed.k0);
  for (const uint8_t byte : bytes) c = (c >> 8) ^ kCrc.row[(c ^ byte) & 0xff];
  return c;
}

}  // namespace

void hash_v4_scalar(const KeyV4* keys, size_t n, HashSeed seed, uint32_t* out) noexcept {
  for (size_t i = 0; i < n; ++i) out[i] = sip(keys[i], seed);
}
void hash_v6_scalar(const KeyV6* keys, size_t n, HashSeed seed, uint32_t* out) noexcept {
  for (size_t i = 0; i < n; ++i) out[i] = sip(keys[i], seed);
}
void crc_v4_scalar(const KeyV4* keys, size_t n, HashSeed seed, uint32_t* out) noexcept {
  for (size_t i = 0; i < n; ++i) out[i] = crc(keys[i], seed);
}
void crc_v6_scalar(const KeyV6* keys, size_t n, HashSeed seed, uint32_t* out) noexcept {
  for (size_t i = 0; i < n; ++i) out[i] = crc(keys[i], seed);
}

}  // namespace nodeplane
