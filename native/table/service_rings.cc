#include "table/mix.h"
#include "table/service_table.h"

namespace nodeplane {
namespace {

uint64_t identity(const EndpointEntry& e) noexcept {
  return mix_address(mix_in(e.family, e.be_port), e.family, e.address.bytes);
}

}  // namespace

// Of everything that a ring follows from.
uint64_t ServiceTable::ring_hash(const ServiceEntry& s, uint32_t* choosable) const noexcept {
  uint64_t h = mix_in(s.seed, s.endpoint_count);
  *choosable = 0;
  for (uint32_t k = 0; k < s.endpoint_count; ++k) {
    const auto& e = endpoints_[s.endpoint_first + k];
    h = mix_in(h ^ e.new_flow_weight(), identity(e));
    *choosable += e.new_flow_weight() != 0;
  }
  return h;
}

bool ServiceTable::rings_equal(const ServiceEntry& mine, const ServiceTable& other,
                               const ServiceEntry& theirs) const noexcept {
  if (mine.seed != theirs.seed || mine.endpoint_count != theirs.endpoint_count) return false;
  for (uint32_t k = 0; k < mine.endpoint_count; ++k) {
    const auto& a = endpoints_[mine.endpoint_first + k];
    const auto& b = other.endpoints_[theirs.endpoint_first + k];
    if (!a.same_place(b) || a.new_flow_weight() != b.new_flow_weight()) return false;
  }
  return true;
}

ServiceTable::Ring ServiceTable::make_ring(const ServiceEntry& s) const {
  std::vector<MaglevEndpoint> on_ring;
  for (uint32_t k = 0; k < s.endpoint_count; ++k) {
    const auto& e = endpoints_[s.endpoint_first + k];
    if (e.new_flow_weight() == 0) continue;
    on_ring.push_back({identity(e), k, e.weight});
  }
  const uint32_t count = static_cast<uint32_t>(on_ring.size());
  const auto numbers = maglev_build(on_ring.data(), count, s.seed, s.ring_size);
  auto ring = std::make_shared<uint8_t[]>(s.ring_size * (s.ring_wide() ? size_t{2} : 1));
  for (uint32_t i = 0; i < s.ring_size; ++i) {
    if (!s.ring_wide()) {
      ring[i] = static_cast<uint8_t>(numbers[i]);
      continue;
    }
    ring[size_t{2} * i] = static_cast<uint8_t>(numbers[i]);
    ring[size_t{2} * i + 1] = static_cast<uint8_t>(numbers[i] >> 8);
  }
  return ring;
}

// A ring is taken from the same service of `before`, or from an equal service of this table, and
// built only when neither has it.
void ServiceTable::set_rings(const ServiceTable* before) {
  TagIndex by_content(static_cast<uint32_t>(services_.size()));
  for (uint32_t i = 0; i < services_.size(); ++i) {
    auto& s = services_[i];
    uint32_t choosable = 0;
    const uint64_t hash = ring_hash(s, &choosable);
    if (choosable == 0) continue;
    s.ring_size = maglev_size(choosable);
    const uint32_t equal =
        by_content.find(hash, [&](uint32_t row) { return rings_equal(s, *this, services_[row]); });
    if (equal != TagIndex::kNone) {
      rings_[i] = rings_[equal];
    } else {
      const uint32_t former = before ? before->find_row(s) : TagIndex::kNone;
      const bool known =
          former != TagIndex::kNone && rings_equal(s, *before, before->services_[former]);
      rings_[i] = known ? before->rings_[former] : make_ring(s);
      by_content.add(hash, i);
    }
    s.ring = rings_[i].get();
  }
}

}  // namespace nodeplane
