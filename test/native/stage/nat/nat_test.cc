#include "stage/nat/nat.h"

#include <gtest/gtest.h>

#include <set>

#include "stage/service/service.h"
#include "support/named.h"

namespace nodeplane {
namespace {

using test::ip;

PodRangeRow pods(const std::string& prefix, uint8_t length, uint16_t network = 0) {
  PodRangeRow r{};
  std::memcpy(r.prefix, ip(prefix).bytes, 16);
  r.family = test::family_of(prefix);
  r.prefix_length = length;
  r.network = network;
  return r;
}

struct NatStage : testing::Test {
  test::Rows rows;
  test::Named n;
  PortPool pool{1, 32768, 32799};
  std::unique_ptr<ServiceTable> services;
  Nat::Table table;
  Service::Table service;

  NatStage() {
    auto add = [&](const char* vip, const char* endpoint, Masquerade m) {
      rows.endpoint(endpoint, 8080);
      rows.service(vip, 80).masquerade = static_cast<uint8_t>(m);
    };
    add("10.96.0.1", "10.1.0.11", Masquerade::kNever);
    add("10.96.0.2", "10.1.0.11", Masquerade::kNotFromPods);
    add("10.96.0.3", "10.1.0.11", Masquerade::kAlways);
    add("fd00:96::3", "fd00:1::11", Masquerade::kAlways);
    rows.endpoint("10.1.0.11", 0);
    rows.service("10.96.0.3", 0, kProtocolIcmp).masquerade =
        static_cast<uint8_t>(Masquerade::kAlways);
    const test::EverySource every(pool.source(4, ip("10.1.0.1")), pool.source(6, ip("fd00:1::1")));
    publish(every.sources);
    table.ports = &pool;
    table.pod_ranges = {pods("10.1.0.0", 24), pods("10.9.0.0", 16, 5)};
  }
  void publish(const SnatSources& sources) {
    rows.sources = sources;
    services = rows.build();
    service.services = services.get();
  }
  const Decision& decide(Packet& p) {
    Service::State s;
    Nat::State state;
    fresh<Service>(*n.batch, service, s);
    fresh<Nat>(*n.batch, table, state);
    return n.decision(p);
  }
  bool masqueraded(const char* client, const char* vip) {
    n.begin();
    const Decision& d = decide(n.ip(client, 40000, vip, 80));
    EXPECT_EQ(d.what, Decision::What::kBalance);
    if (d.masquerade) pool.give(0, d.snat_grant, d.zone);
    return d.masquerade;
  }
};

TEST_F(NatStage, MasqueradesAsTheServiceSays) {
  EXPECT_FALSE(masqueraded("198.51.100.7", "10.96.0.1"));
  EXPECT_TRUE(masqueraded("198.51.100.7", "10.96.0.2"));
  EXPECT_FALSE(masqueraded("10.1.0.77", "10.96.0.2"));
  EXPECT_TRUE(masqueraded("10.9.0.77", "10.96.0.2"));  // a pod range of another network
  EXPECT_TRUE(masqueraded("10.1.0.77", "10.96.0.3"));
}

TEST_F(NatStage, APodThatIsItsOwnEndpointAlways) {
  EXPECT_TRUE(masqueraded("10.1.0.11", "10.96.0.1"));
  EXPECT_TRUE(masqueraded("10.1.0.11", "10.96.0.2"));
}

TEST_F(NatStage, WithoutPodRangesNobodyIsKnownToBeOutside) {
  table.pod_ranges = {pods("fd00:1::", 64)};
  EXPECT_FALSE(masqueraded("198.51.100.7", "10.96.0.2"));
}

TEST_F(NatStage, WearsThePortsAddressAndTheClientsPortIfFree) {
  const Decision& d = decide(n.ip("198.51.100.7", 32770, "10.96.0.3", 80));
  EXPECT_EQ(d.masquerade, 1);
  EXPECT_TRUE(d.new_src == ip("10.1.0.1"));
  EXPECT_EQ(d.snat_port, swap16(32770));
  EXPECT_EQ(d.new_sport, d.snat_port);
  EXPECT_TRUE(d.new_dst == ip("10.1.0.11"));
  EXPECT_EQ(n.count(Counter::kSnatPortTaken), 1u);
  EXPECT_EQ(pool.in_use(), 1u);
  n.begin();
  const Decision& e = decide(n.ip("198.51.100.8", 32770, "10.96.0.3", 80));
  EXPECT_EQ(e.masquerade, 1);
  EXPECT_NE(e.snat_port, swap16(32770));
}

TEST_F(NatStage, IPv6AndEchoAlike) {
  const Decision& d = decide(n.ip("2001:db8::7", 1, "fd00:96::3", 80));
  EXPECT_TRUE(d.new_src == ip("fd00:1::1"));
  n.begin();
  const Decision& e = decide(n.echo("198.51.100.7", "10.96.0.3", 32780));
  EXPECT_EQ(e.masquerade, 1);
  EXPECT_EQ(e.new_sport, swap16(32780));  // the identifier
  EXPECT_EQ(e.new_dport, 0);
}

TEST_F(NatStage, AFullPoolRefuses) {
  std::set<uint16_t> ports;
  for (uint16_t i = 0; i < 32; ++i) {
    const Decision& d = decide(n.ip("198.51.100.7", i, "10.96.0.3", 80));
    EXPECT_TRUE(d.masquerade && ports.insert(d.snat_port).second);
    n.begin();
  }
  const Decision& d = decide(n.ip("198.51.100.7", 99, "10.96.0.3", 80));
  EXPECT_EQ(d.what, Decision::What::kRefuse);
  EXPECT_EQ(d.refusal, Drop::kSnatPortExhausted);
  EXPECT_EQ(d.answer, 0);
  EXPECT_EQ(n.count(Counter::kSnatPortTaken), 32u);
}

TEST_F(NatStage, WithoutAnAddressItRefuses) {
  publish(SnatSources());
  const Decision& d = decide(n.ip("198.51.100.7", 99, "10.96.0.3", 80));
  EXPECT_EQ(d.what, Decision::What::kRefuse);
  EXPECT_EQ(d.refusal, Drop::kNoSnatAddress);
  EXPECT_EQ(pool.in_use(), 0u);
}

TEST_F(NatStage, LeavesOtherDecisionsAlone) {
  EXPECT_EQ(decide(n.ip("198.51.100.7", 99, "10.96.0.9", 80)).what, Decision::What::kNone);
  n.begin();
  EXPECT_EQ(decide(n.ip("198.51.100.7", 99, "10.96.0.3", 81)).refusal, Drop::kServicePortUnknown);
  EXPECT_EQ(pool.in_use(), 0u);
}

}  // namespace
}  // namespace nodeplane
