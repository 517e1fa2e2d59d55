#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "base/epoch.h"
#include "base/time.h"
#include "kernel/tuple.h"
#include "table/flow.h"
#include "table/flow_index.h"
#include "table/flow_record.h"
#include "table/flow_restore.h"
#include "table/flow_state.h"
#include "table/flow_zones.h"

namespace nodeplane {

inline constexpr uint32_t kExpireBatchMax = 256;  // timer visits that one batch pays for at most

// Milliseconds by state; from SettingsRow.
struct FlowTimers {
  uint32_t by_state[kFlowStateCount];  // TCP
  uint32_t udp_unreplied, udp_replied, icmp, sctp;
};

// A new connection as service and nat decided it. Keys in network order.
template <class F>
struct NewFlow {
  typename F::Key original;  // as its first packet arrived
  typename F::Key reply;     // as answers will arrive: the mirror of what the packet becomes
  uint32_t original_hash, reply_hash;
  uint32_t service, endpoint;
  uint32_t generation;
  uint32_t snat_grant;  // ~0 without
  uint8_t snat;         // masqueraded
  uint8_t zone;
  FlowState state;
};

struct FlowRef {
  uint32_t record = kRecordNone;
  uint8_t direction = 0;
};

// kFull: the table, or the zone, has no room for one more; something may be evicted. kDry: it has, but
// every free record still waits until no worker can see it.
enum class KeepResult : uint8_t { kKept, kExisting, kClash, kFull, kDry };

// What went away, so that its owner can give back what it held.
struct Gone {
  uint32_t snat_grant;
  uint8_t snat;
  uint8_t zone;
};

// Connections of one family: a slab of records that never move, a bucketed index of 64-byte lines
// over both directions' keys, one timer wheel per worker. find takes no lock and no atomic
// read-modify-write; keep and forget lock the buckets they touch. A removed record is reused only
// after every worker has passed a quiescent point (Epochs).
template <class F>
class FlowTable {
 public:
  using Key = typename F::Key;
  using Side = typename F::Side;
  struct Options {
    uint32_t capacity = 65536;  // connections
    uint32_t workers = 1;
    bool huge = true;
    FlowRecords<F> records{};  // memory of somebody's that outlives the table; none: our own
  };
  static std::unique_ptr<FlowTable> create(const Options& options, Epochs& epochs,
                                           std::string* error);
  ~FlowTable();

  // -- the path --
  void prefetch_index(uint32_t hash) const noexcept;  // first line
  FlowRef find(const Key& key, uint32_t hash) const noexcept;
  Side& side(FlowRef ref) const noexcept;
  // The same in two steps, by entry (FlowSides): what stands first under the hash, and
  // its lines asked for; then whether it is the key's, and if not what is. kRecordNone: nothing.
  uint32_t guess(uint32_t hash) const noexcept;
  void guess(const uint32_t* hashes, uint32_t n, uint32_t* entries) const noexcept {
    kernels().guess(index_.lines(sides_, sizeof(Side)), hashes, n, entries);
  }
  bool is(uint32_t guess, const Key& key) const noexcept;
  uint32_t settle(uint32_t guess, const Key& key, uint32_t hash) const noexcept;
  Side& side_at(uint32_t entry) const noexcept { return sides_[entry]; }
  FlowRef ref_at(uint32_t entry) const noexcept {
    const FlowSides& sides = index_.sides();
    return FlowRef{sides.record(entry), static_cast<uint8_t>(sides.direction(entry))};
  }
  // Insert if absent. kExisting: `out` is the winner. kClash: the reply tuple is another's, `out`.
  KeepResult keep(uint32_t worker, const NewFlow<F>& flow, Time now, FlowRef* out) noexcept;
  // Asks for the lines that keep will write for a flow with these hashes, `ahead` keeps from now.
  void prefetch_keep(uint32_t worker, uint32_t original_hash, uint32_t reply_hash,
                     uint32_t ahead) const noexcept;
  // Makes room for a new connection of `zone` when keep found none: the oldest of the least class
  // gives way, of the zone that is most over its guarantee (of this zone, when it is at its maximum).
  // An established connection does so only for a zone within its guarantee. False: nothing may.
  bool evict(uint32_t worker, uint8_t zone, Gone* gone) noexcept;
  // A new connection of `zone` was refused: counts it. True: because of the zone's maximum.
  bool refuse(uint32_t worker, uint8_t zone) noexcept;
  // Removes the whole connection now. `gone` says what it held; false: somebody else was faster.
  bool forget(uint32_t worker, uint32_t record, Gone* gone) noexcept;
  // A packet of `bytes` IP bytes with these TCP flags was seen: counters, last seen, state machine.
  // Called for every hit and for the first packet.
  void touch(uint32_t worker, FlowRef ref, uint32_t bytes, uint8_t tcp_flags, uint8_t protocol,
             Time now) noexcept;
  // What touch does to a record whose state the packet cannot change.
  static void count(Side& side, uint32_t bytes, uint8_t tcp_flags, uint32_t now_ms) noexcept;
  static uint32_t clock_ms(Time now) noexcept { return static_cast<uint32_t>(now / kMillisecond); }
  // Its time has certainly not run out: this direction was seen lately enough.
  bool is_young(const Side& side, uint8_t protocol, uint32_t now_ms) const noexcept;
  // Whatever its state and protocol: seen less than this before, it is young.
  uint32_t calm_ms() const noexcept { return calm_ms_.load(std::memory_order_relaxed); }
  // Its time has run out, though no timer has visited it yet.
  bool expired(FlowRef ref, uint8_t protocol, Time now) const noexcept;
  // Timer visits of this worker's wheel up to `now`, at most `budget` of them. Writes what went away
  // to gone[] (room for budget) and says how many. `more`: visits are still due.
  uint32_t expire(uint32_t worker, Time now, uint32_t budget, Gone* gone, bool* more) noexcept;
  void set_timers(const FlowTimers& timers) noexcept;  // by control, relaxed words
  // By control: shares of the zones below `count`, the others' without limit or guarantee.
  void set_zones(const ZoneShare* shares, uint32_t count) noexcept;
  // When this worker's wheel is next due, for a sleeping worker; ~0 never.
  Time next_due(uint32_t worker) const noexcept;
  // Whose connections this worker has removed since it last asked, a bit each. Until such an owner looks
  // (expire), what they held is nobody's: it should not sleep.
  uint64_t take_told(uint32_t worker) noexcept;

  // -- aside --
  // Before any worker: takes what an earlier process left in `records`, whole connections only; all
  // else becomes free. Timers must be set.
  FlowRestored restore(const FlowRestore& from) noexcept;
  uint32_t live() const noexcept;
  uint32_t capacity() const noexcept;
  size_t bytes() const noexcept;
  uint32_t service_of(uint32_t record) const noexcept { return cold_[record].service; }
  uint32_t endpoint_of(uint32_t record) const noexcept { return cold_[record].endpoint; }
  FlowState state_of(uint32_t record) const noexcept {
    return static_cast<FlowState>(cold_[record].state.load(std::memory_order_acquire));
  }
  // Rows of live connections from record *cursor on, at most max; cursor ~0 at the end. May run
  // beside workers; rows are whole, counters approximate.
  uint32_t dump(uint32_t* cursor, FlowRow* rows, uint32_t max, Time now) const noexcept;
  void zone_state(uint8_t zone, ZoneStateRow* row) const noexcept;
  // Records in memory: the capacity, and some that wait until no worker can see them while others
  // take their place.
  static uint32_t record_count(uint32_t capacity) noexcept;

 private:
  enum TimerClass : uint8_t { kTimerTcp, kTimerUdp, kTimerIcmp, kTimerSctp, kTimerClasses };
  static TimerClass timer_class(uint8_t protocol) noexcept {
    if (protocol == kProtocolTcp) return kTimerTcp;
    if (protocol == kProtocolIcmp || protocol == kProtocolIcmp6) return kTimerIcmp;
    return protocol == kProtocolSctp ? kTimerSctp : kTimerUdp;
  }
  uint32_t timeout_ms(uint8_t protocol, uint32_t state) const noexcept {
    return timeouts_[timer_class(protocol)][state].load(std::memory_order_relaxed);
  }

  struct Impl;
  FlowTable();
  uint32_t entry_of(uint32_t record, uint32_t direction) const noexcept {
    return index_.sides().entry(record, direction);
  }
  void fill(uint32_t worker, uint32_t record, const NewFlow<F>& flow, Time now) noexcept;
  bool end_life(FlowCold& cold, uint32_t classes) noexcept;
  bool remove_here(uint32_t record, uint32_t classes, bool* done) noexcept;
  bool remove_anywhere(uint32_t record, uint32_t classes) noexcept;
  bool remove(uint32_t worker, uint32_t record, uint32_t classes, Gone* gone) noexcept;
  bool evict_from(uint32_t worker, uint8_t zone, uint32_t classes, uint32_t* looks,
                  Gone* gone) noexcept;
  bool evict_own(uint32_t worker, uint8_t list, uint32_t* looks, Gone* gone) noexcept;
  bool evict_other(uint32_t worker, uint32_t other, uint8_t list, uint32_t* looks,
                   Gone* gone) noexcept;
  bool insert_here(const NewFlow<F>& flow, uint32_t record, KeepResult* result,
                   FlowRef* out) noexcept;
  KeepResult insert_anywhere(const NewFlow<F>& flow, uint32_t record, FlowRef* out) noexcept;
  void stir(uint32_t worker, FlowRef ref, uint8_t flags, uint8_t protocol, Time now) noexcept;
  void copy_state(uint32_t record) noexcept;
  void post(uint32_t record) noexcept;
  void read_notice(uint32_t worker, uint32_t record, Time now) noexcept;
  void prefetch_visit(uint32_t record) const noexcept;
  bool visit(uint32_t worker, uint32_t record, Time now, Gone* gone) noexcept;
  Time deadline(uint32_t record, Time now) const noexcept;
  struct Restorer;

  // What a hit needs, in one line; the rest is behind impl_.
  FlowIndex index_;
  Side* sides_ = nullptr;  // by entry
  FlowCold* cold_ = nullptr;
  std::unique_ptr<Impl> impl_;
  std::atomic<uint32_t> timeouts_[kTimerClasses][kFlowStateCount];
  std::atomic<uint32_t> calm_ms_{0};  // the shortest of them
};

// -- the hot ones, inlined into the stage's loop --

inline bool flow_key_equal(const KeyV4& a, const KeyV4& b) noexcept { return tuple_equal(a, b); }

inline bool flow_key_equal(const KeyV6& a, const KeyV6& b) noexcept {
  uint64_t x[5], y[5];
  std::memcpy(x, &a, 40);
  std::memcpy(y, &b, 40);
  return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]) | (x[4] ^ y[4])) == 0;
}

template <class F>
inline void FlowTable<F>::prefetch_index(uint32_t hash) const noexcept {
  __builtin_prefetch(index_.first(hash), 0, 3);
}

template <class F>
inline uint32_t FlowTable<F>::guess(uint32_t hash) const noexcept {
  const FlowBucket* b = index_.first(hash);
  const uint32_t mask = probe_tags(b->tags, FlowIndex::tag_of(hash));
  if (mask == 0) return kRecordNone;
  // Acquire: what keep wrote before it published the entry is seen.
  const uint32_t entry =
      b->entries[static_cast<uint32_t>(__builtin_ctz(mask))].load(std::memory_order_acquire);
  const auto* line = reinterpret_cast<const uint8_t*>(sides_ + entry);
  __builtin_prefetch(line, 1, 3);
  if constexpr (sizeof(Side) > 64) __builtin_prefetch(line + 64, 1, 3);
  return entry;
}

template <class F>
inline bool FlowTable<F>::is(uint32_t guess, const Key& key) const noexcept {
  return guess != kRecordNone && flow_key_equal(sides_[guess].key, key);
}

// A record removed since it was guessed is as good as one removed just after it was found: it is not
// reused before this worker's next quiescent point.
template <class F>
inline uint32_t FlowTable<F>::settle(uint32_t guess, const Key& key, uint32_t hash) const noexcept {
  if (__builtin_expect(is(guess, key), 1)) return guess;
  return index_.find(hash, [&](uint32_t e) noexcept { return flow_key_equal(sides_[e].key, key); });
}

template <class F>
inline FlowRef FlowTable<F>::find(const Key& key, uint32_t hash) const noexcept {
  const uint32_t entry = settle(kRecordNone, key, hash);
  if (entry == kRecordNone) return FlowRef{};
  return ref_at(entry);
}

template <class F>
inline typename F::Side& FlowTable<F>::side(FlowRef ref) const noexcept {
  return sides_[entry_of(ref.record, ref.direction)];
}

template <class F>
inline void FlowTable<F>::count(Side& s, uint32_t bytes, uint8_t tcp_flags,
                                uint32_t now_ms) noexcept {
  constexpr auto relaxed = std::memory_order_relaxed;
  s.packets.store(s.packets.load(relaxed) + 1, relaxed);
  s.bytes.store(s.bytes.load(relaxed) + bytes, relaxed);
  s.last_seen.store(now_ms, relaxed);
  const uint8_t seen = s.tcp_flags.load(relaxed);
  if ((seen | tcp_flags) != seen) s.tcp_flags.store(seen | tcp_flags, relaxed);
}

template <class F>
inline void FlowTable<F>::touch(uint32_t worker, FlowRef ref, uint32_t bytes, uint8_t tcp_flags,
                                uint8_t protocol, Time now) noexcept {
  Side& s = side(ref);
  count(s, bytes, tcp_flags, clock_ms(now));
  const uint32_t stirred = s.state.load(std::memory_order_relaxed) & kSideStirred;
  if (__builtin_expect((tcp_flags & kTcpStirring) | stirred, 0)) {
    stir(worker, ref, tcp_flags, protocol, now);
  }
}

template <class F>
inline bool FlowTable<F>::is_young(const Side& s, uint8_t protocol,
                                   uint32_t now_ms) const noexcept {
  const uint32_t age = now_ms - s.last_seen.load(std::memory_order_relaxed);
  if (__builtin_expect(age < calm_ms_.load(std::memory_order_relaxed), 1)) return true;
  const uint32_t state = s.state.load(std::memory_order_relaxed) & ~uint32_t{kSideStirred};
  return age < timeout_ms(protocol, state);
}

template <class F>
inline bool FlowTable<F>::expired(FlowRef ref, uint8_t protocol, Time now) const noexcept {
  if (__builtin_expect(is_young(side(ref), protocol, clock_ms(now)), 1)) return false;
  return deadline(ref.record, now) <= now;
}

// The rest is compiled for V4 and V6: flow_table.cc (made, and seen from aside), flow_keep.cc
// (records come and go), flow_time.cc (states and deadlines).

}  // namespace nodeplane
