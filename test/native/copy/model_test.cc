#include "copy/model/model.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "copy/dsa/engine.h"
#include "support/copy_kit.h"
#include "support/patience.h"

namespace nodeplane::dsa {
namespace {

constexpr QueueLimits kLimits{32, 8, 4096, false, false};
constexpr uint32_t kTold = kRecordValid | kRecordAlways;

// A client of the model that fills descriptors by hand.
class ConcurrentModel : public ::testing::Test {
 protected:
  void start(QueueLimits limits = kLimits, CopyModelOptions options = {.latency_ns = 0}) {
    model = std::make_unique<Model>(options, limits, -1);
    std::iota(from.begin(), from.end(), uint8_t{1});
  }
  Descriptor move(uint32_t bytes, uint32_t flags = kTold) {
    Descriptor d{};
    d.operation = operation(Opcode::kMemmove, flags);
    if (flags & kRecordValid) d.record = reinterpret_cast<uint64_t>(&record);
    d.from = reinterpret_cast<uint64_t>(from.data());
    d.to = reinterpret_cast<uint64_t>(to.data());
    d.size = bytes;
    return d;
  }
  Descriptor batch(uint32_t count) {
    Descriptor d{};
    d.operation = operation(Opcode::kBatch, kTold);
    d.record = reinterpret_cast<uint64_t>(&record);
    d.from = reinterpret_cast<uint64_t>(list);
    d.size = count;
    for (uint32_t i = 0; i < count && i < 8; ++i) {
      list[i] = move(100, 0);
      list[i].from += i * 100;
      list[i].to += i * 100;
    }
    return d;
  }
  // The status with which the model answers.
  uint8_t ask(const Descriptor& d) {
    record = {};
    EXPECT_TRUE(model->submit(d));
    return wait();
  }
  uint8_t wait() {
    const Time start = time_now();
    for (;;) {
      const uint8_t status = __atomic_load_n(&record.status, __ATOMIC_ACQUIRE);
      if (status != kPending || time_now() - start > kPatience) return status;
    }
  }
  // Until the model has counted an error that no record tells.
  uint8_t soft_error() {
    const Time start = time_now();
    while (model->soft_errors() == 0 && time_now() - start < kPatience) {
    }
    return model->soft_error();
  }
  bool copied(size_t first, size_t end) {
    return std::memcmp(&to[first], &from[first], end - first) == 0;
  }
  bool untouched(size_t first, size_t end) {
    for (size_t i = first; i < end; ++i) {
      if (to[i] != 0) return false;
    }
    return true;
  }

  alignas(64) Record record;
  Descriptor list[8];
  std::vector<uint8_t> from = std::vector<uint8_t>(8192), to = std::vector<uint8_t>(8192);
  std::unique_ptr<Model> model;
};

TEST_F(ConcurrentModel, MovesAndNothing) {
  start();
  EXPECT_EQ(ask(move(1000)), kSuccess);
  EXPECT_TRUE(copied(0, 1000) && untouched(1000, 8192));
  Descriptor nop{};
  nop.operation = operation(Opcode::kNop, kTold);
  nop.record = reinterpret_cast<uint64_t>(&record);
  EXPECT_EQ(ask(nop), kSuccess);
}

TEST_F(ConcurrentModel, OverlappingMoves) {
  start();
  for (const size_t ahead : {50, 0}) {
    Descriptor d = move(1000);
    d.to = reinterpret_cast<uint64_t>(from.data() + ahead);
    d.from = reinterpret_cast<uint64_t>(from.data() + (50 - ahead));
    std::vector<uint8_t> expected = from;
    std::memmove(expected.data() + ahead, expected.data() + (50 - ahead), 1000);
    EXPECT_EQ(ask(d), kSuccess);
    EXPECT_EQ(expected, from);
  }
}

TEST_F(ConcurrentModel, RefusesWhatTheSpecificationDoes) {
  start();
  EXPECT_EQ(ask(move(0)), kBadSize);
  EXPECT_EQ(ask(move(4097)), kBadSize);
  for (const uint32_t flag : {kFence, kBlockOnFault, 0x10u, 0x40u, 0x800000u}) {
    EXPECT_EQ(ask(move(100, kTold | flag)), kBadFlags);
    EXPECT_EQ(record.wrong_bits, flag);
  }
  Descriptor d = move(100);
  d.operation = operation(static_cast<Opcode>(0x42), kTold);
  EXPECT_EQ(ask(d), kBadOpcode);
  for (size_t byte = 36; byte < 64; ++byte) {
    d = move(100);
    reinterpret_cast<uint8_t*>(&d)[byte] = 1;
    EXPECT_EQ(ask(d), kReservedNotZero) << byte;
  }
  d = move(100);
  d.process = 1u << 20;
  EXPECT_EQ(ask(d), kReservedNotZero);
  d.process = 0xfffff;
  EXPECT_EQ(ask(d), kSuccess);
  EXPECT_EQ(ask(batch(1)), kBadCount);
  EXPECT_EQ(ask(batch(0)), kBadCount);
  EXPECT_EQ(ask(batch(9)), kBadCount);
  d = batch(4);
  d.from += 32;
  EXPECT_EQ(ask(d), kListUnaligned);
  d = batch(4);
  d.operation |= kBlockOnFault;
  EXPECT_EQ(ask(d), kBadFlags);
  d = batch(4);
  d.to = 64;
  EXPECT_EQ(ask(d), kReservedNotZero);
}

TEST_F(ConcurrentModel, ErrorsThatNoRecordTells) {
  start();
  Descriptor d = move(100);
  d.record += 16;
  model->submit(d);
  EXPECT_EQ(soft_error(), kRecordUnaligned);
  start();
  model->submit(move(0, 0));
  EXPECT_EQ(soft_error(), kBadSize);
  start();
  model->submit(move(100, kRecordAlways));
  EXPECT_EQ(soft_error(), kBadFlags);
}

TEST_F(ConcurrentModel, WithoutRequestTheRecordTellsErrorsOnly) {
  start();
  record = {};
  model->submit(move(100, kRecordValid));
  EXPECT_EQ(ask(move(200)), kSuccess);  // behind it, so it was done
  EXPECT_EQ(ask(move(0, kRecordValid)), kBadSize);
}

TEST_F(ConcurrentModel, Batches) {
  start();
  EXPECT_EQ(ask(batch(8)), kSuccess);
  EXPECT_EQ(record.completed, 8u);
  EXPECT_TRUE(copied(0, 800) && untouched(800, 8192));
}

TEST_F(ConcurrentModel, ABatchWithABadOne) {
  start();
  const Descriptor d = batch(8);
  list[3].operation = operation(Opcode::kBatch, 0);  // no nesting
  EXPECT_EQ(ask(d), kBatchFailed);
  EXPECT_EQ(model->soft_error(), kBadOpcode);
  EXPECT_TRUE(copied(0, 300) && untouched(300, 400) && copied(400, 800));
}

TEST_F(ConcurrentModel, AFenceStopsWhatComesAfterAFailure) {
  start();
  const Descriptor d = batch(8);
  list[3].size = 0;
  list[5].operation |= kFence;
  EXPECT_EQ(ask(d), kBatchFailed);
  EXPECT_EQ(record.completed, 5u);
  EXPECT_TRUE(copied(0, 300) && copied(400, 500) && untouched(500, 800));
}

TEST_F(ConcurrentModel, ABatchWhoseListFaults) {
  start();
  model->force({.status = kBatchPageFault, .completed = 3});
  EXPECT_EQ(ask(batch(8)), kBatchPageFault);
  EXPECT_EQ(record.completed, 3u);
  EXPECT_EQ(record.fault, reinterpret_cast<uint64_t>(&list[3]));
  EXPECT_TRUE(copied(0, 300) && untouched(300, 800));
}

TEST_F(ConcurrentModel, PageFaultsForwardsAndBackwards) {
  start();
  model->force({.status = kPageFault | kStatusWrite, .completed = 600});
  EXPECT_EQ(ask(move(1000)), kPageFault | kStatusWrite);
  EXPECT_EQ(record.completed, 600u);
  EXPECT_EQ(record.result, 0);
  EXPECT_EQ(record.fault, reinterpret_cast<uint64_t>(&to[600]));
  EXPECT_TRUE(copied(0, 600) && untouched(600, 1000));

  const std::vector<uint8_t> before = from;
  Descriptor d = move(1000);
  d.to = reinterpret_cast<uint64_t>(&from[100]);
  model->force({.status = kPageFault, .completed = 600});
  EXPECT_EQ(ask(d), kPageFault);
  EXPECT_EQ(record.result, 1);
  EXPECT_EQ(record.fault, reinterpret_cast<uint64_t>(&from[399]));
  EXPECT_EQ(std::memcmp(&from[500], &before[400], 600), 0);
  EXPECT_EQ(std::memcmp(&from[0], &before[0], 500), 0);
}

TEST_F(ConcurrentModel, OtherFailures) {
  start();
  for (const uint8_t status : {kPageRefused, kHardwareError}) {
    model->force({.status = status});
    EXPECT_EQ(ask(move(1000)), status);
    EXPECT_TRUE(untouched(0, 1000));
  }
}

TEST_F(ConcurrentModel, WhoBlocksOnFaultsHasNone) {
  QueueLimits limits = kLimits;
  limits.block_on_fault = true;
  start(limits, {.latency_ns = 0, .fault_per_million = 1'000'000});
  EXPECT_EQ(ask(move(1000, kTold | kBlockOnFault)), kSuccess);
  EXPECT_EQ(ask(move(1000)) & kStatusMask, kPageFault);
}

TEST_F(ConcurrentModel, PoisonWhereNothingWasCopied) {
  start(kLimits, {.latency_ns = 0, .poison = true});
  model->force({.status = kPageFault, .completed = 600});
  EXPECT_EQ(ask(move(1000)), kPageFault);
  EXPECT_TRUE(copied(0, 600) && untouched(1000, 1100));
  for (size_t i = 600; i < 1000; ++i) ASSERT_EQ(to[i], 0xdb);
  EXPECT_EQ(ask(move(1000)), kSuccess);
  EXPECT_TRUE(copied(0, 1000));
}

TEST_F(ConcurrentModel, TakesItsTime) {
  start(kLimits, {.latency_ns = 30'000'000});
  const Time before = time_now();
  EXPECT_EQ(ask(move(1000)), kSuccess);
  EXPECT_GE(time_now() - before, 30'000'000u);
  start(kLimits, {.latency_ns = 0, .megabytes_per_second = 1});
  const Time then = time_now();
  EXPECT_EQ(ask(move(4096)), kSuccess);
  EXPECT_GE(time_now() - then, 4'096'000u);
}

TEST_F(ConcurrentModel, ADedicatedQueueLosesWhatIsTooMuch) {
  start({2, 8, 4096, false, false});
  model->hang(true);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(model->submit(move(100)));
  EXPECT_EQ(model->lost(), 3u);
  record = {};
  model->hang(false);
  EXPECT_EQ(wait(), kSuccess);
}

TEST_F(ConcurrentModel, ASharedQueueRefusesWhatIsTooMuch) {
  start({2, 8, 4096, true, false});
  model->hang(true);
  EXPECT_TRUE(model->submit(move(100)));
  EXPECT_TRUE(model->submit(move(100)));
  EXPECT_FALSE(model->submit(move(100)));
  EXPECT_EQ(model->refused(), 1u);
  EXPECT_EQ(model->lost(), 0u);
}

struct Engine {
  Engine(QueueLimits limits, CopyModelOptions options,
         EngineOptions wish = {"test", 64, 1, kPatience})
      : model(std::make_shared<Model>(options, limits, -1)) {
    std::vector<Queue> queues;
    queues.push_back(model_queue(model, limits));
    engine = make_engine(std::move(queues), wish);
    std::string error;
    channel = engine->channel(&error);
  }
  uint64_t counted(const char* name) { return test::number_in(engine->stats_json(), name); }
  std::shared_ptr<Model> model;
  std::unique_ptr<CopyEngine> engine;
  std::unique_ptr<CopyChannel> channel;
};

#if defined(__SANITIZE_THREAD__)
constexpr uint64_t kManyCopies = 50'000;  // the order of two threads shows in fewer
#else
constexpr uint64_t kManyCopies = 200'000;
#endif

// After many copies with every kind of failure each slot still works: then all of them are
// filled at once, and not one copy finds the queue full.
TEST(ConcurrentModelEngine, NoSlotIsLostInManyCopies) {
  Engine e({kSlotsPerChannel, 64, 200, false, false}, {.latency_ns = 500,
                                                       .reorder = true,
                                                       .poison = true,
                                                       .fault_per_million = 3000,
                                                       .error_per_million = 3000});
  test::Copying user(*e.channel, 4096, 300, 9);
  user.run(kManyCopies, 128);
  EXPECT_EQ(e.model->lost(), 0u);
  EXPECT_GT(e.counted("errors"), 100u);
  EXPECT_EQ(e.counted("copies"), kManyCopies);
  EXPECT_EQ(e.counted("given_up"), 0u);
  e.model->hang(true);
  const uint64_t full = e.counted("full");
  std::vector<uint8_t> from(100), to((kSlotsPerChannel + 1) * 100);
  for (uint32_t i = 0; i <= kSlotsPerChannel; ++i) {
    EXPECT_EQ(e.counted("full"), full) << i;
    const Copy copy{&to[i * 100], from.data(), 100};
    e.channel->submit(&copy, 1);
  }
  EXPECT_EQ(e.counted("full"), full + 1);
  e.model->hang(false);
  e.channel->drain();
}

// A queue smaller than its client believes loses descriptors: noticed by silence, done by the CPU.
TEST(ConcurrentModelEngine, LostDescriptorsAreFoundOut) {
  const QueueLimits truth{2, 8, 4096, false, false};
  QueueLimits belief = truth;
  belief.size = 16;
  auto model = std::make_shared<Model>(CopyModelOptions{.latency_ns = 1'000'000}, truth, -1);
  std::vector<Queue> queues;
  queues.push_back(model_queue(model, belief));
  auto engine = make_engine(std::move(queues), {"test", 64, 1, 2 * kSecond});
  std::string error;
  auto channel = engine->channel(&error);
  test::Copying user(*channel, 4096, 300, 9);
  user.run(5000, 8);
  EXPECT_GT(model->lost(), 0u);
  EXPECT_GT(test::number_in(engine->stats_json(), "given_up"), 0u);
}

TEST(ConcurrentModelEngine, AHungDeviceIsGivenUpByDrain) {
  Engine e({16, 8, 4096, false, false}, {}, {"test", 64, 1, 100 * kMillisecond});
  e.model->hang(true);
  test::Copying user(*e.channel, 1024, 300, 9);
  user.submit(64);
  user.finish();
  user.submit(64);
  EXPECT_EQ(e.channel->poll(), 128u);
  user.finish();
}

}  // namespace
}  // namespace nodeplane::dsa
