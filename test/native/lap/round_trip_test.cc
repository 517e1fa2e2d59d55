#include "lap/round_trip.h"

#include <gtest/gtest.h>

#include <thread>

#include "support/patience.h"

namespace nodeplane {
namespace {

TEST(RoundTrip, TakesAPlausibleTime) {
  if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "one core only";
  // 0 while somebody else has one of the cores.
  double ns = 0;
  eventually([&] { return (ns = core_round_trip(0, 1)) != 0; });
  EXPECT_GT(ns, 5);
  EXPECT_LT(ns, 1e6);
}

TEST(RoundTrip, OneCoreAloneIsToldOrSlow) {
  const double ns = core_round_trip(0, 0);  // a switch of threads each way, or no series at all
  EXPECT_TRUE(ns == 0 || ns > 500) << ns;
}

}  // namespace
}  // namespace nodeplane
