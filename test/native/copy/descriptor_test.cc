#include "copy/descriptor.h"

#include <gtest/gtest.h>
#include <linux/idxd.h>

#include <cstring>

#include "copy/dsa/engine.h"
#include "support/patience.h"

namespace nodeplane::dsa {
namespace {

// Keeps what a channel hands over, and finishes it when told to.
class Recorder final : public Portal {
 public:
  Recorder(std::vector<Descriptor>* taken, bool accepts) : taken_(taken), accepts_(accepts) {}
  bool submit(const Descriptor& d) noexcept override {
    taken_->push_back(d);
    return accepts_;
  }

 private:
  std::vector<Descriptor>* taken_;
  bool accepts_;
};

void finish(const Descriptor& d, uint8_t status = kSuccess) {
  __atomic_store_n(&reinterpret_cast<Record*>(d.record)->status, status, __ATOMIC_RELEASE);
}

struct Bench {
  explicit Bench(QueueLimits limits, bool accepts = true, EngineOptions options = {"test"}) {
    std::vector<Queue> queues;
    queues.push_back({"wq0.0", limits, std::make_unique<Recorder>(&taken, accepts)});
    engine = make_engine(std::move(queues), options);
    std::string error;
    channel = engine->channel(&error);
  }
  std::vector<Descriptor> taken;
  std::unique_ptr<CopyEngine> engine;
  std::unique_ptr<CopyChannel> channel;
  std::vector<uint8_t> from = std::vector<uint8_t>(4096, 1), to = std::vector<uint8_t>(4096);
  Copy copy(size_t at, uint32_t bytes) { return {&to[at], &from[at], bytes}; }
};

// The kernel's header writes the same words: its bit fields lie where ours say.
TEST(Descriptor, KernelsBitFields) {
  dsa_hw_desc kernel;
  std::memset(&kernel, 0, sizeof kernel);
  kernel.flags = IDXD_OP_FLAG_CRAV | IDXD_OP_FLAG_RCR | IDXD_OP_FLAG_CC;
  kernel.opcode = DSA_OPCODE_MEMMOVE;
  Descriptor ours{};
  ours.operation = operation(Opcode::kMemmove, kRecordValid | kRecordAlways | kToCache);
  EXPECT_EQ(std::memcmp(&kernel, &ours, sizeof kernel), 0);
  kernel.pasid = 0xfffff;
  ours.process = 0xfffff;
  EXPECT_EQ(std::memcmp(&kernel, &ours, sizeof kernel), 0);
  kernel.priv = 1;
  ours.process |= 1u << 31;
  EXPECT_EQ(std::memcmp(&kernel, &ours, sizeof kernel), 0);

  dsa_completion_record record;
  std::memset(&record, 0, sizeof record);
  record.invalid_flags = 0xabcdef;
  EXPECT_EQ(reinterpret_cast<Record*>(&record)->wrong_bits, 0xabcdefu);
}

TEST(Descriptor, OneCopyByteByByte) {
  Bench b({16, 32, 1 << 20, false, true});
  const Copy copy = b.copy(64, 1500);
  b.channel->submit(&copy, 1);
  ASSERT_EQ(b.taken.size(), 1u);
  uint8_t expected[64] = {};
  // Cache control, request record, record valid, block on fault; memory move.
  const uint8_t operation[] = {0x0e, 0x01, 0x00, 0x03};
  std::memcpy(expected + 4, operation, 4);
  std::memcpy(expected + 8, &b.taken[0].record, 8);
  std::memcpy(expected + 16, &copy.from, 8);
  std::memcpy(expected + 24, &copy.to, 8);
  const uint8_t size[] = {0xdc, 0x05, 0, 0};
  std::memcpy(expected + 32, size, 4);
  EXPECT_EQ(std::memcmp(&b.taken[0], expected, 64), 0);
  EXPECT_EQ(b.taken[0].record % 64, 0u);
  EXPECT_EQ(b.channel->poll(), 0u);
  finish(b.taken[0]);
  EXPECT_EQ(b.channel->poll(), 1u);
}

TEST(Descriptor, ABatchByteByByte) {
  Bench b({16, 32, 1 << 20, false, false});
  const Copy copies[] = {b.copy(0, 300), b.copy(1000, 700), b.copy(2000, 65)};
  b.channel->submit(copies, 3);
  ASSERT_EQ(b.taken.size(), 1u);
  const Descriptor& batch = b.taken[0];
  uint8_t expected[64] = {};
  const uint8_t operation[] = {0x0c, 0x00, 0x00, 0x01};
  std::memcpy(expected + 4, operation, 4);
  std::memcpy(expected + 8, &batch.record, 8);
  std::memcpy(expected + 16, &batch.from, 8);
  expected[32] = 3;
  EXPECT_EQ(std::memcmp(&batch, expected, 64), 0);
  ASSERT_EQ(batch.from % 64, 0u);
  const auto* list = reinterpret_cast<const Descriptor*>(batch.from);
  for (int i = 0; i < 3; ++i) {
    uint8_t inner[64] = {};
    const uint8_t move[] = {0x00, 0x01, 0x00, 0x03};
    std::memcpy(inner + 4, move, 4);
    std::memcpy(inner + 16, &copies[i].from, 8);
    std::memcpy(inner + 24, &copies[i].to, 8);
    std::memcpy(inner + 32, &copies[i].bytes, 4);
    EXPECT_EQ(std::memcmp(&list[i], inner, 64), 0) << i;
  }
  finish(batch);
  EXPECT_EQ(b.channel->poll(), 3u);
}

// What a slot held before leaves nothing behind.
TEST(Descriptor, ASlotUsedForABatchThenForOne) {
  Bench b({1, 32, 1 << 20, false, false});
  const Copy copies[] = {b.copy(0, 300), b.copy(1000, 700)};
  b.channel->submit(copies, 2);
  finish(b.taken[0]);
  ASSERT_EQ(b.channel->poll(), 2u);
  b.channel->submit(copies, 1);
  EXPECT_EQ(b.taken[1].operation, operation(Opcode::kMemmove, 0x10c));
  EXPECT_EQ(b.taken[1].to, reinterpret_cast<uint64_t>(copies[0].to));
  finish(b.taken[1]);
  b.channel->poll();
  b.channel->submit(copies, 2);
  EXPECT_EQ(b.taken[2].operation, operation(Opcode::kBatch, 0xc));
  EXPECT_EQ(b.taken[2].to, 0u);
  EXPECT_EQ(b.taken[2].size, 2u);
  finish(b.taken[2]);
}

TEST(Descriptor, SplitsByBatchAndTransfer) {
  Bench b({16, 4, 256, false, false});
  const Copy copies[] = {b.copy(0, 1000), b.copy(1024, 256), b.copy(2048, 257)};
  b.channel->submit(copies, 3);
  // 4 of the first | 1 of the second, 2 of the third.
  ASSERT_EQ(b.taken.size(), 2u);
  EXPECT_EQ(b.taken[0].size, 4u);
  EXPECT_EQ(b.taken[1].size, 3u);
  const auto* list = reinterpret_cast<const Descriptor*>(b.taken[0].from);
  EXPECT_EQ(list[3].size, 1000u - 3 * 256);
  EXPECT_EQ(list[3].to, reinterpret_cast<uint64_t>(copies[0].to) + 3 * 256);
  list = reinterpret_cast<const Descriptor*>(b.taken[1].from);
  EXPECT_EQ(list[2].size, 1u);
  EXPECT_EQ(list[2].from, reinterpret_cast<uint64_t>(copies[2].from) + 256);
  finish(b.taken[1]);
  EXPECT_EQ(b.channel->poll(), 0u);  // the first batch is not done
  finish(b.taken[0]);
  EXPECT_EQ(b.channel->poll(), 3u);
}

TEST(Descriptor, ACopySplitOverTwoBatches) {
  Bench b({16, 3, 256, false, false});
  const Copy copies[] = {b.copy(0, 300), b.copy(1024, 600), b.copy(2048, 256)};
  b.channel->submit(copies, 3);
  ASSERT_EQ(b.taken.size(), 2u);
  finish(b.taken[0]);
  EXPECT_EQ(b.channel->poll(), 1u);
  finish(b.taken[1]);
  EXPECT_EQ(b.channel->poll(), 3u);
}

TEST(Descriptor, NoBatchesWithoutTheCapability) {
  Bench b({16, 0, 1 << 20, false, false});
  const Copy copies[] = {b.copy(0, 300), b.copy(1000, 700)};
  b.channel->submit(copies, 2);
  ASSERT_EQ(b.taken.size(), 2u);
  for (const auto& d : b.taken) EXPECT_EQ(d.operation >> 24, 3u);
  finish(b.taken[1]);
  EXPECT_EQ(b.channel->poll(), 0u);
  finish(b.taken[0]);
  EXPECT_EQ(b.channel->poll(), 2u);
}

// 16 entries of 20 for the first channel, 4 for the second, none for the third.
TEST(Descriptor, SharesOutTheQueue) {
  Bench b({20, 0, 1 << 20, false, false});
  std::string error;
  auto second = b.engine->channel(&error);
  auto third = b.engine->channel(&error);
  std::vector<Copy> copies(30, b.copy(0, 300));
  b.channel->submit(copies.data(), 30);
  EXPECT_EQ(b.taken.size(), 16u);
  second->submit(copies.data(), 30);
  EXPECT_EQ(b.taken.size(), 20u);
  third->submit(copies.data(), 30);
  EXPECT_EQ(b.taken.size(), 20u);
  EXPECT_EQ(third->poll(), 30u);
  for (const auto& d : b.taken) finish(d);
  EXPECT_EQ(b.channel->poll(), 30u);
  EXPECT_EQ(second->poll(), 30u);
  second.reset();  // its 4 entries are free again
  second = b.engine->channel(&error);
  b.taken.clear();
  second->submit(copies.data(), 30);
  EXPECT_EQ(b.taken.size(), 4u);
  for (const auto& d : b.taken) finish(d);
}

TEST(Descriptor, ASharedQueueThatRefusesLeavesItToTheCpu) {
  Bench b({16, 32, 1 << 20, true, false}, false);
  const Copy copies[] = {b.copy(0, 300), b.copy(1000, 700)};
  b.channel->submit(copies, 2);
  EXPECT_GT(b.taken.size(), 1u);  // it was asked more than once
  EXPECT_EQ(b.channel->poll(), 2u);
  EXPECT_EQ(b.to[0], 1);
  EXPECT_EQ(b.to[1699], 1);
  EXPECT_NE(b.engine->stats_json().find("\"full\":2"), std::string::npos);
}

// The status says stopped after 100 bytes: forwards the end is left, backwards the beginning.
TEST(Descriptor, GoesOnAfterAPageFault) {
  for (const bool backwards : {false, true}) {
    Bench b({16, 32, 1 << 20, false, false});
    const Copy copy = b.copy(0, 300);
    b.channel->submit(&copy, 1);
    auto* record = reinterpret_cast<Record*>(b.taken[0].record);
    record->completed = 100;
    record->result = backwards;
    finish(b.taken[0], kPageFault | kStatusWrite);
    EXPECT_EQ(b.channel->poll(), 1u);
    for (int i = 0; i < 300; ++i) EXPECT_EQ(b.to[i], backwards ? i < 200 : i >= 100) << i;
    EXPECT_NE(b.engine->stats_json().find("\"faults\":1"), std::string::npos);
  }
}

// A record that claims more than was asked must not make us copy beyond.
TEST(Descriptor, ARecordThatClaimsTooMuch) {
  Bench b({16, 32, 1 << 20, false, false});
  const Copy copy = b.copy(0, 300);
  b.channel->submit(&copy, 1);
  reinterpret_cast<Record*>(b.taken[0].record)->completed = ~0u;
  finish(b.taken[0], kPageFault);
  EXPECT_EQ(b.channel->poll(), 1u);
  EXPECT_EQ(b.to[300], 0);
}

TEST(Descriptor, EveryOtherStatusIsRedone) {
  for (int status = 2; status <= 0xff; ++status) {
    if (status == kStatusWrite || (status & kStatusMask) == kPageFault) continue;
    Bench b({16, 32, 1 << 20, false, false});
    const Copy copies[] = {b.copy(0, 300), b.copy(1000, 700), b.copy(3000, 900)};
    b.channel->submit(copies, 2);
    b.channel->submit(copies + 2, 1);
    for (const auto& d : b.taken) finish(d, static_cast<uint8_t>(status));
    EXPECT_EQ(b.channel->poll(), 3u);
    for (const Copy& c : copies) EXPECT_EQ(std::memcmp(c.to, c.from, c.bytes), 0) << status;
  }
}

// Nothing ever answers: after the time limit the CPU does it, and everything after.
TEST(Descriptor, ADeadDeviceIsGivenUp) {
  Bench b({16, 32, 1 << 20, false, false}, true, {"test", 0, 0, 20 * kMillisecond});
  std::string error;
  auto other = b.engine->channel(&error);
  const Copy copies[] = {b.copy(0, 300), b.copy(1000, 700)};
  b.channel->submit(copies, 2);
  EXPECT_EQ(b.channel->poll(), 0u);
  b.channel->drain();
  EXPECT_EQ(b.channel->poll(), 2u);
  EXPECT_EQ(std::memcmp(copies[1].to, copies[1].from, 700), 0);
  b.taken.clear();
  other->submit(copies, 2);
  EXPECT_TRUE(b.taken.empty());
  EXPECT_EQ(other->poll(), 2u);
  const std::string stats = b.engine->stats_json();
  EXPECT_NE(stats.find("\"given_up\":2"), std::string::npos) << stats;
  EXPECT_NE(stats.find("\"dead\":true"), std::string::npos) << stats;
}

TEST(Descriptor, PollAloneGivesUpToo) {
  Bench b({16, 32, 1 << 20, false, false}, true, {"test", 0, 0, 20 * kMillisecond});
  const Copy copies[] = {b.copy(0, 300), b.copy(1000, 700)};
  b.channel->submit(copies, 2);
  const Time start = time_now();
  while (b.channel->poll() == 0) ASSERT_LT(time_now() - start, kPatience);
  EXPECT_EQ(b.channel->poll(), 2u);
}

}  // namespace
}  // namespace nodeplane::dsa
