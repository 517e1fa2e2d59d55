#include "table/flow_wheel.h"

#include <algorithm>

namespace nodeplane {
namespace {

constexpr uint32_t kSlotBits = 8;
constexpr uint32_t kSlotMask = 255;

// The distance (1 to 256) from slot `at` to the next marked one, going round; 0: none is marked.
uint32_t distance(const uint64_t* busy, uint32_t at) noexcept {
  const uint32_t start = (at + 1) & kSlotMask;
  for (uint32_t i = 0; i <= 4; ++i) {
    const uint32_t word = (start / 64 + i) % 4;
    uint64_t bits = busy[word];
    if (i == 0) bits &= ~uint64_t{0} << (start % 64);
    if (i == 4) bits &= (uint64_t{1} << (start % 64)) - 1;
    if (bits == 0) continue;
    const uint32_t slot = word * 64 + static_cast<uint32_t>(__builtin_ctzll(bits));
    return ((slot - start) & kSlotMask) + 1;
  }
  return 0;
}

}  // namespace

FlowWheel::FlowWheel(FlowCold* cold) noexcept : cold_(cold) {
  for (auto& level : first_) std::fill(level, level + kSlots, kRecordNone);
}

void FlowWheel::start(Time now) noexcept {
  if (started_) return;
  started_ = true;
  tick_ = now >> kTickShift;
}

void FlowWheel::link(uint32_t record, uint64_t due) noexcept {
  due = std::max(due, tick_ + 1);
  // The last slot before the coarsest level would come round to the current one.
  due = std::min(due, tick_ + (uint64_t{kSlots - 1} << (2 * kSlotBits)));
  const uint64_t ahead = due - tick_;
  const uint32_t level = ahead < kSlots ? 0 : ahead < kSlots * kSlots ? 1 : 2;
  const uint32_t slot = static_cast<uint32_t>(due >> (level * kSlotBits)) & kSlotMask;
  FlowCold& c = cold_[record];
  c.timer_due = static_cast<uint32_t>(due);
  c.timer_slot = static_cast<uint16_t>(level << kSlotBits | slot);
  c.timer_prev = kRecordNone;
  c.timer_next = first_[level][slot];
  if (c.timer_next != kRecordNone) cold_[c.timer_next].timer_prev = record;
  first_[level][slot] = record;
  busy_[level][slot / 64] |= uint64_t{1} << (slot % 64);
}

void FlowWheel::unlink(uint32_t record) noexcept {
  FlowCold& c = cold_[record];
  if (c.timer_slot == kTimerSlotNone) return;
  const uint32_t level = c.timer_slot >> kSlotBits, slot = c.timer_slot & kSlotMask;
  if (c.timer_next != kRecordNone) cold_[c.timer_next].timer_prev = c.timer_prev;
  if (c.timer_prev != kRecordNone)
    cold_[c.timer_prev].timer_next = c.timer_next;
  else
    first_[level][slot] = c.timer_next;
  if (first_[level][slot] == kRecordNone) busy_[level][slot / 64] &= ~(uint64_t{1} << (slot % 64));
  c.timer_slot = kTimerSlotNone;
}

bool FlowWheel::due_by(uint32_t record, uint64_t tick) const noexcept {
  const FlowCold& c = cold_[record];
  if (c.timer_slot == kTimerSlotNone) return false;
  return static_cast<int32_t>(c.timer_due - static_cast<uint32_t>(tick)) <= 0;
}

// A coarser slot is due when its first tick is: its records are looked at and put where they belong.
uint32_t FlowWheel::due_slot() const noexcept {
  for (uint32_t level = kLevels; level-- > 0;) {
    const uint64_t below = (uint64_t{1} << (level * kSlotBits)) - 1;
    if ((tick_ & below) != 0) continue;
    const uint32_t slot = static_cast<uint32_t>(tick_ >> (level * kSlotBits)) & kSlotMask;
    if (first_[level][slot] != kRecordNone) return level << kSlotBits | slot;
  }
  return kTimerSlotNone;
}

uint64_t FlowWheel::next_tick() const noexcept {
  uint64_t least = kNever;
  for (uint32_t level = 0; level < kLevels; ++level) {
    const uint64_t at = tick_ >> (level * kSlotBits);
    const uint32_t ahead = distance(busy_[level], static_cast<uint32_t>(at) & kSlotMask);
    if (ahead != 0) least = std::min(least, (at + ahead) << (level * kSlotBits));
  }
  return least;
}

uint32_t FlowWheel::pop(Time now) noexcept {
  const uint64_t end = now >> kTickShift;
  if (!started_ || end < tick_) return kRecordNone;
  for (;;) {
    const uint32_t slot = due_slot();
    if (slot != kTimerSlotNone) {
      const uint32_t record = first_[slot >> kSlotBits][slot & kSlotMask];
      const uint32_t behind = cold_[record].timer_next;
      unlink(record);
      // The list is a chain of lines: the one after the next is asked for as soon as it is known.
      if (behind != kRecordNone && cold_[behind].timer_next != kRecordNone)
        __builtin_prefetch(cold_ + cold_[behind].timer_next, 1);
      return record;
    }
    const uint64_t next = next_tick();
    tick_ = std::min(next, end);
    if (next > end) return kRecordNone;
  }
}

bool FlowWheel::has_due(Time now) const noexcept {
  const uint64_t end = now >> kTickShift;
  return started_ && end >= tick_ && (due_slot() != kTimerSlotNone || next_tick() <= end);
}

Time FlowWheel::next() const noexcept {
  if (!started_) return kNever;
  if (due_slot() != kTimerSlotNone) return time();
  const uint64_t tick = next_tick();
  return tick == kNever ? kNever : tick << kTickShift;
}

}  // namespace nodeplane
