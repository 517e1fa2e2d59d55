#pragma once
#include <atomic>
#include <cstdint>

#include "kernel/kernels.h"
#include "kernel/probe.h"
#include "table/flow_record.h"

namespace nodeplane {

// One line: 10 tags, 10 entries (FlowSides), and a control word: bit 0 is the lock of
// whoever adds or removes, the rest counts the entries whose first bucket this is but which live in
// their second. A reader goes on to the second bucket only when that count is not zero.
struct alignas(64) FlowBucket {
  std::atomic<uint16_t> tags[kProbeTags];  // 0: free
  std::atomic<uint32_t> control;
  std::atomic<uint32_t> entries[kProbeTags];

  uint32_t overflowed() const noexcept { return control.load(std::memory_order_acquire) >> 1; }
};
static_assert(sizeof(FlowBucket) == kGuessLineBytes);

// Where an entry stands, or will: `home` is its first bucket.
struct FlowSpot {
  FlowBucket* bucket = nullptr;
  uint32_t slot = 0;
  FlowBucket* home = nullptr;
};

// The buckets that one keep or removal holds, locked in the order of their addresses.
class FlowLocks {
 public:
  static constexpr uint32_t kMax = 4;
  FlowLocks(FlowBucket* const* buckets, uint32_t count) noexcept;
  ~FlowLocks();
  FlowLocks(const FlowLocks&) = delete;
  FlowLocks& operator=(const FlowLocks&) = delete;
  bool holds(const FlowBucket* bucket) const noexcept;
  static bool try_lock(FlowBucket* bucket) noexcept {
    if (bucket->control.load(std::memory_order_relaxed) & 1) return false;
    return (bucket->control.fetch_or(1, std::memory_order_acquire) & 1) == 0;
  }
  static void lock(FlowBucket* bucket) noexcept {
    if (__builtin_expect(!try_lock(bucket), 0)) wait(bucket);
  }
  static void unlock(FlowBucket* bucket) noexcept {
    const uint32_t word = bucket->control.load(std::memory_order_relaxed);
    bucket->control.store(word & ~1u, std::memory_order_release);
  }

 private:
  static void wait(FlowBucket* bucket) noexcept;

  FlowBucket* held_[kMax];
  uint32_t count_ = 0;
};

// Two buckets that nearly every keep and removal needs no more than: one's key's first, and the
// other's.
class FlowPair {
 public:
  FlowPair(FlowBucket* a, FlowBucket* b) noexcept : low_(a < b ? a : b), high_(a < b ? b : a) {
    FlowLocks::lock(low_);
    if (high_ != low_) FlowLocks::lock(high_);
  }
  ~FlowPair() {
    if (high_ != low_) FlowLocks::unlock(high_);
    FlowLocks::unlock(low_);
  }
  FlowPair(const FlowPair&) = delete;
  FlowPair& operator=(const FlowPair&) = delete;
  // Whether a key of theirs may live elsewhere.
  bool overflowed() const noexcept { return (low_->overflowed() | high_->overflowed()) != 0; }

 private:
  FlowBucket* const low_;
  FlowBucket* const high_;
};

// The bucketed index over both directions' keys. It knows hashes and entries, not keys. Buckets are
// 60 % full at capacity, so that nearly every key lives in its first bucket.
class FlowIndex {
 public:
  static constexpr uint32_t kLoadPercent = 60;
  static constexpr uint32_t kSlotNone = 0x80;  // more than any slots together, bit by bit
  static uint32_t buckets_for(uint32_t capacity) noexcept;
  void attach(FlowBucket* buckets, uint32_t count, const FlowCold* cold,
              uint32_t records) noexcept {
    buckets_ = buckets;
    count_ = count;
    cold_ = cold;
    sides_ = {records};
  }
  const FlowSides& sides() const noexcept { return sides_; }

  GuessLines lines(const void* sides, uint32_t side_bytes) const noexcept {
    return GuessLines{buckets_, count_, sides, side_bytes};
  }
  static uint16_t tag_of(uint32_t hash) noexcept { return probe_tag(hash); }
  FlowBucket* first(uint32_t hash) const noexcept {
    return buckets_ + ((static_cast<uint64_t>(hash) * count_) >> 32);
  }
  FlowBucket* second(uint32_t hash) const noexcept {
    uint32_t h = (hash ^ (hash >> 15)) * 0x2c1b3c6du;
    h = (h ^ (h >> 12)) * 0x297a2d39u;
    FlowBucket* b = buckets_ + ((static_cast<uint64_t>(h) * count_) >> 32);
    if (b != first(hash)) return b;
    return b + 1 == buckets_ + count_ ? buckets_ : b + 1;
  }

  // The first entry under this hash that `matches(entry)`, or kRecordNone. Takes no lock. Entries
  // only ever move from their first bucket to their second, copied before they are cleared, so
  // looking in this order misses nothing.
  template <class Matches>
  uint32_t find(uint32_t hash, Matches matches) const noexcept {
    const uint16_t tag = tag_of(hash);
    const FlowBucket* b = first(hash);
    for (bool again = true;; again = false) {
      for (uint32_t mask = probe_tags(b->tags, tag); mask != 0; mask &= mask - 1) {
        const uint32_t entry = b->entries[__builtin_ctz(mask)].load(std::memory_order_acquire);
        if (matches(entry)) return entry;
      }
      if (__builtin_expect(!again || b->overflowed() == 0, 1)) return kRecordNone;
      b = second(hash);
    }
  }

  // -- with the buckets locked --
  // The entry under this hash in its first bucket that `matches(entry)`, or kRecordNone.
  template <class Matches>
  uint32_t match(const FlowBucket* b, uint32_t hash, Matches matches) const noexcept {
    for (uint32_t mask = probe_tags(b->tags, tag_of(hash)); mask != 0; mask &= mask - 1) {
      const uint32_t entry = b->entries[__builtin_ctz(mask)].load(std::memory_order_relaxed);
      if (matches(entry)) return entry;
    }
    return kRecordNone;
  }
  // Where an entry stands in a bucket, or kSlotNone.
  static uint32_t slot_of(const FlowBucket* b, uint32_t hash, uint32_t entry) noexcept {
    for (uint32_t mask = probe_tags(b->tags, tag_of(hash)); mask != 0; mask &= mask - 1) {
      const uint32_t slot = static_cast<uint32_t>(__builtin_ctz(mask));
      if (b->entries[slot].load(std::memory_order_relaxed) == entry) return slot;
    }
    return kSlotNone;
  }
  static void clear(FlowBucket* b, uint32_t slot) noexcept {
    b->tags[slot].store(0, std::memory_order_release);
  }
  // Slots that are free, a bit each.
  static uint32_t free_slots(const FlowBucket* b) noexcept { return probe_tags(b->tags, 0); }
  static void put(FlowBucket* b, uint32_t slot, uint32_t hash, uint32_t entry) noexcept {
    b->entries[slot].store(entry, std::memory_order_release);
    b->tags[slot].store(tag_of(hash), std::memory_order_release);
  }
  // A free place for a key, `taken` excepted (promised to another key). With all of the key's
  // buckets full an entry of theirs moves to its own second bucket, an established connection's last. False:
  // no room.
  bool reserve(uint32_t hash, const FlowSpot& taken, const FlowLocks& locks, bool both_locked,
               FlowSpot* spot) noexcept;
  void publish(const FlowSpot& spot, uint32_t hash, uint32_t entry) noexcept;
  // Where an entry stands, in either of its key's buckets. False: in neither.
  bool locate(uint32_t hash, uint32_t entry, FlowSpot* spot) const noexcept;
  void clear(const FlowSpot& spot) noexcept;

 private:
  bool move_away(FlowBucket* from, uint32_t slot, bool established, const FlowSpot& taken,
                 const FlowLocks& locks) noexcept;

  FlowBucket* buckets_ = nullptr;
  uint32_t count_ = 0;
  FlowSides sides_;
  const FlowCold* cold_ = nullptr;
};

}  // namespace nodeplane
