#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <random>
#include <thread>

#include "support/conntrack_kit.h"
#include "support/patience.h"

// Two workers whose queues bring packets of the same connections: what receive-side scaling avoids,
// and fragments, asymmetric paths and floods bring about anyway.
namespace nodeplane::test {
namespace {

constexpr uint32_t kWorkers = 2;
constexpr Time kOneTuple = 2 * kSecond, kManyTuples = kSecond;
constexpr uint64_t kNewWanted = 200, kMetWanted = 1000;

// Opens, closes, resets and answers connections `choose` names until time is up.
template <class F, class Choose>
void drive(ConntrackWorld& world, ConntrackWorker& worker, std::atomic<uint64_t>& clock,
           const std::atomic<bool>& stop, std::atomic<bool>& is_busy, uint32_t seed,
           Choose choose) {
  constexpr uint8_t kFlags[] = {kTcpSyn, kTcpSyn,           kTcpSyn, kTcpAck,
                                kTcpAck, kTcpFin | kTcpAck, kTcpRst, kTcpSyn | kTcpAck};
  std::mt19937 random(seed);
  std::vector<typename F::Key> answers;
  while (!stop.load(std::memory_order_relaxed)) {
    world.epochs.quiescent(worker.conntrack.worker);
    // A millisecond per batch; now and then a minute, so that timers run out as well.
    const uint64_t ms = clock.fetch_add(random() % 500 == 0 ? 900 : 1);
    const Time now = kTestStart + ms * kMillisecond;
    worker.begin(now);
    const uint32_t count = 1 + random() % 64;
    for (uint32_t i = 0; i < count; ++i) {
      const uint8_t flags = kFlags[random() % 8];
      if (!answers.empty() && random() % 4 == 0)
        worker.put<F>(answers[random() % answers.size()], flags);
      else
        worker.put<F>(choose(random), flags);
    }
    worker.run();
    for (uint32_t i = 0; i < count; ++i) {
      const Packet& p = worker.batch->packets[i];
      if (p.record == kRecordNone) continue;
      // What was found is what was asked for, whole, as long as the batch lasts.
      const auto& side = *static_cast<const typename F::Side*>(p.side);
      const auto& key = [&]() -> const typename F::Key& {
        if constexpr (F::kFamily == 4)
          return p.key4;
        else
          return p.key6;
      }();
      if (!(side.key == key)) std::abort();
      if (p.direction == 0 && answers.size() < 64) answers.push_back(answer_key<F>(p));
    }
    if (answers.size() == 64 && random() % 8 == 0) answers.clear();
    worker.expire();
    if (worker.count(Counter::kFlowNew) > kNewWanted &&
        worker.count(Counter::kFlowLostRace) + worker.count(Counter::kFlowHit) > kMetWanted)
      is_busy.store(true, std::memory_order_relaxed);
  }
  world.epochs.offline(worker.conntrack.worker);
}

template <class F, class Choose>
void clash_workers(uint32_t capacity, Time duration, Choose choose) {
  ConntrackWorld world(capacity, kWorkers, 3, Masquerade::kAlways);
  ConntrackWorker workers[] = {{world, 0}, {world, 1}};
  std::atomic<uint64_t> clock{0};
  std::atomic<bool> stop{false}, busy[kWorkers] = {};
  std::thread threads[kWorkers];
  for (uint32_t w = 0; w < kWorkers; ++w) {
    world.epochs.quiescent(w);
    threads[w] =
        std::thread([&, w] { drive<F>(world, workers[w], clock, stop, busy[w], w + 1, choose); });
  }
  // Dumps run beside them, as `nodeplane flows` does.
  std::vector<FlowRow> rows(256);
  const Time begin = time_now();
  const auto goes_on = [&] {
    const Time spent = time_now() - begin;
    return spent < duration || (spent < kPatience && !(busy[0] && busy[1]));
  };
  while (goes_on()) {
    uint32_t cursor = 0;
    while (cursor != ~0u) {
      const auto& t = [&]() -> auto& {
        if constexpr (F::kFamily == 4)
          return *world.v4;
        else
          return *world.v6;
      }
      ();
      const uint32_t n = t.dump(&cursor, rows.data(), 256, kTestStart);
      for (uint32_t i = 0; i < n; ++i) {
        ASSERT_EQ(rows[i].family, F::kFamily);
        ASSERT_EQ(rows[i].protocol, kProtocolTcp);
        ASSERT_EQ(rows[i].reply_source_port, swap16(kServerPort));
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  stop.store(true);
  for (auto& t : threads) t.join();

  const auto sum = [&](Counter c) { return workers[0].count(c) + workers[1].count(c); };
  EXPECT_EQ(world.ports.in_use(), world.live());
  EXPECT_EQ(sum(Counter::kFlowNew) - sum(Counter::kFlowForgotten) - sum(Counter::kFlowExpired) -
                sum(Counter::kFlowEvicted),
            world.live());
  EXPECT_EQ(sum(Counter::kSnatPortTaken) - sum(Counter::kSnatPortGivenBack), world.live());
  EXPECT_TRUE(busy[0] && busy[1]);
  EXPECT_LE(world.live(), capacity);
  std::printf("new %lu forgotten %lu expired %lu evicted %lu lost races %lu hits %lu live %u\n",
              sum(Counter::kFlowNew), sum(Counter::kFlowForgotten), sum(Counter::kFlowExpired),
              sum(Counter::kFlowEvicted), sum(Counter::kFlowLostRace), sum(Counter::kFlowHit),
              world.live());

  const Time last = kTestStart + clock.load() * kMillisecond + 8000 * kSecond;
  for (uint32_t round = 0; round < 100; ++round) {  // limbo empties by and by
    for (auto& w : workers) {
      w.begin(last);
      while (w.expire()) {
      }
    }
  }
  EXPECT_EQ(world.live(), 0u);
  EXPECT_EQ(world.ports.in_use(), 0u);
  // Every record that was ever used can be used again, but for what worker 1 keeps in its cache:
  // nothing was lost in limbo, between notices, or twice in the pool.
  for (uint32_t n = 0; n < capacity + 1; ++n) {
    workers[0].begin(last);
    workers[0].put<F>(client_key<F>(n), kTcpSyn);
    workers[0].run();
  }
  EXPECT_GE(world.live(), capacity - capacity / 16 - 2);
  EXPECT_LE(world.live(), capacity);
}

template <class F>
class ConntrackConcurrent : public testing::Test {};
using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(ConntrackConcurrent, Families);

TYPED_TEST(ConntrackConcurrent, ManyTuples) {
  clash_workers<TypeParam>(300, kManyTuples, [](std::mt19937& random) {
    return client_key<TypeParam>(random() % 1000, 1 + random() % 2);
  });
}

TEST(ConntrackConcurrentOne, OneTuple) {
  clash_workers<V4>(64, kOneTuple, [](std::mt19937&) { return client_key<V4>(1); });
}

}  // namespace
}  // namespace nodeplane::test
