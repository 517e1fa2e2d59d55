#include "stage/route/route.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "support/named.h"

namespace nodeplane {
namespace {

using test::family_of;
using test::ip;
using What = Owed::What;

constexpr uint16_t kClient = 0, kBackends = 1, kShared = 2, kHost = 3;
constexpr uint8_t kMac[6] = {2, 0, 0, 0, 2, 1};

// Two plain ports, and one that the host stands behind.
struct RouteStage : testing::Test {
  test::Named n;
  NeighbourTable neighbours{1024};
  std::unique_ptr<Lpm> lpm;
  Route::Table table;
  std::unique_ptr<Route::State> state = std::make_unique<Route::State>();
  std::vector<RouteRow> routes;

  RouteStage() {
    for (uint16_t i = 0; i < 4; ++i) {
      table.ports[i] = PortRow{};
      table.ports[i].id = i;
      table.ports[i].host_port = table.ports[i].host_of = kPortNone;
      table.port_mtu[i] = 1500;
    }
    table.ports[kShared].host_port = kHost;
    table.ports[kHost].host_of = kShared;
    table.port_count = 4;
    table.neighbours = &neighbours;
    local("192.0.2.1", kClient, 24);
    local("10.1.0.1", kBackends, 24);
    local("203.0.113.1", kShared, 24);
    local("fd00:1::1", kBackends, 64);
    route("198.51.100.0", 24, kClient, "192.0.2.254");
    route("2001:db8::", 32, kClient, "fe80::fe");
    still("192.0.2.254", kClient);
    still("fe80::fe", kClient);
    still("10.1.0.11", kBackends);
    still("fd00:1::11", kBackends);
    finish();
  }
  void route(const std::string& prefix, uint8_t length, uint16_t port, const char* via = nullptr) {
    RouteRow r{};
    std::memcpy(r.prefix, ip(prefix).bytes, 16);
    if (via) std::memcpy(r.via, ip(via).bytes, 16);
    r.family = family_of(prefix);
    r.prefix_length = length;
    r.port = port;
    r.flags = via != nullptr;
    routes.push_back(r);
  }
  void local(const std::string& address, uint16_t port, uint8_t length) {
    table.locals.push_back({ip(address), 0, port, family_of(address), length});
    route(address, length, port);
  }
  void still(const std::string& address, uint16_t port) {
    neighbours.set_static(port, family_of(address), ip(address), kMac);
  }
  void finish() {
    lpm = Lpm::build(routes.data(), static_cast<uint32_t>(routes.size()));
    table.lpm = lpm.get();
    std::sort(table.locals.begin(), table.locals.end(), [](const auto& a, const auto& b) {
      if (a.family != b.family) return a.family < b.family;
      return std::memcmp(a.address.bytes, b.address.bytes, 16) < 0;
    });
  }
  Packet& run(Packet& p) {
    pass<Route>(*n.batch, table, *state);
    return p;
  }
  Packet& plain(const std::string& dst, uint16_t port = kClient) {
    Packet& p =
        n.ip(family_of(dst) == 4 ? "198.51.100.7" : "2001:db8::7", 4000, dst, 80, kProtocolUdp);
    p.port_in = port;
    return p;
  }
  void expect_sent(const Packet& p, uint16_t port, const char* via) {
    EXPECT_EQ(p.verdict, Verdict::kGo);
    EXPECT_EQ(p.port_out, port);
    ASSERT_NE(p.next_hop, kNextHopNone);
    uint8_t family;
    EXPECT_TRUE(neighbours.address(p.next_hop, &family) == ip(via));
  }
  void expect_dropped(const Packet& p, Drop why) {
    EXPECT_EQ(p.verdict, Verdict::kDrop);
    EXPECT_STREQ(kDropNames[static_cast<int>(p.drop)], kDropNames[static_cast<int>(why)]);
  }
  void expect_owed(What what, uint8_t type = 0, uint8_t code = 0, uint32_t mtu = 0) {
    ASSERT_EQ(n.batch->owed_count, 1u);
    const Owed& o = n.batch->owed[0];
    EXPECT_EQ(o.what, what);
    EXPECT_EQ(o.icmp_type, type);
    EXPECT_EQ(o.icmp_code, code);
    EXPECT_EQ(o.mtu, mtu);
  }
  const Owed& owed(uint32_t i = 0) const { return n.batch->owed[i]; }
};

using Plain = RouteStage;

TEST_F(Plain, ConnectedAndByGateway) {
  expect_sent(run(plain("10.1.0.11")), kBackends, "10.1.0.11");
  n.begin();
  expect_sent(run(plain("198.51.100.9", kBackends)), kClient, "192.0.2.254");
  n.begin();
  expect_sent(run(plain("fd00:1::11")), kBackends, "fd00:1::11");
  n.begin();
  expect_sent(run(plain("2001:db8::9", kBackends)), kClient, "fe80::fe");
  EXPECT_EQ(n.batch->owed_count, 0u);
}

TEST_F(Plain, NoRoute) {
  expect_dropped(run(plain("9.9.9.9")), Drop::kNoRoute);
  expect_owed(What::kIcmpError, 3, 0);
  EXPECT_EQ(owed().port, kClient);
  n.begin();
  expect_dropped(run(plain("fd09::9")), Drop::kNoRoute);
  expect_owed(What::kIcmpError, 1, 0);
}

TEST_F(Plain, TimeToLive) {
  Packet& p = plain("10.1.0.11");
  p.ttl = 1;
  expect_dropped(run(p), Drop::kTtlExceeded);
  expect_owed(What::kIcmpError, 11, 0);
  n.begin();
  Packet& q = plain("fd00:1::11");
  q.ttl = 0;
  expect_dropped(run(q), Drop::kTtlExceeded);
  expect_owed(What::kIcmpError, 3, 0);
  n.begin();
  Packet& r = plain("10.1.0.11");
  r.ttl = 2;
  expect_sent(run(r), kBackends, "10.1.0.11");
}

TEST_F(Plain, LargestPacket) {
  table.port_mtu[kBackends] = 1280;
  Packet& fits = plain("10.1.0.11");
  n.size(fits, 1280);
  expect_sent(run(fits), kBackends, "10.1.0.11");
  n.begin();
  Packet& df = plain("10.1.0.11");
  n.size(df, 1281);
  df.flags |= kFlagDontFragment;
  expect_dropped(run(df), Drop::kTooBig);
  expect_owed(What::kIcmpError, 3, 4, 1280);
  n.begin();
  Packet& may = plain("10.1.0.11");
  n.size(may, 1281);
  expect_dropped(run(may), Drop::kNeedsFragmenting);
  expect_owed(What::kIcmpError, 3, 4, 1280);
  n.begin();
  Packet& six = plain("fd00:1::11");
  n.size(six, 1281);
  expect_dropped(run(six), Drop::kTooBig);
  expect_owed(What::kIcmpError, 2, 0, 1280);
}

TEST_F(Plain, PaddingBehindAPacketDoesNotCount) {
  table.port_mtu[kBackends] = 46;
  Packet& p = plain("10.1.0.11");
  p.length = 200;
  p.ip_length = 46;
  expect_sent(run(p), kBackends, "10.1.0.11");
}

TEST_F(Plain, LargePacketsAreMeasuredByTheirSegments) {
  auto large = [&](uint8_t header, uint16_t payload, uint32_t ip_bytes) -> Packet& {
    n.begin();
    Packet& p = plain("10.1.0.11");
    n.size(p, ip_bytes);
    p.gso = Gso::kTcp4;
    p.gso_size = payload;
    p.l4_header = header;
    p.flags |= kFlagDontFragment;
    return p;
  };
  expect_sent(run(large(32, 1448, 64000)), kBackends, "10.1.0.11");
  expect_dropped(run(large(32, 1449, 64000)), Drop::kTooBig);
  expect_sent(run(large(32, 9000, 900)), kBackends, "10.1.0.11");  // all of it is one segment
}

TEST_F(Plain, DestinationsThatAreNotRouted) {
  for (const char* dst : {"224.0.1.1", "255.255.255.255", "127.0.0.1", "0.0.0.0", "169.254.1.1",
                          "10.1.0.255", "ff02::1", "fe80::9", "::1", "::"}) {
    n.begin();
    expect_dropped(run(plain(dst)), Drop::kNotForwardable);
    EXPECT_EQ(n.batch->owed_count, 0u) << dst;
  }
  n.begin();
  Packet& p = plain("10.1.0.11");
  p.flags |= kFlagMulticastMac;
  expect_dropped(run(p), Drop::kNotForwardable);
  n.begin();
  Packet& q = n.ip("fe80::7", 1, "fd00:1::11", 1);
  expect_dropped(run(q), Drop::kNotForwardable);
}

TEST_F(Plain, OurOwnAddresses) {
  expect_dropped(run(plain("10.1.0.1")), Drop::kLocalUnclaimed);
  EXPECT_EQ(n.batch->owed_count, 0u);
  n.begin();
  Packet& p = n.echo("198.51.100.7", "192.0.2.1", 5);
  EXPECT_EQ(run(p).verdict, Verdict::kConsumed);
  EXPECT_TRUE(p.flags & kFlagLocal);
  expect_owed(What::kEchoReply);
  EXPECT_EQ(owed().port, kClient);
  n.begin();
  EXPECT_EQ(run(n.echo("2001:db8::7", "fd00:1::1", 5)).verdict, Verdict::kConsumed);
  expect_owed(What::kEchoReply);
  n.begin();
  expect_dropped(run(n.echo("198.51.100.7", "192.0.2.1", 5, false)), Drop::kLocalUnclaimed);
}

TEST_F(Plain, AnErrorGoesWhereItIsAddressed) {
  expect_sent(run(n.error("10.1.0.11", "198.51.100.7", "192.0.2.99", 1, "10.1.0.11", 2)), kClient,
              "192.0.2.254");
  n.begin();
  Packet& p = n.error("10.1.0.11", "9.9.9.9", "192.0.2.99", 1, "10.1.0.11", 2);
  expect_dropped(run(p), Drop::kNoRoute);
  EXPECT_EQ(n.batch->owed_count, 0u);  // never an error about an error
}

TEST_F(Plain, PacketsMadeByOthersStagesAreLeftAlone) {
  Packet& p = plain("9.9.9.9");
  p.flags |= kFlagOurs;
  EXPECT_EQ(run(p).verdict, Verdict::kGo);
  EXPECT_EQ(p.port_out, kPortNone);
}

// -- translated packets --

struct Translated : RouteStage {
  SideV4 side{};
  SideV6 side6{};
  Packet& flow(const std::string& new_dst) {
    const bool v4 = family_of(new_dst) == 4;
    Packet& p = v4 ? plain("10.96.0.10") : plain("fd00:96::a");
    p.side = v4 ? static_cast<void*>(&side) : static_cast<void*>(&side6);
    side.new_dst = ip(new_dst).v4();
    std::memcpy(side6.new_dst, ip(new_dst).bytes, 16);
    return p;
  }
  Translated() {
    side.next_hop = kNextHopNone;
    side6.next_hop = kNextHopNone;
  }
};

TEST_F(Translated, GoWhereTheyWillBeAddressedAndTheWayIsKept) {
  expect_sent(run(flow("10.1.0.11")), kBackends, "10.1.0.11");
  EXPECT_NE(side.next_hop.load(), kNextHopNone);
  routes.clear();  // the kept way needs no route
  finish();
  n.begin();
  expect_sent(run(flow("10.1.0.11")), kBackends, "10.1.0.11");
  n.begin(kSecond, 2);  // but it is of generation 1
  expect_dropped(run(flow("10.1.0.11")), Drop::kNoRoute);
}

TEST_F(Translated, IPv6Alike) {
  expect_sent(run(flow("fd00:1::11")), kBackends, "fd00:1::11");
  routes.clear();
  finish();
  n.begin();
  expect_sent(run(flow("fd00:1::11")), kBackends, "fd00:1::11");
}

TEST_F(Translated, TheKeptWayStillJudges) {
  run(flow("10.1.0.11"));
  n.begin();
  Packet& p = flow("10.1.0.11");
  p.ttl = 1;
  expect_dropped(run(p), Drop::kTtlExceeded);
  n.begin();
  Packet& q = flow("10.1.0.11");
  n.size(q, 1501);
  expect_dropped(run(q), Drop::kNeedsFragmenting);
  n.begin();
  Packet& r = flow("10.1.0.11");
  r.flags |= kFlagMulticastMac;
  expect_dropped(run(r), Drop::kNotForwardable);
}

TEST_F(Translated, AKeptNeighbourThatGrewOldIsAskedAndStillUsed) {
  neighbours.learn(kBackends, 4, ip("10.1.0.20"), kMac, true, true, kSecond);
  expect_sent(run(flow("10.1.0.20")), kBackends, "10.1.0.20");
  EXPECT_EQ(n.batch->owed_count, 0u);
  const Time old = kSecond + table.reachable_ms * kMillisecond;
  n.begin(old);
  flow("10.1.0.20");
  expect_sent(run(flow("10.1.0.20")), kBackends, "10.1.0.20");
  expect_owed(What::kArpRequest);  // once, not per packet
  EXPECT_EQ(owed().port, kBackends);
  EXPECT_TRUE(owed().target == ip("10.1.0.20"));
  n.begin(old);
  table.ports[kBackends].flags = 2;  // a quiet port: replay sends nothing unasked
  n.begin(old + 10 * kSecond);
  expect_sent(run(flow("10.1.0.20")), kBackends, "10.1.0.20");
  EXPECT_EQ(n.batch->owed_count, 0u);
}

TEST_F(Translated, AKeptStaticThatWentIsAskedFor) {
  run(flow("10.1.0.11"));
  neighbours.begin_statics();
  neighbours.end_statics();
  n.begin();
  EXPECT_EQ(run(flow("10.1.0.11")).verdict, Verdict::kHeld);
  expect_owed(What::kArpRequest);
}

// A new flow's first packet goes where others to the same address went, while the routes are the same.
TEST_F(Translated, NewFlowsToOneAddressShareItsWay) {
  for (const auto& [to, other] :
       {std::pair{"10.1.0.11", "10.1.0.12"}, {"fd00:1::11", "fd00:2::11"}}) {
    SCOPED_TRACE(to);
    expect_sent(run(flow(to)), kBackends, to);
    side.next_hop = side6.next_hop = kNextHopNone;
    routes.clear();  // the way of the address needs no route
    finish();
    n.begin();
    expect_sent(run(flow(to)), kBackends, to);
    const uint32_t kept = family_of(to) == 4 ? side.next_hop.load() : side6.next_hop.load();
    EXPECT_NE(kept, kNextHopNone);
    const auto dropped = [&](const char* address, auto change, uint32_t generation = 1) {
      side.next_hop = side6.next_hop = kNextHopNone;
      n.begin(kSecond, generation);
      Packet& p = flow(address);
      change(p);
      expect_dropped(run(p), Drop::kNoRoute);
    };
    dropped(other, [](Packet&) {});
    dropped(to, [](Packet& p) { p.network = 1; });
    dropped(to, [](Packet& p) { p.direction = 1; });  // clients are too many
    dropped(to, [](Packet& p) { p.side = nullptr; });
    dropped(
        to, [](Packet&) {}, 2);
    local("10.1.0.1", kBackends, 24);
    local("fd00:1::1", kBackends, 64);
    finish();
    n.begin();
  }
}

// -- neighbours --

using Waiting = Translated;

TEST_F(Waiting, ANewFlowGoesBehindThoseThatWaitThoughItsWayIsKnown) {
  expect_sent(run(flow("10.1.0.11")), kBackends, "10.1.0.11");
  neighbours.begin_statics();
  neighbours.end_statics();
  side.next_hop = kNextHopNone;
  n.begin();
  EXPECT_EQ(run(flow("10.1.0.11")).verdict, Verdict::kHeld);
  neighbours.learn(kBackends, 4, ip("10.1.0.11"), kMac, false, true, kSecond);
  side.next_hop = kNextHopNone;
  n.begin();
  EXPECT_EQ(run(flow("10.1.0.11")).verdict, Verdict::kHeld);
  n.begin();
  route_wake(*n.batch, table, *state, false);
  EXPECT_EQ(n.batch->count, 2u);
}

TEST_F(Waiting, ThePacketIsHeldAndItsNeighbourAsked) {
  Packet& p = plain("10.1.0.20");
  EXPECT_EQ(run(p).verdict, Verdict::kHeld);
  EXPECT_EQ(n.count(Counter::kHeld), 1u);
  EXPECT_EQ(state->waiting_count, 1u);
  expect_owed(What::kArpRequest);
  EXPECT_EQ(owed().port, kBackends);
  EXPECT_TRUE(owed().target == ip("10.1.0.20"));
  n.begin();
  EXPECT_EQ(run(plain("fd00:1::20")).verdict, Verdict::kHeld);
  expect_owed(What::kSolicitation);
  n.begin();
  EXPECT_EQ(run(plain("198.51.100.9", kBackends)).verdict, Verdict::kGo);
}

TEST_F(Waiting, AnAnswerLetsThemGoInOrder) {
  for (uint16_t i = 0; i < 3; ++i) plain("10.1.0.20").ip_length = static_cast<uint16_t>(100 + i);
  run(n.batch->packets[0]);
  EXPECT_EQ(n.count(Counter::kHeld), 3u);
  EXPECT_EQ(n.batch->owed_count, 1u);
  n.begin(kSecond + 1);
  route_wake(*n.batch, table, *state, false);
  EXPECT_EQ(n.batch->count, 0u);
  neighbours.learn(kBackends, 4, ip("10.1.0.20"), kMac, false, true, kSecond);
  route_wake(*n.batch, table, *state, false);
  ASSERT_EQ(n.batch->count, 3u);
  EXPECT_EQ(n.count(Counter::kHeld), 0u);
  EXPECT_EQ(state->waiting_count, 0u);
  n.batch->live_count = 3;
  for (uint16_t i = 0; i < 3; ++i) n.batch->live[i] = i;
  run(n.batch->packets[0]);
  for (uint16_t i = 0; i < 3; ++i) {
    EXPECT_EQ(n.batch->packets[i].ip_length, 100 + i);
    expect_sent(n.batch->packets[i], kBackends, "10.1.0.20");
  }
}

TEST_F(Waiting, ATranslatedPacketTakesItsDecisionAlong) {
  side.new_src = ip("10.1.0.1").v4();
  side.new_sport = 7;
  side.l3_delta = 8;
  side.l4_delta = 9;
  side.source_changed = 1;
  EXPECT_EQ(run(flow("10.1.0.20")).verdict, Verdict::kHeld);
  side.new_src = side.new_dst = 0;  // the record ends meanwhile, its slot is another's
  side.new_sport = side.l3_delta = side.l4_delta = side.source_changed = 0;
  neighbours.learn(kBackends, 4, ip("10.1.0.20"), kMac, false, true, kSecond);
  n.begin();
  route_wake(*n.batch, table, *state, false);
  ASSERT_EQ(n.batch->count, 1u);
  const auto* s = static_cast<const SideV4*>(n.batch->packets[0].side);
  EXPECT_NE(s, &side);
  EXPECT_EQ(s->new_src, ip("10.1.0.1").v4());
  EXPECT_EQ(s->new_dst, ip("10.1.0.20").v4());
  EXPECT_EQ(s->new_sport, 7);
  EXPECT_EQ(s->l3_delta, 8);
  EXPECT_EQ(s->l4_delta, 9);
  EXPECT_EQ(s->source_changed, 1);
  n.batch->live_count = 1;
  n.batch->live[0] = 0;
  expect_sent(run(n.batch->packets[0]), kBackends, "10.1.0.20");
}

TEST_F(Waiting, AnErrorWithoutAFlowTakesItsDestinationAlong) {
  Packet& p = n.error("198.51.100.7", "10.1.0.20", "192.0.2.99", 1, "198.51.100.7", 2);
  EXPECT_EQ(run(p).verdict, Verdict::kHeld);
  neighbours.learn(kBackends, 4, ip("10.1.0.20"), kMac, false, true, kSecond);
  n.begin();
  route_wake(*n.batch, table, *state, false);
  n.batch->live_count = 1;
  n.batch->live[0] = 0;
  expect_sent(run(n.batch->packets[0]), kBackends, "10.1.0.20");
}

TEST_F(Waiting, IsBoundedPerNeighbourAndInAll) {
  for (uint32_t i = 0; i < kWaitingPerNeighbour; ++i) plain("10.1.0.20");
  Packet& p = plain("10.1.0.20");
  run(p);
  expect_dropped(p, Drop::kNeighbourQueueFull);
  EXPECT_EQ(n.count(Counter::kHeld), kWaitingPerNeighbour);
  n.begin();
  for (uint32_t i = 0; i < kBatchSize; ++i) plain("10.1.0." + std::to_string(21 + i % 200) + "");
  run(p);
  EXPECT_EQ(state->waiting_count, kWaitingMax);
  EXPECT_EQ(n.drops(Drop::kNeighbourQueueFull), 1u + kWaitingPerNeighbour);
  EXPECT_EQ(n.count(Counter::kHeld), kWaitingMax);
}

TEST_F(Waiting, IsAskedAgainThenFailsAndTheSenderIsTold) {
  run(plain("10.1.0.20"));
  Time now = kSecond;
  for (uint32_t tries = 1; tries < table.tries; ++tries) {
    n.begin(now += table.retry_ms * kMillisecond);
    route_wake(*n.batch, table, *state, false);
    EXPECT_EQ(n.batch->count, 0u);
    expect_owed(What::kArpRequest);
  }
  n.begin(now += table.retry_ms * kMillisecond);
  route_wake(*n.batch, table, *state, false);
  ASSERT_EQ(n.batch->count, 1u);
  n.batch->live_count = 1;
  n.batch->live[0] = 0;
  expect_dropped(run(n.batch->packets[0]), Drop::kNeighbourUnresolved);
  expect_owed(What::kIcmpError, 3, 1);
  n.begin(now);
  expect_dropped(run(plain("10.1.0.20")), Drop::kNeighbourUnresolved);  // known to be silent
  n.begin(now + kNeighbourFailedMs * kMillisecond);
  EXPECT_EQ(run(plain("10.1.0.20")).verdict, Verdict::kHeld);  // asked anew
}

TEST_F(Waiting, AtTheEndEverythingLeaves) {
  plain("10.1.0.20");
  run(plain("10.1.0.21"));
  neighbours.learn(kBackends, 4, ip("10.1.0.21"), kMac, false, true, kSecond);
  n.begin();
  route_wake(*n.batch, table, *state, true);
  ASSERT_EQ(n.batch->count, 2u);
  n.batch->live_count = 2;
  n.batch->live[0] = 0;
  n.batch->live[1] = 1;
  plain("10.1.0.22");  // and nothing is held any more
  pass<Route>(*n.batch, table, *state);
  expect_dropped(n.batch->packets[0], Drop::kNeighbourUnresolved);
  expect_sent(n.batch->packets[1], kBackends, "10.1.0.21");
  expect_dropped(n.batch->packets[2], Drop::kNeighbourUnresolved);
  EXPECT_EQ(n.count(Counter::kHeld), 0u);
  EXPECT_EQ(state->waiting_count, 0u);
}

TEST_F(Waiting, SlotsComeBack) {
  for (uint32_t round = 0; round < 10; ++round) {
    const std::string dst = "10.1.0." + std::to_string(30 + round);
    n.begin();
    for (uint32_t i = 0; i < kWaitingPerNeighbour; ++i) plain(dst);
    run(n.batch->packets[0]);
    neighbours.learn(kBackends, 4, ip(dst), kMac, false, true, kSecond);
    n.begin();
    route_wake(*n.batch, table, *state, false);
    EXPECT_EQ(n.batch->count, kWaitingPerNeighbour);
  }
  n.begin();
  route_wake(*n.batch, table, *state, false);
  EXPECT_EQ(state->free_count, 2 * kWaitingMax);
}

TEST_F(Waiting, AFullTableIsSaid) {
  NeighbourTable tiny(1);
  tiny.set_static(kBackends, 4, ip("10.1.0.11"), kMac);
  table.neighbours = &tiny;
  expect_dropped(run(plain("10.1.0.20")), Drop::kNeighbourTableFull);
}

// -- ARP and neighbour discovery --

struct Hearing : RouteStage {
  Packet& arp(LinkNews::What what, const char* sender, const char* target,
              uint16_t port = kBackends) {
    Packet& p = n.put(family_of(target) == 4 ? Kind::kArp : Kind::kNdp, family_of(target), port);
    LinkNews& news = n.news(p, what, sender, target);
    std::memcpy(news.mac, kMac, 6);
    news.has_mac = 1;
    news.override_flag = family_of(target) == 4;
    return p;
  }
  NeighbourState known(const char* address, uint16_t port = kBackends) {
    const uint32_t i = neighbours.find(port, family_of(address), ip(address));
    return i == kNextHopNone ? NeighbourState::kFailed : neighbours.read(i).state;
  }
};

constexpr auto kRequest = LinkNews::What::kRequest;
constexpr auto kReply = LinkNews::What::kReply;

TEST_F(Hearing, RequestsForOursAreAnsweredAndLearntFrom) {
  EXPECT_EQ(run(arp(kRequest, "10.1.0.30", "10.1.0.1")).verdict, Verdict::kConsumed);
  expect_owed(What::kArpReply);
  EXPECT_EQ(owed().port, kBackends);
  EXPECT_TRUE(owed().target == ip("10.1.0.1"));
  EXPECT_EQ(known("10.1.0.30"), NeighbourState::kReachable);
  n.begin();
  EXPECT_EQ(run(arp(kRequest, "fd00:1::30", "fd00:1::1")).verdict, Verdict::kConsumed);
  expect_owed(What::kAdvertisement);
  EXPECT_EQ(known("fd00:1::30"), NeighbourState::kReachable);
  n.begin();
  run(arp(kRequest, "fe80::30", "fd00:1::1"));
  EXPECT_EQ(known("fe80::30"), NeighbourState::kReachable);
}

TEST_F(Hearing, OthersBusinessIsNeitherAnsweredNorLearnt) {
  EXPECT_EQ(run(arp(kRequest, "10.1.0.30", "10.1.0.31")).verdict, Verdict::kConsumed);
  n.begin();
  EXPECT_EQ(run(arp(kRequest, "10.1.0.30", "192.0.2.1")).verdict, Verdict::kConsumed);  // not here
  EXPECT_EQ(n.batch->owed_count, 0u);
  EXPECT_EQ(known("10.1.0.30"), NeighbourState::kFailed);
}

TEST_F(Hearing, SendersWhoCannotStandHereAreAnsweredButNotLearnt) {
  run(arp(kRequest, "172.16.0.9", "10.1.0.1"));
  expect_owed(What::kArpReply);
  EXPECT_EQ(known("172.16.0.9"), NeighbourState::kFailed);
  n.begin();
  run(arp(kRequest, "10.1.0.1", "10.1.0.1"));  // somebody claims our address
  EXPECT_EQ(known("10.1.0.1"), NeighbourState::kFailed);
}

TEST_F(Hearing, ProbesTeachNothing) {
  Packet& p = arp(kRequest, "0.0.0.0", "10.1.0.1");
  n.batch->links[p.link].is_probe = 1;
  run(p);
  expect_owed(What::kArpReply);
  EXPECT_EQ(known("0.0.0.0"), NeighbourState::kFailed);
}

TEST_F(Hearing, AnswersMakeTheAskedReachable) {
  run(plain("10.1.0.20"));
  EXPECT_EQ(known("10.1.0.20"), NeighbourState::kIncomplete);
  n.begin();
  EXPECT_EQ(run(arp(kReply, "10.1.0.20", "10.1.0.1")).verdict, Verdict::kConsumed);
  EXPECT_EQ(known("10.1.0.20"), NeighbourState::kReachable);
  n.begin();
  run(arp(kReply, "10.1.0.40", "10.1.0.1"));  // nobody asked
  EXPECT_EQ(known("10.1.0.40"), NeighbourState::kFailed);
  n.begin();
  run(arp(kReply, "10.1.0.20", "10.1.0.1", kClient));  // nor by that port
  EXPECT_EQ(known("10.1.0.20", kClient), NeighbourState::kFailed);
}

TEST_F(Hearing, VirtualAddressesAreAnsweredFor) {
  test::Rows rows;
  rows.service("10.1.0.100", 80);
  rows.service("203.0.113.1", 80);  // a port's own too: its other ports are silent
  const auto services = rows.build();
  table.services = services.get();
  EXPECT_EQ(run(arp(kRequest, "10.1.0.30", "10.1.0.100")).verdict, Verdict::kConsumed);
  expect_owed(What::kArpReply);
  n.begin();
  run(arp(kRequest, "10.1.0.30", "203.0.113.1"));
  EXPECT_EQ(n.batch->owed_count, 0u);
}

// -- a port that the host shares --

using Shared = Hearing;

TEST_F(Shared, WhatIsTheHostsGoesToItAsItCame) {
  Packet& p = plain("203.0.113.1", kShared);
  expect_sent(run(plain("10.1.0.11", kShared)), kBackends, "10.1.0.11");
  run(p);
  EXPECT_EQ(p.port_out, kHost);
  EXPECT_EQ(p.flags & (kFlagPassThrough | kFlagUntranslated), kFlagPassThrough | kFlagUntranslated);
  n.begin();
  EXPECT_EQ(run(plain("224.0.0.251", kShared)).port_out, kHost);
  n.begin();
  EXPECT_EQ(run(n.put(Kind::kOther, 0, kShared)).port_out, kHost);
  n.begin();
  expect_dropped(run(n.put(Kind::kOther, 0, kClient)), Drop::kBadEthertype);
  n.begin();
  Packet& ping = n.echo("198.51.100.7", "203.0.113.1", 1);
  ping.port_in = kShared;
  EXPECT_EQ(run(ping).port_out, kHost);
  EXPECT_EQ(n.batch->owed_count, 0u);
}

TEST_F(Shared, WithServicesOnlyWhatIsNotOursGoesToTheHost) {
  table.ports[kShared].flags = 1;
  Packet& p = plain("10.1.0.11", kShared);
  p.ttl = 1;
  EXPECT_EQ(run(p).port_out, kHost);
  EXPECT_EQ(n.batch->owed_count, 0u);
}

TEST_F(Shared, WhatTheHostSendsLeavesAsItCame) {
  for (Kind kind : {Kind::kArp, Kind::kOther}) {
    n.begin();
    Packet& p = n.put(kind, kind == Kind::kArp ? 4 : 0, kHost);
    EXPECT_EQ(run(p).port_out, kShared);
    EXPECT_TRUE(p.flags & kFlagUntranslated);
  }
  n.begin();
  Packet& p = plain("9.9.9.9", kHost);
  p.ttl = 1;
  EXPECT_EQ(run(p).port_out, kShared);
}

TEST_F(Shared, AFlowOfTheHostsIsRouted) {
  SideV4 side{};
  side.next_hop = kNextHopNone;
  side.new_dst = ip("10.1.0.11").v4();
  Packet& p = plain("10.96.0.10", kHost);
  p.side = &side;
  expect_sent(run(p), kBackends, "10.1.0.11");
  // And its answers reach the host translated, by the port they came in by.
  n.begin();
  SideV4 back{};
  back.next_hop = kNextHopNone;
  back.new_dst = ip("203.0.113.1").v4();
  Packet& q = plain("203.0.113.1", kShared);
  q.side = &back;
  run(q);
  EXPECT_EQ(q.port_out, kHost);
  EXPECT_EQ(q.flags & (kFlagPassThrough | kFlagUntranslated), kFlagPassThrough);
}

TEST_F(Shared, AnswersAreHeardByBothRequestsForOursByUs) {
  run(plain("203.0.113.20"));
  n.begin();
  Packet& p = arp(kReply, "203.0.113.20", "203.0.113.1", kShared);
  EXPECT_EQ(run(p).port_out, kHost);
  EXPECT_EQ(known("203.0.113.20", kShared), NeighbourState::kReachable);
  n.begin();
  EXPECT_EQ(run(arp(kRequest, "203.0.113.30", "203.0.113.1", kShared)).verdict, Verdict::kConsumed);
  expect_owed(What::kArpReply);
  n.begin();
  EXPECT_EQ(run(arp(kRequest, "203.0.113.30", "203.0.113.99", kShared)).port_out, kHost);
}

}  // namespace
}  // namespace nodeplane
