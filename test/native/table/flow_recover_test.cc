#include <gtest/gtest.h>

#include <random>

#include "support/remains.h"

namespace nodeplane {
namespace {

template <class F>
class FlowRecoverTest : public testing::Test {
 protected:
  static constexpr uint32_t kCapacity = 1000;

  FlowRef keep(const NewFlow<F>& f, uint32_t worker = 0) {
    FlowRef ref;
    EXPECT_EQ(table->keep(worker, f, kTestStart, &ref), KeepResult::kKept);
    return ref;
  }
  void touch(FlowRef ref, uint8_t direction, uint8_t flags, Time now = kTestStart) {
    const uint8_t protocol = table->side({ref.record, 0}).key.protocol;
    table->touch(0, {ref.record, direction}, 100, flags, protocol, now);
  }

  Remains<F> remains{kCapacity};
  Epochs epochs;
  std::unique_ptr<FlowTable<F>> table = remains.table(epochs, 2);
};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(FlowRecoverTest, Families);

TYPED_TEST(FlowRecoverTest, ConnectionsAreAsTheyWere) {
  constexpr uint32_t kFlows = 700;
  for (uint32_t n = 0; n < kFlows; ++n) {
    const FlowRef ref =
        this->keep(make_flow<TypeParam>(n, n % 3 ? kProtocolTcp : kProtocolUdp, 1 + n % 20), n % 2);
    for (uint32_t packets = 0; packets < n % 5; ++packets) {
      this->touch(ref, 0, kTcpSyn);
      this->touch(ref, 1, kTcpSyn | kTcpAck);
    }
    Gone gone;
    if (n % 7 == 0) {
      ASSERT_TRUE(this->table->forget(0, ref.record, &gone));
    }
  }
  const uint32_t live = this->table->live();
  FlowRow before[kFlows];
  uint32_t cursor = 0;
  ASSERT_EQ(this->table->dump(&cursor, before, kFlows, kTestStart), live);

  Revived<TypeParam> revived(this->remains, kTestStart, 3);
  EXPECT_EQ(revived.counts.recovered, live);
  EXPECT_EQ(revived.counts.rejected(), 0u);
  expect_whole(revived, this->remains);
  auto rows = revived.rows();
  ASSERT_EQ(rows.size(), live);
  for (uint32_t i = 0; i < live; ++i) {
    const auto* source = reinterpret_cast<const char*>(before[i].original_source);
    FlowRow& row = rows[{std::string(source, 16), before[i].original_source_port}];
    row.worker = before[i].worker;
    EXPECT_EQ(std::memcmp(&row, &before[i], sizeof row), 0);
  }
}

// Hashes are no part of what survives: the index is made anew, whatever the hash is now.
TYPED_TEST(FlowRecoverTest, TheHashMayBeAnother) {
  constexpr uint32_t kFlows = 500;
  for (uint32_t n = 0; n < kFlows; ++n) this->keep(make_flow<TypeParam>(n));
  constexpr HashSeed kOther = {17, 4};
  Revived<TypeParam> revived(this->remains, HashKind::kCrc32c, kOther);
  EXPECT_EQ(revived.counts.recovered, kFlows);
  EXPECT_EQ(revived.counts.rejected(), 0u);
  const auto crc = [] {
    if constexpr (TypeParam::kFamily == 4)
      return kernels().crc_v4;
    else
      return kernels().crc_v6;
  }();
  for (uint32_t n = 0; n < kFlows; ++n) {
    const auto f = make_flow<TypeParam>(n);
    for (const auto& key : {f.original, f.reply}) {
      uint32_t hash;
      crc(&key, 1, kOther, &hash);
      EXPECT_NE(revived.table->find(key, hash).record, kRecordNone);
      EXPECT_EQ(revived.table->find(key, hash_of(key)).record, kRecordNone);
    }
  }
}

TYPED_TEST(FlowRecoverTest, TheTableGoesOn) {
  for (uint32_t n = 0; n < 600; ++n) this->keep(make_flow<TypeParam>(n));
  Gone gone;
  for (uint32_t r = 0; r < 600; r += 2) {
    ASSERT_TRUE(this->table->forget(0, r, &gone));
  }
  const uint32_t capacity =
      this->kCapacity - 100;  // records that a worker has at hand are spare ones
  Revived<TypeParam> revived(this->remains, kTestStart, 2, capacity);
  auto& t = *revived.table;
  EXPECT_EQ(t.live(), 300u);
  FlowRef ref;
  uint32_t kept = 0;
  for (uint32_t n = 1000; n < 1000 + capacity; ++n)
    kept += t.keep(n % 2, make_flow<TypeParam>(n), kTestStart, &ref) == KeepResult::kKept;
  EXPECT_EQ(kept, capacity - 300);
  EXPECT_EQ(t.live(), capacity);
  // SYN-SENT's 60 s, for the old ones as for the new ones.
  const Time late = kTestStart + 62 * kSecond;
  EXPECT_EQ(expire_all(t, 0, late) + expire_all(t, 1, late), capacity);
}

TYPED_TEST(FlowRecoverTest, AgesGoOn) {
  this->keep(make_flow<TypeParam>(1));
  const FlowRef seen = this->keep(make_flow<TypeParam>(2));
  this->touch(seen, 0, kTcpSyn, kTestStart + 30 * kSecond);
  const Time later = kTestStart + 61 * kSecond;
  Revived<TypeParam> revived(this->remains, later);
  EXPECT_EQ(revived.counts.expired, 1u);
  EXPECT_EQ(revived.counts.recovered, 1u);
  EXPECT_EQ(expire_all(*revived.table, 0, kTestStart + 89 * kSecond), 0u);
  EXPECT_EQ(expire_all(*revived.table, 0, kTestStart + 91 * kSecond), 1u);
}

TYPED_TEST(FlowRecoverTest, IdsThatNobodyKnowsOrThatMeanSomethingElseEnd) {
  const FlowRef old = this->keep(make_flow<TypeParam>(1, kProtocolTcp, 1));  // endpoint 101
  this->keep(make_flow<TypeParam>(2, kProtocolTcp, 2));                      // endpoint 102
  this->keep(make_flow<TypeParam>(3, kProtocolTcp, 3));                      // endpoint 103
  auto fresh = make_flow<TypeParam>(4, kProtocolTcp, 3);
  fresh.generation = 5;
  this->keep(fresh);
  const Remains<TypeParam> copy(this->remains);
  std::vector<uint32_t> born(104, 0);
  born[7] = 1;    // the service
  born[101] = 1;  // 102 is unknown
  born[103] = 4;  // stood for another one when flow 3 was last seen
  Revived<TypeParam> revived(this->remains, kTestStart, born);
  EXPECT_EQ(revived.counts.recovered, 2u);
  EXPECT_EQ(revived.counts.unknown, 2u);
  const auto key = make_flow<TypeParam>(1).original;
  EXPECT_EQ(revived.table->find(key, hash_of(key)).record, old.record);
  EXPECT_EQ(revived.rows().size(), 2u);

  born[7] = 0;
  Revived<TypeParam> none(copy, kTestStart, born);
  EXPECT_EQ(none.counts.recovered, 0u);
  EXPECT_EQ(none.counts.unknown, 4u);
}

TYPED_TEST(FlowRecoverTest, MasqueradedOnesTakeTheirPortAgain) {
  PortPool ports(2, 1024, 60000);
  const auto address = key_dst(make_flow<TypeParam>(1).reply);
  for (uint32_t i = 0; i < 10; ++i) ports.source(TypeParam::kFamily, {{static_cast<uint8_t>(i)}});
  const uint16_t source = ports.source(TypeParam::kFamily, address);
  auto f = make_flow<TypeParam>(1);
  f.snat = 1;
  f.zone = 3;
  const uint32_t group =
      PortPool::destination_hash(TypeParam::kFamily, key_src(f.reply), f.reply.sport);
  ASSERT_TRUE(
      ports.take(1, source, kProtocolTcp, group, 3, swap16(50000), &f.reply.dport, &f.snat_grant));
  f.reply_hash = hash_of(f.reply);
  this->keep(f);
  auto twin = f;  // another client that wears the same port to the same endpoint: damage, not life
  twin.original.sport = swap16(swap16(f.original.sport) + 1);
  twin.reply.network = twin.original.network = 5;
  twin.original_hash = hash_of(twin.original);
  twin.reply_hash = hash_of(twin.reply);
  this->keep(twin);

  Revived<TypeParam> revived(this->remains);
  EXPECT_EQ(revived.counts.recovered, 1u);
  EXPECT_EQ(revived.counts.portless, 1u);
  EXPECT_EQ(revived.ports.in_use(), 1u);
  const FlowRef ref = revived.table->find(f.original, f.original_hash);
  ASSERT_NE(ref.record, kRecordNone);
  EXPECT_EQ(revived.table->side({ref.record, 0}).source_changed, 1);
  Gone gone;
  ASSERT_TRUE(revived.table->forget(0, ref.record, &gone));
  EXPECT_EQ(gone.snat, 1);
  EXPECT_EQ(gone.zone, 3);
  revived.ports.give(0, gone.snat_grant, gone.zone);
  EXPECT_EQ(revived.ports.in_use(), 0u);
}

TYPED_TEST(FlowRecoverTest, OfTwoWithOneKeyTheOneSeenLastStays) {
  const FlowRef first = this->keep(make_flow<TypeParam>(1));
  const FlowRef second = this->keep(make_flow<TypeParam>(2));
  const auto records = this->remains.records();
  const auto copy = [&](uint32_t from, uint32_t to) {
    for (uint32_t d = 0; d < 2; ++d)
      std::memcpy(static_cast<void*>(&records.side(to, d)), &records.side(from, d),
                  sizeof(typename TypeParam::Side));
    std::memcpy(static_cast<void*>(records.cold + to), records.cold + from, sizeof(FlowCold));
  };
  copy(first.record, 500);
  copy(second.record, 501);
  const auto seen = [&](uint32_t record, uint32_t later) {
    auto& word = records.side(record, 0).last_seen;
    word.store(word.load() + later);
  };
  seen(500, 10);            // the copy of the first is younger,
  seen(second.record, 10);  // of the second older
  Revived<TypeParam> revived(this->remains, kTestStart + kSecond);
  EXPECT_EQ(revived.counts.recovered, 2u);
  EXPECT_EQ(revived.counts.doubled, 2u);
  const auto a = make_flow<TypeParam>(1), b = make_flow<TypeParam>(2);
  EXPECT_EQ(revived.table->find(a.original, a.original_hash).record, 500u);
  EXPECT_EQ(revived.table->find(b.reply, b.reply_hash).record, second.record);
  expect_whole(revived, this->remains);
}

// Thousands of damaged memories: what is taken is whole, and nothing else happens.
TYPED_TEST(FlowRecoverTest, DamageIsNeverTaken) {
  constexpr uint32_t kRounds = 1500, kSmall = 24;
  const Remains<TypeParam> good(kSmall);
  Epochs epochs;
  auto t = good.table(epochs);
  for (uint32_t n = 0; n < kSmall; ++n) {
    FlowRef ref;
    ASSERT_EQ(t->keep(0, make_flow<TypeParam>(n, n % 2 ? kProtocolTcp : kProtocolUdp, 1 + n % 9),
                      kTestStart, &ref),
              KeepResult::kKept);
  }
  std::mt19937 random(20240611);
  uint32_t taken = 0, damaged = 0;
  for (uint32_t round = 0; round < kRounds; ++round) {
    Remains<TypeParam> bad(good);
    const uint32_t kind = round % 4, count = 1 + random() % (kind == 0 ? 1 : 200);
    for (uint32_t i = 0; i < count; ++i) {
      const size_t at = random() % bad.bytes();
      if (kind == 3)
        bad.base()[at] = static_cast<uint8_t>(random());
      else
        bad.base()[at] ^= static_cast<uint8_t>(1u << random() % 8);
    }
    if (kind == 2) {  // a stretch of it is something else
      const size_t from = random() % bad.bytes(), to = random() % bad.bytes();
      for (size_t at = std::min(from, to); at < std::max(from, to); ++at)
        bad.base()[at] = static_cast<uint8_t>(random());
    }
    Revived<TypeParam> revived(bad, kTestStart);
    expect_whole(revived, bad);
    if (this->HasFatalFailure()) FAIL() << "round " << round;
    taken += revived.counts.recovered;
    damaged += revived.counts.damaged;
    // The table works: all that is free can be used.
    uint32_t kept = 0;
    FlowRef ref;
    for (uint32_t n = 5000; n < 5000 + kSmall; ++n)
      kept +=
          revived.table->keep(0, make_flow<TypeParam>(n), kTestStart, &ref) == KeepResult::kKept;
    ASSERT_EQ(kept, kSmall - revived.counts.recovered);
  }
  EXPECT_GT(taken, kRounds * 5);
  EXPECT_GT(damaged, kRounds);
}

}  // namespace
}  // namespace nodeplane
