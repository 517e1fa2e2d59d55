#pragma once
#include <atomic>
#include <cstdint>

#include "gen/layout.h"

namespace nodeplane {

// Quiescent-state reclamation. A worker announces that it holds no pointer into shared tables by
// passing a quiescent point between two batches; what was retired at epoch E may be reused once
// every worker has announced an epoch > E. Offline (sleeping or stopped) workers hold nothing.
class Epochs {
 public:
  static constexpr uint64_t kOffline = ~uint64_t{0};

  Epochs() noexcept {
    for (auto& s : slots_) s.seen.store(kOffline, std::memory_order_relaxed);
  }
  // Called by a worker between two batches (and when it wakes).
  void quiescent(uint32_t worker) noexcept {
    slots_[worker].seen.store(now_.load(std::memory_order_seq_cst), std::memory_order_seq_cst);
  }
  // Called by a worker before it sleeps or stops.
  void offline(uint32_t worker) noexcept {
    slots_[worker].seen.store(kOffline, std::memory_order_release);
  }
  // The epoch to stamp on something just unlinked.
  uint64_t retire() noexcept { return now_.fetch_add(1, std::memory_order_seq_cst); }
  // Everything retired at an epoch below the answer may be reused.
  uint64_t safe() const noexcept {
    uint64_t least = now_.load(std::memory_order_seq_cst);
    for (const auto& s : slots_) {
      const uint64_t v = s.seen.load(std::memory_order_seq_cst);
      if (v < least) least = v;
    }
    return least;
  }

 private:
  struct alignas(64) Slot {
    std::atomic<uint64_t> seen;
  };
  alignas(64) std::atomic<uint64_t> now_{1};
  Slot slots_[kWorkerMax];
};

}  // namespace nodeplane
