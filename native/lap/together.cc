// Laps of several workers at once.
#include <thread>

#include "base/thread.h"
#include "lap/path_lap.h"

namespace nodeplane {
namespace {

// All threads leave it together. They spin: sleeping ones would not.
class Gate {
 public:
  explicit Gate(uint32_t threads) noexcept : threads_(threads) {}
  void pass() noexcept {
    const uint32_t turn = turn_.load(std::memory_order_acquire);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads_) {
      arrived_.store(0, std::memory_order_relaxed);
      turn_.store(turn + 1, std::memory_order_release);
      return;
    }
    while (turn_.load(std::memory_order_acquire) == turn) {
    }
  }

 private:
  const uint32_t threads_;
  alignas(64) std::atomic<uint32_t> arrived_{0};
  alignas(64) std::atomic<uint32_t> turn_{0};
};

}  // namespace

std::vector<double> PathLap::together(What what, const std::vector<Draw>& draws,
                                      const std::vector<int>& cores, uint32_t laps) {
  const uint32_t workers =
      static_cast<uint32_t>(std::min({draws.size(), cores.size(), hands_.size()}));
  std::vector<double> ns(workers);
  std::vector<std::thread> threads;
  Gate gate(workers);
  for (auto& hand : hands_) hand->strays = 0;
  hands_[0]->clock = clock_;
  stay_met(*hands_[0], what);
  hands_[0]->offline();
  const uint32_t warm = what <= What::kFloor ? laps : 0;
  for (uint32_t w = 0; w < workers; ++w) {
    threads.emplace_back([&, w] {
      thread_settle("np-lap", cores[w]);
      LapHand& hand = *hands_[w];
      hand.clock = clock_;
      double sum = 0;
      for (uint32_t i = 0; i < warm + laps; ++i) {
        prepare(hand, what, draws[w]);
        hand.offline();
        gate.pass();
        const double took = run(hand, what, draws[w]);
        if (i >= warm) sum += took;
        hand.offline();
        gate.pass();
        clear_away(hand, what);
        hand.offline();
        if (what <= What::kFloor) continue;
        gate.pass();  // nobody sees any more what is gone: it is taken back before the next lap
        for (uint32_t k = 0; k < kLapFrames / kExpireBatchMax; ++k) hand.expire();
        hand.offline();
      }
      ns[w] = sum / laps;
    });
  }
  for (auto& thread : threads) thread.join();
  for (uint32_t w = 0; w < workers; ++w) clock_ = std::max(clock_, hands_[w]->clock);
  return ns;
}

}  // namespace nodeplane
