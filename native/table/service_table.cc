#include "table/service_table.h"

#include "table/mix.h"

namespace nodeplane {
namespace {

// What a packet's destination says, hashed; equal for a row and for a key.
uint64_t place_hash(uint16_t network, uint8_t family, uint8_t protocol, uint16_t be_port,
                    const uint8_t* address) noexcept {
  const uint64_t rest = uint64_t{network} | uint64_t{be_port} << 16 | uint64_t{family} << 32 |
                        uint64_t{protocol} << 40;
  return mix_address(mix_in(0, rest), family, address);
}
uint64_t address_hash(uint16_t network, uint8_t family, const IpAddress& address) noexcept {
  return mix_address(mix_in(1, uint64_t{network} | uint64_t{family} << 16), family, address.bytes);
}
const uint8_t* dst_bytes(const KeyV4& k) noexcept {
  return reinterpret_cast<const uint8_t*>(&k.dst);
}
const uint8_t* dst_bytes(const KeyV6& k) noexcept { return k.dst; }

template <class Key>
uint64_t key_hash(const Key& k) noexcept {
  return place_hash(k.network, sizeof(Key) == sizeof(KeyV4) ? 4 : 6, k.protocol, k.dport,
                    dst_bytes(k));
}

bool has_ports(uint8_t protocol) noexcept {
  return protocol == kProtocolTcp || protocol == kProtocolUdp || protocol == kProtocolSctp;
}
bool fail(std::string* error, const char* what, uint32_t row, const char* why) {
  *error = std::string(what) + " row " + std::to_string(row) + ": " + why;
  return false;
}

bool same_place(const ServiceEntry& a, const ServiceEntry& b) noexcept {
  return a.address == b.address && a.be_port == b.be_port && a.family == b.family &&
         a.protocol == b.protocol && a.network == b.network;
}

}  // namespace

ServiceTable::ServiceTable(uint32_t service_count, uint32_t endpoint_count)
    : services_(service_count),
      endpoints_(endpoint_count),
      rings_(service_count),
      by_place_(service_count),
      by_virtual_(service_count),
      by_endpoint_(endpoint_count) {}

std::unique_ptr<ServiceTable> ServiceTable::build(const ServiceRow* services,
                                                  uint32_t service_count,
                                                  const EndpointRow* endpoints,
                                                  uint32_t endpoint_count, uint32_t generation,
                                                  const ServiceTable* before, std::string* error) {
  if (service_count > kServiceMax || endpoint_count > kEndpointMax) {
    *error = "more services or endpoints than the tables can carry";
    return nullptr;
  }
  if (generation == 0) {
    *error = "generations count from 1";
    return nullptr;
  }
  std::unique_ptr<ServiceTable> table(new ServiceTable(service_count, endpoint_count));
  if (!table->take_endpoints(endpoints, error) || !table->take_services(services, error))
    return nullptr;
  table->set_born(generation, before);
  table->set_rings(before);
  return table;
}

bool ServiceTable::take_endpoints(const EndpointRow* rows, std::string* error) {
  for (uint32_t i = 0; i < endpoints_.size(); ++i) {
    const auto& row = rows[i];
    auto& e = endpoints_[i];
    if (row.family != 4 && row.family != 6)
      return fail(error, "endpoint", i, "family is not 4 or 6");
    if (row.id >= kEndpointMax) return fail(error, "endpoint", i, "id is too large");
    e.address = IpAddress::from_bytes(row.address, row.family);
    e.id = row.id;
    e.be_port = row.be_port;
    e.weight = row.weight;
    e.snat_source = 0xffff;
    e.family = row.family;
    e.flags = row.flags;
    e.network = 0;
    if (row.id >= endpoint_born_.size()) endpoint_born_.resize(row.id + 1);
    auto& born = endpoint_born_[row.id];
    if (born.generation != 0 && !endpoints_[born.row].same_place(e))
      return fail(error, "endpoint", i, "id stands for another address too");
    if (born.generation == 0) born = {1, i};  // the true generation follows in set_born
  }
  return true;
}

bool ServiceTable::take_services(const ServiceRow* rows, std::string* error) {
  uint64_t mentions = 0;
  for (uint32_t i = 0; i < services_.size(); ++i) {
    if (!take_service(rows[i], i, error)) return false;
    mentions += services_[i].endpoint_count;
  }
  if (mentions > kEndpointMentionMax) return fail(error, "service", 0, "too many endpoints in all");
  // An endpoint's network is that of the services that name it.
  std::vector<bool> named(endpoints_.size());
  for (uint32_t i = 0; i < services_.size(); ++i) {
    const auto& s = services_[i];
    if (!is_virtual(s.network, s.family, s.address))
      by_virtual_.add(address_hash(s.network, s.family, s.address), i);
    for (uint32_t k = s.endpoint_first; k < s.endpoint_first + s.endpoint_count; ++k) {
      auto& e = endpoints_[k];
      if (e.family != s.family) return fail(error, "service", i, "an endpoint has another family");
      if (has_ports(s.protocol) && e.be_port == 0)
        return fail(error, "service", i, "an endpoint has no port");
      if (named[k] && e.network != s.network)
        return fail(error, "service", i, "shares an endpoint row with another network");
      if (named[k]) continue;
      named[k] = true;
      e.network = s.network;
      if (!is_endpoint(e.network, e.family, e.address))
        by_endpoint_.add(address_hash(e.network, e.family, e.address), k);
    }
  }
  return true;
}

bool ServiceTable::take_service(const ServiceRow& row, uint32_t index, std::string* error) {
  auto& s = services_[index];
  auto wrong = [&](const char* why) { return fail(error, "service", index, why); };
  if (row.family != 4 && row.family != 6) return wrong("family is not 4 or 6");
  if (row.id >= kServiceMax) return wrong("id is too large");
  if (!has_ports(row.protocol) &&
      row.protocol != (row.family == 4 ? kProtocolIcmp : kProtocolIcmp6))
    return wrong("protocol is none of TCP, UDP, SCTP and the family's ICMP");
  if (has_ports(row.protocol) != (row.be_port != 0)) return wrong("port is wrong for its protocol");
  if (row.masquerade >= kMasqueradeCount || row.verdict >= kServiceVerdictCount)
    return wrong("masquerade or verdict is out of range");
  if (row.endpoint_first > endpoints_.size() ||
      row.endpoint_count > endpoints_.size() - row.endpoint_first)
    return wrong("endpoints leave the table");
  if (row.endpoint_count > kServiceEndpointMax) return wrong("has more than 65536 endpoints");
  s.address = IpAddress::from_bytes(row.address, row.family);
  s.seed = row.seed;
  s.ring = nullptr;
  s.ring_size = 0;
  s.endpoint_first = row.endpoint_first;
  s.endpoint_count = row.endpoint_count;
  s.id = row.id;
  s.be_port = row.be_port;
  s.network = row.network;
  s.family = row.family;
  s.protocol = row.protocol;
  s.masquerade = static_cast<Masquerade>(row.masquerade);
  s.verdict = static_cast<ServiceVerdict>(row.verdict);
  if (row.id >= service_born_.size()) service_born_.resize(row.id + 1);
  if (service_born_[row.id].generation != 0) return wrong("id is another service's");
  service_born_[row.id] = {1, index};  // the true generation follows in set_born
  if (find_row(s) != TagIndex::kNone)
    return wrong("address, port and protocol are another service's");
  by_place_.add(place_hash(s.network, s.family, s.protocol, s.be_port, s.address.bytes), index);
  return true;
}

// An id keeps its birth while it stands for the same place; else it is newborn, and flows made from
// its former meaning are stale. The first tables' ids are as old as can be: they are the ones that flows of
// an earlier process carry, if they carry any (docs/survival.md).
void ServiceTable::set_born(uint32_t generation, const ServiceTable* before) {
  auto set = [&](std::vector<Born>& mine, const auto& rows, const std::vector<Born>* old,
                 const auto* old_rows, auto same) {
    for (uint32_t id = 0; id < mine.size(); ++id) {
      auto& born = mine[id];
      if (born.generation == 0) continue;
      born.generation = old == nullptr ? 1 : generation;
      if (old == nullptr || id >= old->size() || (*old)[id].generation == 0) continue;
      const auto& former = (*old)[id];
      if (same(rows[born.row], (*old_rows)[former.row])) born.generation = former.generation;
    }
  };
  set(service_born_, services_, before ? &before->service_born_ : nullptr,
      before ? &before->services_ : nullptr, same_place);
  set(endpoint_born_, endpoints_, before ? &before->endpoint_born_ : nullptr,
      before ? &before->endpoints_ : nullptr, [](const EndpointEntry& a, const EndpointEntry& b) {
        return a.same_place(b) && a.network == b.network;
      });
}

uint32_t ServiceTable::find_row(const ServiceEntry& wanted) const noexcept {
  const uint64_t hash = place_hash(wanted.network, wanted.family, wanted.protocol, wanted.be_port,
                                   wanted.address.bytes);
  return by_place_.find(hash, [&](uint32_t row) { return same_place(services_[row], wanted); });
}

template <class Key>
const ServiceEntry* ServiceTable::find_key(const Key& key) const noexcept {
  const IpAddress dst = key_dst(key);
  constexpr uint8_t kFamily = sizeof(Key) == sizeof(KeyV4) ? 4 : 6;
  const uint32_t row = by_place_.find(key_hash(key), [&](uint32_t r) {
    const auto& s = services_[r];
    return s.be_port == key.dport && s.protocol == key.protocol && s.network == key.network &&
           s.family == kFamily && s.address == dst;
  });
  return row == TagIndex::kNone ? nullptr : &services_[row];
}

void ServiceTable::prefetch(const KeyV4& key) const noexcept { by_place_.prefetch(key_hash(key)); }
void ServiceTable::prefetch(const KeyV6& key) const noexcept { by_place_.prefetch(key_hash(key)); }

const ServiceEntry* ServiceTable::find(const KeyV4& key) const noexcept { return find_key(key); }
const ServiceEntry* ServiceTable::find(const KeyV6& key) const noexcept { return find_key(key); }

bool ServiceTable::is_virtual(uint16_t network, uint8_t family,
                              const IpAddress& address) const noexcept {
  return by_virtual_.find(address_hash(network, family, address), [&](uint32_t row) {
    const auto& s = services_[row];
    return s.network == network && s.family == family && s.address == address;
  }) != TagIndex::kNone;
}

bool ServiceTable::is_endpoint(uint16_t network, uint8_t family,
                               const IpAddress& address) const noexcept {
  return by_endpoint_.find(address_hash(network, family, address), [&](uint32_t row) {
    const auto& e = endpoints_[row];
    return e.network == network && e.family == family && e.address == address;
  }) != TagIndex::kNone;
}

bool ServiceTable::still_holds(uint32_t service, uint32_t endpoint, uint32_t stamp) const noexcept {
  auto holds = [stamp](const std::vector<Born>& born, uint32_t id) {
    return id < born.size() && born[id].generation != 0 && born[id].generation <= stamp;
  };
  return holds(service_born_, service) && holds(endpoint_born_, endpoint);
}

}  // namespace nodeplane
