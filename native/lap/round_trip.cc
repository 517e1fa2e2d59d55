#include "lap/round_trip.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "base/thread.h"
#include "base/time.h"

namespace nodeplane {

namespace {

constexpr uint32_t kSeries = 64;       // round trips timed together
constexpr uint32_t kSeriesMax = 4096;  // remembered at most
constexpr uint32_t kLooks = 1u << 12;  // between two looks at the clock
constexpr Time kMeasure = 2 * kMillisecond;
constexpr Time kPatience = 50 * kMillisecond;  // for the other thread to begin

struct Ball {
  alignas(64) std::atomic<uint32_t> count{0};  // even: ours to hit, odd: the other's
  alignas(64) std::atomic<bool> is_there{false};
  std::atomic<bool> is_over{false};  // a word of its own: the other may just be hitting
};

// False: the time is up.
bool wait_for(const std::atomic<uint32_t>& count, uint32_t value, Time end) noexcept {
  for (uint32_t looks = 1; count.load(std::memory_order_acquire) != value; ++looks)
    if (looks % kLooks == 0 && time_now() > end) return false;
  return true;
}

void hit_back(Ball& ball, int core) noexcept {
  thread_settle("np-bounce", core);
  ball.is_there.store(true, std::memory_order_release);
  for (uint32_t next = 1;; next += 2) {
    for (uint32_t looks = 1; ball.count.load(std::memory_order_acquire) != next; ++looks)
      if (looks % kLooks == 0 && ball.is_over.load(std::memory_order_relaxed)) return;
    ball.count.store(next + 1, std::memory_order_release);
  }
}

double measure(Ball& ball, int core) noexcept {
  thread_settle("np-bounce", core);
  float series[kSeriesMax];
  uint32_t done = 0, ball_at = 0;
  Time now = time_now();
  while (!ball.is_there.load(std::memory_order_acquire) && time_now() < now + kPatience)
    thread_pause(0);
  const Time end = (now = time_now()) + kMeasure;
  while (now < end && done < kSeriesMax) {
    bool whole = true;
    for (uint32_t i = 0; i < kSeries && whole; ++i) {
      ball.count.store(ball_at + 1, std::memory_order_release);
      whole = wait_for(ball.count, ball_at + 2, end);
      ball_at += 2;
    }
    if (!whole) break;
    const Time after = time_now();
    series[done++] = static_cast<float>(after - now) / kSeries;
    now = after;
  }
  ball.is_over.store(true, std::memory_order_relaxed);
  if (done == 0) return 0;
  std::nth_element(series, series + done / 2, series + done);
  return series[done / 2];
}

}  // namespace

double core_round_trip(int core, int other) noexcept {
  Ball ball;
  double ns = 0;
  std::thread there([&] { hit_back(ball, other); });
  std::thread here([&] { ns = measure(ball, core); });
  here.join();
  there.join();
  return ns;
}

}  // namespace nodeplane
