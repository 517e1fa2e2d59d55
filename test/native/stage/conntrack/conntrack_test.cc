#include "stage/conntrack/conntrack.h"

#include <gtest/gtest.h>

#include "support/conntrack_kit.h"

namespace nodeplane::test {
namespace {

constexpr uint8_t kAckFlag = kTcpAck, kSynAck = kTcpSyn | kTcpAck, kFinAck = kTcpFin | kTcpAck;

template <class F>
class ConntrackTest : public testing::Test {
 protected:
  void open(uint32_t capacity = 1000, uint32_t workers = 1, Masquerade m = Masquerade::kNever) {
    world = std::make_unique<ConntrackWorld>(capacity, workers, 3, m);
    worker = std::make_unique<ConntrackWorker>(*world, 0);
    now = kTestStart;
    worker->begin(now);
  }
  FlowTable<F>& flows() {
    if constexpr (F::kFamily == 4)
      return *world->v4;
    else
      return *world->v6;
  }
  // One packet in a batch of its own. A copy: the batch's next packet takes its place.
  Packet one(const typename F::Key& key, uint8_t flags = 0) {
    now += kMillisecond;
    worker->begin(now);
    Packet& p = worker->put<F>(key, flags);
    worker->run();
    return p;
  }
  Packet establish(const typename F::Key& key) {
    const Packet syn = one(key, kTcpSyn);
    one(answer_key<F>(syn), kSynAck);
    one(key, kAckFlag);
    return syn;
  }
  FlowState state(const Packet& p) { return flows().state_of(p.record); }
  uint64_t count(Counter c) { return worker->count(c); }

  std::unique_ptr<ConntrackWorld> world;
  std::unique_ptr<ConntrackWorker> worker;
  Time now = 0;
};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(ConntrackTest, Families);

TYPED_TEST(ConntrackTest, AConnectionFromItsFirstPacketToItsLast) {
  this->open();
  const auto key = client_key<TypeParam>(1);
  const Packet syn = this->one(key, kTcpSyn);
  ASSERT_NE(syn.record, kRecordNone);
  EXPECT_EQ(syn.direction, 0);
  EXPECT_EQ(this->state(syn), FlowState::kSynSent);
  const auto back = answer_key<TypeParam>(syn);
  const Packet synack = this->one(back, kSynAck);
  EXPECT_EQ(synack.record, syn.record);
  EXPECT_EQ(synack.direction, 1);
  this->one(key, kAckFlag);
  EXPECT_EQ(this->state(syn), FlowState::kEstablished);
  this->one(key, kFinAck);
  EXPECT_EQ(this->state(syn), FlowState::kFinWait);
  this->one(back, kFinAck);
  EXPECT_EQ(this->state(syn), FlowState::kLastAck);
  this->one(key, kAckFlag);
  EXPECT_EQ(this->state(syn), FlowState::kTimeWait);
  const auto& o = this->flows().side({syn.record, 0});
  EXPECT_EQ(o.packets.load(), 4u);
  EXPECT_EQ(o.bytes.load(), 400u);
  EXPECT_EQ(this->flows().side({syn.record, 1}).packets.load(), 2u);
  EXPECT_EQ(this->count(Counter::kFlowNew), 1u);
  EXPECT_EQ(this->count(Counter::kServiceNewFlow), 1u);
  EXPECT_EQ(this->count(Counter::kFlowHit), 5u);
  EXPECT_EQ(this->count(Counter::kServicePickedUp), 0u);
}

TYPED_TEST(ConntrackTest, EqualFirstPacketsOfOneBatchMakeOneConnection) {
  this->open(1000, 1, Masquerade::kAlways);
  const auto key = client_key<TypeParam>(1);
  for (uint32_t i = 0; i < kBatchSize; ++i) this->worker->template put<TypeParam>(key, kTcpSyn);
  this->worker->run();
  EXPECT_EQ(this->world->live(), 1u);
  EXPECT_EQ(this->world->ports.in_use(), 1u);
  const uint32_t record = this->worker->batch->packets[0].record;
  ASSERT_NE(record, kRecordNone);
  for (uint32_t i = 0; i < kBatchSize; ++i) {
    EXPECT_EQ(this->worker->batch->packets[i].record, record);
    EXPECT_NE(this->worker->batch->packets[i].side, nullptr);
  }
  EXPECT_EQ(this->flows().side({record, 0}).packets.load(), kBatchSize);
  EXPECT_EQ(this->count(Counter::kFlowNew), 1u);
  EXPECT_EQ(this->count(Counter::kSnatPortTaken), kBatchSize);
  EXPECT_EQ(this->count(Counter::kSnatPortGivenBack), kBatchSize - 1);
}

TYPED_TEST(ConntrackTest, AReplyBehindItsOwnSynIsFound) {
  this->open();
  const auto key = client_key<TypeParam>(1);
  const auto back = answer_key<TypeParam>(this->one(key, kTcpSyn));  // the ring is deterministic
  this->open();
  this->worker->template put<TypeParam>(key, kTcpSyn);
  Packet& synack = this->worker->template put<TypeParam>(back, kSynAck);
  Packet& ack = this->worker->template put<TypeParam>(key, kAckFlag);
  this->worker->run();
  EXPECT_EQ(synack.record, this->worker->batch->packets[0].record);
  EXPECT_EQ(synack.direction, 1);
  EXPECT_EQ(ack.direction, 0);
  EXPECT_EQ(this->state(ack), FlowState::kEstablished);
  EXPECT_EQ(this->count(Counter::kFlowHit), 2u);
  EXPECT_EQ(this->count(Counter::kRoutedPlain), 0u);
}

TYPED_TEST(ConntrackTest, MidStreamIsPickedUpUntilTheReply) {
  this->open();
  const auto key = client_key<TypeParam>(1);
  const Packet p = this->one(key, kAckFlag);
  EXPECT_EQ(this->state(p), FlowState::kPickedUp);
  EXPECT_EQ(this->count(Counter::kServicePickedUp), 1u);
  this->one(answer_key<TypeParam>(p), kAckFlag);
  EXPECT_EQ(this->state(p), FlowState::kEstablished);
  EXPECT_EQ(this->one(client_key<TypeParam>(2), kTcpRst).record, kRecordNone);
  EXPECT_EQ(this->worker->drops(Drop::kRstWithoutFlow), 1u);
}

// Lesson of the field: a reused source port must not stick to the old endpoint.
TYPED_TEST(ConntrackTest, SynOnAFinishedConnectionStartsAnew) {
  this->open(1000, 1, Masquerade::kAlways);
  const auto key = client_key<TypeParam>(1);
  const Packet first = this->one(key, kTcpSyn);
  const auto back = answer_key<TypeParam>(first);
  this->one(back, kSynAck);
  this->one(key, kAckFlag);
  const Packet again = this->one(key, kTcpSyn);  // established: not a new connection
  EXPECT_EQ(again.record, first.record);
  this->one(back, kTcpRst);
  ASSERT_EQ(this->state(first), FlowState::kClosed);
  const Packet second = this->one(key, kTcpSyn);
  ASSERT_NE(second.record, kRecordNone);
  EXPECT_NE(second.record, first.record);
  EXPECT_EQ(this->state(second), FlowState::kSynSent);
  EXPECT_EQ(this->count(Counter::kFlowForgotten), 1u);
  EXPECT_EQ(this->count(Counter::kFlowNew), 2u);
  EXPECT_EQ(this->world->live(), 1u);
  EXPECT_EQ(this->world->ports.in_use(), 1u);
}

TYPED_TEST(ConntrackTest, CloseAndReopenWithinOneBatch) {
  this->open();
  const auto key = client_key<TypeParam>(1);
  this->worker->template put<TypeParam>(key, kTcpSyn);
  this->worker->template put<TypeParam>(key, kTcpRst);
  Packet& reopened = this->worker->template put<TypeParam>(key, kTcpSyn);
  Packet& ack = this->worker->template put<TypeParam>(key, kAckFlag);
  this->worker->run();
  EXPECT_EQ(this->state(reopened), FlowState::kSynSent);
  EXPECT_EQ(ack.record, reopened.record);
  EXPECT_EQ(this->world->live(), 1u);
  EXPECT_EQ(this->count(Counter::kFlowNew), 2u);
}

TYPED_TEST(ConntrackTest, TimeRunsOutBetweenTimers) {
  this->open();
  const auto key = client_key<TypeParam>(1, 1, kProtocolUdp);
  const Packet first = this->one(key);
  this->now += 31 * kSecond;  // no expiry has run
  const Packet second = this->one(key);
  EXPECT_NE(second.record, first.record);
  EXPECT_EQ(this->count(Counter::kFlowExpired), 1u);
  EXPECT_EQ(this->world->live(), 1u);
}

TYPED_TEST(ConntrackTest, UnrelatedChangesKeepAConnection) {
  this->open();
  const auto key = client_key<TypeParam>(1);
  const Packet first = this->one(key, kTcpSyn);
  auto& side = this->flows().side({first.record, 0});
  side.next_hop.store(77);
  this->world->publish(5);
  EXPECT_EQ(this->one(key, kAckFlag).record, first.record);
  EXPECT_EQ(side.generation.load(), 2u);
  EXPECT_EQ(side.next_hop.load(), kNextHopNone);  // routes may have changed
  side.next_hop.store(78);
  this->one(key, kAckFlag);
  EXPECT_EQ(side.next_hop.load(), 78u);
  this->world->publish(4);
  this->world->conntrack.route_generation = 2;  // only services have changed
  EXPECT_EQ(this->one(key, kAckFlag).record, first.record);
  EXPECT_EQ(side.generation.load(), 3u);
  EXPECT_EQ(side.next_hop.load(), 78u);
}

TYPED_TEST(ConntrackTest, ARemovedEndpointEndsItsConnections) {
  this->open(1000, 1, Masquerade::kAlways);
  std::vector<uint32_t> endpoints;
  for (uint32_t n = 0; n < 60; ++n) {
    const Packet p = this->one(client_key<TypeParam>(n), kTcpSyn);
    endpoints.push_back(this->flows().endpoint_of(p.record) % 1000);
  }
  this->world->publish(2);  // endpoint 3 goes
  uint32_t moved = 0;
  for (uint32_t n = 0; n < 60; ++n) {
    const Packet p = this->one(client_key<TypeParam>(n), kAckFlag);
    ASSERT_NE(p.record, kRecordNone);
    const uint32_t endpoint = this->flows().endpoint_of(p.record) % 1000;
    EXPECT_LE(endpoint, 2u);
    EXPECT_TRUE(endpoints[n] == 3 || endpoint == endpoints[n]);
    moved += endpoints[n] == 3;
  }
  EXPECT_GT(moved, 5u);
  EXPECT_EQ(this->count(Counter::kFlowForgotten), moved);
  EXPECT_EQ(this->world->live(), 60u);
  EXPECT_EQ(this->world->ports.in_use(), 60u);
}

// An endpoint that went and came back is another one: its old connections are stale.
TYPED_TEST(ConntrackTest, ReturnedEndpointIsANewOne) {
  this->open();
  std::vector<typename TypeParam::Key> keys;
  for (uint32_t n = 0; keys.empty(); ++n) {
    const Packet p = this->one(client_key<TypeParam>(n), kTcpSyn);
    if (this->flows().endpoint_of(p.record) % 1000 == 3) {
      keys = {client_key<TypeParam>(n), answer_key<TypeParam>(p)};
    }
  }
  this->world->publish(2);
  this->world->publish(3);
  const Packet answer = this->one(keys[1], kSynAck);
  EXPECT_EQ(answer.record, kRecordNone);
  EXPECT_EQ(this->count(Counter::kRoutedPlain), 1u);
}

TYPED_TEST(ConntrackTest, IcmpErrorsFindTheirConnectionAndLeaveItAlone) {
  this->open();
  const auto key = client_key<TypeParam>(1);
  const Packet syn = this->one(key, kTcpSyn);
  auto& side = this->flows().side({syn.record, 1});
  const auto error = [&](const typename TypeParam::Key& k) {
    this->worker->begin(this->now += 61 * kSecond);  // past its time: an error judges nothing
    Packet& p = this->worker->template put<TypeParam>(k);
    p.kind = Kind::kIcmpError;
    p.protocol = TypeParam::kFamily == 4 ? kProtocolIcmp : kProtocolIcmp6;
    this->worker->run();
    return p;
  };
  const Packet p = error(answer_key<TypeParam>(syn));
  EXPECT_EQ(p.record, syn.record);
  EXPECT_EQ(p.direction, 1);
  EXPECT_EQ(p.side, &side);
  EXPECT_EQ(side.packets.load(), 0u);
  EXPECT_EQ(this->state(syn), FlowState::kSynSent);
  EXPECT_EQ(error(client_key<TypeParam>(9)).record, kRecordNone);
}

TYPED_TEST(ConntrackTest, WhatHasNoTupleIsNeverLookedUp) {
  this->open();
  const auto key = client_key<TypeParam>(1);
  this->one(key, kTcpSyn);
  this->worker->begin(this->now);
  Packet& plain = this->worker->template put<TypeParam>(key, kAckFlag);
  plain.kind = Kind::kIpPlain;
  plain.flags = kFlagFragment;
  Packet& through = this->worker->template put<TypeParam>(key, kAckFlag);
  through.flags = kFlagPassThrough;
  Packet& arp = this->worker->template put<TypeParam>(key, kAckFlag);
  arp.kind = Kind::kArp;
  this->worker->run();
  EXPECT_EQ(plain.drop, Drop::kFragment);
  EXPECT_EQ(through.verdict, Verdict::kGo);
  EXPECT_EQ(through.record, kRecordNone);
  EXPECT_EQ(arp.record, kRecordNone);
  EXPECT_EQ(this->worker->batch->decision_count, 1u);
}

TYPED_TEST(ConntrackTest, RefusalsAreAnswered) {
  this->open();
  this->world->publish(0);
  const Packet p = this->one(client_key<TypeParam>(1), kTcpSyn);
  EXPECT_EQ(p.drop, Drop::kNoEndpoint);
  ASSERT_EQ(this->worker->batch->owed_count, 1u);
  EXPECT_EQ(this->worker->batch->owed[0].what, Owed::What::kTcpReset);
  EXPECT_EQ(this->worker->batch->owed[0].port, 1);
  this->one(client_key<TypeParam>(1, 1, kProtocolUdp));
  const Owed& owed = this->worker->batch->owed[0];
  EXPECT_EQ(owed.what, Owed::What::kIcmpError);
  EXPECT_EQ(owed.icmp_type, TypeParam::kFamily == 4 ? 3 : 1);
  EXPECT_EQ(owed.icmp_code, TypeParam::kFamily == 4 ? 3 : 4);
  EXPECT_EQ(this->world->live(), 0u);
}

TYPED_TEST(ConntrackTest, ClashIsNamedAndAFinishedConnectionGivesWay) {
  this->open();
  this->world->publish(1);
  const auto a = client_key<TypeParam>(1, 1), b = client_key<TypeParam>(1, 2);
  const Packet first = this->one(a, kTcpSyn);
  const Packet second = this->one(b, kTcpSyn);  // the same client port to the same endpoint
  EXPECT_EQ(second.drop, Drop::kFlowClash);
  EXPECT_EQ(this->worker->drops(Drop::kFlowClash), 1u);
  this->one(a, kTcpRst);
  const Packet third = this->one(b, kTcpSyn);
  EXPECT_NE(third.record, kRecordNone);
  EXPECT_EQ(this->flows().find(a, hash_of(a)).record, kRecordNone);
  EXPECT_EQ(this->world->live(), 1u);
  EXPECT_EQ(first.verdict, Verdict::kGo);
}

TYPED_TEST(ConntrackTest, FullTableRefusesNewAndKeepsOld) {
  this->open(50, 1, Masquerade::kAlways);
  for (uint32_t n = 0; n < 50; ++n) this->establish(client_key<TypeParam>(n));
  EXPECT_EQ(this->world->live(), 50u);
  EXPECT_EQ(this->one(client_key<TypeParam>(50), kTcpSyn).drop, Drop::kFlowTableFull);
  EXPECT_EQ(this->world->ports.in_use(), 50u);
  for (uint32_t n = 0; n < 50; ++n) {
    EXPECT_NE(this->one(client_key<TypeParam>(n), kAckFlag).record, kRecordNone);
  }
}

TYPED_TEST(ConntrackTest, FullTableRecyclesItsHalfOpenOnesAndTheirPorts) {
  this->open(50, 1, Masquerade::kAlways);
  for (uint32_t n = 0; n < 40; ++n) this->establish(client_key<TypeParam>(n));
  for (uint32_t n = 40; n < 500; ++n) {
    EXPECT_NE(this->one(client_key<TypeParam>(n), kTcpSyn).record, kRecordNone);
    EXPECT_EQ(this->world->live(), std::min(n + 1, 50u));
    EXPECT_EQ(this->world->ports.in_use(), this->world->live());
  }
  for (uint32_t n = 0; n < 40; ++n) {
    EXPECT_NE(this->one(client_key<TypeParam>(n), kAckFlag).record, kRecordNone);
  }
  EXPECT_EQ(this->count(Counter::kFlowEvicted), 450u);
}

TYPED_TEST(ConntrackTest, ExpiryGivesPortsBack) {
  this->open(1000, 1, Masquerade::kAlways);
  for (uint32_t n = 0; n < 500; ++n) this->one(client_key<TypeParam>(n), kTcpSyn);
  EXPECT_EQ(this->world->ports.in_use(), 500u);
  this->worker->begin(this->now + 61 * kSecond);
  uint32_t calls = 0;
  while (this->worker->expire()) ++calls;
  EXPECT_GE(calls, 2u);
  EXPECT_EQ(this->world->live(), 0u);
  EXPECT_EQ(this->world->ports.in_use(), 0u);
  EXPECT_EQ(this->count(Counter::kFlowExpired), 500u);
  EXPECT_EQ(this->count(Counter::kSnatPortGivenBack), 500u);
}

// Both families in one batch, in any mixture, keep the order of arrival.
TEST(Conntrack, MixedFamiliesInOneBatch) {
  ConntrackWorld world(1000, 1);
  ConntrackWorker worker(world, 0);
  for (uint32_t i = 0; i < kBatchSize; ++i) {
    if (i % 3 == 0)
      worker.put<V6>(client_key<V6>(i / 2), kTcpSyn);
    else
      worker.put<V4>(client_key<V4>(i / 2), kTcpSyn);
  }
  worker.run();
  EXPECT_EQ(world.live(), worker.count(Counter::kFlowNew));
  EXPECT_EQ(worker.count(Counter::kFlowNew) + worker.count(Counter::kFlowHit), kBatchSize);
  for (uint32_t i = 0; i < kBatchSize; ++i) {
    const Packet& p = worker.batch->packets[i];
    ASSERT_NE(p.record, kRecordNone);
    const bool own = p.family == 4 ? static_cast<SideV4*>(p.side)->key == p.key4
                                   : static_cast<SideV6*>(p.side)->key == p.key6;
    EXPECT_TRUE(own);
  }
}

TEST(Conntrack, EchoIsTranslatedByItsIdentifier) {
  ConntrackWorld world(100, 1);
  ConntrackWorker worker(world, 0);
  KeyV4 key = make_key<V4>(10, 1, 777, 96, 1, 0, kProtocolIcmp);
  Packet& p = worker.put<V4>(key);
  // As service would decide for an echo row.
  pass<Find>(*worker.batch, world.conntrack, worker.conntrack);
  Decision& d = worker.batch->decisions[0];
  d = Decision{};
  d.what = Decision::What::kBalance;
  d.service = d.endpoint = 1;
  uint32_t endpoint;
  set_address(endpoint, 20, 1);
  d.new_dst = IpAddress::from_v4(endpoint);
  d.new_sport = key.sport;
  d.snat_grant = kSnatGrantNone;
  p.decision = 0;
  worker.batch->decision_count = 1;
  fresh<Keep>(*worker.batch, world.conntrack, worker.conntrack);
  ASSERT_NE(p.record, kRecordNone);
  worker.begin(kTestStart + kMillisecond);
  Packet& reply = worker.put<V4>(make_key<V4>(20, 1, 0, 10, 1, 777, kProtocolIcmp));
  worker.run();
  ASSERT_NE(reply.record, kRecordNone);
  EXPECT_EQ(reply.direction, 1);
  EXPECT_EQ(world.v4->state_of(reply.record), FlowState::kReplied);
}

}  // namespace
}  // namespace nodeplane::test
