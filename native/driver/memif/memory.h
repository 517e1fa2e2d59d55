#pragma once
#include "driver/memif/queue.h"

namespace nodeplane::memif {

// Where a slot's bytes are; null: not within the memory that it may name. The one place where what
// a peer wrote becomes an address of ours.
template <Memory kMemory>
struct Places {
  uint8_t* locate(uint32_t index, const SlotCopy& slot) const noexcept {
    if constexpr (kMemory == Memory::kOwn) {
      if (slot.length() > buffer_bytes) return nullptr;
      return buffers + uint64_t{index} * buffer_bytes;
    } else {
      if (slot.region() >= region_count) return nullptr;
      const Region& region = regions[slot.region()];
      if (uint64_t{slot.offset()} + slot.length() > region.bytes) return nullptr;
      return region.base + slot.offset();
    }
  }
  const Region* regions;
  uint32_t region_count;
  uint32_t buffer_bytes;
  uint8_t* buffers;  // of slot 0
};

template <Memory kMemory>
inline Places<kMemory> Queue::places(const Way& way) const noexcept {
  return {regions_, region_count_, buffer_bytes_, way.buffers};
}

}  // namespace nodeplane::memif
