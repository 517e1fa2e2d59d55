#pragma once
#include <vector>

#include "packet/batch.h"
#include "table/flow.h"
#include "table/lpm.h"
#include "table/neighbours.h"
#include "table/service_table.h"

namespace nodeplane {

inline constexpr uint32_t kWaitingMax = 256;  // packets of one worker that wait for neighbours
inline constexpr uint32_t kWaitingPerNeighbour = 4;
inline constexpr uint32_t kKnownBits = 9;       // 512 destinations whose way a worker remembers
inline constexpr uint32_t kWaitingLookMs = 10;  // between looks at them when nothing changed
static_assert(kWaitingMax <= kBatchSize);

// route: to which neighbour? may it still live, does it fit? Decides from the addresses the packet
// will wear; learns neighbours from what parse read; holds packets until a neighbour answers.
// reads   side key flags ttl length links     writes  next_hop port_out, the record's next hop, batch.owed
// table   compile/routes.ts                   state   waiting packets, ways to endpoints
// drops   no_route ttl_exceeded too_big needs_fragmenting neighbour_unresolved neighbour_queue_full
//         neighbour_table_full local_unclaimed not_forwardable bad_ethertype
// why     RFC 1812 section 5.2-5.3, RFC 8200, RFC 826, RFC 4861
struct Route {
  static constexpr const char* kName = "route";
  struct Local {  // an address of a port or of the node, delivered here
    IpAddress address;
    uint16_t network, port;  // port_none: the node's, any port
    uint8_t family, prefix_length;
  };
  struct Table {
    const Lpm* lpm = nullptr;
    NeighbourTable* neighbours = nullptr;
    PortRow ports[kPortMax];
    uint32_t port_mtu[kPortMax] = {};  // the smaller of the wish and the driver's
    uint32_t port_count = 0;
    std::vector<Local> locals;  // sorted by (network, family, address)
    // Their virtual addresses are delivered here too, and answered for on every port.
    const ServiceTable* services = nullptr;
    uint32_t retry_ms = 1000, tries = 3, reachable_ms = 30000;
  };
  // A packet that waits, with what its batch knew of it. The record may be gone when the neighbour
  // answers, so its decision is copied; packet.side points here once the packet walks again.
  struct Waiting {
    alignas(64) uint8_t side[sizeof(SideV6)];
    Packet packet;
    LinkNews link;
    IpAddress target;  // the neighbour's address
  };
  // Where flows to an endpoint go, found once per generation of the routes. Its neighbour is pinned.
  struct Known {
    IpAddress to;
    uint32_t generation = 0;
    uint32_t neighbour = kNextHopNone;
    uint16_t network = 0;
    uint8_t family = 0;
  };
  struct State {
    State() noexcept {
      for (uint16_t i = 0; i < 2 * kWaitingMax; ++i) free[free_count++] = i;
    }
    // Those of the last wake stay until the next one, since their packets point into them.
    Waiting waiting[2 * kWaitingMax];
    uint16_t free[2 * kWaitingMax];
    uint16_t order[kWaitingMax];  // waiting ones by arrival
    uint16_t woken[kWaitingMax];
    uint32_t free_count = 0, waiting_count = 0, woken_count = 0;
    uint64_t seen_changes = 0;
    Time look_at = 0;
    Known known[1u << kKnownBits];  // by a hash of the address, the last one there
    bool closing = false;           // nothing is held any more
  };
  static void run(Batch& batch, const Table& table, State& state) noexcept;
};

// Puts packets whose neighbour has answered (or failed) into an empty batch, to walk the corridor's
// rest; asks again for those that still wait. `all`: everything leaves, unresolved ones as drops.
void route_wake(Batch& batch, const Route::Table& table, Route::State& state, bool all) noexcept;

}  // namespace nodeplane
