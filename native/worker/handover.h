#pragma once
#include <atomic>
#include <cstdint>

#include "packet/packet.h"

namespace nodeplane {

inline constexpr uint32_t kHandoverSlots = 1024;  // power of two

// Packets that must leave by another worker's queue: one producer, one consumer, finished packets
// with port_out set. A full ring is a named drop of the producer's.
class Handover {
 public:
  bool push(const Packet& p) noexcept {
    const uint32_t head = head_.load(std::memory_order_relaxed);
    if (head - tail_seen_ == kHandoverSlots) {
      tail_seen_ = tail_.load(std::memory_order_acquire);
      if (head - tail_seen_ == kHandoverSlots) return false;
    }
    slots_[head & (kHandoverSlots - 1)] = p;
    head_.store(head + 1, std::memory_order_release);
    return true;
  }
  bool pop(Packet* p) noexcept {
    const uint32_t tail = tail_.load(std::memory_order_relaxed);
    if (tail == head_.load(std::memory_order_acquire)) return false;
    *p = slots_[tail & (kHandoverSlots - 1)];
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }
  bool empty() const noexcept {
    return tail_.load(std::memory_order_relaxed) == head_.load(std::memory_order_acquire);
  }

 private:
  alignas(64) std::atomic<uint32_t> head_{0};
  uint32_t tail_seen_ = 0;  // producer's copy
  alignas(64) std::atomic<uint32_t> tail_{0};
  Packet slots_[kHandoverSlots];
};

}  // namespace nodeplane
