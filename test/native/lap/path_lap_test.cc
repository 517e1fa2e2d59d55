// Laps measure what they say.
#include "lap/path_lap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "support/lap_scene.h"

namespace nodeplane::test {
namespace {

// How long ago its last packet came, of the known connection that was silent longest, and of that
// whose packet came last; ms.
std::pair<uint64_t, uint64_t> silences(Plane& plane) {
  std::vector<FlowRow> rows(plane.flows4().capacity());
  uint32_t cursor = 0;
  const Time later = time_now() + 3600 * kSecond;  // than the laps' clock
  const uint32_t count =
      plane.flows4().dump(&cursor, rows.data(), static_cast<uint32_t>(rows.size()), later);
  uint64_t longest = 0, shortest = ~uint64_t{0};
  for (uint32_t i = 0; i < count; ++i) {
    longest = std::max(longest, rows[i].last_seen_ms);
    shortest = std::min(shortest, rows[i].last_seen_ms);
  }
  return {longest, shortest};
}

// Laps of new flows take the clock two minutes on. Who was silent for so long walks the stages once:
// no lap of known flows may measure that.
TEST(PathLap, KnownFlowsWereSeenOfLate) {
  constexpr uint32_t kFlows = 4 * kLapFrames;
  const LapScene scene(kFlows, 2 * kFlows);
  PathLap& lap = *scene.lap;
  const PathLap::Draw all;
  for (const bool together : {false, true}) {
    lap.lap(PathLap::What::kNew);
    EXPECT_EQ(scene.plane->flows4().live(), kFlows);
    if (together)
      lap.together(PathLap::What::kCorridor, {all}, {-1}, 1);
    else
      lap.lap(PathLap::What::kCorridor);
    EXPECT_EQ(lap.strays(), 0u) << lap.drops();
    const auto [longest, shortest] = silences(*scene.plane);
    EXPECT_LT(longest - shortest, 5000u);
  }
}

}  // namespace
}  // namespace nodeplane::test
