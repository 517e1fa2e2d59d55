#include <gtest/gtest.h>

#include "support/batch_kit.h"

namespace nodeplane {
namespace {

TEST(Settle, CountsTakesOffAndKeepsTheOrder) {
  test::BatchKit kit;
  Batch& b = *kit.batch;
  for (int i = 0; i < 6; ++i) kit.put(test::Bytes(60, 1), 1, i == 2 ? 20 : 0);
  b.fresh_count = 3;
  b.fresh[0] = 0;
  b.fresh[1] = 2;
  b.fresh[2] = 5;
  settle(b);
  EXPECT_EQ(b.live_count, 6u);
  b.drop(b.packets[2], Drop::kNoRoute);
  b.consume(b.packets[3]);
  b.hold(b.packets[4]);
  const uint32_t held = b.packets[4].frame;
  settle(b);
  ASSERT_EQ(b.live_count, 3u);
  EXPECT_EQ(b.live[0], 0);
  EXPECT_EQ(b.live[1], 1);
  EXPECT_EQ(b.live[2], 5);
  ASSERT_EQ(b.fresh_count, 2u);
  EXPECT_EQ(b.fresh[1], 5);
  EXPECT_EQ(kit.drops(Drop::kNoRoute), 1u);
  EXPECT_EQ(kit.count(Counter::kConsumed), 1u);
  EXPECT_EQ(kit.cache->given(), 0u);  // the bytes are still wanted
  EXPECT_EQ(kit.bytes(b.packets[2]), test::Bytes(60, 1));
  settle(b);
  EXPECT_EQ(kit.drops(Drop::kNoRoute), 1u);
  finish(b);
  EXPECT_EQ(kit.cache->given(), 4u);  // three of the chain, one consumed; the held one stays out
  finish(b);
  EXPECT_EQ(kit.cache->given(), 4u);
  kit.cache->give(held);
  kit.end();
}

TEST(Settle, WhatCannotBeOwedIsCountedAsMadeAndDropped) {
  test::BatchKit kit;
  Batch& b = *kit.batch;
  for (uint32_t i = 0; i < kBatchRoom; ++i) ASSERT_TRUE(b.owe(Owed{}));
  EXPECT_FALSE(b.owe(Owed{}));
  EXPECT_EQ(kit.drops(Drop::kOriginateFull), 1u);
  EXPECT_EQ(kit.count(Counter::kOriginated), 1u);
}

}  // namespace
}  // namespace nodeplane
