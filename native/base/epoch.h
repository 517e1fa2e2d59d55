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
  void quiescent(uint32_t worker) noexcept { announce(slots_[worker]); }
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

  // Readers that are no workers (dumps): while one lives, nothing it can see is reused. One at a
  // time; a second one waits.
  class Aside {
   public:
    explicit Aside(Epochs& epochs) noexcept : epochs_(epochs) {
      while (epochs_.aside_.test_and_set(std::memory_order_acquire)) {
        epochs_.aside_.wait(true, std::memory_order_relaxed);
      }
      epochs_.announce(epochs_.slots_[kWorkerMax]);
    }
    ~Aside() {
      epochs_.offline(kWorkerMax);
      epochs_.aside_.clear(std::memory_order_release);
      epochs_.aside_.notify_one();
    }
    Aside(const Aside&) = delete;
    Aside& operator=(const Aside&) = delete;

   private:
    Epochs& epochs_;
  };

 private:
  struct alignas(64) Slot {
    std::atomic<uint64_t> seen;
  };
  // Coming from offline, nothing may be read before everybody can see that we read. Later moves
  // need no fence: a read that comes early is still covered by the older announcement.
  void announce(Slot& slot) noexcept {
    const bool woke = slot.seen.load(std::memory_order_relaxed) == kOffline;
    const uint64_t now = now_.load(std::memory_order_seq_cst);
    if (woke) {
      slot.seen.exchange(now, std::memory_order_seq_cst);  // a full barrier on x86
#if !defined(__x86_64__)
      std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
    } else {
      slot.seen.store(now, std::memory_order_release);
    }
  }

  alignas(64) std::atomic<uint64_t> now_{1};
  Slot slots_[kWorkerMax + 1];
  std::atomic_flag aside_ = ATOMIC_FLAG_INIT;
};

}  // namespace nodeplane
