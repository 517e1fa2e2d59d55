#include "table/flow_table.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

#include "support/flows.h"

namespace nodeplane {
namespace {

constexpr uint8_t kAckFlag = kTcpAck, kSynAck = kTcpSyn | kTcpAck, kFinAck = kTcpFin | kTcpAck;

template <class F>
class FlowTableTest : public testing::Test {
 protected:
  void open(uint32_t capacity, uint32_t workers = 1) {
    table = make_table<F>(epochs, capacity, workers);
    ASSERT_NE(table, nullptr);
  }
  KeepResult keep(const NewFlow<F>& f, FlowRef* out = nullptr, uint32_t worker = 0) {
    FlowRef ref;
    const KeepResult r = table->keep(worker, f, now, &ref);
    if (out) *out = ref;
    return r;
  }
  void touch(uint32_t record, uint8_t direction, uint8_t flags, uint32_t worker = 0) {
    const uint8_t protocol = table->side({record, 0}).key.protocol;
    table->touch(worker, {record, direction}, 100, flags, protocol, now);
  }
  void establish(uint32_t record) {
    touch(record, 0, kTcpSyn);
    touch(record, 1, kSynAck);
    touch(record, 0, kAckFlag);
    ASSERT_EQ(table->state_of(record), FlowState::kEstablished);
  }
  FlowRef find(const typename F::Key& key) { return table->find(key, hash_of(key)); }

  Epochs epochs;
  std::unique_ptr<FlowTable<F>> table;
  Time now = kTestStart;
};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(FlowTableTest, Families);

TYPED_TEST(FlowTableTest, BothDirectionsFindTheRecord) {
  this->open(100);
  const auto f = make_flow<TypeParam>(1);
  FlowRef kept;
  ASSERT_EQ(this->keep(f, &kept), KeepResult::kKept);
  EXPECT_EQ(kept.direction, 0);
  EXPECT_EQ(this->find(f.original).record, kept.record);
  EXPECT_EQ(this->find(f.original).direction, 0);
  EXPECT_EQ(this->find(f.reply).record, kept.record);
  EXPECT_EQ(this->find(f.reply).direction, 1);
  EXPECT_EQ(this->table->live(), 1u);
  EXPECT_EQ(this->table->service_of(kept.record), 7u);
  EXPECT_EQ(this->table->endpoint_of(kept.record), 101u);
  auto other = f.original;
  other.network = 1;  // the routing domain is part of the key
  EXPECT_EQ(this->find(other).record, kRecordNone);
}

TYPED_TEST(FlowTableTest, SidesMirrorEachOther) {
  this->open(100);
  auto f = make_flow<TypeParam>(1);
  f.snat = 1;
  FlowRef ref;
  ASSERT_EQ(this->keep(f, &ref), KeepResult::kKept);
  const auto& o = this->table->side({ref.record, 0});
  const auto& r = this->table->side({ref.record, 1});
  EXPECT_EQ(std::memcmp(&o.new_src, &f.reply.dst, sizeof o.new_src), 0);
  EXPECT_EQ(std::memcmp(&o.new_dst, &f.reply.src, sizeof o.new_dst), 0);
  EXPECT_EQ(std::memcmp(&r.new_src, &f.original.dst, sizeof r.new_src), 0);
  EXPECT_EQ(std::memcmp(&r.new_dst, &f.original.src, sizeof r.new_dst), 0);
  EXPECT_EQ(swap16(o.new_dport), kServerPort);
  EXPECT_EQ(swap16(r.new_sport), kVirtualPort);
  EXPECT_EQ(o.source_changed, 1);
  EXPECT_EQ(r.source_changed, 0);
}

// The deltas, added to a sum over the old bytes, give the sum over the new ones.
TYPED_TEST(FlowTableTest, DeltasMatchRecomputedSums) {
  this->open(2000);
  std::mt19937 random(5);
  for (uint32_t i = 0; i < 500; ++i) {
    constexpr uint8_t kProtocols[] = {kProtocolTcp, kProtocolUdp,
                                      TypeParam::kFamily == 4 ? kProtocolIcmp : kProtocolIcmp6};
    const uint8_t protocol = kProtocols[i % 3];
    auto f = make_flow<TypeParam>(i, protocol, random() % 200);
    if (i % 3 == 2) f.original.dport = f.reply.sport = 0;
    if (i % 5 == 0) f.reply.dport = static_cast<uint16_t>(random());
    f.original_hash = hash_of(f.original);
    f.reply_hash = hash_of(f.reply);
    FlowRef ref;
    ASSERT_EQ(this->keep(f, &ref), KeepResult::kKept);
    const bool addresses = !(TypeParam::kFamily == 4 && protocol == kProtocolIcmp);
    for (uint8_t d = 0; d < 2; ++d) {
      const auto& s = this->table->side({ref.record, d});
      std::vector<uint8_t> before(64), after(64);
      before[63] = after[63] = static_cast<uint8_t>(1 + random() % 255);  // payload
      uint8_t* b = before.data();
      uint8_t* a = after.data();
      if (addresses) {
        std::memcpy(b, &s.key.src, sizeof s.key.src);
        std::memcpy(b + 16, &s.key.dst, sizeof s.key.dst);
        std::memcpy(a, &s.new_src, sizeof s.new_src);
        std::memcpy(a + 16, &s.new_dst, sizeof s.new_dst);
      }
      std::memcpy(b + 32, &s.key.sport, 2);
      std::memcpy(b + 34, &s.key.dport, 2);
      std::memcpy(a + 32, &s.new_sport, 2);
      std::memcpy(a + 34, &s.new_dport, 2);
      const uint32_t sum = kernels().checksum(b, 64) + uint32_t{s.l4_delta};
      const uint32_t folded = (sum & 0xffff) + (sum >> 16);
      EXPECT_EQ(folded, kernels().checksum(a, 64));
      if constexpr (TypeParam::kFamily == 4) {
        std::vector<uint8_t> h(20), n(20);
        h[0] = n[0] = 0x45;
        std::memcpy(h.data() + 12, &s.key.src, 4);
        std::memcpy(h.data() + 16, &s.key.dst, 4);
        std::memcpy(n.data() + 12, &s.new_src, 4);
        std::memcpy(n.data() + 16, &s.new_dst, 4);
        const uint32_t l3 = kernels().checksum(h.data(), 20) + uint32_t{s.l3_delta};
        EXPECT_EQ((l3 & 0xffff) + (l3 >> 16), kernels().checksum(n.data(), 20));
      }
    }
  }
}

TYPED_TEST(FlowTableTest, SecondKeepFindsTheFirst) {
  this->open(100);
  auto f = make_flow<TypeParam>(1);
  FlowRef first, second;
  ASSERT_EQ(this->keep(f, &first), KeepResult::kKept);
  f.endpoint = 999;  // the loser decided otherwise
  f.reply = make_flow<TypeParam>(1, kProtocolTcp, 2).reply;
  f.reply_hash = hash_of(f.reply);
  EXPECT_EQ(this->keep(f, &second), KeepResult::kExisting);
  EXPECT_EQ(second.record, first.record);
  EXPECT_EQ(second.direction, 0);
  EXPECT_EQ(this->find(f.reply).record, kRecordNone);
  EXPECT_EQ(this->table->live(), 1u);
  // A packet of the reply direction that wants to become a connection finds its own.
  auto back = make_flow<TypeParam>(1);
  std::swap(back.original, back.reply);
  std::swap(back.original_hash, back.reply_hash);
  EXPECT_EQ(this->keep(back, &second), KeepResult::kExisting);
  EXPECT_EQ(second.record, first.record);
  EXPECT_EQ(second.direction, 1);
}

TYPED_TEST(FlowTableTest, ClashNamesTheOtherAndLeavesNothing) {
  this->open(100);
  const auto f = make_flow<TypeParam>(1);
  FlowRef first, out;
  ASSERT_EQ(this->keep(f, &first), KeepResult::kKept);
  auto g = f;  // another virtual address, the same endpoint and client port
  g.original = make_key<TypeParam>(10, 1, 1025, 96, 2, kVirtualPort, kProtocolTcp);
  g.original_hash = hash_of(g.original);
  EXPECT_EQ(this->keep(g, &out), KeepResult::kClash);
  EXPECT_EQ(out.record, first.record);
  EXPECT_EQ(this->find(g.original).record, kRecordNone);
  EXPECT_EQ(this->table->live(), 1u);
}

TYPED_TEST(FlowTableTest, SelfMirroredIsIndexedOnce) {
  this->open(1);
  auto f = make_flow<TypeParam>(1);
  f.reply = f.original;
  f.reply_hash = f.original_hash;
  FlowRef ref;
  ASSERT_EQ(this->keep(f, &ref), KeepResult::kKept);
  EXPECT_EQ(this->keep(f), KeepResult::kExisting);
  EXPECT_EQ(this->find(f.original).record, ref.record);
  Gone gone;
  EXPECT_TRUE(this->table->forget(0, ref.record, &gone));
  EXPECT_EQ(this->find(f.original).record, kRecordNone);
  EXPECT_EQ(this->keep(f), KeepResult::kKept);
}

TYPED_TEST(FlowTableTest, ForgetTakesBothKeysOnce) {
  this->open(100);
  auto f = make_flow<TypeParam>(1);
  f.snat = 1;
  f.snat_grant = 42;
  FlowRef ref;
  ASSERT_EQ(this->keep(f, &ref), KeepResult::kKept);
  Gone gone;
  ASSERT_TRUE(this->table->forget(0, ref.record, &gone));
  EXPECT_EQ(gone.snat, 1);
  EXPECT_EQ(gone.snat_grant, 42u);
  EXPECT_FALSE(this->table->forget(0, ref.record, &gone));
  EXPECT_EQ(this->find(f.original).record, kRecordNone);
  EXPECT_EQ(this->find(f.reply).record, kRecordNone);
  EXPECT_EQ(this->table->live(), 0u);
  // A late packet's touch does not bring it back.
  this->touch(ref.record, 0, kTcpSyn);
  this->touch(ref.record, 1, kSynAck);
  EXPECT_EQ(this->table->state_of(ref.record), FlowState::kNone);
}

TYPED_TEST(FlowTableTest, HoldsItsCapacityAndNoMore) {
  for (const uint32_t capacity : {1u, 3u, 64u, 1000u, 20000u}) {
    this->open(capacity);
    for (uint32_t i = 0; i < capacity; ++i) {
      ASSERT_EQ(this->keep(make_flow<TypeParam>(i)), KeepResult::kKept) << i << "/" << capacity;
    }
    FlowRef ref;
    EXPECT_EQ(this->keep(make_flow<TypeParam>(capacity)), KeepResult::kFull);
    EXPECT_EQ(this->keep(make_flow<TypeParam>(0), &ref), KeepResult::kExisting);
    EXPECT_EQ(this->table->live(), capacity);
    for (uint32_t i = 0; i < capacity; ++i) {  // nothing was lost while entries moved
      const auto f = make_flow<TypeParam>(i);
      ASSERT_NE(this->find(f.original).record, kRecordNone);
      ASSERT_EQ(this->find(f.reply).direction, 1);
    }
    Gone gone;
    ASSERT_TRUE(this->table->forget(0, ref.record, &gone));
    EXPECT_EQ(this->keep(make_flow<TypeParam>(capacity)), KeepResult::kKept);
  }
}

TYPED_TEST(FlowTableTest, MemoryPerConnection) {
  constexpr uint32_t kCapacity = 1 << 18;
  this->open(kCapacity, 4);
  const double each = static_cast<double>(this->table->bytes()) / kCapacity;
  EXPECT_LE(each, TypeParam::kFamily == 4 ? 220 : 360);
}

// Every key in one bucket pair: the entries beyond 20 have nowhere to go, and say so.
TYPED_TEST(FlowTableTest, EqualHashesFillTheirBucketsOnly) {
  this->open(1000);
  uint32_t kept = 0;
  for (uint32_t i = 0; i < 40; ++i) {
    auto f = make_flow<TypeParam>(i);
    f.original_hash = 0x12345678;
    const KeepResult r = this->keep(f);
    if (r == KeepResult::kKept)
      ++kept;
    else
      EXPECT_EQ(r, KeepResult::kDry);
  }
  EXPECT_LE(kept, 20u);
  EXPECT_GE(kept, 15u);  // replies live there too
  EXPECT_EQ(this->table->live(), kept);
  for (uint32_t i = 0; i < kept; ++i) {
    EXPECT_NE(this->table->find(make_flow<TypeParam>(i).original, 0x12345678).record, kRecordNone);
  }
}

// Connections come and go in a full table, many times as many as it holds: whoever stays keeps its place
// in its keys' first buckets, where one look finds it.
TYPED_TEST(FlowTableTest, EstablishedKeepTheirPlaceInAFlood) {
  constexpr uint32_t kCapacity = 4000, kStay = 1000, kTurnovers = 20;
  this->open(kCapacity);
  const auto in_place = [&] {
    uint32_t count = 0;
    for (uint32_t i = 0; i < kStay; ++i) {
      const auto f = make_flow<TypeParam>(i);
      count += this->table->is(this->table->guess(f.original_hash), f.original);
      count += this->table->is(this->table->guess(f.reply_hash), f.reply);
    }
    return count;
  };
  for (uint32_t i = 0; i < kStay; ++i) {
    FlowRef ref;
    ASSERT_EQ(this->keep(make_flow<TypeParam>(i), &ref), KeepResult::kKept);
    this->establish(ref.record);
  }
  const uint32_t before = in_place();
  EXPECT_GT(before, 2 * kStay * 99 / 100);
  for (uint32_t i = kStay; i < kTurnovers * kCapacity; ++i) {
    const auto f = make_flow<TypeParam>(i);
    KeepResult kept;
    while ((kept = this->keep(f)) != KeepResult::kKept) {
      Gone gone;
      if (kept == KeepResult::kFull) {
        ASSERT_TRUE(this->table->evict(0, 0, &gone));
      }
      this->epochs.quiescent(0);
      expire_all(*this->table, 0, this->now);
    }
  }
  EXPECT_GT(in_place(), before - 2 * kStay / 100);
}

TYPED_TEST(FlowTableTest, RecordWaitsForEveryWorker) {
  this->open(1, 2);
  this->epochs.quiescent(0);
  this->epochs.quiescent(1);
  // Room for one, and a reserve of records for those that wait.
  std::set<uint32_t> seen;
  FlowRef ref;
  while (this->keep(make_flow<TypeParam>(1), &ref) == KeepResult::kKept) {
    EXPECT_EQ(this->keep(make_flow<TypeParam>(2)), KeepResult::kFull);
    EXPECT_TRUE(seen.insert(ref.record).second);
    Gone gone;
    ASSERT_TRUE(this->table->forget(0, ref.record, &gone));
  }
  EXPECT_GE(seen.size(), 64u);
  EXPECT_EQ(this->keep(make_flow<TypeParam>(2)), KeepResult::kDry);
  this->epochs.quiescent(0);
  EXPECT_EQ(this->keep(make_flow<TypeParam>(2)), KeepResult::kDry);  // worker 1 may still look
  this->epochs.quiescent(1);
  EXPECT_EQ(this->keep(make_flow<TypeParam>(2)), KeepResult::kKept);
}

TYPED_TEST(FlowTableTest, CountsPerDirection) {
  this->open(10);
  FlowRef ref;
  ASSERT_EQ(this->keep(make_flow<TypeParam>(1), &ref), KeepResult::kKept);
  this->establish(ref.record);
  const auto& o = this->table->side({ref.record, 0});
  const auto& r = this->table->side({ref.record, 1});
  EXPECT_EQ(o.packets.load(), 2u);
  EXPECT_EQ(o.bytes.load(), 200u);
  EXPECT_EQ(o.tcp_flags.load(), kTcpSyn | kTcpAck);
  EXPECT_EQ(r.packets.load(), 1u);
  EXPECT_EQ(static_cast<FlowState>(o.state.load()), FlowState::kEstablished);
  EXPECT_EQ(static_cast<FlowState>(r.state.load()), FlowState::kEstablished);
}

// -- time --

TYPED_TEST(FlowTableTest, ExpiresAfterItsTimeAndNotBefore) {
  this->open(100);
  FlowRef ref;
  ASSERT_EQ(this->keep(make_flow<TypeParam>(1), &ref), KeepResult::kKept);
  const Time end = this->now + 60 * kSecond;
  EXPECT_EQ(expire_all(*this->table, 0, end - kMillisecond), 0u);
  EXPECT_FALSE(this->table->expired(ref, kProtocolTcp, end - kMillisecond));
  EXPECT_TRUE(this->table->expired(ref, kProtocolTcp, end));
  EXPECT_EQ(expire_all(*this->table, 0, end + 100 * kMillisecond), 1u);
  EXPECT_EQ(this->find(make_flow<TypeParam>(1).original).record, kRecordNone);
  EXPECT_EQ(this->table->next_due(0), ~Time{0});
}

TYPED_TEST(FlowTableTest, EachStateHasItsTime) {
  struct Case {
    uint8_t protocol;
    std::vector<std::pair<uint8_t, uint8_t>> packets;  // direction, flags
    uint32_t seconds;
  };
  const std::pair<uint8_t, uint8_t> syn{0, kTcpSyn}, synack{1, kSynAck}, ack{0, kAckFlag};
  const Case cases[] = {
      {kProtocolTcp, {syn}, 60},
      {kProtocolTcp, {syn, synack}, 50},
      {kProtocolTcp, {syn, synack, ack}, 7200},
      {kProtocolTcp, {syn, synack, ack, {0, kFinAck}}, 120},
      {kProtocolTcp, {syn, synack, ack, {0, kFinAck}, {1, kFinAck}}, 30},
      {kProtocolTcp, {syn, synack, ack, {1, kFinAck}, {0, kFinAck}, {1, kAckFlag}}, 20},
      {kProtocolTcp, {syn, synack, ack, {1, kTcpRst}}, 10},
      {kProtocolUdp, {{0, 0}}, 30},
      {kProtocolUdp, {{0, 0}, {1, 0}}, 180},
      {kProtocolIcmp, {{0, 0}, {1, 0}}, 25},
      {kProtocolSctp, {{0, 0}}, 30},
      {kProtocolSctp, {{0, 0}, {1, 0}}, 600},
  };
  for (const Case& c : cases) {
    this->open(10);
    this->now = kTestStart;
    FlowRef ref;
    ASSERT_EQ(this->keep(make_flow<TypeParam>(1, c.protocol), &ref), KeepResult::kKept);
    for (const auto& [direction, flags] : c.packets) {
      this->now += 100 * kMillisecond;
      this->touch(ref.record, direction, flags);
    }
    const Time end = this->now + c.seconds * kSecond;
    EXPECT_EQ(expire_all(*this->table, 0, end - kMillisecond), 0u) << c.seconds;
    EXPECT_EQ(expire_all(*this->table, 0, end + 70 * kMillisecond), 1u) << c.seconds;
  }
}

TYPED_TEST(FlowTableTest, HitsPostponeTheEnd) {
  this->open(100);
  FlowRef ref;
  ASSERT_EQ(this->keep(make_flow<TypeParam>(1, kProtocolUdp), &ref), KeepResult::kKept);
  for (uint32_t i = 0; i < 100; ++i) {
    this->now += 20 * kSecond;
    this->touch(ref.record, 0, 0);
    ASSERT_EQ(expire_all(*this->table, 0, this->now), 0u);
  }
  EXPECT_EQ(expire_all(*this->table, 0, this->now + 31 * kSecond), 1u);
}

TYPED_TEST(FlowTableTest, LeapsCostLittleAndMissNothing) {
  this->open(1000);
  for (uint32_t i = 0; i < 1000; ++i) {
    FlowRef ref;
    this->now += 10 * kMillisecond;
    ASSERT_EQ(this->keep(make_flow<TypeParam>(i), &ref), KeepResult::kKept);
    if (i % 2 == 0) this->establish(ref.record);
  }
  EXPECT_EQ(expire_all(*this->table, 0, this->now + 3600 * kSecond), 500u);
  constexpr Time kDay = 86400 * kSecond;
  EXPECT_EQ(expire_all(*this->table, 0, this->now + 9 * kDay), 500u);
  EXPECT_EQ(this->table->live(), 0u);
  // Thousands of years in one step: were ticks stepped through, this would not return.
  expire_all(*this->table, 0, this->now + 200'000 * kDay);
}

// A leap of more than 24 days looks like the past in 31 bits of milliseconds.
TYPED_TEST(FlowTableTest, LongLeapsKillTheOldAndSpareTheNew) {
  constexpr Time kDay = 86400 * kSecond;
  for (const uint64_t days : {24, 26, 30, 40, 49, 50, 100, 400}) {
    this->open(100);
    this->now = kTestStart;
    FlowRef old, seen;
    ASSERT_EQ(this->keep(make_flow<TypeParam>(1), &old), KeepResult::kKept);
    ASSERT_EQ(this->keep(make_flow<TypeParam>(2), &seen), KeepResult::kKept);
    this->establish(old.record);
    this->establish(seen.record);
    expire_all(*this->table, 0, this->now);
    this->now += days * kDay;
    this->touch(seen.record, 0, kAckFlag);
    EXPECT_EQ(expire_all(*this->table, 0, this->now), 1u) << days;
    EXPECT_EQ(this->table->state_of(seen.record), FlowState::kEstablished) << days;
    EXPECT_EQ(expire_all(*this->table, 0, this->now + 7201 * kSecond), 1u) << days;
  }
}

TYPED_TEST(FlowTableTest, ExpiryIsBounded) {
  this->open(1000);
  for (uint32_t i = 0; i < 1000; ++i) this->keep(make_flow<TypeParam>(i));
  Gone gone[kExpireBatchMax];
  bool more = false;
  const Time end = this->now + 61 * kSecond;
  uint32_t calls = 0, sum = 0;
  do {
    const uint32_t count = this->table->expire(0, end, 10, gone, &more);
    EXPECT_LE(count, 10u);
    sum += count;
    ++calls;
  } while (more);
  EXPECT_EQ(sum, 1000u);
  EXPECT_GE(calls, 100u);
}

TYPED_TEST(FlowTableTest, NextDueTellsASleeperWhenToWake) {
  this->open(10);
  EXPECT_EQ(this->table->next_due(0), ~Time{0});
  FlowRef ref;
  ASSERT_EQ(this->keep(make_flow<TypeParam>(1, kProtocolUdp), &ref), KeepResult::kKept);
  Time wake = this->table->next_due(0);
  uint32_t wakes = 0;
  while (this->table->live() == 1 && wakes < 100) {
    ASSERT_NE(wake, ~Time{0});
    expire_all(*this->table, 0, wake);
    if (this->table->live() == 1) {
      ASSERT_GT(this->table->next_due(0), wake - kSecond);
      wake = std::max(wake + kMillisecond, this->table->next_due(0));
    }
    ++wakes;
  }
  EXPECT_LE(wake, this->now + 31 * kSecond);
  EXPECT_LE(wakes, 5u);
}

// -- two workers, one after the other --

TYPED_TEST(FlowTableTest, OwnerHearsOfAnothersFinAndReset) {
  this->open(10, 2);
  FlowRef ref;
  ASSERT_EQ(this->keep(make_flow<TypeParam>(1), &ref), KeepResult::kKept);
  this->establish(ref.record);
  expire_all(*this->table, 0, this->now + 65 * kSecond);  // armed for two hours now
  this->now += 66 * kSecond;
  this->touch(ref.record, 1, kTcpRst, 1);
  EXPECT_EQ(this->table->next_due(0), 0u);
  EXPECT_EQ(expire_all(*this->table, 0, this->now + 5 * kSecond), 0u);
  EXPECT_EQ(expire_all(*this->table, 0, this->now + 11 * kSecond), 1u);
}

TYPED_TEST(FlowTableTest, AnothersForgetComesBackToTheOwner) {
  this->open(1, 2);
  for (uint32_t i = 0; i < 100; ++i) {
    FlowRef ref;
    ASSERT_EQ(this->keep(make_flow<TypeParam>(i), &ref, 0), KeepResult::kKept) << i;
    if (i % 2 == 0) this->touch(ref.record, 1, kTcpRst, 1);  // already posted
    Gone gone;
    ASSERT_TRUE(this->table->forget(1, ref.record, &gone));
    EXPECT_EQ(this->table->live(), 0u);
    EXPECT_EQ(expire_all(*this->table, 0, this->now), 0u);
  }
}

TYPED_TEST(FlowTableTest, DumpTellsEveryConnection) {
  this->open(1000);
  for (uint32_t i = 0; i < 300; ++i) this->keep(make_flow<TypeParam>(i));
  FlowRef ref;
  this->keep(make_flow<TypeParam>(5), &ref);
  this->establish(ref.record);
  this->now += kSecond;
  std::vector<FlowRow> rows(64);
  uint32_t cursor = 0, count = 0;
  bool seen = false;
  const auto want = make_flow<TypeParam>(5);
  while (cursor != ~0u) {
    const uint32_t n = this->table->dump(&cursor, rows.data(), 64, this->now);
    for (uint32_t i = 0; i < n; ++i) {
      const FlowRow& r = rows[i];
      EXPECT_EQ(r.family, TypeParam::kFamily);
      EXPECT_EQ(r.service, 7u);
      if (r.original_source_port != want.original.sport) continue;
      seen = true;
      EXPECT_EQ(r.state, static_cast<uint8_t>(FlowState::kEstablished));
      EXPECT_EQ(r.packets_forward, 2u);
      EXPECT_EQ(r.packets_backward, 1u);
      EXPECT_EQ(r.bytes_backward, 100u);
      EXPECT_EQ(r.expires_ms, 7'199'000u);
      EXPECT_EQ(r.last_seen_ms, 1000u);
      EXPECT_EQ(std::memcmp(r.reply_source, &want.reply.src, sizeof want.reply.src), 0);
      EXPECT_EQ(r.reply_source_port, want.reply.sport);
    }
    count += n;
  }
  EXPECT_EQ(count, 300u);
  EXPECT_TRUE(seen);
}

TEST(FlowTableOptions, ImpossibleOnesAreRefusedWithAReason) {
  Epochs epochs;
  std::string error;
  EXPECT_EQ(FlowTable<V4>::create({0, 1, false}, epochs, &error), nullptr);
  EXPECT_FALSE(error.empty());
  EXPECT_EQ(FlowTable<V6>::create({16, kWorkerMax + 1, false}, epochs, &error), nullptr);
}

}  // namespace
}  // namespace nodeplane
