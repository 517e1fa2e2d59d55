#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/flow_key.h"
#include "base/ip.h"
#include "gen/layout.h"
#include "table/tag_index.h"

namespace nodeplane {

inline constexpr uint32_t kServiceEndpointMax = 65536;                       // of one service
inline constexpr uint64_t kEndpointMentionMax = uint64_t{4} * kEndpointMax;  // rows may be shared

struct ServiceEntry {
  IpAddress address;
  uint64_t seed;        // of the service's identity
  const uint8_t* ring;  // Maglev: numbers of its endpoints; null without a choosable endpoint
  uint32_t ring_size;   // prime
  uint32_t endpoint_first, endpoint_count;
  uint32_t id;
  uint16_t be_port;  // network order
  uint16_t network;
  uint8_t family, protocol;
  Masquerade masquerade;
  ServiceVerdict verdict;

  // Places are bytes while they can be: 100,000 small services' rings are 50 MB then, not 200.
  bool ring_wide() const noexcept { return endpoint_count > 256; }
  const uint8_t* ring_at(uint32_t place) const noexcept {
    return ring + (ring_wide() ? size_t{2} * place : place);
  }
  // The endpoint at a place of the ring, as an index into the table's endpoints.
  uint32_t chosen(uint32_t place) const noexcept {
    const uint8_t* p = ring_at(place);
    return endpoint_first + (ring_wide() ? uint32_t{p[0]} | uint32_t{p[1]} << 8 : *p);
  }
};

struct EndpointEntry {
  IpAddress address;
  uint32_t id;
  uint16_t be_port;  // network order
  uint16_t weight;
  uint16_t snat_source;  // of the nat table, for the port it is reached by; 0xffff none
  uint8_t family;
  uint8_t flags;     // EndpointRow.flags
  uint16_t network;  // of the services that name it

  uint16_t new_flow_weight() const noexcept { return flags & 1 ? weight : 0; }
  bool same_place(const EndpointEntry& o) const noexcept {
    return address == o.address && be_port == o.be_port && family == o.family;
  }
};

// What is wished for of services, immutable once built. Also answers what still exists: ids carry
// the generation they were born in, so that a flow stamped earlier than its id's birth is stale.
class ServiceTable {
 public:
  // Rows as published; `before` (or null) tells which ids are new in this generation. Builds the
  // Maglev rings; equal rings are shared. Null with a reason.
  static std::unique_ptr<ServiceTable> build(const ServiceRow* services, uint32_t service_count,
                                             const EndpointRow* endpoints, uint32_t endpoint_count,
                                             uint32_t generation, const ServiceTable* before,
                                             std::string* error);

  // Fetches the line that find will read.
  void prefetch(const KeyV4& key) const noexcept;
  void prefetch(const KeyV6& key) const noexcept;
  // By destination address, destination port, protocol and network of a packet; null: none.
  const ServiceEntry* find(const KeyV4& key) const noexcept;
  const ServiceEntry* find(const KeyV6& key) const noexcept;
  bool is_virtual(uint16_t network, uint8_t family, const IpAddress& address) const noexcept;
  bool is_endpoint(uint16_t network, uint8_t family, const IpAddress& address) const noexcept;

  const EndpointEntry& endpoint(uint32_t index) const noexcept { return endpoints_[index]; }
  // While building only.
  EndpointEntry& endpoint_mutable(uint32_t index) noexcept { return endpoints_[index]; }
  uint32_t endpoint_count() const noexcept { return static_cast<uint32_t>(endpoints_.size()); }
  uint32_t service_count() const noexcept { return static_cast<uint32_t>(services_.size()); }

  // Whether a flow last validated at `stamp` may go on: its service and endpoint exist and are no
  // younger than the stamp.
  bool still_holds(uint32_t service, uint32_t endpoint, uint32_t stamp) const noexcept;

 private:
  struct Born {
    uint32_t generation = 0;  // 0: does not exist
    uint32_t row = 0;
  };
  using Ring = std::shared_ptr<const uint8_t[]>;

  ServiceTable(uint32_t service_count, uint32_t endpoint_count);
  bool take_endpoints(const EndpointRow* rows, std::string* error);
  bool take_services(const ServiceRow* rows, std::string* error);
  bool take_service(const ServiceRow& row, uint32_t index, std::string* error);
  void set_born(uint32_t generation, const ServiceTable* before);
  void set_rings(const ServiceTable* before);
  uint64_t ring_hash(const ServiceEntry& service, uint32_t* choosable) const noexcept;
  Ring make_ring(const ServiceEntry& service) const;
  bool rings_equal(const ServiceEntry& mine, const ServiceTable& other,
                   const ServiceEntry& theirs) const noexcept;
  uint32_t find_row(const ServiceEntry& wanted) const noexcept;
  template <class Key>
  const ServiceEntry* find_key(const Key& key) const noexcept;

  std::vector<ServiceEntry> services_;
  std::vector<EndpointEntry> endpoints_;
  std::vector<Ring> rings_;                         // by service; equal ones are one
  std::vector<Born> service_born_, endpoint_born_;  // by id
  TagIndex by_place_, by_virtual_, by_endpoint_;
};

// Weighted Maglev (Eisenbud et al., NSDI 2016, section 3.4): a ring of `size` (prime) entries, each
// an index into endpoints. Deterministic in the endpoints' identities, weights and the seed.
struct MaglevEndpoint {
  uint64_t identity;  // hash of address and port
  uint32_t index;
  uint32_t weight;  // >= 1
};
std::vector<uint32_t> maglev_build(const MaglevEndpoint* endpoints, uint32_t count, uint64_t seed,
                                   uint32_t size);
// A prime >= max(kMaglevRingMin, kMaglevPerEndpoint * endpoints), from a fixed list.
uint32_t maglev_size(uint32_t endpoints) noexcept;
// The place on the ring of a flow: equal on every node (public constants, the service's seed).
uint32_t maglev_hash(const KeyV4& key, uint64_t seed) noexcept;
uint32_t maglev_hash(const KeyV6& key, uint64_t seed) noexcept;

}  // namespace nodeplane
