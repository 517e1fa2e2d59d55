// A worker at work, turn by turn.
#include "base/thread.h"
#include "lap/path_lap.h"

namespace nodeplane {
namespace {

// The default timer of a connection whose SYN was seen and a tick of the wheel.
constexpr Time kHalfOpenDue = 120 * kSecond + 70 * kMillisecond;

}  // namespace

// Opens flows that nobody answers, and goes to where the first ones' time is over: so many a second.
void PathLap::doom(LapHand& hand, uint32_t count, uint32_t per_second) noexcept {
  const Time began = hand.clock;
  const Time step = kSecond * kBatchSize / per_second;
  for (uint32_t done = 0; done < count; done += kLapFrames) {
    const Time at = hand.clock;
    lay_new(hand, What::kNew);
    hand.clock = at;
    for (uint32_t i = 0; i < kLapFrames; i += kBatchSize) {
      const uint32_t left = hand.walk(hand.frames() + i, kBatchSize, kClientPort, kEndpointPort);
      hand.strays += kBatchSize - left;
      hand.expire();
      hand.clock += step;
    }
  }
  hand.clock = began + kHalfOpenDue;
}

// Over newly laid packets of known flows. The clock is that of the turns which count: nothing else
// takes any of it.
uint64_t PathLap::take_turns(LapHand& hand) noexcept {
  const Time began = hand.clock;
  lay_known(hand, {});
  hand.clock = began;
  uint64_t preempted = thread_preempted();
  for (uint32_t i = 0; i < kLapFrames; i += kBatchSize) {
    const Time before = time_now();
    const uint32_t left = hand.walk(hand.frames() + i, kBatchSize, kClientPort, kEndpointPort);
    hand.expire();
    const Time ns = time_now() - before;
    hand.strays += kBatchSize - left;
    const uint64_t now = thread_preempted();
    if (now != preempted) {
      preempted = now;
      turns_->preempted++;
      continue;
    }
    turns_->ns.add(ns);
    hand.clock += ns;
  }
  return hand.clock - began;
}

void PathLap::work(double seconds, uint32_t expiring) noexcept {
  LapHand& hand = *hands_[0];
  hand.clock = clock_ + kHalfOpenGone;
  hand.strays = 0;
  // Timers of the known ones that were set before they were established, and what is left of before.
  while (hand.expire()) {
  }
  const auto count = [&] { return plane_->flows4().live() + plane_->flows6().live(); };
  if (expiring > 0) doom(hand, static_cast<uint32_t>(seconds * expiring), expiring);
  const uint32_t before = count();
  meet_all(hand);
  const auto least = static_cast<uint64_t>(seconds * kSecond);
  for (uint64_t spent = 0; spent < least || !is_ending_.load(std::memory_order_relaxed);)
    spent += take_turns(hand);
  turns_->expired = before - count();
  hand.clock += kHalfOpenGone;
  while (hand.expire()) {
  }
  hand.offline();
  clock_ = hand.clock;
}

void PathLap::begin_turns(double seconds, uint32_t expiring, int core) {
  end_turns();
  turns_ = std::make_unique<Turns>();
  is_ending_ = false;
  thread_ = std::thread([this, seconds, expiring, core] {
    thread_settle("np-turns", core);
    work(seconds, expiring);
  });
}

std::unique_ptr<PathLap::Turns> PathLap::end_turns() {
  is_ending_ = true;
  if (thread_.joinable()) thread_.join();
  return std::move(turns_);
}

}  // namespace nodeplane
