#pragma once
#include <atomic>
#include <cstdint>
#include <memory>

#include "base/epoch.h"
#include "table/flow_record.h"

namespace nodeplane {

inline constexpr uint32_t kPoolChunkMax = 64;

// Free records: a cache per worker over its own lock-free stack of chunks, over records never used,
// over the stacks of others: so a record comes back to the core that has its lines. A chunk is a chain
// through cold lines; it is read a link per take, ahead of its need, so that nobody waits for one line
// after the other. What was removed waits in its owner's limbo, in groups of one epoch each, until no
// worker can still see it. What workers have off the stacks is a sixteenth of the capacity at most, so
// a table is never called full long before it is.
class FlowPool {
 public:
  FlowPool(FlowCold* cold, uint32_t capacity, uint32_t workers, Epochs& epochs);
  // kRecordNone: none is free.
  uint32_t take(uint32_t worker) noexcept;
  // The record that `ahead` takes from now will give, as far as is known; kRecordNone: it is not.
  uint32_t next(uint32_t worker, uint32_t ahead) const noexcept {
    const Worker& w = workers_[worker];
    if (ahead < w.count) return w.cache[w.count - 1 - ahead];
    return ahead - w.count < w.read_count ? w.read[ahead - w.count] : kRecordNone;
  }
  // Back unused: nobody has seen it.
  void give(uint32_t worker, uint32_t record) noexcept;
  // By the owner, once the record is out of index and wheel.
  void retire(uint32_t worker, uint32_t record) noexcept;
  // Moves what is safe from limbo to the cache; bounded.
  void reclaim(uint32_t worker) noexcept;
  // Before any worker: records below `used` are used, but for those that are given back next.
  void begin_at(uint32_t used) noexcept { unused_.store(used, std::memory_order_relaxed); }
  // Records at or above were never used.
  uint32_t used_end() const noexcept;
  uint32_t capacity() const noexcept { return capacity_; }

 private:
  struct alignas(64) Worker {
    uint32_t count = 0;
    uint32_t open_first = kRecordNone, open_count = 0;               // removed, not yet stamped
    uint32_t closed_first = kRecordNone, closed_last = kRecordNone;  // groups, oldest first
    uint64_t safe = 0;                                               // as last computed
    uint32_t cache[2 * kPoolChunkMax];
    uint32_t coming = kRecordNone, read_count = 0;  // of the next chunk: not yet read, and read
    uint32_t read[kPoolChunkMax];
    alignas(64) std::atomic<uint64_t> chunks{
        kRecordNone};  // (tag << 32) | first record of the top one
  };
  static uint32_t pop(const FlowCold* cold, std::atomic<uint64_t>& chunks) noexcept;
  void read_link(Worker& w) noexcept;
  bool refill(uint32_t worker) noexcept;
  void spill(Worker& w) noexcept;
  void close_group(Worker& w) noexcept;

  FlowCold* cold_;
  const uint32_t capacity_;
  const uint32_t chunk_;
  Epochs& epochs_;
  const uint32_t worker_count_;
  std::unique_ptr<Worker[]> workers_;
  alignas(64) std::atomic<uint32_t> unused_{0};  // first record never used
};

}  // namespace nodeplane
