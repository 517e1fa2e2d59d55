// The endpoint sets of a table that is being built.
#include <algorithm>

#include "table/service_build.h"

namespace nodeplane {
namespace {

// The endpoints of a set by id, for one that is to follow it. Mostly they stand where they stood.
class Former {
 public:
  explicit Former(const EndpointSet* set) : set_(set) {}
  const EndpointEntry* find(uint32_t id, uint32_t near) {
    if (set_ == nullptr) return nullptr;
    const EndpointEntry* all = set_->endpoints();
    if (near < set_->count && all[near].id == id) return &all[near];
    if (by_id_.empty()) {
      for (uint32_t i = 0; i < set_->count; ++i) by_id_.push_back(&all[i]);
      std::sort(by_id_.begin(), by_id_.end(), [](auto* a, auto* b) { return a->id < b->id; });
    }
    const auto at = std::lower_bound(by_id_.begin(), by_id_.end(), id,
                                     [](auto* e, uint32_t wanted) { return e->id < wanted; });
    return at != by_id_.end() && (*at)->id == id ? *at : nullptr;
  }

 private:
  const EndpointSet* set_;
  std::vector<const EndpointEntry*> by_id_;
};

EndpointEntry entry_of(const EndpointRow& row, uint16_t network) noexcept {
  EndpointEntry e{};
  e.address = IpAddress::from_bytes(row.address, row.family);
  e.id = row.id;
  e.be_port = row.be_port;
  e.weight = row.weight;
  e.network = network;
  e.family = row.family;
  e.flags = row.flags;
  return e;
}

}  // namespace

bool ServiceBuilder::endpoint_ok(const EndpointRow& row, const ServiceRow& service,
                                 uint32_t index) const {
  const auto no = [&](const char* why) { return wrong("endpoint", index, why); };
  if (row.family != service.family) return no("family is not its service's");
  if (row.id >= kEndpointMax) return no("id is too large");
  if (has_ports(service.protocol) && row.be_port == 0) return no("has no port");
  return true;
}

// Made by the first service that names its rows, taken by the others.
EndpointSet* ServiceBuilder::set_of(const ServiceRow& row, uint32_t index) {
  EndpointSet*& set = set_by_row_[row.endpoint_first];
  if (set == nullptr) return set = make_set(row);
  const bool same = set->count == row.endpoint_count && set->seed == row.seed &&
                    set->network == row.network && set->family == row.family;
  if (!same) {
    wrong("service", index,
          "shares endpoint rows with a service of another seed, network or count");
    return nullptr;
  }
  for (uint32_t i = 0; i < set->count; ++i)
    if (!endpoint_ok(rows_.endpoints[row.endpoint_first + i], row, row.endpoint_first + i))
      return nullptr;
  return set;
}

EndpointSet* ServiceBuilder::make_set(const ServiceRow& row) {
  uint32_t choosable = 0, last = 0;
  for (uint32_t i = 0; i < row.endpoint_count; ++i) {
    const EndpointRow& e = rows_.endpoints[row.endpoint_first + i];
    if (!endpoint_ok(e, row, row.endpoint_first + i)) return nullptr;
    choosable += (e.flags & 1) != 0 && e.weight != 0;
    last = std::max(last, e.id);
  }
  t_.endpoint_born_.grow(last + 1);
  const ServiceEntry* before = before_ == nullptr ? nullptr : before_->service(row.id);
  Former former(before == nullptr ? nullptr : before->set);
  EndpointSet* set =
      EndpointSet::make(row.seed, row.family, row.network, row.endpoint_count, choosable);
  t_.sets_.made.push_back(set);
  for (uint32_t i = 0; i < row.endpoint_count; ++i) {
    EndpointEntry& e = set->endpoints()[i];
    e = entry_of(rows_.endpoints[row.endpoint_first + i], row.network);
    e.snat_source = sources_.of(e.network, e.family, e.address);
    uint32_t& born = t_.endpoint_born_.touch(e.id);
    if (born != 0) {
      wrong("endpoint", row.endpoint_first + i, "id is another endpoint's");
      return nullptr;
    }
    const EndpointEntry* was = former.find(e.id, i);
    born = was != nullptr && was->same_place(e) ? before_->endpoint_born_[e.id] : born_;
    t_.endpoints_.add(e.network, e.family, e.address);
  }
  t_.endpoint_count_ += set->count;
  if (before != nullptr && before->set != nullptr && set->same_ring(*before->set))
    set->copy_ring(*before->set);
  else
    set->fill_ring();
  return set;
}

}  // namespace nodeplane
