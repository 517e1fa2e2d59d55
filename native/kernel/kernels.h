#pragma once
#include <cstddef>
#include <cstdint>

#include "base/flow_key.h"

namespace nodeplane {

// 128 secret bits for the strong hash; the CRC takes its start value from the first word.
struct HashSeed {
  uint64_t k0, k1;
};

// Lines of 64 bytes with 10 tags and 10 entries (table/flow_index.h), and what the entries number.
struct GuessLines {
  const void* buckets;
  uint32_t bucket_count;
  const void* records;
  uint32_t record_bytes;  // 64 or 128
};
inline constexpr uint32_t kGuessNone = 0xffffffff;
inline constexpr size_t kGuessLineBytes = 64, kGuessEntriesAt = 24;

// The kernels in use, chosen once at start by CPU, forcible by NODEPLANE_KERNEL=scalar|avx2|…
// Each works over arrays; the scalar variant is the meaning of every other one.
struct Kernels {
  // Hashes of n keys. 16- and 40-byte keys; any n.
  void (*hash_v4)(const KeyV4* keys, size_t n, HashSeed seed, uint32_t* out) noexcept;
  void (*hash_v6)(const KeyV6* keys, size_t n, HashSeed seed, uint32_t* out) noexcept;
  void (*crc_v4)(const KeyV4* keys, size_t n, HashSeed seed, uint32_t* out) noexcept;
  void (*crc_v6)(const KeyV6* keys, size_t n, HashSeed seed, uint32_t* out) noexcept;
  // One's complement sum (RFC 1071) of n bytes at p, folded to 16 bits, not inverted, in raw
  // (memory) byte order: a stored checksum field is ~sum as it lies. Any alignment and length.
  uint16_t (*checksum)(const uint8_t* p, size_t n) noexcept;
  // For each hash the first entry of its line that has the hash's tag, or kGuessNone. The entry's
  // record is asked for (prefetched), not read.
  void (*guess)(const GuessLines& lines, const uint32_t* hashes, size_t n,
                uint32_t* entries) noexcept;
  const char* name;  // of the variant, for doctor and bench
};

// Never null; the first call decides.
const Kernels& kernels() noexcept;
// By name ("scalar", "avx2", …); null when this CPU or build has none of that name.
const Kernels* kernels_named(const char* name) noexcept;

}  // namespace nodeplane
