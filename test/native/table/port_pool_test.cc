#include "table/port_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include "base/be.h"

namespace nodeplane {
namespace {

IpAddress address(uint8_t last) {
  const uint8_t bytes[16] = {192, 0, 2, last};
  return IpAddress::from_bytes(bytes, 4);
}

struct Taken {
  uint16_t port;  // host order
  uint32_t grant;
};
constexpr uint8_t kZone = 0;

bool take(PortPool& pool, uint32_t worker, uint16_t source, uint32_t hash, uint16_t wanted,
          Taken* out, uint8_t protocol = kProtocolTcp, uint8_t zone = kZone) {
  uint16_t be = 0;
  if (!pool.take(worker, source, protocol, hash, zone, swap16(wanted), &be, &out->grant))
    return false;
  out->port = swap16(be);
  return true;
}

TEST(PortPool, GivesTheWantedPortWhenItIsFree) {
  PortPool pool(1, 1024, 65535);
  const uint16_t s = pool.source(4, address(1));
  Taken a, b;
  ASSERT_TRUE(take(pool, 0, s, 7, 40000, &a));
  EXPECT_EQ(a.port, 40000);
  ASSERT_TRUE(take(pool, 0, s, 7, 40000, &b));
  EXPECT_NE(b.port, 40000);
  ASSERT_TRUE(take(pool, 0, s, 7, 80, &b));  // outside the range
  EXPECT_GE(b.port, 1024);
  EXPECT_EQ(pool.in_use(), 3u);
}

TEST(PortPool, SourcesAreStable) {
  PortPool pool(1, 1024, 2047);
  EXPECT_EQ(pool.source(4, address(1)), 0);
  EXPECT_EQ(pool.source(4, address(2)), 1);
  EXPECT_EQ(pool.source(4, address(1)), 0);
  EXPECT_EQ(pool.source(6, address(1)), 2);  // the same bytes, another family
  EXPECT_TRUE(pool.address(1) == address(2));
  for (uint32_t i = 0; i < 300; ++i) {
    const uint8_t bytes[16] = {10, 0, static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i)};
    const uint16_t s = pool.source(4, IpAddress::from_bytes(bytes, 4));
    EXPECT_EQ(s, 3 + i < kSnatSourceMax ? 3 + i : kSnatSourceNone);
  }
  Taken t;
  EXPECT_FALSE(take(pool, 0, kSnatSourceNone, 0, 0, &t));
}

TEST(PortPool, EveryPortOnceThenNoneThenAtOnceWhatWasGivenBack) {
  constexpr uint16_t kLow = 1000, kHigh = 1130;  // not a whole number of words
  PortPool pool(1, kLow, kHigh);
  EXPECT_EQ(pool.capacity_per_destination(), 131u);
  const uint16_t s = pool.source(4, address(1));
  std::set<uint16_t> ports;
  std::vector<Taken> taken;
  Taken t;
  while (take(pool, 0, s, 3, 1050, &t)) {
    EXPECT_TRUE(ports.insert(t.port).second) << t.port;
    taken.push_back(t);
  }
  EXPECT_EQ(ports.size(), 131u);
  EXPECT_EQ(*ports.begin(), kLow);
  EXPECT_EQ(*ports.rbegin(), kHigh);
  // Another group, protocol or source is not touched by that.
  EXPECT_TRUE(take(pool, 0, s, 4, 1050, &t));
  EXPECT_TRUE(take(pool, 0, s, 3, 1050, &t, kProtocolUdp));
  EXPECT_TRUE(take(pool, 0, s, 3, 1050, &t, kProtocolIcmp));
  EXPECT_TRUE(take(pool, 0, pool.source(4, address(2)), 3, 1050, &t));
  EXPECT_EQ(pool.in_use(), 135u);
  for (const size_t i : {size_t{0}, size_t{77}, size_t{130}}) {
    pool.give(0, taken[i].grant, kZone);
    ASSERT_TRUE(take(pool, 0, s, 3, 9, &t));
    EXPECT_EQ(t.port, taken[i].port);
    EXPECT_FALSE(take(pool, 0, s, 3, 9, &t));
  }
}

TEST(PortPool, ThePortGivenBackLastIsNotTheNextOne) {
  PortPool pool(1, 1000, 1999);
  const uint16_t s = pool.source(4, address(1));
  Taken a, b;
  ASSERT_TRUE(take(pool, 0, s, 0, 0, &a));
  pool.give(0, a.grant, kZone);
  ASSERT_TRUE(take(pool, 0, s, 0, 0, &b));  // rotates: the far end may still be in TIME_WAIT
  EXPECT_NE(a.port, b.port);
}

TEST(PortPool, WorkersShareNothingAndTogetherHaveAll) {
  for (const uint32_t workers : {2u, 3u, 64u}) {
    PortPool pool(workers, 2000, 2099);
    const uint16_t s = pool.source(4, address(1));
    std::set<uint16_t> ports;
    Taken t;
    for (uint32_t w = 0; w < workers; ++w)
      while (take(pool, w, s, 0, 2000, &t)) EXPECT_TRUE(ports.insert(t.port).second);
    EXPECT_EQ(ports.size(), 100u) << workers;
    EXPECT_FALSE(take(pool, workers, s, 0, 2000, &t));
  }
}

TEST(PortPool, UnknownProtocolGetsNone) {
  PortPool pool(1, 2000, 2099);
  Taken t;
  EXPECT_FALSE(take(pool, 0, pool.source(4, address(1)), 0, 0, &t, 47));
}

TEST(PortPoolDeathTest, AGrantGivenTwiceStopsTheProgram) {
  PortPool pool(1, 2000, 2099);
  Taken t;
  ASSERT_TRUE(take(pool, 0, pool.source(4, address(1)), 0, 0, &t));
  pool.give(0, t.grant, kZone);
  EXPECT_DEATH(pool.give(0, t.grant, kZone), "given back once");
  EXPECT_DEATH(pool.give(0, kSnatGrantNone, kZone), "grant of this pool");
}

// Of 100 ports zone 1 is guaranteed 30 and may have 50.
struct PortShares : testing::Test {
  static constexpr ZoneShare kShares[] = {{0, 100}, {30, 50}, {0, 100}};
  PortPool pool{1, 2000, 2099};
  const uint16_t source = pool.source(4, address(1));
  std::vector<uint32_t> grants[3];

  void SetUp() override { pool.set_zones(kShares, 3); }
  // How many of `wanted` ports the zone gets; why no more.
  uint32_t take_some(uint8_t zone, uint32_t wanted, uint32_t hash = 7) {
    Taken t;
    uint32_t got = 0;
    while (got < wanted && take(pool, 0, source, hash, 0, &t, kProtocolTcp, zone)) {
      grants[zone].push_back(t.grant);
      ++got;
    }
    return got;
  }
  bool zone_full(uint8_t zone, uint32_t hash = 7) const {
    return pool.zone_full(0, source, kProtocolTcp, hash, zone);
  }
  void give_one(uint8_t zone) {
    pool.give(0, grants[zone].back(), zone);
    grants[zone].pop_back();
  }
};

TEST_F(PortShares, AGuaranteeIsSetAside) {
  EXPECT_EQ(take_some(0, 100), 70u);
  EXPECT_TRUE(zone_full(0));
  EXPECT_TRUE(zone_full(2));
  EXPECT_EQ(take_some(2, 1), 0u);
  EXPECT_FALSE(zone_full(1));
  EXPECT_EQ(take_some(1, 100), 30u);
  EXPECT_FALSE(zone_full(1)) << "nothing is left for anybody: that is another refusal";
  give_one(0);
  EXPECT_EQ(take_some(1, 100), 1u) << "beyond the guarantee who comes first is served";
  give_one(1);
  EXPECT_EQ(take_some(2, 100), 1u);
  give_one(1);
  EXPECT_EQ(take_some(0, 100), 0u) << "what is given back below the guarantee is set aside again";
  EXPECT_EQ(take_some(1, 100), 1u);
}

TEST_F(PortShares, AMaximumIsKept) {
  EXPECT_EQ(take_some(1, 100), 50u);
  EXPECT_TRUE(zone_full(1));
  EXPECT_EQ(take_some(0, 100), 50u);
  EXPECT_FALSE(zone_full(0));
}

// To another destination ports are counted by themselves.
TEST_F(PortShares, AreOfEveryDestination) {
  EXPECT_EQ(take_some(0, 100), 70u);
  EXPECT_EQ(take_some(0, 100, 8), 70u);
  EXPECT_EQ(take_some(1, 100, 8), 30u);
}

TEST_F(PortShares, MayChangeWhilePortsAreTaken) {
  EXPECT_EQ(take_some(0, 100), 70u);
  constexpr ZoneShare kOther[] = {{0, 40}, {50, 100}};
  pool.set_zones(kOther, 2);
  EXPECT_EQ(take_some(0, 1), 0u);
  EXPECT_EQ(take_some(2, 1), 0u) << "20 more are zone 1's than there are";
  EXPECT_EQ(take_some(1, 100), 30u);
  for (int i = 0; i < 31; ++i) give_one(0);
  EXPECT_EQ(take_some(0, 100), 1u);
  pool.set_zones(nullptr, 0);
  EXPECT_EQ(take_some(2, 100), 30u);
  EXPECT_EQ(pool.in_use(), 100u);
}

TEST_F(PortShares, OneIsTheLeastMaximum) {
  constexpr ZoneShare kTiny[] = {{0, 100}, {0, 1}};
  PortPool few(2, 2000, 2059);
  few.set_zones(kTiny, 2);
  const uint16_t s = few.source(4, address(1));
  Taken t;
  EXPECT_TRUE(take(few, 1, s, 7, 0, &t, kProtocolTcp, 1));
  EXPECT_FALSE(take(few, 1, s, 7, 0, &t, kProtocolTcp, 1));
  EXPECT_TRUE(take(few, 0, s, 7, 0, &t, kProtocolTcp, 1)) << "each worker's slice for itself";
}

// An earlier process had other shares, and zones that are no more.
TEST_F(PortShares, WhatSurvivedCounts) {
  uint32_t grant;
  for (uint16_t i = 0; i < 80; ++i)
    ASSERT_TRUE(pool.retake(4, address(1), kProtocolTcp, 7, 9, swap16(2000 + i), &grant));
  EXPECT_EQ(take_some(0, 100), 0u);
  EXPECT_EQ(take_some(1, 100), 20u);
  pool.give(0, grant, 9);
  EXPECT_EQ(take_some(1, 100), 1u);
  EXPECT_EQ(take_some(0, 100), 0u);
}

// Two workers take; each gives back what the other took. Nothing is lost or handed out twice.
TEST(PortPoolConcurrent, TwoWorkersAtOnce) {
  PortPool pool(2, 1024, 3071);
  const uint16_t s = pool.source(4, address(1));
  std::atomic<uint32_t> owner[65536] = {};
  std::atomic<uint32_t> passed[2][256] = {};  // grants on their way to the other worker
  for (auto& side : passed)
    for (auto& g : side) g.store(kSnatGrantNone);
  std::atomic<uint64_t> takes{0}, gives{0};
  auto run = [&](uint32_t worker) {
    for (uint32_t i = 0; gives.load() < 20000; ++i) {
      if (i % 256 == 0) std::this_thread::yield();
      Taken t;
      auto& mine = passed[worker][i % 256];
      if (mine.load(std::memory_order_acquire) == kSnatGrantNone &&
          take(pool, worker, s, 5, 0, &t)) {
        EXPECT_EQ(owner[t.port].exchange(1), 0u);
        takes++;
        mine.store(t.grant, std::memory_order_release);
      }
      auto& theirs = passed[1 - worker][i % 256];
      const uint32_t grant = theirs.exchange(kSnatGrantNone, std::memory_order_acq_rel);
      if (grant != kSnatGrantNone) {
        EXPECT_EQ(owner[grant & 0xffff].exchange(0), 1u);
        pool.give(worker, grant, kZone);
        gives++;
      }
    }
  };
  std::thread other(run, 1);
  run(0);
  other.join();
  EXPECT_EQ(pool.in_use(), takes - gives);
}

}  // namespace
}  // namespace nodeplane
