#pragma once
#include "driver/memif/link.h"

// How the two sides see each other's words. The peer may change shared memory at any time: what is
// read from it is read once, into private memory, and looked at there.
namespace nodeplane::memif {

using SlotWord [[gnu::may_alias]] = uint64_t;

// A slot as it was at one moment.
struct SlotCopy {
  uint64_t low, high;  // flags, region, length; offset, metadata

  bool goes_on() const noexcept { return (low & kSlotNext) != 0; }
  uint32_t region() const noexcept { return static_cast<uint16_t>(low >> 16); }
  uint32_t length() const noexcept { return static_cast<uint32_t>(low >> 32); }
  uint32_t offset() const noexcept { return static_cast<uint32_t>(high); }
};

inline SlotCopy read_slot(const Slot& slot) noexcept {
  const auto* words = reinterpret_cast<const SlotWord*>(&slot);
  return {__atomic_load_n(words, __ATOMIC_RELAXED), __atomic_load_n(words + 1, __ATOMIC_RELAXED)};
}
constexpr uint64_t slot_low(uint16_t flags, uint32_t region, uint32_t length) noexcept {
  return flags | uint64_t{region} << 16 | uint64_t{length} << 32;
}
inline void write_low(Slot& slot, uint64_t low) noexcept {
  __atomic_store_n(reinterpret_cast<SlotWord*>(&slot), low, __ATOMIC_RELAXED);
}
// The offset; metadata is 0.
inline void write_high(Slot& slot, uint32_t offset) noexcept {
  __atomic_store_n(reinterpret_cast<SlotWord*>(&slot) + 1, uint64_t{offset}, __ATOMIC_RELAXED);
}
// Flags are always assigned: a peer that finds an old NEXT joins packets.
inline void write_slot(Slot& slot, uint16_t flags, uint32_t region, uint32_t length,
                       uint32_t offset) noexcept {
  write_low(slot, slot_low(flags, region, length));
  write_high(slot, offset);
}

inline uint16_t load_index(const uint16_t* at) noexcept {
  return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}
inline void store_index(uint16_t* at, uint16_t value) noexcept {
  __atomic_store_n(at, value, __ATOMIC_RELEASE);
}
// Of free-running counters, mod 65536.
constexpr uint32_t distance(uint16_t from, uint16_t to) noexcept {
  return static_cast<uint16_t>(to - from);
}

}  // namespace nodeplane::memif
