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

bool take(PortPool& pool, uint32_t worker, uint16_t source, uint32_t hash, uint16_t wanted,
          Taken* out, uint8_t protocol = kProtocolTcp) {
  uint16_t be = 0;
  if (!pool.take(worker, source, protocol, hash, swap16(wanted), &be, &out->grant)) return false;
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
    pool.give(0, taken[i].grant);
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
  pool.give(0, a.grant);
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
  pool.give(0, t.grant);
  EXPECT_DEATH(pool.give(0, t.grant), "given back once");
  EXPECT_DEATH(pool.give(0, kSnatGrantNone), "grant of this pool");
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
        pool.give(worker, grant);
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
