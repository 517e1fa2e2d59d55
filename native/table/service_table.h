#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/flow_key.h"
#include "base/ip.h"
#include "gen/layout.h"
#include "table/address_set.h"
#include "table/endpoint_set.h"
#include "table/maglev.h"
#include "table/mix.h"
#include "table/snat_sources.h"

namespace nodeplane {

inline constexpr uint32_t kServiceEndpointMax = 65536;  // of one service

struct ServiceEntry {
  IpAddress address;
  uint64_t seed;           // of the service's identity
  const EndpointSet* set;  // null: no endpoints
  uint32_t ring_size;      // prime; 0 without a choosable endpoint
  uint32_t endpoint_count;
  uint32_t id;
  uint32_t born;     // the generation since when its id stands for this place; 0: nobody
  uint16_t be_port;  // network order
  uint16_t network;
  uint8_t family, protocol;
  Masquerade masquerade;
  ServiceVerdict verdict;
  uint8_t place_shift;  // of its set
  HashFields hash_fields;

  // Where a place of the ring lies.
  const uint8_t* ring_at(uint32_t place) const noexcept {
    return reinterpret_cast<const uint8_t*>(set->endpoints() + endpoint_count) +
           ((place << place_shift) >> 3);
  }
  // The endpoint at a place of the ring.
  const EndpointEntry& chosen(uint32_t place) const noexcept {
    uint16_t bits;
    std::memcpy(&bits, ring_at(place), sizeof bits);
    const uint32_t shifted = uint32_t{bits} >> ((place << place_shift) & 7);
    return set->endpoints()[shifted & ((1u << (1u << place_shift)) - 1)];
  }
  bool same_place(const ServiceEntry& o) const noexcept {
    return address == o.address && be_port == o.be_port && family == o.family &&
           protocol == o.protocol && network == o.network;
  }
};
static_assert(sizeof(ServiceEntry) == 64);

// What is wished for of services, as published: every service, or what changed.
struct ServiceRows {
  const ServiceRow* services;
  const EndpointRow* endpoints;
  const RemovedServiceRow* removed;  // of a change only
  uint32_t service_count, endpoint_count, removed_count;
};

// What is wished for of services, immutable once built. Also answers what still exists: ids carry
// the generation they were born in, so that a flow stamped earlier than its id's birth is stale.
//
// Everything lies in pages that generations share (cow.h), services by id and endpoints with their
// service: a change writes the pages and endpoint sets that it touches, and a copy of the page tables.
class ServiceTable {
 public:
  // All services. `before` (or null) tells which ids are new in this generation, and has rings that
  // need not be made again. Null with a reason.
  static std::unique_ptr<ServiceTable> build(const ServiceRows& rows, uint32_t generation,
                                             const ServiceTable* before, const SnatSources& sources,
                                             std::string* error);
  // `before` but for the removed services and those of the rows. It is `before`'s only successor
  // once commit is called, and leaves no trace without. Null with a reason.
  static std::unique_ptr<ServiceTable> change(const ServiceRows& rows, uint32_t generation,
                                              const ServiceTable& before,
                                              const SnatSources& sources, std::string* error);
  // To be called when a change is certain to be published. `before` stays as it is for its readers
  // and frees what only it shows when it is deleted.
  void commit(ServiceTable& before);
  ~ServiceTable();

  // A hash of what find goes by, for all of these.
  static uint64_t place_of(const KeyV4& key) noexcept;
  static uint64_t place_of(const KeyV6& key) noexcept;
  // Fetches the line that find will read first; then, when that is there, the service's own.
  void prefetch(uint64_t place) const noexcept { by_place_.prefetch(place); }
  void prefetch_entry(uint64_t place) const noexcept {
    const uint32_t id = by_place_.guess(place);
    if (id != CowIndex::kNone) services_.prefetch(id);
  }
  // By destination address, destination port, protocol and network of a packet; null: none.
  const ServiceEntry* find(const KeyV4& key, uint64_t place) const noexcept;
  const ServiceEntry* find(const KeyV6& key, uint64_t place) const noexcept;
  template <class Key>
  const ServiceEntry* find(const Key& key) const noexcept {
    return find(key, place_of(key));
  }
  bool is_virtual(uint16_t network, uint8_t family, const IpAddress& address) const noexcept {
    return virtuals_.has(network, family, address);
  }
  bool is_endpoint(uint16_t network, uint8_t family, const IpAddress& address) const noexcept {
    return endpoints_.has(network, family, address);
  }
  uint32_t service_count() const noexcept { return service_count_; }
  uint32_t endpoint_count() const noexcept { return endpoint_count_; }

  // Whether a flow last validated at `stamp` may go on: its service and endpoint exist and are no
  // younger than the stamp.
  bool still_holds(uint32_t service, uint32_t endpoint, uint32_t stamp) const noexcept;
  // Whether certainly no service or endpoint at this address (4 or 16 bytes) has ended since `stamp`: a
  // flow validated then, of a service and an endpoint at two such, still holds. Not before the whole set
  // that these tables go back to.
  bool stands(uint8_t family, const uint8_t* address, uint32_t stamp) const noexcept {
    return ended_[ended_at(family, address)] <= stamp;
  }

  // The service of an id, or null.
  const ServiceEntry* service(uint32_t id) const noexcept {
    return id < services_.size() && services_[id].born != 0 ? &services_[id] : nullptr;
  }
  // One more than the largest id there may be.
  uint32_t service_end() const noexcept { return services_.size(); }

 private:
  friend class ServiceBuilder;
  ServiceTable() = default;
  ServiceTable(const ServiceTable& before) = default;
  static constexpr uint32_t kEndedRows = 4096;
  static uint32_t ended_at(uint8_t family, const uint8_t* address) noexcept {
    return static_cast<uint32_t>(mix_address(0, family, address)) % kEndedRows;
  }
  template <class Key>
  const ServiceEntry* find_key(const Key& key, uint64_t place) const noexcept;

  CowArray<ServiceEntry, 64> services_;     // by id
  CowArray<uint32_t, 1024> endpoint_born_;  // by id; 0: nobody
  CowArray<uint32_t, 64> ended_;            // by address' hash: the last generation that ended one
  CowIndex by_place_;
  AddressSet virtuals_, endpoints_;
  uint32_t service_count_ = 0, endpoint_count_ = 0;

  // Endpoint sets belong to the newest generation that names them.
  struct Sets {
    bool is_newest = false;
    std::vector<EndpointSet*> made;  // until committed
    std::vector<EndpointSet*> gone;  // by a service of `before` each, until committed
    std::vector<EndpointSet*> left;  // that only this generation still shows
    Sets() = default;
    Sets(const Sets&) noexcept {}
  } sets_;
};

}  // namespace nodeplane
