#pragma once
#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

#include "base/memory.h"
#include "base/sum.h"
#include "table/flow_lists.h"
#include "table/flow_pool.h"
#include "table/flow_table.h"
#include "table/flow_wheel.h"

namespace nodeplane {

// What flow_table.cc, flow_keep.cc, flow_time.cc and flow_evict.cc share and nobody else needs.

inline constexpr uint32_t kFlowTimeoutMax =
    0x7fffffff;  // ages are 31 bits of milliseconds: 24 days

// Zeroed private memory, given back with the table.
struct FlowRegion {
  void* base = nullptr;
  size_t bytes = 0;
  FlowRegion() = default;
  FlowRegion(size_t n, bool huge) noexcept : base(memory_map(n, huge, nullptr)), bytes(n) {}
  FlowRegion(FlowRegion&& o) noexcept : base(std::exchange(o.base, nullptr)), bytes(o.bytes) {}
  FlowRegion& operator=(FlowRegion&& o) noexcept {
    std::swap(base, o.base);
    std::swap(bytes, o.bytes);
    return *this;
  }
  ~FlowRegion() {
    if (base != nullptr) memory_unmap(base, bytes);
  }
};

// What a packet with `key` becomes: the mirror of the opposite direction's key.
template <class Side, class Key>
void set_rewrite(Side& s, const Key& key, const Key& opposite) noexcept {
  s.key = key;
  std::memcpy(&s.new_src, &opposite.dst, sizeof s.new_src);
  std::memcpy(&s.new_dst, &opposite.src, sizeof s.new_dst);
  s.new_sport = opposite.dport;
  s.new_dport = opposite.sport;
  if constexpr (sizeof(Key) == sizeof(KeyV4)) s.l3_delta = l3_delta(key, s.new_src, s.new_dst);
  s.l4_delta = l4_delta(key, s.new_src, s.new_dst, s.new_sport, s.new_dport);
}

template <class F>
struct FlowTable<F>::Impl {
  struct alignas(64) Worker {
    FlowWheel wheel;
    FlowLists lists;
    uint32_t pending = kRecordNone;  // notices taken, not yet read
    bool leaping = false;            // time has leapt further than last_seen can tell
    uint32_t leap_ms = 0;
    uint32_t turn = 0;                          // whose lists eviction looks at next
    uint32_t after_list = 0;                    // of whom: where its last eviction from another's
    uint32_t after = kRecordNone;               // list left off
    uint64_t told = 0;                          // owners of what was removed, a bit each
    std::atomic<uint64_t> kept{0}, removed{0};  // by this worker
    struct {
      std::atomic<uint64_t> kept{0}, refused{0}, evicted[kFlowClassCount] = {};
    } zones[kZoneMax];
    alignas(64) std::atomic<uint32_t> notices{kRecordNone};  // pushed by others
  };
  Impl(FlowCold* cold, uint32_t records, const Options& o, Epochs& e)
      : epochs(e),
        pool(cold, records, o.workers, e),
        zones(o.capacity, o.workers),
        workers(new Worker[o.workers]),
        worker_count(o.workers) {
    for (uint32_t i = 0; i < o.workers; ++i) {
      workers[i].wheel = FlowWheel(cold);
      workers[i].lists.attach(cold);
    }
  }
  Epochs& epochs;
  FlowPool pool;
  FlowZones zones;
  std::unique_ptr<Worker[]> workers;
  uint32_t worker_count;
  FlowRegion side_memory, cold_memory, index_memory;
};

inline void count_one(std::atomic<uint64_t>& counter) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

}  // namespace nodeplane
