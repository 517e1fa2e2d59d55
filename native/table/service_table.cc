#include "table/service_table.h"

#include "table/service_hash.h"

namespace nodeplane {
namespace {

const uint8_t* dst_bytes(const KeyV4& k) noexcept {
  return reinterpret_cast<const uint8_t*>(&k.dst);
}
const uint8_t* dst_bytes(const KeyV6& k) noexcept { return k.dst; }

template <class Key>
constexpr uint8_t kFamilyOf = sizeof(Key) == sizeof(KeyV4) ? 4 : 6;

template <class Key>
uint64_t key_hash(const Key& k) noexcept {
  return place_hash(k.network, kFamilyOf<Key>, k.protocol, k.dport, dst_bytes(k));
}

}  // namespace

ServiceTable::~ServiceTable() {
  if (sets_.is_newest) {
    for (uint32_t id = 0; id < services_.size(); ++id) {
      const ServiceEntry& s = services_[id];
      if (s.born == 0 || s.set == nullptr) continue;
      auto* set = const_cast<EndpointSet*>(s.set);  // ours: nobody reads it any more
      if (--set->uses == 0) EndpointSet::free(set);
    }
  }
  for (EndpointSet* set : sets_.made) EndpointSet::free(set);
  for (EndpointSet* set : sets_.left) EndpointSet::free(set);
}

void ServiceTable::commit(ServiceTable& before) {
  services_.commit(before.services_);
  endpoint_born_.commit(before.endpoint_born_);
  ended_.commit(before.ended_);
  by_place_.commit(before.by_place_);
  virtuals_.commit(before.virtuals_);
  endpoints_.commit(before.endpoints_);
  for (EndpointSet* set : sets_.gone)
    if (--set->uses == 0) before.sets_.left.push_back(set);
  before.sets_.is_newest = false;
  sets_.is_newest = true;
  sets_.gone.clear();
  sets_.made.clear();
}

template <class Key>
const ServiceEntry* ServiceTable::find_key(const Key& key, uint64_t place) const noexcept {
  const IpAddress dst = key_dst(key);
  const uint32_t id = by_place_.find(place, [&](uint32_t row) {
    const ServiceEntry& s = services_[row];
    return s.be_port == key.dport && s.protocol == key.protocol && s.network == key.network &&
           s.family == kFamilyOf<Key> && s.address == dst;
  });
  return id == CowIndex::kNone ? nullptr : &services_[id];
}

uint64_t ServiceTable::place_of(const KeyV4& key) noexcept { return key_hash(key); }
uint64_t ServiceTable::place_of(const KeyV6& key) noexcept { return key_hash(key); }

const ServiceEntry* ServiceTable::find(const KeyV4& key, uint64_t place) const noexcept {
  return find_key(key, place);
}
const ServiceEntry* ServiceTable::find(const KeyV6& key, uint64_t place) const noexcept {
  return find_key(key, place);
}

bool ServiceTable::still_holds(uint32_t service, uint32_t endpoint, uint32_t stamp) const noexcept {
  const auto holds = [stamp](uint32_t born) { return born != 0 && born <= stamp; };
  return service < services_.size() && holds(services_[service].born) &&
         endpoint < endpoint_born_.size() && holds(endpoint_born_[endpoint]);
}

}  // namespace nodeplane
