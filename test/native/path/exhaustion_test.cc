// Every pool of the node, filled to its limit by packets: what becomes of each packet of the batch that
// meets the limit, by which name the others are dropped, that nothing else is lost, and that the same
// traffic is served again once there is room. (Records and zones under floods: flood_test; hand-over,
// transmission, segments: worker_test.)
#include <gtest/gtest.h>

#include "support/corridor_hand.h"

namespace nodeplane::test {
namespace {

using In = CorridorKit::In;

constexpr uint16_t kClosedPort = 81;
const Bytes kVirtualIp = {10, 96, 0, 10}, kEndpointIp = {10, 1, 0, 11}, kPodIp = {10, 1, 0, 12};
const Bytes kPodsMac = {0x02, 0, 0, 0, 0, 0x02};  // of port 1

In asks(uint16_t sport, uint8_t flags, uint16_t dport = 80) {
  Ip4 ip;
  ip.dst = kVirtualIp;
  return {0, eth(0x0800, ipv4(ip, tcp(sport, dport, flags)))};
}
In asks_udp(uint16_t sport) {
  Ip4 ip;
  ip.protocol = kProtocolUdp;
  ip.dst = kVirtualIp;
  return {0, eth(0x0800, ipv4(ip, udp(sport, 53)))};
}
In pod_asks(uint16_t sport, uint8_t flags) {
  Ip4 ip;
  ip.src = kPodIp;
  ip.dst = kVirtualIp;
  return {1, eth(0x0800, ipv4(ip, tcp(sport, 80, flags)), kPodsMac)};
}
// Where nobody is masqueraded.
In answers(uint16_t sport, uint8_t flags) {
  Ip4 ip;
  ip.src = kEndpointIp;
  ip.dst = kClient4;
  return {1, eth(0x0800, ipv4(ip, tcp(8080, sport, flags)), kPodsMac)};
}
void opens(std::vector<In>& in, uint16_t sport) {
  in.push_back(asks(sport, kTcpSyn));
  in.push_back(answers(sport, kTcpSyn | kTcpAck));
  in.push_back(asks(sport, kTcpAck));
}

// What became of each packet of a batch: sent, held, consumed, dropped by this name; or another drop's.
std::string fates(const Batch& batch, size_t count, Drop expected = Drop::kNone) {
  std::string text;
  for (size_t i = 0; i < count; ++i) {
    const Packet& p = batch.packets[i];
    if (p.verdict == Verdict::kDrop && p.drop != expected)
      text += std::string("[") + kDropNames[static_cast<uint32_t>(p.drop)] + "]";
    else
      text += "gdchs"[static_cast<uint32_t>(p.verdict)];
  }
  return text;
}
std::string run(CorridorKit& kit, const std::vector<In>& in, Drop expected = Drop::kNone) {
  kit.run(in);  // which counts everything in and out, and frames
  return fates(*kit.batch, in.size(), expected);
}
std::string all(char fate, size_t count) { return std::string(count, fate); }

TEST(Exhaustion, Records) {
  constexpr uint16_t kCapacity = 64, kFirst = 2000;
  CorridorKit kit(false, false, kCapacity);
  kit.publish(false, false, 1);
  for (uint32_t round = 1; round <= 2; ++round) {
    for (uint16_t n = 0; n < kCapacity - 2; ++n) {
      std::vector<In> in;
      opens(in, kFirst + n);
      ASSERT_EQ(run(kit, in), "sss");
    }
    // Two more are opened in one batch; a third finds none that may give way. Who is known is served.
    std::vector<In> in;
    opens(in, 3000);
    opens(in, 3001);
    in.push_back(asks(3002, kTcpSyn));
    in.push_back(asks(kFirst, kTcpAck));
    in.push_back(asks(3002, kTcpSyn));
    in.push_back(answers(kFirst, kTcpAck));
    ASSERT_EQ(run(kit, in, Drop::kFlowTableFull),
              "ssssss"
              "dsds");
    EXPECT_EQ(kit.drops(Drop::kFlowTableFull), 2 * round);
    EXPECT_EQ(kit.flows4->live(), kCapacity);
    EXPECT_EQ(kit.count(Counter::kFlowEvicted), round - 1);
    // One that is over makes room within its own batch.
    ASSERT_EQ(run(kit, {asks(3000, kTcpRst), asks(3002, kTcpSyn)}), "ss");
    kit.advance(3601 * kSecond);
    EXPECT_EQ(kit.flows4->live(), 0u);
  }
}

// Keys that share both lines of the index: they find no place long before the table is full.
class CrowdedIndex {
 public:
  explicit CrowdedIndex(uint32_t capacity) : buckets_(FlowIndex::buckets_for(capacity)) {
    index_.attach(buckets_.data(), static_cast<uint32_t>(buckets_.size()), nullptr, capacity);
  }
  // Clients' ports whose questions live in the first two lines of all.
  std::vector<uint16_t> ports(uint32_t count) const {
    std::vector<uint16_t> found;
    for (uint32_t port = 1024; port < 65536 && found.size() < count; ++port) {
      KeyV4 key{};
      std::memcpy(&key.src, kClient4.data(), 4);
      std::memcpy(&key.dst, kVirtualIp.data(), 4);
      key.sport = swap16(static_cast<uint16_t>(port));
      key.dport = swap16(80);
      key.protocol = kProtocolTcp;
      uint32_t hash;
      kernels().hash_v4(&key, 1, HashSeed{1, 2}, &hash);
      if (index_.first(hash) - buckets_.data() < 2 && index_.second(hash) - buckets_.data() < 2)
        found.push_back(static_cast<uint16_t>(port));
    }
    return found;
  }

 private:
  std::vector<FlowBucket> buckets_;
  FlowIndex index_;
};

TEST(Exhaustion, LinesOfTheIndex) {
  constexpr uint32_t kCapacity = 64, kPlaces = 2 * kProbeTags, kMore = 4;
  const std::vector<uint16_t> ports = CrowdedIndex(kCapacity).ports(kPlaces + kMore);
  ASSERT_EQ(ports.size(), kPlaces + kMore);
  CorridorKit kit(false, false, kCapacity);
  kit.publish(false, false, 1);
  std::vector<In> in;
  for (const uint16_t port : ports) in.push_back(asks(port, kTcpSyn));
  std::string first;
  for (uint32_t round = 1; round <= 2; ++round) {
    // Answers' keys may stand in these lines, too.
    const std::string got = run(kit, in, Drop::kFlowTableFull);
    const size_t served = got.find('d');
    ASSERT_LE(served, kPlaces);
    EXPECT_GT(served, kPlaces / 2);
    ASSERT_EQ(got, all('s', served) + all('d', ports.size() - served));
    EXPECT_EQ(kit.flows4->live(), served);
    EXPECT_EQ(kit.drops(Drop::kFlowTableFull), round * (ports.size() - served));
    EXPECT_EQ(kit.count(Counter::kFlowEvicted), 0u);
    if (round == 1) first = got;
    EXPECT_EQ(got, first);
    // Who has a place keeps it, and another key finds one elsewhere.
    ASSERT_EQ(run(kit, {asks(ports[0], kTcpAck), asks(1025, kTcpSyn)}), "ss");
    kit.advance(61 * kSecond);
    EXPECT_EQ(kit.flows4->live(), 0u);
  }
}

TEST(Exhaustion, SnatPorts) {
  constexpr uint16_t kPorts = NodeRows::kSnatHigh - NodeRows::kSnatLow + 1, kFirst = 2000;
  CorridorKit kit;
  kit.publish(false, true, 1);  // one destination
  for (uint32_t round = 1; round <= 2; ++round) {
    std::vector<In> in;
    for (uint16_t n = 0; n < kPorts - 4; ++n) in.push_back(asks(kFirst + n, kTcpSyn));
    ASSERT_EQ(run(kit, in), all('s', in.size()));
    // The last four ports, in the order of arrival; a question told twice takes one. UDP has ports of its
    // own, who is known needs none, and who is no client of a pod's either.
    in = {asks(3000, kTcpSyn), asks(3001, kTcpSyn), asks(3000, kTcpSyn), asks(3002, kTcpSyn),
          asks(3003, kTcpSyn), asks(3004, kTcpSyn), asks_udp(3004),      asks(kFirst, kTcpAck),
          asks(3005, kTcpSyn), asks(3003, kTcpAck)};
    ASSERT_EQ(run(kit, in, Drop::kSnatPortExhausted),
              "sssss"
              "dss"
              "ds");
    EXPECT_EQ(kit.drops(Drop::kSnatPortExhausted), 2 * round);
    EXPECT_EQ(kit.snat.in_use(), kPorts + 1u);
    EXPECT_EQ(kit.flows4->live(), kPorts + 1u);
    EXPECT_EQ(kit.count(Counter::kSnatPortTaken) - kit.count(Counter::kSnatPortGivenBack),
              kit.snat.in_use());
    kit.advance(61 * kSecond);  // half-open ones, and the one-way one, are over
    EXPECT_EQ(kit.snat.in_use(), 0u);
    EXPECT_EQ(kit.flows4->live(), 0u);
  }
}

TEST(Exhaustion, PortsGivenBackInABatchServeTheRestOfIt) {
  constexpr uint16_t kPorts = NodeRows::kSnatHigh - NodeRows::kSnatLow + 1, kFirst = 2000;
  CorridorKit kit;
  kit.publish(false, true, 1);
  std::vector<In> in;
  for (uint16_t n = 0; n < kPorts; ++n) in.push_back(asks(kFirst + n, kTcpSyn));
  ASSERT_EQ(run(kit, in), all('s', kPorts));
  // A reset, and a new beginning: the old connection's port is back at once, and is taken again.
  ASSERT_EQ(run(kit, {asks(kFirst, kTcpRst), asks(kFirst, kTcpSyn), asks(3000, kTcpSyn)},
                Drop::kSnatPortExhausted),
            "ssd");
  EXPECT_EQ(kit.snat.in_use(), kPorts);
  kit.advance(61 * kSecond);
  ASSERT_EQ(run(kit, {asks(3000, kTcpSyn)}), "s");
  EXPECT_EQ(kit.snat.in_use(), 1u);
}

TEST(Exhaustion, AZone) {
  constexpr uint16_t kCapacity = 100, kMost = 40, kFirst = 2000;
  constexpr uint8_t kPods = 1;
  CorridorKit kit(false, false, kCapacity);
  ZoneRow pods{};
  pods.id = kPods;
  pods.maximum = kMost;  // percent of 100
  pods.source = static_cast<uint8_t>(ZoneSource::kPods);
  kit.zones = {pods};
  kit.publish(false, false, 1);
  const auto pod_answered = [](uint16_t sport) {
    Ip4 ip;
    ip.src = kEndpointIp;
    ip.dst = kPodIp;
    return In{1, eth(0x0800, ipv4(ip, tcp(8080, sport, kTcpSyn | kTcpAck)), kPodsMac)};
  };
  const auto opens_pod = [&](std::vector<In>& in, uint16_t sport) {
    in.push_back(pod_asks(sport, kTcpSyn));
    in.push_back(pod_answered(sport));
    in.push_back(pod_asks(sport, kTcpAck));
  };
  for (uint32_t round = 1; round <= 2; ++round) {
    for (uint16_t n = 0; n < kMost - 1; ++n) {
      std::vector<In> in;
      opens_pod(in, kFirst + n);
      ASSERT_EQ(run(kit, in), "sss");
    }
    std::vector<In> in;
    opens_pod(in, 3000);
    in.push_back(pod_asks(3001, kTcpSyn));
    in.push_back(asks(3001, kTcpSyn));  // another zone's
    in.push_back(pod_asks(kFirst, kTcpAck));
    ASSERT_EQ(run(kit, in, Drop::kFlowZoneFull), "sssdss");
    EXPECT_EQ(kit.drops(Drop::kFlowZoneFull), round);
    ZoneStateRow row;
    kit.flows4->zone_state(kPods, &row);
    EXPECT_EQ(row.established, kMost);
    EXPECT_EQ(row.refused, round);
    kit.advance(3601 * kSecond);
    EXPECT_EQ(kit.flows4->live(), 0u);
  }
}

// To stations of a connected network that nobody knows yet.
In to_station(uint8_t number) {
  Ip4 ip;
  ip.protocol = kProtocolUdp;
  ip.dst = {10, 1, 0, number};
  return {0, eth(0x0800, ipv4(ip, udp(1000, 2000)))};
}
In station_says(uint8_t number) {
  const Bytes mac = {0x02, 0, 0, 0, 1, number};
  return {1, eth(0x0806, arp(2, mac, {10, 1, 0, number}, kPodsMac, {10, 1, 0, 1}), kPodsMac)};
}

TEST(Exhaustion, Neighbours) {
  constexpr uint32_t kStatics = 6, kFree = 5;
  CorridorKit kit(false, true, CorridorKit::kCapacity, 1, kStatics + kFree);
  kit.publish(false, true, 2);
  for (uint32_t round = 1; round <= 2; ++round) {
    const auto station = [&](uint32_t n) { return static_cast<uint8_t>(20 + 40 * round + n); };
    // One entry each, asked for just now; whoever comes too late is told apart from who waits, and an
    // endpoint's is kept whoever is asked for.
    std::vector<In> in;
    for (uint32_t n = 0; n < kFree + 2; ++n) in.push_back(to_station(station(n)));
    in.push_back(to_station(station(0)));
    in.push_back(asks(3000, kTcpSyn));
    ASSERT_EQ(run(kit, in, Drop::kNeighbourTableFull), all('h', kFree) + "ddhs");
    EXPECT_EQ(kit.drops(Drop::kNeighbourTableFull), 3 * round - 1);
    EXPECT_EQ(kit.sent[1].size(), kFree + 1u) << "a request for each, and the endpoint's";
    // They answer: what waits leaves.
    in.clear();
    for (uint32_t n = 0; n < kFree; ++n) in.push_back(station_says(station(n)));
    ASSERT_EQ(run(kit, in), all('c', kFree));
    kit.advance(kMillisecond);
    EXPECT_EQ(kit.sent[1].size(), kFree + 1u);
    // What is sent to just now keeps its entry; a little later it makes room.
    EXPECT_EQ(run(kit, {to_station(station(kFree))}, Drop::kNeighbourTableFull), "d");
    kit.advance(kNeighbourGraceMs * kMillisecond);
    ASSERT_EQ(run(kit, {to_station(station(kFree))}), "h");
    ASSERT_EQ(run(kit, {station_says(station(kFree))}), "c");
    kit.advance(kMillisecond);
    EXPECT_EQ(kit.sent[1].size(), 1u);
    kit.advance(kNeighbourGraceMs * kMillisecond);
  }
  EXPECT_EQ(kit.count(Counter::kHeld), 0u);
}

TEST(Exhaustion, PlacesToWaitForANeighbour) {
  constexpr uint32_t kStations = kWaitingMax / kWaitingPerNeighbour;
  CorridorKit kit;
  kit.publish(false, true, 2);
  for (uint32_t round = 1; round <= 2; ++round) {
    const auto station = [&](uint32_t n) {
      return static_cast<uint8_t>(36 + kStations * round + n);
    };
    // Four wait for each, and then nobody more, for whomever. What needs no waiting goes.
    std::vector<In> in;
    for (uint32_t n = 0; n < kStations; ++n)
      for (uint32_t i = 0; i <= kWaitingPerNeighbour; ++i) {
        if (in.size() == kBatchSize) {
          ASSERT_EQ(run(kit, in, Drop::kNeighbourQueueFull).find('['), std::string::npos);
          in.clear();
        }
        in.push_back(to_station(station(n)));
      }
    in.push_back(to_station(250));
    in.push_back(pod_asks(3000, kTcpAck));
    const std::string got = run(kit, in, Drop::kNeighbourQueueFull);
    EXPECT_EQ(got.substr(got.size() - 7), "hhhhdds");
    EXPECT_EQ(kit.count(Counter::kHeld), kWaitingMax);
    EXPECT_EQ(kit.drops(Drop::kNeighbourQueueFull), round * (kStations + 1));
    in.clear();
    for (uint32_t n = 0; n < kStations; ++n) in.push_back(station_says(station(n)));
    ASSERT_EQ(run(kit, in), all('c', kStations));
    kit.advance(kMillisecond);
    EXPECT_EQ(kit.sent[1].size(), kWaitingMax);
    EXPECT_EQ(kit.count(Counter::kHeld), 0u);
  }
}

TEST(Exhaustion, Frames) {
  CorridorKit kit;
  kit.publish(false, true, 2);
  constexpr uint32_t kLeft = 6;
  for (uint32_t round = 1; round <= 2; ++round) {
    std::vector<uint32_t> taken;
    for (uint32_t f; (f = kit.frames->take()) != kFrameNone;) taken.push_back(f);
    for (uint32_t i = 0; i < kLeft; ++i) {
      kit.frames->give(taken.back());
      taken.pop_back();
    }
    // Four of six frames have what came; two are left for three answers. What leaves needs none.
    const std::vector<In> in = {asks(3000, kTcpSyn, kClosedPort), pod_asks(3000, kTcpAck),
                                asks(3001, kTcpSyn, kClosedPort), asks(3002, kTcpSyn, kClosedPort)};
    ASSERT_EQ(run(kit, in, Drop::kNoEndpoint), "dsdd");
    EXPECT_EQ(kit.sent[0].size(), kLeft - in.size());
    EXPECT_EQ(kit.drops(Drop::kNoFrame), round);
    EXPECT_EQ(kit.drops(Drop::kNoEndpoint), 6 * round - 3);
    for (const uint32_t f : taken) kit.frames->give(f);
    ASSERT_EQ(run(kit, in, Drop::kNoEndpoint), "dsdd");
    EXPECT_EQ(kit.sent[0].size(), 3u);
    EXPECT_EQ(kit.drops(Drop::kNoFrame), round);
    kit.advance(kSecond);
  }
}

// A batch may cause so many packets, and a second so many errors.
TEST(Exhaustion, Answers) {
  CorridorKit kit;
  std::vector<In> in;
  for (uint16_t n = 0; n < kBatchSize; ++n) in.push_back(asks(2000 + n, kTcpSyn, kClosedPort));
  for (uint32_t round = 1; round <= 2; ++round) {
    for (uint32_t i = 0; i < 2; ++i) {
      ASSERT_EQ(run(kit, in, Drop::kNoEndpoint), all('d', in.size()));
      EXPECT_EQ(kit.sent[0].size(), kOriginateMax) << "the first ones'";
    }
    EXPECT_EQ(kit.drops(Drop::kOriginateFull), 2 * round * (kBatchSize - kOriginateMax));
    kit.advance(kSecond);
  }
}

// What one worker evicts of another's is the other's to clear away. While that one does nothing, newcomers
// live on the table's reserve; once it turns, all find room.
TEST(Exhaustion, RecordsThatWaitForTheirOwner) {
  constexpr uint32_t kCapacity = 2048, kTurns = 100, kNewcomers = 64;
  CorridorKit kit(false, false, kCapacity, 2);
  kit.publish(false, false, 1);
  CorridorHand owner(kit, 0), other(kit, 1);
  uint32_t next = 1024;
  const auto batch_of = [&](CorridorHand& hand, uint32_t flows, bool answered) {
    hand.begin(kit.now);
    for (uint32_t i = 0; i < flows; ++i) {
      const auto port = static_cast<uint16_t>(next++);
      hand.put(0, asks(port, kTcpSyn).bytes);
      if (!answered) continue;
      hand.put(1, answers(port, kTcpSyn | kTcpAck).bytes);
      hand.put(0, asks(port, kTcpAck).bytes);
    }
    const uint32_t count = hand.batch().count;
    hand.run(*kit.tables);
    return fates(hand.batch(), count, Drop::kFlowTableFull);
  };
  const auto turn = [&](CorridorHand& hand, uint32_t worker) {
    kit.epochs.quiescent(worker);
    hand.begin(kit.now);
    hand.tidy(*kit.tables, false);
  };
  for (uint32_t round = 0; round < 2; ++round) {
    turn(owner, 0);
    for (uint32_t n = 0; n < kCapacity; n += kBatchSize) batch_of(owner, kBatchSize, false);
    EXPECT_GE(kit.flows4->live(), kCapacity - kCapacity / 16);
    kit.epochs.offline(0);
    // Established at once, so that only half-open ones of the sleeper's may give way.
    std::string got;
    for (size_t served = 0; got.find('d') == std::string::npos; served += got.size()) {
      ASSERT_LT(served, size_t{3} * kCapacity);
      turn(other, 1);
      got = batch_of(other, kNewcomers, true);
    }
    EXPECT_EQ(got.find('['), std::string::npos) << got;
    EXPECT_EQ(got.substr(0, got.find('d')).find_first_not_of('s'), std::string::npos) << got;
    for (uint32_t n = 0; n < kTurns; ++n) {
      turn(owner, 0);
      turn(other, 1);
    }
    for (uint32_t n = 0; n < kNewcomers; ++n) {
      turn(owner, 0);
      turn(other, 1);
      ASSERT_EQ(batch_of(other, 1, true), "sss") << n;
    }
    kit.now += 3601 * kSecond;
    for (uint32_t n = 0; n < kTurns; ++n) {
      turn(owner, 0);
      turn(other, 1);
    }
    EXPECT_EQ(kit.flows4->live(), 0u);
    kit.epochs.offline(1);
  }
  for (CorridorHand* hand : {&owner, &other}) {
    hand->end(*kit.tables);
    EXPECT_TRUE(hand->is_balanced());
  }
  EXPECT_EQ(owner.count(Counter::kFlowNew) + other.count(Counter::kFlowNew),
            owner.count(Counter::kFlowExpired) + other.count(Counter::kFlowExpired) +
                owner.count(Counter::kFlowEvicted) + other.count(Counter::kFlowEvicted));
}

}  // namespace
}  // namespace nodeplane::test
