#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "base/ip.h"
#include "table/flow_zones.h"

namespace nodeplane {

inline constexpr uint16_t kSnatSourceNone = 0xffff;
inline constexpr uint32_t kSnatSourceMax = 255;  // ever known to one process; a grant has 8 bits
// Destinations fall in groups; a port is used once per group.
inline constexpr uint32_t kSnatGroups = 64;
inline constexpr uint32_t kSnatGrantNone = 0xffffffff;

// Source ports for masquerade: a bitmap per source address, protocol and destination group
// (endpoint-dependent reuse: RFC 4787 REQ-1 is deliberately not met, as in the kernel). Deterministic,
// immediate reuse. Each worker owns a slice of every bitmap, so nothing is shared.
// Capacity per source address and protocol to one destination: high - low + 1 over all workers.
// Zones have shares of every slice: what one is guaranteed is set aside for it, beyond its maximum it
// gets none.
class PortPool {
 public:
  PortPool(uint32_t workers, uint16_t low, uint16_t high);
  ~PortPool();
  // Control only: the stable index of a source address, new or known; kSnatSourceNone when full or
  // when its bitmaps' memory cannot be had. Untouched bitmaps cost nothing.
  uint16_t source(uint8_t family, const IpAddress& address);
  const IpAddress& address(uint16_t source) const noexcept;

  // What a destination is told apart by.
  static uint32_t destination_hash(uint8_t family, const IpAddress& address,
                                   uint16_t port_be) noexcept;
  // Control only: shares of the zones below `count`, the others' without limit or guarantee. What is
  // taken stays taken.
  void set_zones(const ZoneShare* shares, uint32_t count) noexcept;
  // A free port for (source, protocol, destination hash), the wanted one if it is free and in this
  // worker's slice, else the next free one. False: none for this zone. port in network order.
  // An echo's identifier counts as a port.
  bool take(uint32_t worker, uint16_t source, uint8_t protocol, uint32_t destination_hash,
            uint8_t zone, uint16_t wanted_be, uint16_t* port_be, uint32_t* grant) noexcept;
  // Whether take refuses because of the shares: ports are free, but not for this zone.
  bool zone_full(uint32_t worker, uint16_t source, uint8_t protocol, uint32_t destination_hash,
                 uint8_t zone) const noexcept;
  // Before any worker: takes the very port that an earlier process had taken. False: it is taken, or is
  // none of this pool's.
  bool retake(uint8_t family, const IpAddress& address, uint8_t protocol, uint32_t destination_hash,
              uint8_t zone, uint16_t port_be, uint32_t* grant) noexcept;
  // By any worker, with the zone it was taken for. Giving what is not taken is our mistake and stops
  // the program.
  void give(uint32_t worker, uint32_t grant, uint8_t zone) noexcept;
  uint64_t in_use() const noexcept;  // all workers
  uint64_t capacity_per_destination() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nodeplane
