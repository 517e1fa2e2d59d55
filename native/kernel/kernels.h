#pragma once
#include <cstddef>
#include <cstdint>

#include "base/flow_key.h"

namespace nodeplane {

// 128 secret bits for the strong hash; the CRC takes its start value from the first word.
struct HashSeed {
  uint64_t k0, k1;
};

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
  const char* name;  // of the variant, for doctor and bench
};

// Never null; the first call decides.
const Kernels& kernels() noexcept;
// By name ("scalar", "avx2", …); null when this CPU or build has none of that name.
const Kernels* kernels_named(const char* name) noexcept;

}  // namespace nodeplane
