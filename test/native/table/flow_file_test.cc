#include "table/flow_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "support/remains.h"
#include "support/temp_folder.h"
#include "table/flow_layout.h"

namespace nodeplane {
namespace {

// Of the header, as docs/survival.md says.
constexpr size_t kLayoutAt = 8, kBootAt = 64, kGenerationAt = 96, kFirstPage = 4096;

class FlowFileTest : public testing::Test {
 protected:
  std::unique_ptr<FlowFile> open(uint32_t capacity4 = 100, uint32_t capacity6 = 50) {
    return FlowFile::open({path, "", capacity4, capacity6}, &error);
  }
  // Another process has lived in it and was killed.
  void live(uint32_t flows) {
    auto file = open();
    ASSERT_NE(file, nullptr) << error;
    file->set_generation(3);
    keep<V4>(*file, flows);
    keep<V6>(*file, flows / 2);
  }
  template <class F>
  void keep(FlowFile& file, uint32_t flows) {
    const auto records = file.records<F>();
    auto t = FlowTable<F>::create({records.capacity, 1, false, records}, epochs, &error);
    ASSERT_NE(t, nullptr);
    FlowRef ref;
    for (uint32_t n = 0; n < flows; ++n)
      ASSERT_EQ(t->keep(0, make_flow<F>(n), kTestStart, &ref), KeepResult::kKept);
  }
  template <class F>
  uint32_t recover(const FlowFile& file) {
    const auto records = file.records<F>();
    const std::vector<uint32_t> born(200, 1);
    auto t = FlowTable<F>::create({records.capacity, 2, false, records}, epochs, &error);
    t->set_timers(test_timers());
    FlowRestore from;
    from.seed = kTestSeed;
    from.service_born = from.endpoint_born = born.data();
    from.service_count = from.endpoint_count = 200;
    from.generation = 4;
    from.now = kTestStart;
    const uint32_t recovered = t->restore(from).recovered;
    for (uint32_t n = 0, found = 0; n < records.capacity; ++n) {
      const auto f = make_flow<F>(n);
      found += t->find(f.original, f.original_hash).record != kRecordNone;
      if (n + 1 == records.capacity) {
        EXPECT_EQ(found, recovered);
      }
    }
    return recovered;
  }
  void patch(size_t at, const std::string& bytes) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(at));
    file << bytes;
  }
  void expect_afresh(const char* why) {
    const auto file = open();
    ASSERT_NE(file, nullptr) << error;
    EXPECT_FALSE(file->found());
    EXPECT_NE(file->news().find(why), std::string::npos) << file->news();
    EXPECT_NE(file->news().find("started afresh"), std::string::npos) << file->news();
    EXPECT_EQ(file->generation(), 0u);
    for (uint32_t r = 0; r < 100; ++r) ASSERT_EQ(file->records<V4>().cold[r].state.load(), 0u);
  }

  TempFolder folder;
  const std::string path = folder.path("np.flows");
  Epochs epochs;
  std::string error;
};

TEST_F(FlowFileTest, WhatAKilledProcessLeftIsThere) {
  live(60);
  const auto file = open();
  ASSERT_NE(file, nullptr) << error;
  EXPECT_TRUE(file->found());
  EXPECT_NE(file->news().find("left by a crash"), std::string::npos) << file->news();
  EXPECT_EQ(file->generation(), 3u);
  EXPECT_EQ(recover<V4>(*file), 60u);
  EXPECT_EQ(recover<V6>(*file), 30u);
}

TEST_F(FlowFileTest, ACleanExitKeepsOrRemoves) {
  live(10);
  auto file = open();
  const uint64_t id = file->id();
  file->close(true);
  file.reset();
  file = open();
  EXPECT_TRUE(file->found());
  EXPECT_NE(file->news().find("left by a clean exit"), std::string::npos) << file->news();
  EXPECT_EQ(file->id(), id);
  file->close(false);
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_EQ(file->records<V4>().cold[0].state.load(), 0u) << "may still be looked at";
  EXPECT_NE(file->id(), open()->id());
}

TEST_F(FlowFileTest, TheSecondProcessIsRefused) {
  const auto first = open();
  EXPECT_EQ(open(), nullptr);
  EXPECT_EQ(error, path + ": in use by another process (" + std::to_string(getpid()) + ")");
}

TEST_F(FlowFileTest, AnotherLayoutOrBootIsNotRestored) {
  live(10);
  patch(kLayoutAt, std::string(1, kFlowLayout - 1));
  expect_afresh("is of layout 1, and this program's is 2");
  live(10);
  patch(kBootAt, "0123456789abcdef0123456789abcdef");
  expect_afresh("header is damaged");  // the sum covers it
  live(10);
  FlowFile::Options next{path};
  next.capacity4 = 100;
  next.capacity6 = 50;
  next.boot = "0123456789abcdef0123456789abcdef";
  const auto file = FlowFile::open(next, &error);
  ASSERT_NE(file, nullptr) << error;
  EXPECT_FALSE(file->found());
  EXPECT_NE(file->news().find("is of another boot"), std::string::npos) << file->news();
}

// The sum does not cover it, since it moves; the next one must be there to be counted to.
TEST_F(FlowFileTest, AGenerationThatCannotBeIsDamage) {
  live(10);
  patch(kGenerationAt, std::string(4, '\xff'));
  expect_afresh("header is damaged");
}

TEST_F(FlowFileTest, ACutFileIsNotRestored) {
  live(10);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - kFirstPage);
  expect_afresh("is cut short");
  live(10);
  std::filesystem::resize_file(path, 60);
  expect_afresh("is cut short");
  live(10);
  patch(0, std::string(kFirstPage, '\0'));
  expect_afresh("was never finished");
}

TEST_F(FlowFileTest, WhatIsNoFlowFileIsLeftAlone) {
  for (const size_t bytes : {size_t{3}, size_t{20'000}}) {
    std::ofstream(path) << std::string(bytes, 'x');
    ASSERT_EQ(chmod(path.c_str(), 0600), 0);
    EXPECT_EQ(open(), nullptr);
    EXPECT_NE(error.find("is no flow file, and is left alone"), std::string::npos) << error;
    EXPECT_EQ(std::filesystem::file_size(path), bytes);
  }
}

TEST_F(FlowFileTest, AnotherCapacityTakesTheConnectionsAlong) {
  live(60);
  uint64_t id = 0;
  for (const uint32_t capacity : {400u, 61u, 60u}) {
    const auto file = open(capacity, 30);
    ASSERT_NE(file, nullptr) << error;
    EXPECT_NE(file->news().find("another capacity"), std::string::npos) << file->news();
    EXPECT_EQ(file->records<V4>().capacity, capacity);
    EXPECT_EQ(file->generation(), 3u);
    EXPECT_EQ(recover<V4>(*file), 60u);
    EXPECT_EQ(recover<V6>(*file), 30u);
    if (id != 0) {
      EXPECT_EQ(file->id(), id);
    }
    id = file->id();
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path("")), {}), 1);
  }
  EXPECT_EQ(open(59, 30), nullptr);
  EXPECT_NE(error.find("holds 60 IPv4 connections, more than the capacity of 59"),
            std::string::npos)
      << error;
  const auto file = open(60, 30);
  EXPECT_EQ(recover<V4>(*file), 60u) << "nothing is lost by the refusal";
}

// On 2 MiB pages where there are any; else the reason is told. The mount goes with the last file.
TEST_F(FlowFileTest, HugePagesAreUsedWhenThereAreEnough) {
  const std::string huge = folder.path("huge");
  std::string description;
  {
    auto file = FlowFile::open({path, huge, 100, 50}, &error);
    ASSERT_NE(file, nullptr) << error;
    description = file->description();
    if (description.find("2 MiB pages") == std::string::npos) {
      EXPECT_NE(description.find("4 KiB pages ("), std::string::npos) << description;
    }
    keep<V4>(*file, 20);
    EXPECT_EQ(FlowFile::open({path, huge, 100, 50}, &error), nullptr) << "one lock for both places";
  }
  auto file = FlowFile::open({path, huge, 200, 50}, &error);
  ASSERT_NE(file, nullptr) << error;
  EXPECT_TRUE(file->found());
  EXPECT_EQ(recover<V4>(*file), 20u);
  file->close(false);
  EXPECT_FALSE(std::filesystem::exists(huge)) << description;
  EXPECT_FALSE(std::filesystem::exists(path));
}

// Damage anywhere, header included: refused, started afresh, or only whole connections taken.
TEST_F(FlowFileTest, DamagedFilesAreNeverTrusted) {
  live(60);
  std::ifstream in(path, std::ios::binary);
  const std::string good{std::istreambuf_iterator<char>(in), {}};
  std::mt19937 random(99);
  uint32_t refused = 0, afresh = 0, taken = 0;
  for (uint32_t round = 0; round < 600; ++round) {
    std::string bad = good;
    const size_t reach = round % 2 ? kFirstPage / 16 : bad.size();
    for (uint32_t i = 0; i <= random() % 40; ++i)
      bad[random() % reach] ^= static_cast<char>(1 << random() % 8);
    if (round % 5 == 0) bad.resize(random() % bad.size());
    std::ofstream(path, std::ios::binary) << bad;
    const auto file = open();
    if (file == nullptr) {
      ++refused;
      EXPECT_NE(error.find("no flow file"), std::string::npos) << error;
    } else if (!file->found()) {
      ++afresh;
    } else {
      ++taken;
      EXPECT_LE(recover<V4>(*file), 60u);
      EXPECT_LE(recover<V6>(*file), 30u);
    }
  }
  EXPECT_GT(refused, 20u);
  EXPECT_GT(afresh, 100u);
  EXPECT_GT(taken, 100u);
}

}  // namespace
}  // namespace nodeplane
