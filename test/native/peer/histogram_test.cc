#include "peer/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

namespace nodeplane {
namespace {

TEST(Histogram, EveryBucketFollowsTheOneBelow) {
  for (uint32_t b = 0; b < Histogram::kBuckets; ++b) {
    const uint64_t top = Histogram::top_of(b);
    ASSERT_EQ(Histogram::bucket_of(top), b);
    if (b + 1 < Histogram::kBuckets) {
      ASSERT_EQ(Histogram::bucket_of(top + 1), b + 1);
    } else {
      ASSERT_EQ(top, ~uint64_t{0});
    }
  }
}

TEST(Histogram, SmallValuesAreExact) {
  auto h = std::make_unique<Histogram>();
  EXPECT_EQ(h->quantile(0.5), 0u);
  EXPECT_EQ(h->min(), 0u);
  for (uint64_t v = 1; v <= 200; ++v) h->add(v);
  EXPECT_EQ(h->count(), 200u);
  EXPECT_EQ(h->min(), 1u);
  EXPECT_EQ(h->max(), 200u);
  EXPECT_EQ(h->quantile(0), 1u);
  EXPECT_EQ(h->quantile(0.5), 100u);
  EXPECT_EQ(h->quantile(0.99), 198u);
  EXPECT_EQ(h->quantile(1), 200u);
}

// Against the sorted values themselves: never less, and at most 1/128 more.
TEST(Histogram, QuantilesAreWithinTheirError) {
  std::mt19937_64 random(7);
  auto h = std::make_unique<Histogram>();
  std::vector<uint64_t> all;
  for (int i = 0; i < 20000; ++i) {
    const uint64_t v = random() >> (random() % 64);
    all.push_back(v);
    h->add(v);
  }
  std::sort(all.begin(), all.end());
  for (const double share : {0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const uint64_t right = all[static_cast<size_t>(std::ceil(share * 20000)) - 1];
    const uint64_t found = h->quantile(share);
    EXPECT_GE(found, right) << share;
    EXPECT_LE(static_cast<double>(found - right), static_cast<double>(right) / 128) << share;
  }
}

}  // namespace
}  // namespace nodeplane
