#pragma once
#include <memory>
#include <string>

#include "driver/driver.h"
#include "path/tables.h"

namespace nodeplane {

// What tables refer to and do not own.
struct LoadContext {
  FlowTable<V4>* flows4;
  FlowTable<V6>* flows6;
  PortPool* ports;
  NeighbourTable* neighbours;
  FrameArena* arena;
  Port* const* drivers;
  uint32_t driver_count;
  HashSeed seed;
  HashKind hash;
  uint32_t generation;
  const Tables* before;  // or null
};

// A table set as TypeScript compiled it, checked down to the last offset. A change has rows of
// services, endpoints and removed services only.
struct TableSet {
  uint32_t base_generation;  // that a change goes upon; 0: a whole set
  const SettingsRow* settings;
  const PortRow* ports;
  const AddressRow* addresses;
  const RouteRow* routes;
  const NeighbourRow* neighbours;
  const ServiceRow* services;
  const EndpointRow* endpoints;
  const PodRangeRow* pod_ranges;
  const SnatSourceRow* snat_sources;
  const ZoneRow* zones;
  const RemovedServiceRow* removed_services;
  uint32_t count[kSectionCount];

  uint32_t size(Section s) const noexcept { return count[static_cast<uint32_t>(s)]; }
};

// False with a reason when the bytes are not a table set. `bytes` is 8-byte aligned.
bool table_set_check(const uint8_t* bytes, size_t size, TableSet* out, std::string* error);

// Bytes -> Tables. Builds rings and lookup structures, of a change those that it touches; changes no
// running state but the port pool's list of sources. Null with a reason.
std::unique_ptr<Tables> load(const TableSet& set, const LoadContext& context, std::string* error);

// What a new set changes at once, when it is certain to be published as `next`: timers and static
// neighbours; a change becomes its base's successor.
void load_apply(const TableSet& set, const LoadContext& context, Tables& next);

}  // namespace nodeplane
