#pragma once
#include <atomic>
#include <cstdint>
#include <memory>

#include "base/ip.h"
#include "base/time.h"
#include "gen/layout.h"

namespace nodeplane {

inline constexpr uint32_t kNeighbourMax = 65536;

enum class NeighbourState : uint8_t { kIncomplete, kReachable, kStatic, kFailed };

struct NextHop {
  uint16_t port;
  uint8_t mac[6];
  NeighbourState state;
};

// Next hops by (port, address), shared by all workers: indices are stable for as long as the entry
// was ever reachable, so records may cache them. Readers take no lock (a sequence per entry);
// adding and learning take a spin bit on the entry's bucket, and are rare.
class NeighbourTable {
 public:
  explicit NeighbourTable(uint32_t capacity = kNeighbourMax);
  ~NeighbourTable();
  // Known or new (kIncomplete); kNextHopNone when the table is full of neighbours that answered.
  uint32_t find_or_add(uint16_t port, uint8_t family, const IpAddress& address, Time now) noexcept;
  uint32_t find(uint16_t port, uint8_t family, const IpAddress& address) const noexcept;
  NextHop read(uint32_t index) const noexcept;
  IpAddress address(uint32_t index, uint8_t* family) const noexcept;
  // From ARP or NDP. Adds only with `create`. True: an incomplete neighbour became reachable, or a MAC changed.
  bool learn(uint16_t port, uint8_t family, const IpAddress& address, const uint8_t mac[6],
             bool create, bool override_known, Time now) noexcept;
  void set_static(uint16_t port, uint8_t family, const IpAddress& address,
                  const uint8_t mac[6]) noexcept;
  // Control, before set_static of a new table set: statics that are not set again become incomplete.
  void begin_statics() noexcept;
  void end_statics() noexcept;
  // True when the caller must send a request now (incomplete and its retry is due, or reachable and
  // due to be asked again); only one worker gets true. Moves to kFailed after `tries`.
  bool ask(uint32_t index, Time now, uint32_t retry_ms, uint32_t tries,
           uint32_t reachable_ms) noexcept;
  // Moves on whenever something became reachable or failed: waiting packets look again.
  uint64_t changes() const noexcept { return changes_.load(std::memory_order_acquire); }
  uint32_t dump(uint32_t* cursor, NeighbourStateRow* rows, uint32_t max) const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::atomic<uint64_t> changes_{0};
};

}  // namespace nodeplane
