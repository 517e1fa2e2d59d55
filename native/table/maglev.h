#pragma once
#include <cstdint>
#include <vector>

#include "base/flow_key.h"

namespace nodeplane {

// Weighted Maglev (Eisenbud et al., NSDI 2016, section 3.4): a ring of `size` (prime) places, each
// an index of an endpoint. Deterministic in the endpoints' identities, weights and the seed.
struct MaglevEndpoint {
  uint64_t identity;  // hash of address and port
  uint32_t index;     // below 65536
  uint32_t weight;    // >= 1
};
// `endpoints` are sorted on the way; there must be one.
void maglev_fill(MaglevEndpoint* endpoints, uint32_t count, uint64_t seed, uint32_t size,
                 uint16_t* ring);
// A prime >= max(kMaglevRingMin, kMaglevPerEndpoint * endpoints), from a fixed list.
uint32_t maglev_size(uint32_t endpoints) noexcept;
// The place on the ring of a flow: equal on every node (public constants, the service's seed).
uint32_t maglev_hash(const KeyV4& key, uint64_t seed) noexcept;
uint32_t maglev_hash(const KeyV6& key, uint64_t seed) noexcept;
// The same for all flows of a client: of its address alone.
uint32_t maglev_hash_client(const KeyV4& key, uint64_t seed) noexcept;
uint32_t maglev_hash_client(const KeyV6& key, uint64_t seed) noexcept;

}  // namespace nodeplane
