#pragma once
#include "packet/batch.h"
#include "table/neighbours.h"

namespace nodeplane {

// rewrite: names -> bytes. Writes everything: addresses, ports, sums, TTL, Ethernet, ICMP errors'
// inner packet; finishes partial checksums that the outgoing port cannot carry.
// reads   side next_hop port_out flags offsets      writes  the frame
// table   ports (MAC, capability), neighbours       state   none
// drops   bad_partial_checksum
// why     RFC 1624 eqn. 3, RFC 768 (zero sum), RFC 5508 section 7.1, RFC 1812 section 5.3.1
struct Rewrite {
  static constexpr const char* kName = "rewrite";
  struct Table {
    const NeighbourTable* neighbours = nullptr;
    PortRow ports[kPortMax];
    bool partial_out[kPortMax] = {};  // PortCaps.partial_checksum_out
    uint32_t port_count = 0;
    const FrameArena* arena = nullptr;  // to walk chains
  };
  struct State {};
  static void run(Batch& batch, const Table& table, State& state) noexcept;
};

}  // namespace nodeplane
