#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "base/epoch.h"
#include "base/time.h"
#include "table/flow.h"

namespace nodeplane {

inline constexpr uint32_t kExpireBatchMax = 64;  // timer visits that one batch pays for at most

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
  FlowState state;
  uint8_t tcp_flags;
};

struct FlowRef {
  uint32_t record = kRecordNone;
  uint8_t direction = 0;
};

enum class KeepResult : uint8_t { kKept, kExisting, kClash, kFull };

// What went away, so that its owner can give back what it held.
struct Gone {
  uint32_t snat_grant;
  uint8_t snat;
  uint8_t expired;  // else forgotten
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
  };
  static std::unique_ptr<FlowTable> create(const Options& options, Epochs& epochs,
                                           std::string* error);
  ~FlowTable();

  // -- the path --
  void prefetch_index(uint32_t hash) const noexcept;                   // first line
  void prefetch_record(uint32_t hash, const Key& key) const noexcept;  // by tag, second line
  FlowRef find(const Key& key, uint32_t hash) const noexcept;
  Side& side(FlowRef ref) const noexcept;
  // Insert if absent. kExisting: `out` is the winner. kClash: the reply tuple is another's.
  KeepResult keep(uint32_t worker, const NewFlow<F>& flow, Time now, FlowRef* out) noexcept;
  // Removes the whole connection now. `gone` says what it held; false: somebody else was faster.
  bool forget(uint32_t worker, uint32_t record, Gone* gone) noexcept;
  // A packet of `bytes` IP bytes with these TCP flags was seen: counters, last seen, state machine.
  // Called for every hit and for the first packet.
  void touch(uint32_t worker, FlowRef ref, uint32_t bytes, uint8_t tcp_flags, uint8_t protocol,
             Time now) noexcept;
  // Timer visits of this worker's wheel up to `now`, at most `budget` of them. Writes what went away
  // to gone[] (room for budget) and says how many. `more`: visits are still due.
  uint32_t expire(uint32_t worker, Time now, uint32_t budget, Gone* gone, bool* more) noexcept;
  void set_timers(const FlowTimers& timers) noexcept;  // by control, relaxed words
  // When this worker's wheel is next due, for a sleeping worker; ~0 never.
  Time next_due(uint32_t worker) const noexcept;

  // -- aside --
  uint32_t live() const noexcept;
  uint32_t capacity() const noexcept;
  size_t bytes() const noexcept;
  uint32_t service_of(uint32_t record) const noexcept;
  uint32_t endpoint_of(uint32_t record) const noexcept;
  FlowState state_of(uint32_t record) const noexcept;
  uint32_t snat_grant_of(uint32_t record) const noexcept;
  // Rows of live connections from record *cursor on, at most max; cursor ~0 at the end. May run
  // beside workers; rows are whole, counters approximate.
  uint32_t dump(uint32_t* cursor, FlowRow* rows, uint32_t max, Time now) const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nodeplane
