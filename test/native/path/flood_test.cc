// Floods: one zone of the flow table is flooded at full rate while established connections of it and
// of another zone carry traffic, and new ones come in the other zone.
#include <gtest/gtest.h>

#include <deque>

#include "support/corridor_kit.h"
#include "support/sanitized.h"
#include "table/mix.h"

namespace nodeplane::test {
namespace {

constexpr uint8_t kPods = 1;  // the zone of clients in the pod range; the others' is 0
constexpr uint32_t kPod = 0x0a01000c, kOutside = 0xc6330000;  // 10.1.0.12, 198.51.0.0
constexpr uint32_t kVirtual = 0x0a60000a, kEndpoint = 0x0a01000b;
constexpr uint32_t kTcpAt = 34;

struct Flood {
  const char* name;
  uint8_t protocol, flags;
  FlowClass makes;
};

struct Client {
  uint32_t address;
  uint16_t port;
  uint8_t protocol = kProtocolTcp;
};

// Packets that differ in addresses, ports and flags, out of one pattern each.
class Packets {
 public:
  Packets() {
    Ip4 ip;
    tcp_ = eth(0x0800, ipv4(ip, tcp(0, 80)));
    ip.protocol = kProtocolUdp;
    udp_ = eth(0x0800, ipv4(ip, udp(0, 53)));
  }
  CorridorKit::In asks(const Client& c, uint8_t flags) const {
    return {from_pod(c) ? uint16_t{1} : uint16_t{0},
            made(pattern(c), c.address, c.port, kVirtual, is_tcp(c) ? 80 : 53, flags, from_pod(c))};
  }
  CorridorKit::In answers(const Client& c, uint8_t flags) const {
    return {1,
            made(pattern(c), kEndpoint, is_tcp(c) ? 8080 : 5353, c.address, c.port, flags, true)};
  }
  static bool is_tcp(const Client& c) { return c.protocol == kProtocolTcp; }
  static bool from_pod(const Client& c) { return c.address == kPod; }

 private:
  const Bytes& pattern(const Client& c) const { return is_tcp(c) ? tcp_ : udp_; }
  static Bytes made(Bytes b, uint32_t src, uint16_t sport, uint32_t dst, uint16_t dport,
                    uint8_t flags, bool pods_port) {
    if (pods_port) b[5] = 0x02;  // the MAC of port 1
    put16(b, 26, src >> 16);
    put16(b, 28, src & 0xffff);
    put16(b, 30, dst >> 16);
    put16(b, 32, dst & 0xffff);
    put16(b, kTcpAt, sport);
    put16(b, kTcpAt + 2, dport);
    if (b[23] == kProtocolTcp) b[kTcpAt + 13] = flags;
    put16(b, 24, 0);
    uint32_t sum = 0;
    for (uint32_t i = 14; i < 34; i += 2) sum += uint32_t{b[i]} << 8 | b[i + 1];
    sum = (sum & 0xffff) + (sum >> 16);
    put16(b, 24, ~(sum + (sum >> 16)) & 0xffff);
    return b;
  }
  Bytes tcp_, udp_;
};

// A node whose pods are guaranteed 40 % of the flow table; its one endpoint stands behind port 1.
struct Scene {
  static constexpr uint32_t kBurst = 224;  // of a flood, beside what is carried meanwhile
  CorridorKit kit;
  Packets packets;
  uint64_t random = 1;

  explicit Scene(uint32_t capacity) : kit(false, false, capacity) {
    ZoneRow pods{};
    pods.id = kPods;
    pods.guaranteed = 40;
    pods.maximum = 80;
    pods.source = static_cast<uint8_t>(ZoneSource::kPods);
    kit.zones = {pods};
    kit.publish(false, false, 1);
  }
  uint32_t next() { return static_cast<uint32_t>((random = mix_in(random, 1)) >> 32); }
  ZoneStateRow zone(uint8_t z) const {
    ZoneStateRow row;
    kit.flows4->zone_state(z, &row);
    return row;
  }
  // One batch, a tenth of a millisecond later. How many packets left.
  uint32_t run(const std::vector<CorridorKit::In>& in) {
    kit.run(in);
    const size_t sent = kit.sent[0].size() + kit.sent[1].size();
    kit.advance(kMillisecond / 10);
    return static_cast<uint32_t>(sent);
  }
  void each(const std::vector<Client>& clients, auto packet) {
    std::vector<CorridorKit::In> in;
    for (const Client& c : clients) {
      in.push_back(packet(c));
      if (in.size() < kBatchSize && &c != &clients.back()) continue;
      ASSERT_EQ(run(in), in.size());
      in.clear();
    }
  }
  void establish(const std::vector<Client>& clients) {
    each(clients, [&](const Client& c) { return packets.asks(c, kTcpSyn); });
    each(clients, [&](const Client& c) { return packets.answers(c, kTcpSyn | kTcpAck); });
    each(clients, [&](const Client& c) { return packets.asks(c, kTcpAck); });
  }
  void carry(const std::vector<Client>& clients) {
    each(clients, [&](const Client& c) { return packets.asks(c, kTcpAck); });
    each(clients, [&](const Client& c) { return packets.answers(c, kTcpAck); });
  }
  // `count` packets from as many clients outside; beside each batch of them one packet each of `known`
  // connections in turn, and of new ones of both zones that are opened meanwhile.
  void flood(const Flood& f, uint32_t count, const std::vector<Client>& known,
             std::vector<Client>* opened) {
    std::deque<std::pair<Client, uint32_t>> opening;  // and the packet that is next
    size_t at = 0;
    for (uint32_t done = 0, batch = 0; done < count; ++batch) {
      std::vector<CorridorKit::In> in;
      opening.push_back({{kPod, static_cast<uint16_t>(40000 + batch)}, 0});
      // In the flooded zone half-open ones go before one-way ones: there a UDP flood is in the way.
      if (f.protocol == kProtocolTcp)
        opening.push_back({{kOutside | 1, static_cast<uint16_t>(1024 + batch)}, 0});
      for (auto& [c, step] : opening) {
        in.push_back(step == 1 ? packets.answers(c, kTcpSyn | kTcpAck)
                               : packets.asks(c, step == 0 ? kTcpSyn : kTcpAck));
        if (step++ == 2) opened->push_back(c);
      }
      while (!opening.empty() && opening.front().second == 3) opening.pop_front();
      for (uint32_t i = 0; i < 16; ++i, ++at) {
        const Client& c = known[at % known.size()];
        in.push_back(i % 2 == 0 ? packets.asks(c, kTcpAck) : packets.answers(c, kTcpAck));
      }
      for (uint32_t i = 0; i < kBurst; ++i, ++done) {
        const Client c = {kOutside | (next() & 0xffff) | 2, static_cast<uint16_t>(next() | 1024),
                          f.protocol};
        in.push_back(packets.asks(c, f.flags));
      }
      ASSERT_EQ(run(in), in.size()) << "a packet was lost in batch " << batch;
    }
  }
};

constexpr Flood kFloods[] = {
    {"SYN", kProtocolTcp, kTcpSyn, FlowClass::kHalfOpen},
    {"ACK", kProtocolTcp, kTcpAck, FlowClass::kHalfOpen},
    {"FIN", kProtocolTcp, kTcpFin | kTcpAck, FlowClass::kClosing},
    {"UDP", kProtocolUdp, 0, FlowClass::kOneWay},
};

class FloodTest : public testing::TestWithParam<Flood> {};

TEST_P(FloodTest, CostsNobodyElseAnything) {
  const Flood& f = GetParam();
  const uint32_t established = kSanitized ? 2'000 : 50'000;  // of each zone
  const uint32_t capacity = established * 5 / 2;
  Scene scene(capacity);
  std::vector<Client> pods, outside, opened;
  for (uint32_t i = 0; i < established; ++i) {
    const uint8_t protocol = i % 4 == 0 ? kProtocolUdp : kProtocolTcp;
    // Below what is opened later.
    pods.push_back(
        {kPod, static_cast<uint16_t>(i < 39'000 ? 1000 + i : 1000 + i + 10'000), protocol});
    outside.push_back(
        {kOutside + 0x10000 + i % 512, static_cast<uint16_t>(1024 + i / 512), protocol});
  }
  scene.establish(pods);
  scene.establish(outside);
  ASSERT_EQ(scene.zone(kPods).established, established);
  ASSERT_EQ(scene.zone(0).established, established);

  std::vector<Client> known = pods;
  known.insert(known.end(), outside.begin(), outside.end());
  const uint32_t flood = capacity;  // five times what is left of the table
  scene.flood(f, flood, known, &opened);
  scene.carry(known);
  scene.carry(opened);

  const ZoneStateRow mine = scene.zone(0), theirs = scene.zone(kPods);
  EXPECT_EQ(theirs.established + mine.established, 2 * established + opened.size());
  EXPECT_EQ(theirs.refused + mine.refused, 0u);
  EXPECT_EQ(theirs.evicted_closing + theirs.evicted_half_open + theirs.evicted_one_way, 0u);
  EXPECT_EQ(theirs.evicted_established + mine.evicted_established, 0u);
  const uint64_t evicted[] = {mine.evicted_closing, mine.evicted_half_open, mine.evicted_one_way};
  EXPECT_GT(evicted[static_cast<uint32_t>(f.makes)], flood / 2);
  EXPECT_EQ(scene.kit.count(Counter::kFlowEvicted), evicted[0] + evicted[1] + evicted[2]);
  EXPECT_EQ(scene.kit.drops(Drop::kFlowTableFull) + scene.kit.drops(Drop::kFlowZoneFull), 0u);
  EXPECT_EQ(scene.kit.flows4->live(), scene.kit.flows4->capacity());
}

INSTANTIATE_TEST_SUITE_P(Kinds, FloodTest, testing::ValuesIn(kFloods),
                         [](const auto& info) { return std::string(info.param.name); });

// The zone that fills the table may do so, but gives way to one that is within its guarantee, with
// established connections in the end.
TEST(Zones, AGuaranteeIsKept) {
  Scene scene(1000);
  std::vector<Client> outside, pods;
  for (uint16_t i = 0; i < 1000; ++i)
    outside.push_back({kOutside | 1, static_cast<uint16_t>(5000 + i)});
  for (uint16_t i = 0; i < 400; ++i) pods.push_back({kPod, static_cast<uint16_t>(5000 + i)});
  scene.establish(outside);
  EXPECT_EQ(scene.zone(0).established, 1000u);
  scene.establish(pods);
  EXPECT_EQ(scene.zone(kPods).established, 400u);
  EXPECT_EQ(scene.zone(0).established, 600u);
  EXPECT_EQ(scene.zone(0).evicted_established, 400u);
  // At its guarantee now: nothing of what stands there gives way any more.
  EXPECT_EQ(scene.run({scene.packets.asks({kPod, 9000}, kTcpSyn)}), 0u);
  EXPECT_EQ(scene.kit.drops(Drop::kFlowTableFull), 1u);
  EXPECT_EQ(scene.zone(kPods).refused, 1u);
  scene.carry(pods);
}

TEST(Zones, AMaximumIsKept) {
  Scene scene(1000);
  std::vector<Client> pods;
  for (uint16_t i = 0; i < 800; ++i) pods.push_back({kPod, static_cast<uint16_t>(5000 + i)});
  scene.establish(pods);
  EXPECT_EQ(scene.run({scene.packets.asks({kPod, 9000}, kTcpSyn)}), 0u);
  EXPECT_EQ(scene.kit.drops(Drop::kFlowZoneFull), 1u);
  EXPECT_EQ(scene.zone(kPods).refused, 1u);
  // One that is over makes room for the next, and the rest of the table is the others'.
  EXPECT_EQ(scene.run({scene.packets.asks(pods[7], kTcpRst)}), 1u);
  EXPECT_EQ(scene.run({scene.packets.asks({kPod, 9001}, kTcpSyn)}), 1u);
  EXPECT_EQ(scene.zone(kPods).evicted_closing, 1u);
  for (uint16_t i = 0; i < 200; ++i)
    ASSERT_EQ(
        scene.run({scene.packets.asks({kOutside | 1, static_cast<uint16_t>(5000 + i)}, kTcpSyn)}),
        1u);
  EXPECT_EQ(scene.kit.flows4->live(), 1000u);
}

// Of the 256 ports there are towards the one endpoint; masqueraded are clients outside and, on its way
// to itself, the endpoint.
struct MasqueradeScene : Scene {
  static constexpr uint32_t kPorts = 256, kOutsideZone = 2;
  Client pod(uint16_t port) const { return {kEndpoint, port}; }

  // Shares of the ports in percent.
  MasqueradeScene(uint8_t pods_guaranteed, uint8_t outside_maximum) : Scene(10'000) {
    ZoneRow pods{}, outside{};
    pods.id = kPods;
    pods.maximum = 100;
    pods.snat_guaranteed = pods_guaranteed;
    pods.source = static_cast<uint8_t>(ZoneSource::kPods);
    outside.id = kOutsideZone;
    outside.maximum = outside_maximum;
    outside.source = static_cast<uint8_t>(ZoneSource::kOutside);
    kit.zones = {pods, outside};
    kit.publish(false, true, 1);
  }
  // A batch of SYNs from outside, and one of the pod. How many of each left.
  std::pair<uint32_t, uint32_t> beat(uint16_t pods_port) {
    std::vector<CorridorKit::In> in;
    for (uint32_t i = 0; i < kBurst; ++i)
      in.push_back(packets.asks(
          {kOutside | (next() & 0xffff), static_cast<uint16_t>(next() | 1024)}, kTcpSyn));
    in.push_back(packets.asks(pod(pods_port), kTcpSyn));
    const uint64_t refused = zone(kPods).refused;
    const uint32_t left = run(in);
    const uint32_t pods = zone(kPods).refused == refused;
    return {left - pods, pods};
  }
};

TEST(MasqueradedFlood, LeavesAnotherZoneItsPorts) {
  MasqueradeScene scene(40, 100);
  constexpr uint32_t kSetAside = MasqueradeScene::kPorts * 40 / 100;
  uint32_t flood = 0;
  for (uint16_t i = 0; i < kSetAside; ++i) {
    const auto [outside, pods] = scene.beat(2000 + i);
    flood += outside;
    ASSERT_EQ(pods, 1u) << "connection " << i << " of the pod was refused";
  }
  EXPECT_EQ(flood, MasqueradeScene::kPorts - kSetAside);
  const uint64_t refused = kSetAside * Scene::kBurst - flood;
  // Once both have all that is theirs, no port is left at all.
  EXPECT_EQ(scene.kit.drops(Drop::kSnatZoneFull) + scene.kit.drops(Drop::kSnatPortExhausted),
            refused);
  EXPECT_GE(scene.kit.drops(Drop::kSnatZoneFull), refused - Scene::kBurst);
  EXPECT_EQ(scene.zone(MasqueradeScene::kOutsideZone).refused, refused);
  EXPECT_EQ(scene.zone(kPods).half_open, kSetAside);
  EXPECT_EQ(scene.kit.drops(Drop::kFlowTableFull) + scene.kit.drops(Drop::kFlowZoneFull), 0u);
  EXPECT_EQ(scene.beat(9000), std::make_pair(0u, 0u)) << "its guarantee is used up";
  EXPECT_EQ(scene.kit.drops(Drop::kSnatPortExhausted),
            refused + Scene::kBurst + 1 - scene.kit.drops(Drop::kSnatZoneFull));
  // The ports come back with the records.
  scene.kit.advance(61 * kSecond);
  EXPECT_EQ(scene.kit.flows4->live(), 0u);
  EXPECT_EQ(scene.kit.snat.in_use(), 0u);
  EXPECT_EQ(scene.beat(9001).second, 1u);
}

TEST(MasqueradedFlood, IsHeldByItsOwnMaximum) {
  MasqueradeScene scene(0, 50);
  uint32_t flood = 0, pods = 0;
  for (uint16_t i = 0; i < MasqueradeScene::kPorts / 2; ++i) {
    const auto beat = scene.beat(2000 + i);
    flood += beat.first;
    pods += beat.second;
  }
  EXPECT_EQ(flood, MasqueradeScene::kPorts / 2);
  EXPECT_EQ(pods, MasqueradeScene::kPorts / 2);
  EXPECT_GT(scene.kit.drops(Drop::kSnatZoneFull), 0u);
}

// What shares are for.
TEST(MasqueradedFlood, WithoutSharesItTakesAll) {
  MasqueradeScene scene(0, 100);
  EXPECT_EQ(scene.beat(2000).first + scene.beat(2001).first, MasqueradeScene::kPorts - 1);
  EXPECT_EQ(scene.beat(2002), std::make_pair(0u, 0u));
  EXPECT_EQ(scene.kit.drops(Drop::kSnatZoneFull), 0u);
}

// RST makes no record; FIN one that is over soon, whatever follows.
TEST(Zones, AnEndWithoutABeginningIsForgottenSoon) {
  Scene scene(1000);
  const Client c{kOutside | 1, 5000}, d{kOutside | 1, 5001};
  EXPECT_EQ(scene.run({scene.packets.asks(c, kTcpRst | kTcpAck)}), 0u);
  EXPECT_EQ(scene.kit.drops(Drop::kRstWithoutFlow), 1u);
  EXPECT_EQ(scene.run({scene.packets.asks(d, kTcpFin | kTcpAck)}), 1u);
  EXPECT_EQ(scene.zone(0).closing, 1u);
  EXPECT_EQ(scene.kit.flows4->live(), 1u);
  scene.kit.advance(31 * kSecond);
  EXPECT_EQ(scene.kit.flows4->live(), 0u);
}

}  // namespace
}  // namespace nodeplane::test
