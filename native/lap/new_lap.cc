// Laps of connections that come, and go.
#include <algorithm>

#include "lap/path_lap.h"

namespace nodeplane {
namespace {

constexpr uint32_t kBatches = kLapFrames / kBatchSize;
// Longer than the default timer of a connection that was reset (10 s), by some ticks of the wheel.
constexpr Time kClosedGone = 11 * kSecond;
constexpr size_t kCoolBytesMax = size_t{64} << 20;

}  // namespace

// Reads as many bytes as the table has, so that records that have just gone are not warm when they
// are taken again.
void PathLap::cool() const noexcept {
  if (!floor_) return;
  uint64_t sum = 0;
  for (size_t i = 0; i < std::min(floor_bytes_, kCoolBytesMax); i += 64) sum += floor_[i];
  __asm__ volatile("" ::"r"(sum));
}

// SYNs of flows never seen; with kReset behind each one the RST of a flow of the lap before.
void PathLap::lay_new(LapHand& hand, What what) noexcept {
  const bool resets = what == What::kReset;
  const uint32_t count = resets ? kLapFrames / 2 : kLapFrames;
  if (resets && hand.opened_count == 0) {  // the first one
    const uint32_t from = next_flow_.fetch_add(count);
    for (uint32_t i = 0; i < count; ++i) lay(hand, hand.frames()[i], from + i, kTcpSyn);
    uint32_t left = 0;
    for (uint32_t i = 0; i < count; i += kBatchSize)
      left += hand.walk(hand.frames() + i, kBatchSize, kClientPort, kEndpointPort);
    hand.strays += count - left;
    hand.opened_from = from;
    hand.opened_count = count;
  }
  const uint32_t from = next_flow_.fetch_add(count);
  for (uint32_t i = 0; i < count; ++i) {
    if (!resets) {
      lay(hand, hand.frames()[i], from + i, kTcpSyn);
      continue;
    }
    lay(hand, hand.frames()[2 * i], from + i, kTcpSyn);
    lay(hand, hand.frames()[2 * i + 1], hand.opened_from + i, kTcpRst);
  }
  hand.opened_from = from;
  hand.opened_count = resets ? count : 0;
  hand.clock += kMillisecond;
}

// The clock takes as long for a lap as gone connections stay, so that in every batch as many are due
// as were opened or reset in the same batch of the lap before.
void PathLap::walk_new(LapHand& hand, What what) noexcept {
  const Time step = what == What::kExpire  ? kHalfOpenGone / kBatches
                    : what == What::kReset ? kClosedGone / kBatches
                                           : 0;
  uint32_t left = 0;
  for (uint32_t i = 0; i < kLapFrames; i += kBatchSize) {
    left += hand.walk(hand.frames() + i, kBatchSize, kClientPort, kEndpointPort);
    hand.clock += step;
    hand.expire();
  }
  hand.strays += kLapFrames - left;
}

// Not timed: what kNew opened goes away; what expiry could not do within its bounds is done.
void PathLap::clear_away(LapHand& hand, What what) noexcept {
  if (what == What::kNew) hand.clock += kHalfOpenGone;
  if (what <= What::kFloor) return;
  while (hand.expire()) {
  }
}

}  // namespace nodeplane
