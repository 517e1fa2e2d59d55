#pragma once
#include "packet/batch.h"

namespace nodeplane {

struct Tables;
struct States;

// express: the corridor in one go for what needs no thought: a plain TCP or UDP packet, in one frame,
// of a connection that is known, calm (no state of it changes), and has its next hop cached. It fuses
// parse, find, route, rewrite and output, and changes nothing that those would not change: bytes,
// records, counters, lists. Everything else walks the corridor behind it, in order.
// reads   the frame, packet.data length linear port_in flags gso, the record
// writes  the frame, the record's counters, packet.length linear port_out verdict, the lists; batch.live: who is left
// table   those of the stages; ports as ExpressTable holds them
// drops   none: what might be dropped is left to the stage that drops it
// why     a known flow's packet costs a third of what the stages cost one by one (bench path)
struct ExpressTable {
  static constexpr uint64_t kMacClosed = ~uint64_t{0};  // more than six bytes: no packet's
  struct Port {
    uint64_t mac = 0;              // six bytes, as they lie
    uint64_t mac_in = kMacClosed;  // that of what comes in by it and may go express
    uint16_t network = 0;
    uint32_t mtu = 0;    // of what may leave by it; 0: nothing
    bool judge = false;  // sums may be partial without a mark
  };
  Port ports[kPortMax];
  bool wide = false;  // by whole steps, where the kernels in use are AVX-512's
};

struct ExpressState {
  uint32_t pause = 0;       // batches that do not try, since hardly a packet of the last one could
  uint64_t wide_steps = 0;  // that left at once
};

bool express_is_wide() noexcept;
void express(Batch& batch, const Tables& tables, States& states) noexcept;

}  // namespace nodeplane
