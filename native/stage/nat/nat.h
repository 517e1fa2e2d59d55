#pragma once
#include <vector>

#include "packet/batch.h"
#include "stage/zone.h"
#include "table/port_pool.h"

namespace nodeplane {

// nat: chooses the address and port a packet wears outside.
// reads   decisions (kBalance)       writes  their masquerade, new source, grant, zone
// table   compile/nat.ts             state   worker (its slice of the port pool)
// refuses snat_port_exhausted snat_zone_full no_snat_address
// why     RFC 4787 REQ-1 (mapping), REQ-9 (hairpin); facts of kube-proxy's masquerade rules
struct Nat {
  static constexpr const char* kName = "nat";
  struct Table {
    PortPool* ports = nullptr;
    std::vector<PodRangeRow> pod_ranges;
    ZoneRules zones;
  };
  struct State {
    uint32_t worker = 0;
  };
  static void run(Batch& batch, const Table& table, State& state) noexcept;
};

}  // namespace nodeplane
