#pragma once
#include <atomic>
#include <cstdint>

#include "gen/layout.h"
#include "table/flow.h"

namespace nodeplane {

inline constexpr uint16_t kTimerSlotNone = 0xffff;
inline constexpr uint8_t kFlowListNone = 0xff;

// The cold line of a connection: what a hit does not need. Ids and hashes are immutable from commit to
// retirement, timer and list belong to the worker that kept the record (its owner). `state` commits: it is
// stored last when a record is made, and first when one is removed (docs/survival.md).
struct alignas(64) FlowCold {
  std::atomic<uint32_t> state;  // FlowState; kNone: not live
  uint32_t hash[2];             // of the two keys: where the index holds them
  uint32_t service, endpoint;
  uint32_t snat_grant;
  uint8_t zone;  // an accounting label, no part of the key
  uint8_t list;  // of its zone and class (FlowLists), or none: as the owner last saw it
  uint8_t snat;
  uint8_t protocol;
  uint8_t owner;
  uint8_t single;       // the reply key equals the original one: indexed once
  uint16_t timer_slot;  // level << 8 | slot
  uint32_t timer_due;   // low 32 bits of the tick
  uint32_t check;       // flow_check of the immutable part, stored before the commit
  union {
    struct {
      uint32_t timer_next, timer_prev;
    };
    uint64_t retired_at;  // epoch, of the first record of a group in limbo
  };
  std::atomic<uint32_t> next;         // in its list; free: in its chunk; in limbo: in its group
  std::atomic<uint32_t> back;         // in its list; of a chunk's or group's first: the next one
  std::atomic<uint32_t> notice_next;  // in the owner's stack of notices
  std::atomic<uint8_t> posted;        // is in that stack
  uint8_t retired;                    // owner only: has gone to limbo
};
static_assert(sizeof(FlowCold) == 64);

// Sides are numbered, those of all originals before those of all answers; an index entry is such a
// number. So packets of one direction touch half as many pages as lie in between: what a page walk
// needs stays in the caches for twice as many connections (bench/README.md).
struct FlowSides {
  uint32_t records = 0;

  constexpr uint32_t entry(uint32_t record, uint32_t direction) const noexcept {
    return direction == 0 ? record : records + record;
  }
  constexpr uint32_t direction(uint32_t entry) const noexcept { return entry < records ? 0 : 1; }
  constexpr uint32_t record(uint32_t entry) const noexcept {
    return entry < records ? entry : entry - records;
  }
};

// Where a family's records lie.
template <class F>
struct FlowRecords {
  typename F::Side* sides = nullptr;  // two of each record
  FlowCold* cold = nullptr;
  uint32_t capacity = 0;

  typename F::Side& side(uint32_t record, uint32_t direction) const noexcept {
    return sides[FlowSides{capacity}.entry(record, direction)];
  }
};

}  // namespace nodeplane
