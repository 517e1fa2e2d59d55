#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "lap/path_lap.h"
#include "support/node_rows.h"
#include "support/patience.h"
#include "support/table_bytes.h"

namespace nodeplane::test {
namespace {

constexpr uint32_t kFlows = 512, kExpiring = 20'000, kPublishes = 24;
constexpr double kSeconds = 0.6;

uint32_t publish(Plane& plane, const TableSet& set) {
  const TableBytes bytes(set);
  std::string error;
  const uint32_t generation = plane.publish(bytes.data(), bytes.size(), &error);
  EXPECT_NE(generation, 0u) << error;
  return generation;
}

// As `bench gap` does: a worker takes turns over known flows while half-open ones expire, and control
// publishes changes and whole sets; endpoints come and go with them.
TEST(TurnsConcurrent, GoOnWhileControlPublishes) {
  PlaneOptions options;
  options.frames = 2 * kLapFrames;
  options.huge = false;
  options.flow_capacity4 = 16'384;
  std::string error;
  const auto plane = Plane::create(options, &error);
  ASSERT_NE(plane, nullptr) << error;
  for (uint32_t i = 0; i < NodeRows::kPorts; ++i) {
    PortSpec spec;
    spec.driver = "loop";
    spec.name = spec.interface = "turns" + std::to_string(i);
    ASSERT_EQ(plane->open_port(spec, &error), static_cast<int>(i)) << error;
  }
  const NodeRows one(false, false, 1), two(false, false, 2);
  publish(*plane, two.set());
  PathLap::Options laps;
  laps.flows = kFlows;
  laps.services.resize(1);
  parse_address("10.96.0.10", laps.services[0].address.bytes);
  laps.services[0].be_port = swap16(80);
  const auto lap = PathLap::create(*plane, laps, &error);
  ASSERT_NE(lap, nullptr) << error;

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
    publish(*plane, n % 4 == 3 ? rows.set() : rows.change(plane->generation(), {}));
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
