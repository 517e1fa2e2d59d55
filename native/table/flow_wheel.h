#pragma once
#include <cstdint>

#include "base/time.h"
#include "table/flow_record.h"

namespace nodeplane {

// One worker's timers: 3 levels of 256 slots, the finest of 67 ms (2^26 ns), the coarsest reaching
// 13 days; what is due later is looked at early and put back. Lists run through the records' cold
// lines. Occupied slots are marked, so that time may leap without stepping through every tick.
class FlowWheel {
 public:
  static constexpr uint32_t kLevels = 3, kSlots = 256, kTickShift = 26;
  static constexpr uint64_t kNever = ~uint64_t{0};

  explicit FlowWheel(FlowCold* cold = nullptr) noexcept;
  void start(Time now) noexcept;
  // The tick from which on a deadline has passed for certain.
  static uint64_t tick_after(Time deadline) noexcept { return (deadline >> kTickShift) + 1; }

  void link(uint32_t record, uint64_t due) noexcept;
  void unlink(uint32_t record) noexcept;
  // Whether the record is looked at by this tick anyway.
  bool due_by(uint32_t record, uint64_t tick) const noexcept;
  // The next record to visit at `now`, unlinked, or kRecordNone when no more are due.
  uint32_t pop(Time now) noexcept;
  bool has_due(Time now) const noexcept;
  // kNever when nothing is linked.
  Time next() const noexcept;
  Time time() const noexcept { return tick_ << kTickShift; }

 private:
  uint32_t due_slot() const noexcept;   // an occupied slot of the current tick, or kTimerSlotNone
  uint64_t next_tick() const noexcept;  // of an occupied slot behind the current tick

  FlowCold* cold_;
  uint64_t tick_ = 0;  // every earlier tick is done
  bool started_ = false;
  uint64_t busy_[kLevels][kSlots / 64] = {};
  uint32_t first_[kLevels][kSlots];
};

}  // namespace nodeplane
