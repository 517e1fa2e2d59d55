#pragma once
#include <cstring>
#include <vector>

#include "control/load.h"

namespace nodeplane::test {

// A table set as it crosses the border: header, sections, rows. Aligned as table_set_check wants it.
class TableBytes {
 public:
  explicit TableBytes(const TableSet& set)
      : words_((sizeof(TablesHeader) + kSectionCount * sizeof(SectionRow)) / 8) {
    add(Section::kSettings, set.settings, set);
    add(Section::kPorts, set.ports, set);
    add(Section::kAddresses, set.addresses, set);
    add(Section::kRoutes, set.routes, set);
    add(Section::kNeighbours, set.neighbours, set);
    add(Section::kServices, set.services, set);
    add(Section::kEndpoints, set.endpoints, set);
    add(Section::kPodRanges, set.pod_ranges, set);
    add(Section::kSnatSources, set.snat_sources, set);
    add(Section::kZones, set.zones, set);
    add(Section::kRemovedServices, set.removed_services, set);
    const TablesHeader header{kTablesMagic,  kTablesVersion,      static_cast<uint32_t>(size()),
                              kSectionCount, set.base_generation, 0};
    std::memcpy(words_.data(), &header, sizeof header);
  }
  const uint8_t* data() const { return reinterpret_cast<const uint8_t*>(words_.data()); }
  size_t size() const { return 8 * words_.size(); }

 private:
  template <class Row>
  void add(Section section, const Row* rows, const TableSet& set) {
    const auto kind = static_cast<uint32_t>(section);
    const SectionRow row{kind, static_cast<uint32_t>(size()), set.size(section), sizeof(Row)};
    auto* bytes = reinterpret_cast<uint8_t*>(words_.data());
    std::memcpy(bytes + sizeof(TablesHeader) + kind * sizeof row, &row, sizeof row);
    const size_t from = words_.size(), length = row.count * sizeof(Row);
    words_.resize(from + (length + 7) / 8);
    if (length != 0) std::memcpy(words_.data() + from, rows, length);
  }
  std::vector<uint64_t> words_;
};

}  // namespace nodeplane::test
