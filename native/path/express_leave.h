#pragma once
#include "path/express_lane.h"
#include "path/tables.h"

namespace nodeplane::express_lane {

inline constexpr uint32_t kMarks = 4096;  // a power of two

// The packets of a batch that must walk, and marks of their connections: who comes behind one of
// them in its connection walks behind it.
struct Walkers {
  uint64_t bits[kBatchRoom / 64 + 1] = {};
  uint32_t count = 0;
  uint64_t marks[kMarks / 64];

  void mark(uint32_t what) noexcept {
    if (count++ == 0) std::memset(marks, 0, sizeof marks);
    what &= kMarks - 1;
    marks[what / 64] |= uint64_t{1} << (what % 64);
  }
  bool marked(uint32_t what) const noexcept {
    what &= kMarks - 1;
    return count != 0 && (marks[what / 64] >> (what % 64) & 1) != 0;
  }
  void add(uint32_t index) noexcept { bits[index / 64] |= uint64_t{1} << (index % 64); }
};

// One packet's whole way out. What it needs of the tables, looked up once per batch.
struct Way {
  Batch& batch;
  const Tables& tables;
  Walkers& walkers;
  uint32_t generation;
  uint32_t all_calm;  // the same while nobody walks: then a look at a record's generation is enough
  uint32_t now_ms;
  uint32_t hop_tag;  // of a next hop found in the routes' generation
  Time reachable;    // what was confirmed before this is old
  Exit* exits;       // by port
  uint32_t least_mtu = ~0u;
  uint32_t wide_steps = 0;
};

// The packets of a step leave, or walk.
template <class F>
void leave(Way& way, Lane<F>& lane) noexcept;

}  // namespace nodeplane::express_lane
