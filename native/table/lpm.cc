#include "table/lpm.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "table/mix.h"
#include "table/tag_index.h"

namespace nodeplane {
namespace {

// The first `length` bits, the rest zero.
IpAddress masked(const IpAddress& address, uint8_t length) noexcept {
  IpAddress out = address;
  const uint32_t whole = length / 8;
  if (whole == 16) return out;
  out.bytes[whole] &= static_cast<uint8_t>(0xff00 >> (length % 8));
  std::memset(out.bytes + whole + 1, 0, 15 - whole);
  return out;
}

struct Prefix {
  IpAddress address;
  RouteEntry entry;
};

struct Length {
  uint8_t length;
  TagIndex index;
};

// One network's prefixes of one family.
struct Domain {
  uint32_t name;                // network << 8 | family
  std::vector<Length> lengths;  // longest first
};

uint32_t name_of(uint16_t network, uint8_t family) noexcept {
  return uint32_t{network} << 8 | family;
}
uint64_t prefix_hash(uint8_t family, const IpAddress& prefix) noexcept {
  return mix_address(0, family, prefix.bytes);
}
bool row_ok(const RouteRow& r) noexcept {
  if (r.family != 4 && r.family != 6) return false;
  return r.prefix_length <= (r.family == 4 ? 32 : 128) && r.port < kPortMax;
}

}  // namespace

struct Lpm::Impl {
  std::vector<Domain> domains;  // by name
  std::vector<Prefix> prefixes;

  uint32_t find_row(const Length& l, uint8_t family, const IpAddress& prefix) const noexcept {
    return l.index.find(prefix_hash(family, prefix),
                        [&](uint32_t row) { return prefixes[row].address == prefix; });
  }
  void add(Length& l, const RouteRow& row);
  void add_group(const RouteRow* const* rows, size_t count);
};

Lpm::~Lpm() = default;

void Lpm::Impl::add(Length& l, const RouteRow& row) {
  const IpAddress prefix = masked(IpAddress::from_bytes(row.prefix, row.family), row.prefix_length);
  if (find_row(l, row.family, prefix) != TagIndex::kNone) return;
  const bool has_via = row.flags & 1;
  const IpAddress via = has_via ? IpAddress::from_bytes(row.via, row.family) : IpAddress{};
  l.index.add(prefix_hash(row.family, prefix), static_cast<uint32_t>(prefixes.size()));
  prefixes.push_back({prefix, {via, row.port, has_via, row.prefix_length}});
}

// Rows of one network, family and prefix length.
void Lpm::Impl::add_group(const RouteRow* const* rows, size_t count) {
  const RouteRow& first = *rows[0];
  const uint32_t name = name_of(first.network, first.family);
  if (domains.empty() || domains.back().name != name) domains.push_back({name, {}});
  auto& lengths = domains.back().lengths;
  lengths.push_back({first.prefix_length, TagIndex(static_cast<uint32_t>(count))});
  for (size_t i = 0; i < count; ++i) add(lengths.back(), *rows[i]);
}

std::unique_ptr<Lpm> Lpm::build(const RouteRow* rows, uint32_t count) {
  std::vector<const RouteRow*> sorted(count);
  for (uint32_t i = 0; i < count; ++i) {
    if (!row_ok(rows[i])) return nullptr;
    sorted[i] = &rows[i];
  }
  auto group = [](const RouteRow* r) {  // longest first within a domain
    return uint64_t{name_of(r->network, r->family)} << 8 | (128u - r->prefix_length);
  };
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](const RouteRow* a, const RouteRow* b) { return group(a) < group(b); });
  std::unique_ptr<Lpm> lpm(new Lpm);
  lpm->impl_ = std::make_unique<Impl>();
  for (size_t i = 0, end; i < count; i = end) {
    for (end = i + 1; end < count && group(sorted[end]) == group(sorted[i]);) ++end;
    lpm->impl_->add_group(&sorted[i], end - i);
  }
  return lpm;
}

const RouteEntry* Lpm::find(uint16_t network, uint8_t family,
                            const IpAddress& address) const noexcept {
  const auto& domains = impl_->domains;
  const uint32_t name = name_of(network, family);
  const auto domain =
      std::lower_bound(domains.begin(), domains.end(), name,
                       [](const Domain& d, uint32_t wanted) { return d.name < wanted; });
  if (domain == domains.end() || domain->name != name) return nullptr;
  for (const auto& l : domain->lengths) {
    const uint32_t row = impl_->find_row(l, family, masked(address, l.length));
    if (row != TagIndex::kNone) return &impl_->prefixes[row].entry;
  }
  return nullptr;
}

}  // namespace nodeplane
