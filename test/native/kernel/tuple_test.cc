#include "kernel/tuple.h"

#include <gtest/gtest.h>

#include <random>

namespace nodeplane {
namespace {

TEST(Tuple, IsReadAsByTheMeaning) {
  std::mt19937 random(7);
  uint8_t header[40];
  for (int i = 0; i < 1000; ++i) {
    for (uint8_t& b : header) b = static_cast<uint8_t>(random());
    const auto network = static_cast<uint16_t>(random());
    KeyV4 want, got;
    tuple_v4_scalar(header + i % 8, network, &want);  // at any alignment
    tuple_v4(header + i % 8, network, &got);
    ASSERT_EQ(got, want);
    EXPECT_EQ(got.network, network);
    EXPECT_EQ(got.protocol, header[i % 8 + 9]);
  }
}

TEST(Tuple, EqualsItselfAndNothingElse) {
  KeyV4 a{1, 2, 3, 4, 5, 6, 0};
  EXPECT_TRUE(tuple_equal(a, a));
  for (size_t byte = 0; byte < sizeof a; ++byte) {
    for (int bit = 0; bit < 8; ++bit) {
      KeyV4 b = a;
      reinterpret_cast<uint8_t*>(&b)[byte] ^= static_cast<uint8_t>(1 << bit);
      EXPECT_FALSE(tuple_equal(a, b)) << byte << " " << bit;
    }
  }
}

}  // namespace
}  // namespace nodeplane
