#pragma once
#include <atomic>
#include <cstdint>
#include <memory>

#include "gen/layout.h"

namespace nodeplane {

// Of a table's capacity, in percent.
struct ZoneShare {
  uint8_t guaranteed = 0, maximum = 100;
};

// How many records each zone uses and may use. Workers take leave for some records ahead, so that the
// shared counts are touched once per lot; what they hold and do not use is a sixteenth of the capacity
// at most (over all workers), and a worker's own goes back before it is refused.
class FlowZones {
 public:
  FlowZones(uint32_t capacity, uint32_t workers);
  // By control. Zones beyond `count` have no guarantee and no maximum.
  void set(const ZoneShare* shares, uint32_t count) noexcept;

  // Leave for one more record of a zone. False: the table is full, or the zone at its maximum.
  bool take(uint32_t worker, uint8_t zone) noexcept {
    uint32_t& left = workers_[worker].left[zone];
    if (__builtin_expect(left == 0, 0) && !refill(worker, zone)) return false;
    --left;
    return true;
  }
  void give(uint32_t worker, uint8_t zone) noexcept {
    if (__builtin_expect(++workers_[worker].left[zone] > 2 * lot_.load(std::memory_order_relaxed),
                         0))
      put_back(worker, zone);
  }

  // A record of an earlier process, whatever the shares are now.
  void count_in(uint8_t zone) noexcept {
    zones_[zone].used.fetch_add(1, std::memory_order_relaxed);
    used_.fetch_add(1, std::memory_order_relaxed);
  }

  uint32_t capacity() const noexcept { return capacity_; }
  uint32_t used(uint8_t zone) const noexcept { return of(zone, &Zone::used); }
  uint32_t guaranteed(uint8_t zone) const noexcept { return of(zone, &Zone::guaranteed); }
  uint32_t maximum(uint8_t zone) const noexcept { return of(zone, &Zone::maximum); }
  // Of a share below the whole table.
  bool at_maximum(uint8_t zone) const noexcept {
    return maximum(zone) < capacity_ && used(zone) >= maximum(zone);
  }

 private:
  struct alignas(64) Worker {
    uint32_t left[kZoneMax] = {};
  };
  struct alignas(64) Zone {
    std::atomic<uint32_t> used{0}, guaranteed{0}, maximum{0};
  };
  uint32_t of(uint8_t zone, std::atomic<uint32_t> Zone::*what) const noexcept {
    return (zones_[zone].*what).load(std::memory_order_relaxed);
  }
  bool refill(uint32_t worker, uint8_t zone) noexcept;
  uint32_t grant(uint8_t zone) noexcept;
  void put_back(uint32_t worker, uint8_t zone) noexcept;

  const uint32_t capacity_, worker_count_;
  std::atomic<uint32_t> lot_;
  std::unique_ptr<Worker[]> workers_;
  Zone zones_[kZoneMax];
  alignas(64) std::atomic<uint32_t> used_{0};  // by all zones
};

}  // namespace nodeplane
