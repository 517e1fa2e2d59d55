#include "table/neighbours.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include "table/flow.h"

namespace nodeplane {
namespace {

constexpr uint32_t kRetry = 1000, kTries = 3, kReachable = 30000;
constexpr uint8_t kMacA[6] = {2, 0, 0, 0, 0, 0xa}, kMacB[6] = {2, 0, 0, 0, 0, 0xb};

IpAddress v4(uint32_t host) { return IpAddress::from_v4(__builtin_bswap32(host)); }
bool ask(NeighbourTable& t, uint32_t index, Time now) {
  return t.ask(index, now, kRetry, kTries, kReachable);
}

TEST(Neighbours, AreNamedByPortFamilyAndAddress) {
  NeighbourTable t(64);
  const uint32_t a = t.find_or_add(1, 4, v4(0x0a000001), 0);
  EXPECT_EQ(t.find_or_add(1, 4, v4(0x0a000001), 0), a);
  EXPECT_EQ(t.find(1, 4, v4(0x0a000001)), a);
  EXPECT_NE(t.find_or_add(2, 4, v4(0x0a000001), 0), a);
  EXPECT_NE(t.find_or_add(1, 6, v4(0x0a000001), 0), a);
  EXPECT_EQ(t.find(1, 4, v4(0x0a000002)), kNextHopNone);
  uint8_t family = 0;
  EXPECT_TRUE(t.address(a, &family) == v4(0x0a000001));
  EXPECT_EQ(family, 4);
  EXPECT_EQ(t.read(a).port, 1);
  EXPECT_EQ(t.read(a).state, NeighbourState::kIncomplete);
}

TEST(Neighbours, AreAskedInTurnsThenFailThenAreAskedAnew) {
  NeighbourTable t(64);
  const uint32_t a = t.find_or_add(1, 4, v4(1), 0);
  Time now = 5 * kSecond;
  const uint64_t before = t.changes();
  for (uint32_t i = 0; i < kTries; ++i) {
    EXPECT_TRUE(ask(t, a, now));
    EXPECT_FALSE(ask(t, a, now));
    EXPECT_FALSE(ask(t, a, now + kRetry * kMillisecond - 1));
    now += kRetry * kMillisecond;
  }
  EXPECT_EQ(t.read(a).state, NeighbourState::kIncomplete);
  EXPECT_FALSE(ask(t, a, now));
  EXPECT_EQ(t.read(a).state, NeighbourState::kFailed);
  EXPECT_GT(t.changes(), before);
  EXPECT_FALSE(ask(t, a, now + kNeighbourFailedMs * kMillisecond - 1));
  now += kNeighbourFailedMs * kMillisecond;
  EXPECT_TRUE(ask(t, a, now));
  EXPECT_EQ(t.read(a).state, NeighbourState::kIncomplete);
  EXPECT_FALSE(ask(t, a, now));
}

TEST(Neighbours, AnAnswerMakesReachableUntilItIsOld) {
  NeighbourTable t(64);
  const uint32_t a = t.find_or_add(1, 4, v4(1), 0);
  Time now = kSecond;
  EXPECT_TRUE(ask(t, a, now));
  const uint64_t before = t.changes();
  EXPECT_TRUE(t.learn(1, 4, v4(1), kMacA, false, true, now));
  EXPECT_GT(t.changes(), before);
  EXPECT_EQ(t.read(a).state, NeighbourState::kReachable);
  EXPECT_EQ(std::memcmp(t.read(a).mac, kMacA, 6), 0);
  EXPECT_FALSE(ask(t, a, now + kReachable * kMillisecond - 1));
  EXPECT_FALSE(t.learn(1, 4, v4(1), kMacA, false, true, now + kSecond));  // nothing new
  now += kReachable * kMillisecond + kSecond;
  EXPECT_TRUE(ask(t, a, now));  // old: asked again, still used meanwhile
  EXPECT_EQ(t.read(a).state, NeighbourState::kReachable);
  for (uint32_t i = 1; i < kTries; ++i) EXPECT_TRUE(ask(t, a, now += kRetry * kMillisecond));
  EXPECT_FALSE(ask(t, a, now += kRetry * kMillisecond));
  EXPECT_EQ(t.read(a).state, NeighbourState::kFailed);
  EXPECT_TRUE(t.learn(1, 4, v4(1), kMacA, false, true, now));
  EXPECT_EQ(t.read(a).state, NeighbourState::kReachable);
}

TEST(Neighbours, LearningIsBounded) {
  NeighbourTable t(64);
  EXPECT_FALSE(t.learn(1, 4, v4(1), kMacA, false, true, 0));
  EXPECT_EQ(t.find(1, 4, v4(1)), kNextHopNone);
  EXPECT_TRUE(t.learn(1, 4, v4(1), kMacA, true, true, 0));
  const uint32_t a = t.find(1, 4, v4(1));
  EXPECT_FALSE(t.learn(1, 4, v4(1), kMacB, true, false, 0));  // no override: RFC 4861 section 7.2.5
  EXPECT_EQ(std::memcmp(t.read(a).mac, kMacA, 6), 0);
  EXPECT_TRUE(t.learn(1, 4, v4(1), kMacB, true, true, 0));
  EXPECT_EQ(std::memcmp(t.read(a).mac, kMacB, 6), 0);
}

TEST(Neighbours, StaticsAreNeitherAskedNorLearntOver) {
  NeighbourTable t(64);
  t.begin_statics();
  t.set_static(1, 4, v4(1), kMacA);
  t.set_static(1, 4, v4(2), kMacA);
  t.end_statics();
  const uint32_t a = t.find(1, 4, v4(1)), b = t.find(1, 4, v4(2));
  EXPECT_FALSE(ask(t, a, kSecond));
  EXPECT_FALSE(t.learn(1, 4, v4(1), kMacB, true, true, kSecond));
  EXPECT_EQ(t.read(a).state, NeighbourState::kStatic);
  EXPECT_EQ(std::memcmp(t.read(a).mac, kMacA, 6), 0);
  t.begin_statics();
  t.set_static(1, 4, v4(2), kMacB);
  t.end_statics();
  EXPECT_EQ(t.read(a).state, NeighbourState::kIncomplete);
  EXPECT_EQ(t.read(b).state, NeighbourState::kStatic);
  EXPECT_EQ(std::memcmp(t.read(b).mac, kMacB, 6), 0);
  EXPECT_TRUE(ask(t, a, kSecond));
}

TEST(Neighbours, AScanCannotUseTheTableUp) {
  constexpr uint32_t kCapacity = 256;
  NeighbourTable t(kCapacity);
  const Time now = 100 * kSecond;
  t.set_static(1, 4, v4(1), kMacA);
  const uint32_t pinned = t.find_or_add(1, 4, v4(2), now);
  t.learn(1, 4, v4(2), kMacA, false, true, now);
  EXPECT_TRUE(t.pin(pinned, 1, 4, v4(2)));
  for (uint32_t i = 0; i < 10 * kCapacity; ++i)
    EXPECT_NE(t.find_or_add(1, 4, v4(1000 + i), now), kNextHopNone) << i;
  EXPECT_NE(t.find(1, 4, v4(1)), kNextHopNone);
  EXPECT_EQ(t.find(1, 4, v4(2)), pinned);
  EXPECT_EQ(t.find(1, 4, v4(1000)), kNextHopNone);  // made room
  // Entries just asked keep their place: the answer may be on its way.
  std::set<uint32_t> asked;
  for (uint32_t i = 0; i < 10 * kCapacity; ++i) {
    const uint32_t index = t.find_or_add(1, 4, v4(100000 + i), now);
    if (index == kNextHopNone) break;
    EXPECT_TRUE(asked.insert(index).second);
    EXPECT_TRUE(ask(t, index, now));
  }
  EXPECT_EQ(asked.size(), kCapacity - 2);
  EXPECT_EQ(t.find_or_add(1, 4, v4(5), now), kNextHopNone);
  EXPECT_NE(t.find_or_add(1, 4, v4(5), now + kNeighbourGraceMs * kMillisecond), kNextHopNone);
}

TEST(Neighbours, PinFailsOnceTheEntryIsAnothers) {
  NeighbourTable t(1);
  const uint32_t a = t.find_or_add(1, 4, v4(1), 0);
  EXPECT_EQ(t.find_or_add(1, 4, v4(2), 0), a);
  EXPECT_FALSE(t.pin(a, 1, 4, v4(1)));
  EXPECT_TRUE(t.pin(a, 1, 4, v4(2)));
  EXPECT_EQ(t.find_or_add(1, 4, v4(3), kSecond), kNextHopNone);
}

TEST(Neighbours, DumpShowsEveryOneOnce) {
  NeighbourTable t(64);
  for (uint32_t i = 0; i < 10; ++i) t.learn(1, 4, v4(i + 1), kMacA, true, true, 0);
  NeighbourStateRow rows[4];
  std::set<uint32_t> seen;
  for (uint32_t cursor = 0; cursor != ~0u;) {
    const uint32_t n = t.dump(&cursor, rows, 4);
    for (uint32_t i = 0; i < n; ++i) {
      EXPECT_EQ(rows[i].state, 1);
      EXPECT_TRUE(seen.insert(IpAddress::from_bytes(rows[i].address, 4).v4()).second);
    }
  }
  EXPECT_EQ(seen.size(), 10u);
}

// Two workers ask at the same moments: exactly one of them sends each time.
TEST(NeighboursConcurrent, OnlyOneWorkerAsks) {
  NeighbourTable t(64);
  const uint32_t a = t.find_or_add(1, 4, v4(1), 0);
  std::atomic<uint32_t> sent{0};
  std::atomic<uint32_t> turn{0};
  auto run = [&] {
    for (uint32_t i = 0; i < 2000; ++i) {
      turn.fetch_add(1);
      while (turn.load() < 2 * (i + 1)) std::this_thread::yield();
      sent += t.ask(a, (i + 1) * kRetry * kMillisecond, kRetry, ~0u, kReachable);
    }
  };
  std::thread other(run);
  run();
  other.join();
  EXPECT_EQ(sent.load(), 2000u);
}

// Readers beside a writer that reuses entries: a name never reads as a mixture, and a pinned or held
// entry never has another's MAC. Time is the reader's: nothing it holds is old before it moves on.
TEST(NeighboursConcurrent, ReadersSeeWholeNames) {
  NeighbourTable t(32);
  std::atomic<bool> stop{false};
  std::atomic<Time> clock{kSecond};
  auto name = [](uint32_t i) {
    uint8_t bytes[16];
    for (auto& b : bytes) b = static_cast<uint8_t>(i);
    return IpAddress::from_bytes(bytes, 6);
  };
  std::thread writer([&] {
    for (uint32_t i = 0; i < 100000; ++i) {
      const uint8_t mac[6] = {static_cast<uint8_t>(i), 0, 0, 0, 0, static_cast<uint8_t>(i)};
      t.learn(1, 6, name(i), mac, true, true, clock.load(std::memory_order_relaxed));
    }
    stop = true;
  });
  uint32_t wrong = 0, pinned = 0, held = 0;
  const auto is_anothers = [](const NextHop& hop, uint32_t i) {
    return hop.answers() && (hop.mac[0] != static_cast<uint8_t>(i) || hop.mac[5] != hop.mac[0]);
  };
  for (uint32_t i = 0; !stop; ++i) {
    const Time now = clock.load(std::memory_order_relaxed) + kNeighbourGraceMs * kMillisecond / 3;
    clock.store(now, std::memory_order_relaxed);
    const uint32_t index = t.find(1, 6, name(i));
    if (index == kNextHopNone) continue;
    uint8_t family;
    const IpAddress a = t.address(index, &family);
    for (const uint8_t b : a.bytes) wrong += b != a.bytes[0];
    if (pinned < 8 && t.pin(index, 1, 6, name(i))) {
      pinned++;
      wrong += is_anothers(t.read(index), i);
    }
    if (t.hold(index, 1, 6, name(i), now)) {
      held++;
      wrong += is_anothers(t.read(index), i);
    }
  }
  writer.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(held, 0u);
}

}  // namespace
}  // namespace nodeplane
