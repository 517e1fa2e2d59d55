#include "stage/service/service.h"

#include <gtest/gtest.h>

#include <map>

#include "support/named.h"
#include "table/port_pool.h"

namespace nodeplane {
namespace {

using test::ip;

constexpr uint8_t kPush = kTcpPsh | kTcpAck;

struct ServiceStage : testing::Test {
  test::Rows rows;
  test::Named n;
  std::unique_ptr<ServiceTable> services;
  Service::Table table;

  ServiceStage() {
    rows.endpoint("10.1.0.11", 8080);
    rows.endpoint("10.1.0.12", 8080);
    rows.service("10.96.0.10", 80).masquerade = static_cast<uint8_t>(Masquerade::kAlways);
    rows.endpoint("10.1.0.11", 5353);
    rows.service("10.96.0.10", 53, kProtocolUdp);
    rows.endpoint("fd00::11", 8080);
    rows.service("fd00:96::a", 80);
    rows.service("10.96.0.20", 80).verdict = static_cast<uint8_t>(ServiceVerdict::kReject);
    rows.service("10.96.0.30", 80).verdict = static_cast<uint8_t>(ServiceVerdict::kDrop);
    rows.service("10.96.0.40", 80);  // balanced over nobody
    rows.endpoint("10.1.0.11", 0);
    rows.service("10.96.0.50", 0, kProtocolIcmp);
    rows.endpoint("10.1.0.11", 8080);
    rows.service("192.0.2.1", 30080);
    services = rows.build();
    table.services = services.get();
    table.own = {{ip("192.0.2.1"), 0, 4}};
  }
  void run() {
    Service::State state;
    fresh<Service>(*n.batch, table, state);
  }
  const Decision& judge(Packet& p) {
    run();
    return n.decision(p);
  }
  void expect_refused(Packet& p, Drop why, int answer) {
    const Decision& d = judge(p);
    EXPECT_EQ(d.what, Decision::What::kRefuse);
    EXPECT_STREQ(kDropNames[static_cast<int>(d.refusal)], kDropNames[static_cast<int>(why)]);
    EXPECT_EQ(d.answer, answer);
    EXPECT_EQ(p.verdict, Verdict::kGo);  // only keep executes
    n.begin();
  }
  void expect_none(Packet& p) {
    EXPECT_EQ(judge(p).what, Decision::What::kNone);
    n.begin();
  }
};

TEST_F(ServiceStage, ANewConnectionGetsAnEndpoint) {
  Packet& p = n.ip("198.51.100.7", 40000, "10.96.0.10", 80);
  const Decision& d = judge(p);
  EXPECT_EQ(d.what, Decision::What::kBalance);
  EXPECT_EQ(d.service, 0u);
  ASSERT_LT(d.endpoint, 2u);
  EXPECT_TRUE(d.new_dst == services->service(0)->set->endpoints()[d.endpoint].address);
  EXPECT_EQ(d.new_dport, swap16(8080));
  EXPECT_TRUE(d.new_src == ip("198.51.100.7"));
  EXPECT_EQ(d.new_sport, swap16(40000));
  EXPECT_EQ(d.masquerade, 0);
  EXPECT_EQ(d.masquerade_mode, Masquerade::kAlways);
  EXPECT_EQ(d.snat_grant, kSnatGrantNone);
}

TEST_F(ServiceStage, IPv6Alike) {
  const Decision& d = judge(n.ip("2001:db8::7", 40000, "fd00:96::a", 80));
  EXPECT_EQ(d.what, Decision::What::kBalance);
  EXPECT_TRUE(d.new_dst == ip("fd00::11"));
  EXPECT_TRUE(d.new_src == ip("2001:db8::7"));
}

TEST_F(ServiceStage, ByItsAddressAClientHasOneEndpoint) {
  rows.services[0].hash_fields = static_cast<uint8_t>(HashFields::kClient);
  services = rows.build();
  table.services = services.get();
  std::map<uint32_t, uint32_t> chosen;
  for (uint32_t client = 0; client < 200; ++client) {
    const std::string address = "198.51.100." + std::to_string(client);
    for (uint16_t port = 1000; port < 1008; ++port) n.ip(address, port, "10.96.0.10", 80);
    run();
    const uint32_t endpoint = n.batch->decisions[0].endpoint;
    for (uint32_t i = 1; i < 8; ++i) EXPECT_EQ(n.batch->decisions[i].endpoint, endpoint);
    chosen[endpoint]++;
    n.begin();
  }
  EXPECT_EQ(chosen.size(), 2u);
  EXPECT_NEAR(chosen[0], chosen[1], 60);
}

TEST_F(ServiceStage, FlowsSpreadAndOneFlowAlwaysChoosesAlike) {
  std::map<uint32_t, uint32_t> chosen;
  for (uint16_t round = 0; round < 40; ++round) {
    for (uint16_t i = 0; i < kBatchSize; ++i)
      n.ip("198.51.100.7", static_cast<uint16_t>(1000 + round * kBatchSize + i), "10.96.0.10", 80);
    run();
    for (uint16_t i = 0; i < kBatchSize; ++i) chosen[n.batch->decisions[i].endpoint]++;
    n.begin();
  }
  EXPECT_EQ(chosen.size(), 2u);
  EXPECT_NEAR(chosen[0], chosen[1], 600);
  Packet& a = n.ip("198.51.100.7", 40000, "10.96.0.10", 80);
  Packet& b = n.ip("198.51.100.7", 40000, "10.96.0.10", 80, kProtocolTcp, kPush);
  run();
  EXPECT_EQ(n.decision(a).endpoint, n.decision(b).endpoint);
}

TEST_F(ServiceStage, ServicesWithoutEndpoints) {
  expect_refused(n.ip("198.51.100.7", 1, "10.96.0.20", 80), Drop::kNoEndpoint, 1);
  expect_refused(n.ip("198.51.100.7", 1, "10.96.0.40", 80), Drop::kNoEndpoint, 1);
  expect_refused(n.ip("198.51.100.7", 1, "10.96.0.30", 80), Drop::kNoLocalEndpoint, 0);
}

TEST_F(ServiceStage, TcpFlagsThatBeginNothing) {
  auto tcp = [&](uint8_t flags, const char* dst = "10.96.0.10") -> Packet& {
    return n.ip("198.51.100.7", 1, dst, 80, kProtocolTcp, flags);
  };
  expect_refused(tcp(kTcpRst), Drop::kRstWithoutFlow, 0);
  expect_refused(tcp(kTcpRst | kTcpAck), Drop::kRstWithoutFlow, 0);
  expect_refused(tcp(kTcpRst, "10.96.0.20"), Drop::kRstWithoutFlow, 0);  // never a RST for a RST
  expect_refused(tcp(kTcpSyn | kTcpFin), Drop::kBadTcpFlags, 0);
  expect_refused(tcp(kTcpSyn | kTcpRst), Drop::kBadTcpFlags, 0);
  expect_refused(tcp(0), Drop::kBadTcpFlags, 0);
  expect_refused(tcp(0xc0), Drop::kBadTcpFlags, 0);  // only ECN bits
  EXPECT_EQ(judge(tcp(kTcpSyn | 0xc0)).what, Decision::What::kBalance);
}

TEST_F(ServiceStage, MidStreamPacketsArePickedUpOrReset) {
  Packet& a = n.ip("198.51.100.7", 1, "10.96.0.10", 80, kProtocolTcp, kPush);
  EXPECT_EQ(judge(a).what, Decision::What::kBalance);
  n.begin();
  table.pickup = false;
  expect_refused(n.ip("198.51.100.7", 1, "10.96.0.10", 80, kProtocolTcp, kPush), Drop::kNotSyn, 1);
  expect_refused(n.ip("198.51.100.7", 1, "10.96.0.10", 80, kProtocolTcp, kTcpSyn | kTcpAck),
                 Drop::kNotSyn, 1);
  EXPECT_EQ(judge(n.ip("198.51.100.7", 1, "10.96.0.10", 80)).what, Decision::What::kBalance);
}

TEST_F(ServiceStage, PortsThatNoServiceHas) {
  expect_refused(n.ip("198.51.100.7", 1, "10.96.0.10", 81), Drop::kServicePortUnknown, 1);
  expect_refused(n.ip("198.51.100.7", 1, "10.96.0.10", 80, kProtocolUdp), Drop::kServicePortUnknown,
                 1);
  expect_refused(n.ip("198.51.100.7", 1, "10.96.0.10", 81, kProtocolTcp, kTcpRst),
                 Drop::kServicePortUnknown, 0);
  expect_refused(n.plain("198.51.100.7", "10.96.0.10"), Drop::kServicePortUnknown, 0);
  expect_none(n.ip("198.51.100.7", 1, "10.1.0.11", 8080));
  expect_none(n.ip("10.1.0.11", 8080, "198.51.100.7", 1, kProtocolTcp, kTcpSyn | kTcpAck));
  expect_none(n.plain("198.51.100.7", "203.0.113.1"));
}

TEST_F(ServiceStage, EchoToAVirtualAddress) {
  const Decision& d = judge(n.echo("198.51.100.7", "10.96.0.50", 0x77));
  EXPECT_EQ(d.what, Decision::What::kBalance);
  EXPECT_EQ(d.new_sport, swap16(0x77));
  EXPECT_EQ(d.new_dport, 0);
  n.begin();
  expect_refused(n.echo("198.51.100.7", "10.96.0.50", 0x77, false), Drop::kServicePortUnknown, 0);
  expect_refused(n.echo("198.51.100.7", "10.96.0.50", 0, false), Drop::kServicePortUnknown, 0);
  expect_refused(n.echo("198.51.100.7", "10.96.0.10", 1), Drop::kServicePortUnknown, 1);
  expect_none(n.echo("198.51.100.7", "203.0.113.1", 1, false));
}

TEST_F(ServiceStage, FragmentsToServicesAndFromEndpoints) {
  auto fragment = [&](const char* src, const char* dst) -> Packet& {
    Packet& p = n.plain(src, dst, kProtocolUdp);
    p.flags |= kFlagFragment;
    return p;
  };
  expect_refused(fragment("198.51.100.7", "10.96.0.10"), Drop::kFragment, 0);
  expect_refused(fragment("10.1.0.12", "198.51.100.7"), Drop::kFragment, 0);
  expect_refused(fragment("198.51.100.7", "192.0.2.1"), Drop::kFragment, 0);
  expect_none(fragment("198.51.100.7", "203.0.113.1"));
}

TEST_F(ServiceStage, ErrorsGoByTheirOwnDestination) {
  // The key is that of the flow it speaks of; what counts is whom the error itself is for.
  expect_refused(n.error("203.0.113.1", "10.96.0.10", "10.96.0.10", 80, "198.51.100.7", 1),
                 Drop::kIcmpErrorWithoutFlow, 0);
  expect_none(n.error("203.0.113.1", "198.51.100.7", "10.96.0.10", 80, "10.1.0.11", 1));
}

TEST_F(ServiceStage, TheNodesOwnAddressKeepsWhatNoServiceClaims) {
  EXPECT_EQ(judge(n.ip("198.51.100.7", 1, "192.0.2.1", 30080)).what, Decision::What::kBalance);
  n.begin();
  expect_none(n.ip("198.51.100.7", 1, "192.0.2.1", 22));
  expect_none(n.echo("198.51.100.7", "192.0.2.1", 1));
  expect_none(n.plain("198.51.100.7", "192.0.2.1", 89));
  expect_none(n.error("203.0.113.1", "192.0.2.1", "192.0.2.1", 80, "198.51.100.7", 1));
}

TEST_F(ServiceStage, AnotherNetworkHasNoneOfThis) {
  Packet& p = n.ip("198.51.100.7", 1, "10.96.0.10", 80);
  p.network = p.key4.network = 3;
  expect_none(p);
}

}  // namespace
}  // namespace nodeplane
