#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/flow_key.h"
#include "base/ip.h"
#include "gen/layout.h"

namespace nodeplane {

struct ServiceEntry {
  IpAddress address;
  uint64_t seed;         // of the service's identity
  const uint32_t* ring;  // Maglev: endpoint indices; null without a choosable endpoint
  uint32_t ring_size;    // prime
  uint32_t id;
  uint16_t be_port;  // network order
  uint16_t network;
  uint8_t family, protocol;
  Masquerade masquerade;
  ServiceVerdict verdict;
};

struct EndpointEntry {
  IpAddress address;
  uint32_t id;
  uint16_t be_port;  // network order
  uint16_t weight;
  uint16_t snat_source;  // of the nat table, for the port it is reached by; 0xffff none
  uint8_t family;
  uint8_t flags;  // EndpointRow.flags
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
  std::vector<ServiceEntry> services_;
  std::vector<EndpointEntry> endpoints_;
  std::vector<std::shared_ptr<const std::vector<uint32_t>>> rings_;
  std::vector<uint32_t> service_born_, endpoint_born_;  // by id; 0: does not exist
  struct Index;
  std::shared_ptr<Index> index_;
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
// The smallest prime >= max(kMaglevRingMin, kMaglevPerEndpoint * endpoints) from a fixed list.
uint32_t maglev_size(uint32_t endpoints) noexcept;
// The place on the ring of a flow: equal on every node (public constants, the service's seed).
uint32_t maglev_hash(const KeyV4& key, uint64_t seed) noexcept;
uint32_t maglev_hash(const KeyV6& key, uint64_t seed) noexcept;

}  // namespace nodeplane
