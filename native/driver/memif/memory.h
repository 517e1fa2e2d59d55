#pragma once
#include "driver/memif/queue.h"

namespace nodeplane::memif {

// Where a slot's bytes are; null: not within the memory that it may name. The one place where what
// a peer wrote becomes an address of ours.
template <Memory kMemory>
inline uint8_t* Queue::memory(const Way& way, uint16_t index, const SlotCopy& slot) const noexcept {
  if constexpr (kMemory == Memory::kOwn) {
    if (slot.length() > buffer_bytes_) return nullptr;
    return way.buffers + uint64_t{index & way.mask} * buffer_bytes_;
  } else {
    if (slot.region() >= region_count_) return nullptr;
    const Region& region = regions_[slot.region()];
    if (uint64_t{slot.offset()} + slot.length() > region.bytes) return nullptr;
    return region.base + slot.offset();
  }
}

}  // namespace nodeplane::memif
