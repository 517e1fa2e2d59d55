#include "path/corridor.h"

#include <gtest/gtest.h>

#include <map>

#include "support/corridor_kit.h"

namespace nodeplane::test {
namespace {

const Bytes kVip = {10, 96, 0, 10};

Bytes client_tcp(uint16_t sport, uint8_t flags, uint16_t dport = 80) {
  Ip4 ip;
  ip.protocol = kProtocolTcp;
  ip.src = kClient4;
  ip.dst = kVip;
  return eth(0x0800, ipv4(ip, tcp(sport, dport, flags)));
}

// What the receiver of a packet answers: addresses and ports exchanged, to the MAC it came from.
Bytes answer_to(const Bytes& packet, uint8_t flags) {
  Ip4 ip;
  ip.protocol = kProtocolTcp;
  ip.src = Bytes(packet.begin() + 30, packet.begin() + 34);
  ip.dst = Bytes(packet.begin() + 26, packet.begin() + 30);
  const auto port = [&](size_t at) {
    return static_cast<uint16_t>(packet[at] << 8 | packet[at + 1]);
  };
  return eth(0x0800, ipv4(ip, tcp(port(36), port(34), flags)),
             Bytes(packet.begin() + 6, packet.begin() + 12));
}

TEST(Corridor, Keeps256EqualFirstPacketsAsOneConnection) {
  CorridorKit kit;
  std::vector<CorridorKit::In> in(kBatchSize, {0, client_tcp(40000, kTcpSyn)});
  kit.run(in);
  EXPECT_EQ(kit.flows4->live(), 1u);
  EXPECT_EQ(kit.snat.in_use(), 1u);
  EXPECT_EQ(kit.count(Counter::kFlowNew), 1u);
  ASSERT_EQ(kit.sent[1].size() + kit.count(Counter::kHeld) + kit.drops(Drop::kNeighbourQueueFull),
            kBatchSize);
  for (const Bytes& one : kit.sent[1]) EXPECT_EQ(one, kit.sent[1][0]);
  kit.finish_waiting();
}

TEST(Corridor, FindsAReplyBehindItsOwnFirstPacketInOneBatch) {
  // What the endpoint will see is learnt from a first kit, equal in all but time.
  CorridorKit first, kit;
  uint16_t sport = 40000;
  for (; sport < 40100; ++sport) {
    first.run({{0, client_tcp(sport, kTcpSyn)}});
    if (!first.sent[1].empty()) break;
    first.finish_waiting();
  }
  ASSERT_EQ(first.sent[1].size(), 1u);
  for (uint16_t before = 40000; before < sport; ++before) {
    kit.run({{0, client_tcp(before, kTcpSyn)}});
    kit.finish_waiting();
  }
  const Bytes reply = answer_to(first.sent[1][0], kTcpSyn | kTcpAck);
  kit.run({{0, client_tcp(sport, kTcpSyn)}, {1, reply}, {0, client_tcp(sport, kTcpAck)}});
  ASSERT_EQ(kit.sent[1].size(), 2u);
  ASSERT_EQ(kit.sent[0].size(), 1u);
  const Bytes& seen = kit.sent[0][0];
  EXPECT_EQ(Bytes(seen.begin() + 26, seen.begin() + 30), kVip);
  EXPECT_EQ(Bytes(seen.begin() + 30, seen.begin() + 34), kClient4);
}

TEST(Corridor, GivesEverySnatPortBackWithItsConnection) {
  CorridorKit kit;
  for (uint16_t i = 0; i < 200; ++i)
    kit.run({{0, client_tcp(static_cast<uint16_t>(20000 + i), kTcpSyn)}});
  kit.finish_waiting();
  EXPECT_EQ(kit.snat.in_use(), kit.flows4->live());
  EXPECT_GT(kit.flows4->live(), 0u);
  kit.advance(61 * kSecond);
  EXPECT_EQ(kit.flows4->live(), 0u);
  EXPECT_EQ(kit.snat.in_use(), 0u);
  EXPECT_EQ(kit.count(Counter::kSnatPortTaken), kit.count(Counter::kSnatPortGivenBack));
}

TEST(Corridor, SendsFlowsOfARemovedEndpointElsewhereAndKeepsTheOthers) {
  CorridorKit kit;
  std::map<uint16_t, Bytes> chosen;
  for (uint16_t port = 30000; port < 30064; ++port) {
    kit.run({{0, client_tcp(port, kTcpSyn)}});
    if (kit.sent[1].empty()) continue;  // .13 has no neighbour yet: its packets wait
    const Bytes& out = kit.sent[1][0];
    chosen[port] = Bytes(out.begin() + 30, out.begin() + 34);
  }
  kit.finish_waiting();
  kit.publish(false, true, 1);
  uint32_t kept = 0, moved = 0;
  for (const auto& [port, endpoint] : chosen) {
    kit.run({{0, client_tcp(port, kTcpAck)}});
    ASSERT_EQ(kit.sent[1].size(), 1u);
    const Bytes& out = kit.sent[1][0];
    const Bytes now(out.begin() + 30, out.begin() + 34);
    EXPECT_EQ(now, (Bytes{10, 1, 0, 11}));
    (endpoint == now ? kept : moved)++;
  }
  EXPECT_GT(kept, 0u);
  EXPECT_GT(moved, 0u);
  EXPECT_EQ(kit.snat.in_use(), kit.flows4->live());
}

TEST(Corridor, RefusesWhatHasNoEndpointWithAResetAndUnknownPortsToo) {
  CorridorKit kit;
  kit.run({{0, client_tcp(40000, kTcpSyn, 81)}, {0, client_tcp(40001, kTcpSyn, 443)}});
  ASSERT_EQ(kit.sent[0].size(), 2u);
  for (const Bytes& reset : kit.sent[0]) EXPECT_EQ(reset[47], kTcpRst | kTcpAck);
  EXPECT_EQ(kit.drops(Drop::kNoEndpoint), 1u);
  EXPECT_EQ(kit.drops(Drop::kServicePortUnknown), 1u);
  EXPECT_EQ(kit.flows4->live(), 0u);
}

TEST(Corridor, DropsByNameWhenTheFlowTableIsFull) {
  CorridorKit kit(false, false, 500);
  constexpr uint32_t kSyns = 1000;
  std::vector<uint16_t> established;
  for (uint16_t i = 0; i < kSyns; ++i) {
    const uint16_t port = 1024 + i;
    kit.run({{0, client_tcp(port, kTcpSyn)}});
    // Refused, or its endpoint's neighbour is not known and asked for.
    if (kit.sent[1].empty() || kit.sent[1][0][12] != 0x08 || kit.sent[1][0][13] != 0) continue;
    kit.run({{1, answer_to(kit.sent[1][0], kTcpSyn | kTcpAck)}});
    kit.run({{0, client_tcp(port, kTcpAck)}});
    established.push_back(port);
  }
  EXPECT_EQ(established.size(), 500u);  // the half-open ones gave way
  EXPECT_GT(kit.count(Counter::kFlowEvicted), 0u);
  EXPECT_GT(kit.drops(Drop::kFlowTableFull), 0u);
  EXPECT_EQ(kit.flows4->live(), kit.flows4->capacity());
  EXPECT_EQ(kit.count(Counter::kFlowNew) + kit.drops(Drop::kFlowTableFull), kSyns);
  for (const uint16_t port : established) {
    kit.run({{0, client_tcp(port, kTcpAck)}});
    ASSERT_EQ(kit.sent[1].size(), 1u) << port;
  }
  kit.finish_waiting();
}

}  // namespace
}  // namespace nodeplane::test
