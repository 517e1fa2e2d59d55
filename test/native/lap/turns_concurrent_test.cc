#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "support/lap_scene.h"
#include "support/patience.h"

namespace nodeplane::test {
namespace {

constexpr uint32_t kFlows = 512, kExpiring = 20'000, kPublishes = 24;
constexpr double kSeconds = 0.6;

// As `bench gap` does: a worker takes turns over known flows while half-open ones expire, and control
// publishes changes and whole sets; endpoints come and go with them.
TEST(TurnsConcurrent, GoOnWhileControlPublishes) {
  const LapScene scene(kFlows, 16'384);
  const auto& [plane, lap] = scene;
  const NodeRows one(false, false, 1), two(false, false, 2);

  lap->begin_turns(kSeconds, kExpiring, -1);
  // The turns have begun when the first of what was opened to expire does.
  uint32_t most = 0;
  ASSERT_TRUE(eventually([&] {
    const uint32_t live = plane->flows4().live();
    most = std::max(most, live);
    return most > 2 * kFlows && live < most;
  }));
  for (uint32_t n = 0; n < kPublishes; ++n) {
    const NodeRows& rows = n % 2 == 0 ? one : two;
    scene.publish(n % 4 == 3 ? rows.set() : rows.change(plane->generation(), {}));
    // A turn under way, and a whole one with what was published.
    for (int turn = 0; turn < 2; ++turn)
      for (const uint64_t epoch = plane->epochs().retire(); plane->epochs().safe() <= epoch;)
        std::this_thread::yield();
  }
  const auto turns = lap->end_turns();
  ASSERT_NE(turns, nullptr);
  EXPECT_EQ(plane->generation(), 1 + kPublishes);
  EXPECT_GT(turns->ns.count(), 0u);
  EXPECT_GT(turns->expired, 0u);
  EXPECT_EQ(lap->strays(), 0u) << lap->drops();
  // Those of the endpoint that always stood. The others were picked up anew, and are over by now.
  EXPECT_GT(plane->flows4().live(), kFlows / 4);
  EXPECT_LT(plane->flows4().live(), kFlows);
}

}  // namespace
}  // namespace nodeplane::test
