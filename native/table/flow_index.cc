#include "table/flow_index.h"

#include <thread>

#include "table/flow_state.h"

namespace nodeplane {
namespace {

constexpr uint32_t kLockBit = 1;
constexpr uint32_t kOverflowOne = 2;
constexpr uint32_t kBucketsMin = 8;
// A holder is done within some hundred cycles. Past this many looks it has lost its core, and
// spinning on would only keep it from coming back.
constexpr uint32_t kSpinMax = 20000;

inline void relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// The control word is changed by the lock's holder only, but for others' attempts to set bit 0.
void overflow_add(FlowBucket* home, uint32_t change) noexcept {
  const uint32_t word = home->control.load(std::memory_order_relaxed);
  home->control.store((word | kLockBit) + change, std::memory_order_release);
}

uint32_t free_slot(const FlowBucket* bucket, const FlowSpot& taken) noexcept {
  for (uint32_t mask = probe_tags(bucket->tags, 0); mask != 0; mask &= mask - 1) {
    const uint32_t slot = static_cast<uint32_t>(__builtin_ctz(mask));
    if (bucket != taken.bucket || slot != taken.slot) return slot;
  }
  return FlowIndex::kSlotNone;
}

}  // namespace

FlowLocks::FlowLocks(FlowBucket* const* buckets, uint32_t count) noexcept {
  for (uint32_t i = 0; i < count; ++i) {  // insertion sort without doubles
    uint32_t at = 0;
    while (at < count_ && held_[at] < buckets[i]) ++at;
    if (at < count_ && held_[at] == buckets[i]) continue;
    for (uint32_t j = count_++; j > at; --j) held_[j] = held_[j - 1];
    held_[at] = buckets[i];
  }
  for (uint32_t i = 0; i < count_; ++i) lock(held_[i]);
}

FlowLocks::~FlowLocks() {
  for (uint32_t i = count_; i > 0; --i) unlock(held_[i - 1]);
}

bool FlowLocks::holds(const FlowBucket* bucket) const noexcept {
  for (uint32_t i = 0; i < count_; ++i) {
    if (held_[i] == bucket) return true;
  }
  return false;
}

void FlowLocks::wait(FlowBucket* bucket) noexcept {
  for (uint32_t spins = 0; !try_lock(bucket); ++spins) {
    if (spins < kSpinMax)
      relax();
    else
      std::this_thread::yield();
  }
}

uint32_t FlowIndex::buckets_for(uint32_t capacity) noexcept {
  const uint64_t per_cent = uint64_t{kProbeTags} * kLoadPercent;
  const uint64_t need = (uint64_t{capacity} * 2 * 100 + per_cent - 1) / per_cent;
  return need < kBucketsMin ? kBucketsMin : static_cast<uint32_t>(need);
}

bool FlowIndex::reserve(uint32_t hash, const FlowSpot& taken, const FlowLocks& locks,
                        bool both_locked, FlowSpot* spot) noexcept {
  FlowBucket* const home = first(hash);
  uint32_t slot = free_slot(home, taken);
  if (slot != kSlotNone) {
    *spot = FlowSpot{home, slot, home};
    return true;
  }
  if (!both_locked) return false;
  FlowBucket* const other = second(hash);
  slot = free_slot(other, taken);
  if (slot != kSlotNone) {
    *spot = FlowSpot{other, slot, home};
    return true;
  }
  // Nobody moves back, and whoever moved costs each of its packets a line more. So those move first that
  // are soon over; of the others the last slots' ones, as the first slots' came when there was room.
  for (const bool established : {false, true}) {
    for (FlowBucket* bucket : {home, other}) {
      for (slot = kProbeTags; slot-- > 0;) {
        if (!move_away(bucket, slot, established, taken, locks)) continue;
        *spot = FlowSpot{bucket, slot, home};
        return true;
      }
    }
  }
  return false;
}

// Copied, then cleared: a reader finds the entry in one bucket or in the other. Locks beyond the
// held ones are only tried, so that their order does not matter.
bool FlowIndex::move_away(FlowBucket* from, uint32_t slot, bool established, const FlowSpot& taken,
                          const FlowLocks& locks) noexcept {
  const uint16_t tag = from->tags[slot].load(std::memory_order_relaxed);
  if (tag == 0) return false;  // promised to the other key
  const uint32_t entry = from->entries[slot].load(std::memory_order_relaxed);
  const FlowCold& c = cold_[sides_.record(entry)];
  const auto state = static_cast<FlowState>(c.state.load(std::memory_order_relaxed));
  if ((flow_class(state) == FlowClass::kEstablished) != established) return false;
  const uint32_t hash = c.hash[sides_.direction(entry)];
  if (first(hash) != from) return false;
  FlowBucket* const to = second(hash);
  const bool held = locks.holds(to);
  if (!held && !FlowLocks::try_lock(to)) return false;
  const uint32_t room = free_slot(to, taken);
  if (room != kSlotNone) {
    to->entries[room].store(entry, std::memory_order_release);
    to->tags[room].store(tag, std::memory_order_release);
    overflow_add(from, kOverflowOne);
    from->tags[slot].store(0, std::memory_order_release);
  }
  if (!held) FlowLocks::unlock(to);
  return room != kSlotNone;
}

void FlowIndex::publish(const FlowSpot& spot, uint32_t hash, uint32_t entry) noexcept {
  put(spot.bucket, spot.slot, hash, entry);
  if (spot.home != spot.bucket) overflow_add(spot.home, kOverflowOne);
}

bool FlowIndex::locate(uint32_t hash, uint32_t entry, FlowSpot* spot) const noexcept {
  FlowBucket* const home = first(hash);
  for (FlowBucket* bucket : {home, second(hash)}) {
    const uint32_t slot = slot_of(bucket, hash, entry);
    if (slot == kSlotNone) continue;
    *spot = FlowSpot{bucket, slot, home};
    return true;
  }
  return false;
}

void FlowIndex::clear(const FlowSpot& spot) noexcept {
  spot.bucket->tags[spot.slot].store(0, std::memory_order_release);
  if (spot.home != spot.bucket) overflow_add(spot.home, 0u - kOverflowOne);
}

}  // namespace nodeplane
