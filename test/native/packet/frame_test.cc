#include "packet/frame.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <set>
#include <thread>
#include <vector>

namespace nodeplane {
namespace {

std::unique_ptr<FrameArena> make_arena(uint32_t count, uint32_t size = 2048) {
  std::string error;
  auto arena = FrameArena::create({.frame_size = size, .count = count}, &error);
  EXPECT_NE(arena, nullptr) << error;
  return arena;
}

TEST(FrameArena, RoundsUpToBundlesAndMapsEveryFrame) {
  auto arena = make_arena(100, 4096);
  EXPECT_EQ(arena->count(), 128u);
  EXPECT_EQ(arena->free_count(), 128u);
  EXPECT_GE(arena->bytes(), 128u * 4096);
  struct stat info;
  ASSERT_EQ(fstat(arena->fd(), &info), 0);
  EXPECT_EQ(static_cast<size_t>(info.st_size), arena->bytes());
  for (uint32_t f = 0; f < arena->count(); ++f) {
    arena->at(f)[0] = static_cast<uint8_t>(f);
    arena->at(f)[4095] = static_cast<uint8_t>(f);
    EXPECT_EQ(arena->frame_of(arena->at(f) + 4095), f);
  }
}

TEST(FrameArena, RefusesOddSizes) {
  std::string error;
  EXPECT_EQ(FrameArena::create({.frame_size = 1000, .count = 64}, &error), nullptr);
  EXPECT_FALSE(error.empty());
  error.clear();
  EXPECT_EQ(FrameArena::create({.frame_size = 2048, .count = 0}, &error), nullptr);
  EXPECT_FALSE(error.empty());
}

TEST(FrameCache, EveryFrameIsTakenOnceUntilNoneIsLeft) {
  auto arena = make_arena(1024);
  FrameCache cache(*arena);
  std::set<uint32_t> seen;
  for (uint32_t i = 0; i < 1024; ++i) {
    const uint32_t f = cache.take();
    ASSERT_LT(f, 1024u);
    ASSERT_TRUE(seen.insert(f).second);
    ASSERT_EQ(arena->link(f).next, kFrameNone);
  }
  EXPECT_EQ(cache.take(), kFrameNone);
  EXPECT_EQ(arena->free_count(), 0u);
  for (uint32_t f : seen) cache.give(f);
  cache.flush();
  EXPECT_EQ(arena->free_count(), 1024u);
  EXPECT_EQ(cache.taken(), 1024u);
  EXPECT_EQ(cache.given(), 1024u);
}

TEST(FrameCache, TakesManyAtOnceAsFarAsThereAre) {
  auto arena = make_arena(192);
  FrameCache cache(*arena);
  uint32_t frames[256];
  const uint32_t one = cache.take();
  EXPECT_EQ(cache.take(frames, 150), 150u);
  EXPECT_EQ(cache.take(frames + 150, 100), 41u);
  EXPECT_EQ(cache.take(frames, 0), 0u);
  std::set<uint32_t> seen(frames, frames + 191);
  seen.insert(one);
  EXPECT_EQ(seen.size(), 192u);
  EXPECT_EQ(cache.taken(), 192u);
  for (const uint32_t f : seen) {
    EXPECT_EQ(arena->link(f).next, kFrameNone);
    cache.give(f);
  }
}

TEST(FrameCache, GivesManyAtOnceBeyondWhatItKeeps) {
  auto arena = make_arena(1024);
  FrameCache cache(*arena);
  uint32_t frames[1024];
  EXPECT_EQ(cache.take(frames, 1024), 1024u);
  cache.give(frames, 1000);
  cache.give(frames + 1000, 24);
  EXPECT_EQ(cache.given(), 1024u);
  std::set<uint32_t> seen;
  EXPECT_EQ(cache.take(frames, 1024), 1024u);
  seen.insert(frames, frames + 1024);
  EXPECT_EQ(seen.size(), 1024u);
  cache.give(frames, 1024);
  cache.flush();
  EXPECT_EQ(arena->free_count(), 1024u);
}

TEST(FrameArena, ReservesNoMoreThanAShare) {
  auto arena = make_arena(1024);
  EXPECT_EQ(arena->reservable(), 768u);
  EXPECT_TRUE(arena->reserve(700));
  EXPECT_FALSE(arena->reserve(69));
  EXPECT_TRUE(arena->reserve(68));
  arena->unreserve(700);
  EXPECT_EQ(arena->reserved(), 68u);
  EXPECT_FALSE(arena->reserve(0xffffffff));
}

TEST(FrameCache, AClosingCachesRestIsFoundByOthers) {
  auto arena = make_arena(64);
  {
    FrameCache a(*arena);
    for (int i = 0; i < 10; ++i) a.take();  // ten stay out
  }
  EXPECT_EQ(arena->free_count(), 54u);
  FrameCache b(*arena);
  for (int i = 0; i < 54; ++i) ASSERT_NE(b.take(), kFrameNone);
  EXPECT_EQ(b.take(), kFrameNone);
}

TEST(FrameCache, GivesWholeChains) {
  auto arena = make_arena(64);
  FrameCache cache(*arena);
  const uint32_t a = cache.take(), b = cache.take(), c = cache.take();
  arena->link(a).next = b;
  arena->link(b).next = c;
  cache.give_chain(a);
  EXPECT_EQ(cache.given(), 3u);
  cache.flush();
  EXPECT_EQ(arena->free_count(), 64u);
}

// Two caches take and give through the pool, frames cross from one thread to the other, each frame
// has one owner at a time (its first word proves it).
TEST(FrameArenaConcurrent, TwoThreadsExchangeFramesAndNoneIsLostOrDoubled) {
  auto arena = make_arena(2048);
  constexpr uint32_t kSlots = 256;
  std::vector<std::atomic<uint32_t>> crossing(kSlots);
  for (auto& slot : crossing) slot.store(kFrameNone);
  std::vector<std::atomic<uint32_t>> owned(arena->count());
  std::atomic<uint64_t> faults{0};
  auto work = [&](uint32_t seed) {
    FrameCache cache(*arena);
    std::vector<uint32_t> mine;
    for (uint32_t i = 0; i < 200000; ++i) {
      seed = seed * 1664525 + 1013904223;
      if (seed >> 31 && mine.size() < 700) {
        const uint32_t f = cache.take();
        if (f == kFrameNone) continue;
        if (owned[f].fetch_add(1, std::memory_order_relaxed) != 0) faults++;
        arena->at(f)[0] = static_cast<uint8_t>(seed);
        mine.push_back(f);
      } else if (!mine.empty()) {
        uint32_t f = mine.back();
        mine.pop_back();
        if ((seed & 7) == 0) f = crossing[(seed >> 8) % kSlots].exchange(f);
        if (f == kFrameNone) continue;
        owned[f].fetch_sub(1, std::memory_order_relaxed);
        cache.give(f);
      }
      if (i % 5000 == 0) cache.flush();
    }
    for (uint32_t f : mine) {
      owned[f].fetch_sub(1, std::memory_order_relaxed);
      cache.give(f);
    }
  };
  std::thread other(work, 1);
  work(2);
  other.join();
  uint32_t left = 0;
  for (auto& slot : crossing) left += slot.load() != kFrameNone;
  EXPECT_EQ(faults.load(), 0u);
  EXPECT_EQ(arena->free_count() + left, arena->count());
}

}  // namespace
}  // namespace nodeplane
