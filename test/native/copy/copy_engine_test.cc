#include <gtest/gtest.h>

#include <thread>

#include "base/time.h"
#include "copy/copy.h"
#include "support/copy_kit.h"

// What every engine promises, asked of each of them.
namespace nodeplane {
namespace {

using test::Copying;
using test::number_in;

struct Case {
  const char* name;
  CopyOptions options;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  auto add = [&](const char* name, const char* engine) -> CopyOptions& {
    all.push_back({name, {}});
    all.back().options.engine = engine;
    return all.back().options;
  };
  add("cpu", "cpu");
  add("thread", "thread");
  add("model", "model");
  auto& wild = add("model_wild", "model");
  wild.bytes_min = 64;
  wild.batch_min = 1;
  wild.model = {.latency_ns = 5000, .size = 24, .reorder = true, .poison = true};
  wild.model.fault_per_million = 2000;
  wild.model.error_per_million = 2000;
  auto& shared = add("model_shared", "model");
  shared.batch_min = 1;
  shared.model = {.latency_ns = 20000, .size = 2, .shared = true, .poison = true};
  return all;
}

std::string name_of(const ::testing::TestParamInfo<Case>& info) { return info.param.name; }

class ConcurrentCopyEngine : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    std::string why;
    engine_ = open_copy(GetParam().options, &why);
    ASSERT_EQ(why, "");
  }
  std::unique_ptr<CopyChannel> channel() {
    std::string error;
    auto c = engine_->channel(&error);
    EXPECT_TRUE(c) << error;
    return c;
  }
  uint64_t counted(const char* name) { return number_in(engine_->stats_json(), name); }

  std::unique_ptr<CopyEngine> engine_;
};

TEST_P(ConcurrentCopyEngine, CopiesEverythingInOrder) {
  auto c = channel();
  Copying user(*c, 2048, 1500, 1);
  user.run(60000, 64);
  EXPECT_EQ(counted("copies"), 60000u);
  EXPECT_GT(counted("bytes"), 0u);
  EXPECT_EQ(counted("given_up"), 0u);
}

TEST_P(ConcurrentCopyEngine, TakesTheLargestSubmit) {
  auto c = channel();
  Copying user(*c, 4 * kCopyBatchMax, 300, 2);
  for (int i = 0; i < 4; ++i) user.submit(kCopyBatchMax);
  user.finish();
}

TEST_P(ConcurrentCopyEngine, NothingIsLostBetweenManyChannels) {
  constexpr int kChannels = 3;
  std::vector<std::thread> workers;
  for (int w = 0; w < kChannels; ++w) {
    workers.emplace_back([&, w] {
      auto c = channel();
      Copying user(*c, 512, 2000, static_cast<uint32_t>(w));
      user.run(8000, 32);
    });
  }
  for (auto& w : workers) w.join();
  EXPECT_EQ(counted("copies"), 8000u * kChannels);
}

TEST_P(ConcurrentCopyEngine, ChannelsComeAndGo) {
  for (uint32_t i = 0; i < 40; ++i) {
    auto a = channel();
    auto b = channel();
    Copying user(*a, 128, 900, i);
    user.run(200, 32);
    Copying other(*b, 128, 900, i);
    other.run(50, 8);
  }
  EXPECT_EQ(counted("copies"), 40u * 250);
}

TEST_P(ConcurrentCopyEngine, WakesUpAfterALongSilence) {
  auto c = channel();
  Copying user(*c, 512, 1500, 3);
  for (int i = 0; i < 5; ++i) {
    user.submit(32);
    user.finish();
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

TEST_P(ConcurrentCopyEngine, SmallCopiesAreDoneAtOnce) {
  if (engine_->is_immediate()) return;
  auto c = channel();
  uint8_t from[32] = {1, 2, 3}, to[32] = {};
  const Copy small{to, from, sizeof from};
  EXPECT_EQ(c->submit(&small, 1), 1u);
  EXPECT_EQ(c->poll(), 1u);
  EXPECT_EQ(std::memcmp(to, from, sizeof from), 0);
  EXPECT_EQ(counted("by_cpu"), 1u);
}

INSTANTIATE_TEST_SUITE_P(Engines, ConcurrentCopyEngine, ::testing::ValuesIn(cases()), name_of);

TEST(CopyEngine, AutoIsTheCpuWhereThereIsNoQueue) {
  std::string why;
  CopyOptions options;
  auto engine = open_copy(options, &why);
  EXPECT_EQ(why, "no DSA work queue was found");
  EXPECT_EQ(engine->description().rfind("cpu ", 0), 0u) << engine->description();
  EXPECT_TRUE(engine->is_immediate());
}

TEST(CopyEngine, SaysWhyItFellBack) {
  std::string why;
  CopyOptions options;
  options.engine = "dsa";
  options.queues = {{"/nonexistent/wq7.3", false, 16, 32, 1 << 20, false}};
  auto engine = open_copy(options, &why);
  EXPECT_EQ(why.rfind("/nonexistent/wq7.3: ", 0), 0u) << why;
  EXPECT_TRUE(engine->is_immediate());
  options.engine = "magic";
  engine = open_copy(options, &why);
  EXPECT_EQ(why, "there is no copy engine `magic`");
}

TEST(CopyEngine, Descriptions) {
  std::string why;
  CopyOptions options;
  options.engine = "model";
  EXPECT_EQ(open_copy(options, &why)->description(), "model queue dedicated, 128 entries");
  options.engine = "thread";
  EXPECT_EQ(open_copy(options, &why)->description().rfind("thread ", 0), 0u);
}

// Several channels, each with the CPU's small ones between the engine's large ones.
TEST(CopyEngine, FewLargeOnesAreTheCpus) {
  std::string why;
  CopyOptions options;
  options.engine = "model";
  options.model.latency_ns = 50'000'000;
  std::vector<uint8_t> from(4 * 1000, 7), to(4 * 1000);
  std::vector<Copy> copies;
  for (size_t i = 0; i < 4; ++i) copies.push_back({&to[i * 1000], &from[i * 1000], 1000});
  uint64_t told[3];
  for (Time spent = options.model.latency_ns; spent >= options.model.latency_ns;) {
    auto engine = open_copy(options, &why);
    std::string error;
    auto c = engine->channel(&error);
    const Time begin = time_now();
    c->submit(copies.data(), options.batch_min - 1);
    told[0] = c->poll();
    c->submit(copies.data(), options.batch_min);
    told[1] = c->poll();
    // Small ones behind large ones are finished, but not told before those.
    const Copy small{&to[0], &from[0], 10};
    c->submit(&small, 1);
    told[2] = c->poll();
    spent = time_now() - begin;  // once more if the engine's time was over, on a busy machine
    c->drain();
    EXPECT_EQ(c->poll(), 2 * options.batch_min);
  }
  for (const uint64_t each : told) EXPECT_EQ(each, options.batch_min - 1);
}

}  // namespace
}  // namespace nodeplane
