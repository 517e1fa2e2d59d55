#pragma once
#include "path/express_lane.h"

namespace nodeplane::express_lane {

// Whole steps of plain packets at once, with AVX-512. The meaning is that of read_run and leave.

// Reads the step's 16 packets at `p` into the empty lane. False: they must be read one by one.
bool read_wide(Packet* p, const ExpressTable::Port* ports, Lane<V4>& lane) noexcept;
bool read_wide(Packet* p, const ExpressTable::Port* ports, Lane<V6>& lane) noexcept;

// What leaving needs of the tables and of the batch.
struct WideWay {
  const void* sides;
  Exit* exits;
  uint32_t generation, hop_tag, now_ms, calm_ms, least_mtu;
};
// Whether all packets of the lane's guesses are known, calm and fit; notes their next hops.
bool is_calm_wide(const WideWay& way, Lane<V4>& lane) noexcept;
bool is_calm_wide(const WideWay& way, Lane<V6>& lane) noexcept;
// All of them leave.
void leave_wide(const WideWay& way, Lane<V4>& lane) noexcept;
void leave_wide(const WideWay& way, Lane<V6>& lane) noexcept;

}  // namespace nodeplane::express_lane
