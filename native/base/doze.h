#pragma once
#include <atomic>
#include <cstdint>

namespace nodeplane {

// Sleep for a thread that otherwise spins over work which others publish. Looking whether it sleeps
// costs them one load of a line that seldom changes and no fence: the sleeper pays for both sides
// with membarrier(2). Where that is missing its naps are short, for a waker may overlook it.
class Doze {
 public:
  Doze() noexcept;
  // The sleeper. Until woken or `ms` have passed; at once when has_work() after all.
  template <class HasWork>
  void sleep(int ms, HasWork has_work) noexcept {
    asleep_.store(1, std::memory_order_seq_cst);
    fence_all();
    if (!has_work()) wait(ms);
    asleep_.store(0, std::memory_order_relaxed);
  }
  // Anybody, after publishing what has_work() looks at.
  void wake_if_asleep() noexcept {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (asleep_.load(std::memory_order_relaxed) != 0) [[unlikely]]
      wake();
  }

 private:
  void fence_all() noexcept;
  void wait(int ms) noexcept;
  void wake() noexcept;
  alignas(64) std::atomic<uint32_t> asleep_{0};
  alignas(64) bool fenced_;  // membarrier works
};

}  // namespace nodeplane
