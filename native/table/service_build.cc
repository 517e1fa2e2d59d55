#include "table/service_build.h"

#include <algorithm>

#include "table/service_hash.h"

namespace nodeplane {
namespace {

// Rows between the one that is taken in and those whose lines are fetched: at random places, each costs
// more than all else.
constexpr uint32_t kAhead = 8;

uint64_t hash_of(const ServiceEntry& s) noexcept {
  return place_hash(s.network, s.family, s.protocol, s.be_port, s.address.bytes);
}

// What a row says; the rest follows from its endpoints and from the generation before.
ServiceEntry entry_of(const ServiceRow& row) noexcept {
  ServiceEntry s{};
  s.address = IpAddress::from_bytes(row.address, row.family);
  s.seed = row.seed;
  s.endpoint_count = row.endpoint_count;
  s.id = row.id;
  s.be_port = row.be_port;
  s.network = row.network;
  s.family = row.family;
  s.protocol = row.protocol;
  s.masquerade = static_cast<Masquerade>(row.masquerade);
  s.verdict = static_cast<ServiceVerdict>(row.verdict);
  s.hash_fields = static_cast<HashFields>(row.hash_fields);
  return s;
}

}  // namespace

auto ServiceBuilder::hashes() const {
  return [this](uint32_t id) { return hash_of(t_.services_[id]); };
}

bool ServiceBuilder::limits_ok() const {
  if (rows_.service_count > kServiceMax || rows_.endpoint_count > kEndpointMax) {
    *error_ = "more services or endpoints than the tables can carry";
    return false;
  }
  if (generation_ != 0) return true;
  *error_ = "generations count from 1";
  return false;
}

void ServiceBuilder::reserve() {
  t_.ended_.grow(ServiceTable::kEndedRows);
  t_.by_place_.reserve(rows_.service_count);
  t_.virtuals_.reserve(rows_.service_count / 2);
}

bool ServiceBuilder::leave(uint32_t id) {
  if (id >= t_.services_.size() || t_.services_[id].born == 0) return false;
  ServiceEntry& s = t_.services_.touch(id);
  t_.by_place_.remove(hash_of(s), id, hashes());
  t_.virtuals_.remove(s.network, s.family, s.address);
  if (s.set != nullptr) t_.sets_.gone.push_back(const_cast<EndpointSet*>(s.set));
  s.born = 0;
  --t_.service_count_;
  return true;
}

// Endpoints are gone when no service names their set any more.
void ServiceBuilder::forget_sets() {
  auto& gone = t_.sets_.gone;
  std::sort(gone.begin(), gone.end());
  for (size_t i = 0, end; i < gone.size(); i = end) {
    const EndpointSet& set = *gone[i];
    for (end = i + 1; end < gone.size() && gone[end] == gone[i];) ++end;
    if (end - i < set.uses) continue;
    for (uint32_t k = 0; k < set.count; ++k) {
      const EndpointEntry& e = set.endpoints()[k];
      t_.endpoint_born_.touch(e.id) = 0;
      t_.endpoints_.remove(e.network, e.family, e.address);
    }
    t_.endpoint_count_ -= set.count;
  }
}

bool ServiceBuilder::take_out() {
  for (uint32_t i = 0; i < rows_.removed_count; ++i)
    if (!leave(rows_.removed[i].id)) return wrong("removed service", i, "there is none of this id");
  for (uint32_t i = 0; i < rows_.service_count; ++i) leave(rows_.services[i].id);
  forget_sets();
  return true;
}

void ServiceBuilder::prefetch(const ServiceRow& row) const {
  t_.by_place_.prefetch(
      place_hash(row.network, row.family, row.protocol, row.be_port, row.address));
  t_.virtuals_.prefetch(row.network, row.family, IpAddress::from_bytes(row.address, row.family));
}

bool ServiceBuilder::take_in() {
  for (uint32_t i = 0; i < rows_.service_count; ++i) {
    if (i + kAhead < rows_.service_count) prefetch(rows_.services[i + kAhead]);
    if (!row_ok(rows_.services[i], i) || !come(rows_.services[i], i)) return false;
  }
  if (t_.service_count_ <= kServiceMax && t_.endpoint_count_ <= kEndpointMax) return true;
  *error_ = "more services or endpoints than the tables can carry";
  return false;
}

bool ServiceBuilder::row_ok(const ServiceRow& row, uint32_t index) const {
  const auto no = [&](const char* why) { return wrong("service", index, why); };
  if (row.family != 4 && row.family != 6) return no("family is not 4 or 6");
  if (row.id >= kServiceMax) return no("id is too large");
  if (!has_ports(row.protocol) &&
      row.protocol != (row.family == 4 ? kProtocolIcmp : kProtocolIcmp6))
    return no("protocol is none of TCP, UDP, SCTP and the family's ICMP");
  if (has_ports(row.protocol) != (row.be_port != 0)) return no("port is wrong for its protocol");
  if (row.masquerade >= kMasqueradeCount || row.verdict >= kServiceVerdictCount ||
      row.hash_fields >= kHashFieldsCount)
    return no("masquerade, verdict or hash fields are out of range");
  if (row.endpoint_first > rows_.endpoint_count ||
      row.endpoint_count > rows_.endpoint_count - row.endpoint_first)
    return no("endpoints leave the table");
  if (row.endpoint_count > kServiceEndpointMax) return no("has more than 65536 endpoints");
  return true;
}

// An id keeps its birth while it stands for the same place; else it is newborn, and flows made from
// its former meaning are stale.
bool ServiceBuilder::come(const ServiceRow& row, uint32_t index) {
  ServiceEntry s = entry_of(row);
  const ServiceEntry* former = before_ == nullptr ? nullptr : before_->service(s.id);
  s.born = former != nullptr && former->same_place(s) ? former->born : born_;
  t_.services_.grow(s.id + 1);
  if (t_.services_[s.id].born != 0) return wrong("service", index, "id is another service's");
  const uint64_t hash = hash_of(s);
  const auto is_here = [&](uint32_t id) { return t_.services_[id].same_place(s); };
  if (t_.by_place_.find(hash, is_here) != CowIndex::kNone)
    return wrong("service", index, "address, port and protocol are another service's");
  if (row.endpoint_count != 0) {
    EndpointSet* set = set_of(row, index);
    if (set == nullptr) return false;
    ++set->uses;
    s.set = set;
    s.ring_size = set->ring_size;
    s.place_shift = set->place_shift;
  }
  t_.services_.touch(s.id) = s;
  t_.by_place_.add(hash, s.id, hashes());
  t_.virtuals_.add(s.network, s.family, s.address);
  ++t_.service_count_;
  return true;
}

// Of a change, when it has taken all in: what of `before` stands for nothing now, or for something else.
void ServiceBuilder::mark_ended() {
  const auto ended = [&](uint8_t family, const IpAddress& address) {
    t_.ended_.touch(ServiceTable::ended_at(family, address.bytes)) = generation_;
  };
  const auto left = [&](uint32_t id) {
    const ServiceEntry* was = before_->service(id);
    if (was != nullptr && was->born != t_.services_[id].born) ended(was->family, was->address);
  };
  for (uint32_t i = 0; i < rows_.removed_count; ++i) left(rows_.removed[i].id);
  for (uint32_t i = 0; i < rows_.service_count; ++i) left(rows_.services[i].id);
  for (const EndpointSet* set : t_.sets_.gone)
    for (uint32_t i = 0; i < set->count; ++i) {
      const EndpointEntry& e = set->endpoints()[i];
      if (before_->endpoint_born_[e.id] != t_.endpoint_born_[e.id]) ended(e.family, e.address);
    }
}

std::unique_ptr<ServiceTable> ServiceTable::build(const ServiceRows& rows, uint32_t generation,
                                                  const ServiceTable* before,
                                                  const SnatSources& sources, std::string* error) {
  std::unique_ptr<ServiceTable> table(new ServiceTable);
  ServiceBuilder builder(*table, rows, generation, before, sources, error);
  if (!builder.limits_ok()) return nullptr;
  builder.reserve();
  if (!builder.take_in()) return nullptr;
  table->sets_.made.clear();
  table->sets_.is_newest = true;
  return table;
}

std::unique_ptr<ServiceTable> ServiceTable::change(const ServiceRows& rows, uint32_t generation,
                                                   const ServiceTable& before,
                                                   const SnatSources& sources, std::string* error) {
  std::unique_ptr<ServiceTable> table(new ServiceTable(before));
  ServiceBuilder builder(*table, rows, generation, &before, sources, error);
  if (!builder.limits_ok() || !builder.take_out() || !builder.take_in()) return nullptr;
  builder.mark_ended();
  return table;
}

}  // namespace nodeplane
