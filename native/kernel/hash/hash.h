#pragma once
#include "kernel/kernels.h"

namespace nodeplane {

// Every variant of the hashes, for the dispatch and for one variant's leftovers to another.
void hash_v4_scalar(const KeyV4* keys, size_t n, HashSeed seed, uint32_t* out) noexcept;
void hash_v6_scalar(const KeyV6* keys, size_t n, HashSeed seed, uint32_t* out) noexcept;
void hash_v4_avx2(const KeyV4* keys, size_t n, HashSeed seed, uint32_t* out) noexcept;
void hash_v6_avx2(const KeyV6* keys, size_t n, HashSeed seed, uint32_t* out) noexcept;
void hash_v4_avx512(const KeyV4* keys, size_t n, HashSeed seed, uint32_t* out) noexcept;
void hash_v6_avx512(const KeyV6* keys, size_t n, HashSeed seed, uint32_t* out) noexcept;

void crc_v4_scalar(const KeyV4* keys, size_t n, HashSeed seed, uint32_t* out) noexcept;
void crc_v6_scalar(const KeyV6* keys, size_t n, HashSeed seed, uint32_t* out) noexcept;
void crc_v4_sse42(const KeyV4* keys, size_t n, HashSeed seed, uint32_t* out) noexcept;
void crc_v6_sse42(const KeyV6* keys, size_t n, HashSeed seed, uint32_t* out) noexcept;

}  // namespace nodeplane
