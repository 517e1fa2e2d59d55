#pragma once
#include <cstdint>

#include "base/ip.h"
#include "gen/layout.h"

namespace nodeplane {

struct EndpointEntry {
  IpAddress address;
  uint32_t id;
  uint16_t be_port;  // network order
  uint16_t weight;
  uint16_t snat_source;  // of the nat table, for the port it is reached by; 0xffff none
  uint16_t network;      // of the services that name it
  uint8_t family;
  uint8_t flags;  // EndpointRow.flags

  uint16_t new_flow_weight() const noexcept { return flags & 1 ? weight : 0; }
  bool same_place(const EndpointEntry& o) const noexcept {
    return address == o.address && be_port == o.be_port && family == o.family &&
           network == o.network;
  }
};
static_assert(sizeof(EndpointEntry) == 32);

// A service's endpoints and their Maglev ring, in one piece of memory: this, the endpoints, the
// ring. Immutable. A place of the ring is an endpoint's number in 4, 8 or 16 bits: 100,000 small
// services' rings are 25 MB, where 32 bits would make 200.
struct alignas(32) EndpointSet {
  uint64_t seed;       // of the services' identity
  uint32_t count;      // of endpoints, at least 1
  uint32_t ring_size;  // prime; 0 without a choosable endpoint
  uint32_t uses;       // services of the newest generation that name it; control's alone
  uint16_t network;
  uint8_t family;
  uint8_t place_shift;  // bits of a place: 1 << this

  const EndpointEntry* endpoints() const noexcept {
    return reinterpret_cast<const EndpointEntry*>(this + 1);
  }
  EndpointEntry* endpoints() noexcept { return reinterpret_cast<EndpointEntry*>(this + 1); }
  const uint8_t* ring() const noexcept {
    return reinterpret_cast<const uint8_t*>(endpoints() + count);
  }
  uint8_t* ring() noexcept { return reinterpret_cast<uint8_t*>(endpoints() + count); }

  // Endpoints as they are, the ring not yet. Null: no memory.
  static EndpointSet* make(uint64_t seed, uint8_t family, uint16_t network, uint32_t count,
                           uint32_t choosable);
  static void free(EndpointSet* set) noexcept;
  // Whether both have the same ring.
  bool same_ring(const EndpointSet& other) const noexcept;
  // From its endpoints, or from a set that has the same.
  void fill_ring();
  void copy_ring(const EndpointSet& other) noexcept;

 private:
  uint64_t ring_bytes() const noexcept;
  void pack(const uint16_t* numbers, uint8_t* to) const noexcept;
};
static_assert(sizeof(EndpointSet) == 32);

}  // namespace nodeplane
