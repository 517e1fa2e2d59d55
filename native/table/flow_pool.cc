#include "table/flow_pool.h"

#include <algorithm>

#include "base/cpu.h"

namespace nodeplane {
namespace {

constexpr uint32_t kGroupMax = 64;     // records of one epoch in limbo
constexpr uint32_t kReclaimMax = 512;  // records per call
constexpr uint32_t kHeldShare = 48;    // a worker holds 3 chunks: 2 cached, 1 being read

uint32_t chunk_of(uint32_t capacity, uint32_t workers) noexcept {
  return std::clamp(capacity / (kHeldShare * workers), 1u, kPoolChunkMax);
}

}  // namespace

FlowPool::FlowPool(FlowCold* cold, uint32_t capacity, uint32_t workers, Epochs& epochs)
    : cold_(cold),
      capacity_(capacity),
      chunk_(chunk_of(capacity, workers)),
      epochs_(epochs),
      worker_count_(workers),
      workers_(new Worker[workers]) {}

uint32_t FlowPool::take(uint32_t worker) noexcept {
  Worker& w = workers_[worker];
  if (__builtin_expect(w.count == 0, 0) && !refill(worker)) {
    reclaim(worker);
    if (w.count == 0) return kRecordNone;
  }
  if (__builtin_expect(w.coming != kRecordNone, 1)) read_link(w);
  return w.cache[--w.count];
}

void FlowPool::give(uint32_t worker, uint32_t record) noexcept {
  Worker& w = workers_[worker];
  if (__builtin_expect(w.count == 2 * chunk_, 0)) spill(w);
  w.cache[w.count++] = record;
}

// A chunk's first record, or kRecordNone.
uint32_t FlowPool::pop(const FlowCold* cold, std::atomic<uint64_t>& chunks) noexcept {
  uint64_t head = chunks.load(std::memory_order_acquire), want;
  do {
    if (static_cast<uint32_t>(head) == kRecordNone) return kRecordNone;
    // May be read while somebody else already uses the record: then the tag has moved on.
    const uint32_t next = cold[static_cast<uint32_t>(head)].back.load(std::memory_order_relaxed);
    want = ((head >> 32) + 1) << 32 | next;
  } while (!chunks.compare_exchange_weak(head, want, std::memory_order_acq_rel,
                                         std::memory_order_acquire));
  return static_cast<uint32_t>(head);
}

// One record more of the chunk that comes next. The one behind it will be there when it is asked for.
void FlowPool::read_link(Worker& w) noexcept {
  w.read[w.read_count++] = w.coming;
  w.coming = cold_[w.coming].next.load(std::memory_order_relaxed);
  if (w.coming != kRecordNone) prefetch_to_write(cold_ + w.coming);
}

bool FlowPool::refill(uint32_t worker) noexcept {
  Worker& w = workers_[worker];
  if (w.read_count == 0 && w.coming == kRecordNone) w.coming = pop(cold_, w.chunks);
  if (w.coming == kRecordNone && w.read_count == 0 &&
      unused_.load(std::memory_order_relaxed) < capacity_) {
    const uint32_t from = unused_.fetch_add(chunk_, std::memory_order_relaxed);
    for (uint32_t r = std::min(from + chunk_, capacity_); r > from; --r) w.cache[w.count++] = r - 1;
    if (w.count != 0) return true;
  }
  for (uint32_t i = 1; i < worker_count_ && w.coming == kRecordNone && w.read_count == 0; ++i)
    w.coming = pop(cold_, workers_[(worker + i) % worker_count_].chunks);
  while (w.coming != kRecordNone) read_link(w);
  while (w.read_count != 0) w.cache[w.count++] = w.read[--w.read_count];
  if (w.count == 0) return false;
  w.coming = pop(cold_, w.chunks);
  return true;
}

// One chunk from the cache's bottom, where the coldest records are.
void FlowPool::spill(Worker& w) noexcept {
  for (uint32_t i = 0; i < chunk_; ++i) {
    const uint32_t next = i + 1 < chunk_ ? w.cache[i + 1] : kRecordNone;
    cold_[w.cache[i]].next.store(next, std::memory_order_relaxed);
  }
  const uint32_t first = w.cache[0];
  w.count -= chunk_;
  std::copy(w.cache + chunk_, w.cache + chunk_ + w.count, w.cache);
  uint64_t head = w.chunks.load(std::memory_order_relaxed), want;
  do {
    cold_[first].back.store(static_cast<uint32_t>(head), std::memory_order_relaxed);
    want = ((head >> 32) + 1) << 32 | first;
  } while (!w.chunks.compare_exchange_weak(head, want, std::memory_order_release,
                                           std::memory_order_relaxed));
}

void FlowPool::retire(uint32_t worker, uint32_t record) noexcept {
  Worker& w = workers_[worker];
  cold_[record].next.store(w.open_first, std::memory_order_relaxed);
  w.open_first = record;
  if (++w.open_count == kGroupMax) close_group(w);
}

void FlowPool::close_group(Worker& w) noexcept {
  FlowCold& head = cold_[w.open_first];
  head.retired_at = epochs_.retire();
  head.back.store(kRecordNone, std::memory_order_relaxed);
  if (w.closed_first == kRecordNone)
    w.closed_first = w.open_first;
  else
    cold_[w.closed_last].back.store(w.open_first, std::memory_order_relaxed);
  w.closed_last = w.open_first;
  w.open_first = kRecordNone;
  w.open_count = 0;
}

// While a group waits, the next one gathers: a worker that was away for long leaves few large groups
// behind, not one per batch.
void FlowPool::reclaim(uint32_t worker) noexcept {
  Worker& w = workers_[worker];
  for (uint32_t records = 0; records < kReclaimMax;) {
    if (w.closed_first == kRecordNone) {
      if (w.open_count == 0) return;
      close_group(w);
    }
    const uint32_t first = w.closed_first;
    if (cold_[first].retired_at >= w.safe) w.safe = epochs_.safe();
    if (cold_[first].retired_at >= w.safe) return;
    w.closed_first = cold_[first].back.load(std::memory_order_relaxed);
    if (w.closed_first == kRecordNone) w.closed_last = kRecordNone;
    for (uint32_t r = first; r != kRecordNone; ++records) {
      const uint32_t next = cold_[r].next.load(std::memory_order_relaxed);
      // A worker may have posted a notice just before the removal. Whoever could do so has passed a
      // quiescent point by now, so a mark that is still missing here will not come any more.
      if (cold_[r].posted.load(std::memory_order_acquire) != 0)
        retire(worker, r);
      else
        give(worker, r);
      r = next;
    }
  }
}

uint32_t FlowPool::used_end() const noexcept {
  return std::min(unused_.load(std::memory_order_acquire), capacity_);
}

}  // namespace nodeplane
