#include <nmmintrin.h>

#include "kernel/hash/hash.h"

namespace nodeplane {
namespace {

// The CRC32 instruction is CRC32C without inversions (Intel SDM volume 2, CRC32). Everything here
// is internal to this file: no function that another file could share may carry SSE 4.2 code.
template <size_t kWords>
uint32_t crc_words(const void* key, uint64_t start) noexcept {
  uint64_t words[kWords];
  std::memcpy(words, key, sizeof words);
  uint64_t c = start;
  for (size_t i = 0; i < kWords; ++i) c = _mm_crc32_u64(c, words[i]);
  return static_cast<uint32_t>(c);
}

}  // namespace

void crc_v4_sse42(const KeyV4* keys, size_t n, HashSeed seed, uint32_t* out) noexcept {
  const uint64_t start = static_cast<uint32_t>(seed.k0);
  for (size_t i = 0; i < n; ++i) out[i] = crc_words<2>(keys + i, start);
}
void crc_v6_sse42(const KeyV6* keys, size_t n, HashSeed seed, uint32_t* out) noexcept {
  const uint64_t start = static_cast<uint32_t>(seed.k0);
  for (size_t i = 0; i < n; ++i) out[i] = crc_words<5>(keys + i, start);
}

}  // namespace nodeplane
