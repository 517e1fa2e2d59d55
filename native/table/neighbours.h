#pragma once
#include <atomic>
#include <cstdint>
#include <cstring>

#include "base/ip.h"
#include "base/time.h"
#include "gen/layout.h"

namespace nodeplane {

inline constexpr uint32_t kNeighbourMax = 65536;
inline constexpr uint32_t kNeighbourFailedMs = 5000;  // one that failed is not asked again before
// One that was just asked or sent to does not lose its entry.
inline constexpr uint32_t kNeighbourGraceMs = 100;

enum class NeighbourState : uint8_t { kIncomplete, kReachable, kStatic, kFailed };

struct NextHop {
  uint16_t port;
  uint8_t mac[6];
  NeighbourState state;
  bool answers() const noexcept {
    return state == NeighbourState::kReachable || state == NeighbourState::kStatic;
  }
};

// Next hops by (port, address), shared by all workers. The index of a pinned entry stands for its
// address for good, so records may cache it; any other entry may make room for another when the
// table is full, so a scan of a prefix, or a station with many names, cannot use the table up.
// Readers take no lock: what a packet needs is one word, and the address has a sequence. Adding,
// learning and statics take one spin bit for the table, and are rare.
class NeighbourTable {
 public:
  explicit NeighbourTable(uint32_t capacity = kNeighbourMax);
  ~NeighbourTable();
  NeighbourTable(const NeighbourTable&) = delete;
  NeighbourTable& operator=(const NeighbourTable&) = delete;
  // Known or new (kIncomplete); kNextHopNone when the table is full of pinned or just asked ones.
  uint32_t find_or_add(uint16_t port, uint8_t family, const IpAddress& address, Time now) noexcept;
  uint32_t find(uint16_t port, uint8_t family, const IpAddress& address) const noexcept;
  NextHop read(uint32_t index) const noexcept {
    const uint64_t word = entries_[index].hop.load(std::memory_order_acquire);
    NextHop out{static_cast<uint16_t>(word >> 48 & 0xff), {}, state_of(word)};
    std::memcpy(out.mac, &word, 6);
    return out;
  }
  // Reachable, and due to be asked again by `ask`.
  bool is_old(uint32_t index, Time now, uint32_t reachable_ms) const noexcept {
    const Entry& e = entries_[index];
    return state_of(e.hop.load(std::memory_order_acquire)) == NeighbourState::kReachable &&
           now >= e.confirmed.load(std::memory_order_relaxed) + reachable_ms * kMillisecond;
  }
  // What a packet to a neighbour wears, as it lies. One that is not static must be confirmed, too.
  struct Way {
    uint64_t mac;
    uint8_t port;
    bool is_static;
  };
  uint64_t word(uint32_t index) const noexcept {
    return entries_[index].hop.load(std::memory_order_acquire);
  }
  static Way way_of(uint64_t word) noexcept {
    return Way{word & 0xffff'ffff'ffff, static_cast<uint8_t>(word >> 48),
               state_of(word) == NeighbourState::kStatic};
  }
  Way way(uint32_t index) const noexcept { return way_of(word(index)); }
  // Answers, and need not be asked again: it was confirmed after `since`, or is static.
  bool is_confirmed(uint32_t index, Time since) const noexcept {
    const Entry& e = entries_[index];
    const NeighbourState state = state_of(e.hop.load(std::memory_order_acquire));
    return state == NeighbourState::kStatic ||
           (state == NeighbourState::kReachable &&
            e.confirmed.load(std::memory_order_relaxed) > since);
  }
  IpAddress address(uint32_t index, uint8_t* family) const noexcept;
  bool names(uint32_t index, uint16_t port, uint8_t family,
             const IpAddress& address) const noexcept;
  // Before an index is cached. False: the entry has become another address's meanwhile.
  bool pin(uint32_t index, uint16_t port, uint8_t family, const IpAddress& address) noexcept;
  // Before a packet is sent by an index that nobody caches: the entry stays its address' for as long as
  // a batch takes. False: it has become another's meanwhile.
  bool hold(uint32_t index, uint16_t port, uint8_t family, const IpAddress& address,
            Time now) noexcept;
  // From ARP or NDP. Adds only with `create`. True: a neighbour became reachable, or its MAC changed.
  bool learn(uint16_t port, uint8_t family, const IpAddress& address, const uint8_t mac[6],
             bool create, bool override_known, Time now) noexcept;
  void set_static(uint16_t port, uint8_t family, const IpAddress& address,
                  const uint8_t mac[6]) noexcept;
  // Control, around set_static of a new table set: statics that are not set again become incomplete.
  void begin_statics() noexcept;
  void end_statics() noexcept;
  // True when the caller must send a request now (incomplete and its retry is due, or reachable and
  // due to be asked again); only one worker gets true. Moves to kFailed after `tries`; a failed one
  // is asked anew after kNeighbourFailedMs.
  bool ask(uint32_t index, Time now, uint32_t retry_ms, uint32_t tries,
           uint32_t reachable_ms) noexcept;
  // Moves on whenever something became reachable or failed: waiting packets look again.
  uint64_t changes() const noexcept { return changes_.load(std::memory_order_acquire); }
  uint32_t dump(uint32_t* cursor, NeighbourStateRow* rows, uint32_t max) const noexcept;

 private:
  struct alignas(64) Entry {
    std::atomic<uint64_t> hop;         // state, port, MAC: 8, 8 and 48 bits
    std::atomic<uint64_t> address[2];  // with `name`, guarded by `sequence`
    std::atomic<uint32_t> name;        // port and family
    std::atomic<uint32_t> sequence;    // odd while the address is written
    std::atomic<uint64_t> asked_at;    // or failed at; 0: not yet
    std::atomic<uint64_t> confirmed;
    std::atomic<uint32_t> asked;    // requests since the last answer
    std::atomic<uint16_t> round;    // of statics, when it was set
    std::atomic<uint8_t> use;       // enum Use
    std::atomic<uint64_t> held_at;  // a packet was sent to it
  };
  static_assert(sizeof(Entry) == 64 && kPortMax <= 256);
  enum Use : uint8_t { kLoose, kPinned, kChanging };
  struct Bucket;
  struct Name;
  struct Guard;

  static NeighbourState state_of(uint64_t word) noexcept {
    return static_cast<NeighbourState>(word >> 56);
  }
  bool is(const Entry& entry, const Name& name) const noexcept;
  void set_name(Entry& entry, const Name& name) noexcept;
  Name name_of(const Entry& entry) const noexcept;
  uint32_t find_name(const Name& name) const noexcept;
  uint32_t find_or_add_locked(const Name& name, Time now) noexcept;
  uint32_t make_room(Time now) noexcept;
  bool link(const Name& name, uint32_t index) noexcept;
  void unlink(const Name& name, uint32_t index) noexcept;

  uint32_t capacity_;
  uint32_t bucket_mask_;
  uint32_t hand_ = 0;  // where the search for an entry to reuse goes on
  uint16_t round_ = 0;
  Entry* entries_;
  Bucket* buckets_;
  std::atomic<uint32_t> count_{0};
  std::atomic<bool> locked_{false};
  std::atomic<uint64_t> changes_{0};
};

}  // namespace nodeplane
