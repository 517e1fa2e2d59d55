#include "path/express.h"

#include <gtest/gtest.h>

#include <random>

#include "support/corridor_twins.h"
#include "support/talk.h"

namespace nodeplane::test {
namespace {

constexpr uint32_t kClients = 24;
// A small town that talks: mostly established connections, now and then everything else.
class Town {
 public:
  explicit Town(uint32_t seed) : random_(seed) {}

  CorridorKit::In next() {
    CorridorKit::In in;
    Talk talk;
    if (!heard_.empty() && pick(3) != 0) {
      const auto& [port, bytes] = heard_[pick(heard_.size())];
      in.port = static_cast<uint16_t>(port);
      talk = answer(bytes, flags());
    } else {
      in.port = 0;
      talk = first();
    }
    talk.payload = zeros(pick(4) == 0 ? pick(1600) : pick(40));  // some exceed the MTU
    if (pick(50) == 0) talk.ttl = static_cast<uint8_t>(pick(3));
    const Bytes mac = {2, 0, 0, 0, 0, static_cast<uint8_t>(1 + in.port)};
    in.bytes = talk.frame(pick(200) == 0 ? kMacAll : mac);
    bend(in.bytes);
    if (pick(40) == 0) in.flags = kFlagPartialChecksum;
    return in;
  }
  // Remembers what left, to answer it.
  void hear(const CorridorKit& kit) {
    for (int port = 0; port < 2; ++port)
      for (const Bytes& one : kit.sent[port]) {
        const uint16_t type = one.size() < 62 ? 0 : read16(one, 12);
        const uint8_t protocol = type == 0x0800 ? one[23] : type == 0x86dd ? one[20] : 0;
        if (protocol != kProtocolTcp && protocol != kProtocolUdp) continue;
        if (heard_.size() < 256)
          heard_.emplace_back(port, one);
        else
          heard_[pick(256)] = {port, one};
      }
  }
  uint32_t pick(size_t n) { return static_cast<uint32_t>(random_() % n); }

 private:
  uint8_t flags() {
    const uint32_t what = pick(40);
    if (what == 0) return kTcpSyn | kTcpAck;
    if (what == 1) return kTcpFin | kTcpAck;
    if (what == 2) return kTcpRst;
    if (what == 3) return static_cast<uint8_t>(pick(256));
    return what < 20 ? kTcpAck : kTcpAck | kTcpPsh;
  }
  Talk first() {
    Talk talk;
    talk.family = pick(3) == 0 ? 6 : 4;
    talk.src = talk.family == 4 ? kClient4 : kClient6;
    talk.dst = talk.family == 4 ? kVip4 : kVip6;
    talk.src.back() = static_cast<uint8_t>(1 + pick(kClients));
    talk.sport = static_cast<uint16_t>(40000 + pick(4));
    talk.protocol = pick(3) == 0 ? kProtocolUdp : kProtocolTcp;
    talk.dport = talk.protocol == kProtocolUdp ? 53 : 80;
    talk.flags = pick(3) == 0 ? kTcpSyn : flags();
    return talk;
  }
  void bend(Bytes& bytes) {
    const uint32_t what = pick(60);
    if (what == 0) bytes[pick(bytes.size())] ^= static_cast<uint8_t>(1 << pick(8));
    if (what == 1) bytes.resize(pick(bytes.size() + 1));
    if (what == 2) bytes = bytes + zeros(pick(30));  // padding
    if (what == 3) put16(bytes, 40, 0);              // a UDP sum left out, or another field
    if (what == 4) leave_partial(bytes);
    if (what == 5 && pick(4) == 0)
      bytes = eth(0x0806, arp(1, kMacPeer, {10, 1, 0, 13}, zeros(6), {10, 1, 0, 1}), kMacAll);
  }

  // As a veth leaves it: the sum field of TCP over IPv4 holds the pseudo-header's sum only.
  static void leave_partial(Bytes& bytes) {
    if (bytes.size() < 54 || read16(bytes, 12) != 0x0800 || bytes[23] != kProtocolTcp) return;
    Ip4 ip;
    ip.protocol = kProtocolTcp;
    ip.src = Bytes(bytes.begin() + 26, bytes.begin() + 30);
    ip.dst = Bytes(bytes.begin() + 30, bytes.begin() + 34);
    put16(bytes, 50, sum_of(pseudo4(ip, bytes.size() - 34)));
  }

  std::mt19937 random_;
  std::vector<std::pair<int, Bytes>> heard_;
};

// Batches of every size, time that passes, endpoints that go: both twins agree at every step, and
// most packets went express.
class Express : public testing::TestWithParam<int> {};

TEST_P(Express, ChangesNothingButTheTimeItTakes) {
  Town town(static_cast<uint32_t>(GetParam()));
  CorridorTwins twins(GetParam() % 3 == 0, GetParam() % 2 == 0);
  for (int round = 0; round < 120; ++round) {
    std::vector<CorridorKit::In> batch(1 + town.pick(round % 4 == 0 ? kBatchSize : 40));
    for (auto& in : batch) in = town.next();
    if (GetParam() % 4 == 0) twins.fast.tables->express.wide = false;
    ASSERT_EQ(twins.run(batch), "") << "round " << round;
    town.hear(twins.fast);
    if (round % 8 == 7) ASSERT_EQ(twins.compare_flows(), "") << "round " << round;
    if (town.pick(12) == 0) ASSERT_EQ(twins.advance(town.pick(60) * kSecond), "");
    if (town.pick(30) == 0) twins.publish(GetParam() % 3 == 0, GetParam() % 2 == 0, town.pick(4));
    if (town.pick(6) == 0)
      twins.change(town.pick(1024) & town.pick(1024), town.pick(1024) & town.pick(1024),
                   town.pick(4), town.pick(3));
  }
  ASSERT_EQ(twins.finish_waiting(), "");
  EXPECT_GT(twins.fast.count(Counter::kFlowHit), 300u);
}
INSTANTIATE_TEST_SUITE_P(Seeds, Express, testing::Range(1, 13));

Bytes client(uint16_t sport, uint8_t flags, uint8_t number) {
  Talk talk;
  talk.src = kClient4;
  talk.dst = kVip4;
  talk.sport = sport;
  talk.dport = 80;
  talk.flags = flags;
  talk.payload = {number, 0, 0, 0};
  return talk.frame(kMacOurs);
}

// One connection's packets of one batch leave in their order, whichever of them must walk.
TEST(ExpressOrder, IsKeptWithinAConnection) {
  CorridorKit kit;
  uint16_t sport = 40000;
  for (; sport < 40100 && kit.sent[1].empty(); ++sport)
    kit.run({{0, client(sport, kTcpSyn, 0)}});  // until one's endpoint needs no asking
  sport--;
  kit.run({{1, answer(kit.sent[1][0], kTcpSyn | kTcpAck).frame({2, 0, 0, 0, 0, 2})}});
  kit.run({{0, client(sport, kTcpAck, 0)}});
  std::vector<CorridorKit::In> batch;
  for (uint8_t i = 0; i < 100; ++i)
    batch.push_back({0, client(sport, i == 40 ? kTcpFin | kTcpAck : kTcpAck, i)});
  kit.run(batch);
  ASSERT_EQ(kit.sent[1].size(), 100u);
  for (uint8_t i = 0; i < 100; ++i) EXPECT_EQ(kit.sent[1][i][54], i);
  EXPECT_LT(kit.batch->live_count, 100u);
  kit.finish_waiting();
}

// Every sum that a UDP packet can carry: zero is never written, and never touched (RFC 768).
TEST(ExpressSum, MovesAlikeForEveryUdpSum) {
  CorridorTwins twins;
  Talk talk;
  talk.protocol = kProtocolUdp;
  talk.src = kClient4;
  talk.dst = kVip4;
  talk.dport = 53;
  for (talk.sport = 40000; talk.sport < 40100; ++talk.sport) {
    ASSERT_EQ(twins.run({{0, talk.frame(kMacOurs)}}), "");
    if (!twins.fast.sent[1].empty()) break;
  }
  ASSERT_EQ(twins.fast.sent[1].size(), 1u);
  uint32_t ones = 0;
  for (uint32_t word = 0; word < 65536;) {
    std::vector<CorridorKit::In> batch;
    for (uint32_t i = 0; i < kBatchSize; ++i, ++word) {
      batch.push_back({0, talk.frame(kMacOurs)});
      put16(batch.back().bytes, 40, word);
    }
    ASSERT_EQ(twins.run(batch), "") << "sums up to " << word;
    for (const Bytes& one : twins.fast.sent[1]) ones += read16(one, 40) == 0xffff;
  }
  EXPECT_GT(ones, 0u);
  ASSERT_EQ(twins.finish_waiting(), "");
}

// A client and a service with one endpoint, established; then changes of services.
class ExpressRestamp : public testing::Test {
 protected:
  static constexpr uint32_t kTcp4 = 1 << 0, kUdp4 = 1 << 1, kEcho4 = 1 << 3, kTcp6 = 1 << 5;

  ExpressRestamp() {
    kit.change(kTcp4, 0, 1, 0);
    kit.run({{0, client(40000, kTcpSyn, 0)}});
    const Bytes sent = kit.sent[1].at(0);
    const auto back = [&](uint8_t flags) {
      return CorridorKit::In{1, answer(sent, flags).frame({2, 0, 0, 0, 0, 2})};
    };
    established = back(kTcpAck);
    kit.run({back(kTcpSyn | kTcpAck)});
    kit.run({{0, client(40000, kTcpAck, 0)}});
    EXPECT_EQ(walkers(), 0u);
  }
  ~ExpressRestamp() override { kit.finish_waiting(); }

  // Of one packet of each direction, those that find met.
  uint32_t walkers() {
    kit.run({{0, client(40000, kTcpAck, 0)}, established});
    uint32_t walked = 0;
    for (uint32_t i = 0; i < 2; ++i) walked += kit.batch->packets[i].side != nullptr;
    return walked;
  }
  uint64_t forgotten() const { return kit.count(Counter::kFlowForgotten); }
  uint32_t stamp() const { return kit.flows4->side({0, 0}).generation.load(); }

  CorridorKit kit;
  CorridorKit::In established;
};

TEST_F(ExpressRestamp, KeepsWhatStandsOnTheLane) {
  kit.change(kTcp4, 0, 3, 0);  // endpoints come
  EXPECT_EQ(walkers(), 0u);
  EXPECT_EQ(stamp(), kit.generation);
  kit.change(kTcp4, 0, 2, 0);  // one goes, at another address
  EXPECT_EQ(walkers(), 0u);
  kit.change(kUdp4, kTcp6, 3, 1);  // another service's endpoint goes, at the same address
  EXPECT_EQ(walkers(), 2u);
  EXPECT_EQ(walkers(), 0u);
  kit.publish(false, true, 2);  // next hops may be others
  EXPECT_EQ(walkers(), 2u);
  EXPECT_EQ(walkers(), 0u);
  EXPECT_EQ(forgotten(), 0u);
}

TEST_F(ExpressRestamp, EndsWithItsEndpoint) {
  kit.change(kTcp4, 0, 1, 1);  // the same id at another place
  walkers();
  EXPECT_EQ(forgotten(), 1u);
}

TEST_F(ExpressRestamp, EndsWithItsService) {
  NodeServices wishes(kit.pods_masquerade, kTcp4 | kEcho4, 1, 0);
  wishes.services[1].seed = wishes.services[0].seed;
  wishes.services[1].endpoint_first = 0;  // the echo shares its endpoints
  wishes.endpoints.pop_back();
  kit.change(wishes, 0);
  walkers();
  EXPECT_EQ(walkers(), 0u);
  EXPECT_EQ(forgotten(), 0u);
  kit.change(0, kTcp4, 0, 0);
  walkers();
  EXPECT_EQ(forgotten(), 1u);
}

// The shortest of all timers is 10 s.
TEST_F(ExpressRestamp, SilenceWithinItsOwnTimerKeepsOnTheLane) {
  kit.advance(20 * kSecond);  // and that of the neighbours' trust is 30 s
  EXPECT_EQ(walkers(), 0u);
}

// A worker that is a generation behind leaves a newer stamp alone.
TEST_F(ExpressRestamp, NeverGoesBack) {
  kit.change(kUdp4, 0, 3, 0);
  EXPECT_EQ(walkers(), 0u);
  std::swap(kit.tables, kit.before);
  EXPECT_EQ(walkers(), 2u);
  EXPECT_EQ(stamp(), kit.generation);
  std::swap(kit.tables, kit.before);
}

// A batch of which hardly a packet was known is followed by some that do not try.
TEST(ExpressPause, SparesAFloodTheTrying) {
  CorridorKit kit;
  std::vector<CorridorKit::In> flood;
  for (uint16_t i = 0; i < 64; ++i)
    flood.push_back({0, client(static_cast<uint16_t>(41000 + i), kTcpSyn, 0)});
  kit.run(flood);
  EXPECT_GT(kit.states->express.pause, 0u);
  kit.finish_waiting();
}

}  // namespace
}  // namespace nodeplane::test
