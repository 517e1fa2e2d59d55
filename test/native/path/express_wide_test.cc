#include "path/express_wide.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>

#include "support/corridor_twins.h"
#include "support/guarded.h"
#include "support/talk.h"

namespace nodeplane::test {
namespace {

using express_lane::kStep;
using express_lane::Lane;
using express_lane::read_run;
using express_lane::read_wide;

class ExpressWide : public testing::Test {
 protected:
  void SetUp() override {
    if (!express_is_wide()) GTEST_SKIP() << "no AVX-512, or other kernels are forced";
  }
};

constexpr uint16_t kPort = 3;
constexpr uint16_t kNetwork = 0x0102;

// A step of packets of a family, each at the end of readable memory.
template <class F>
struct Step {
  static constexpr size_t kLeast = 14 + (F::kFamily == 4 ? 20 : 40) + 20;
  std::unique_ptr<Batch> batch = std::make_unique<Batch>();
  std::vector<std::unique_ptr<Guarded>> memory;
  ExpressTable::Port ports[kPort + 1];
  std::unique_ptr<Lane<F>> wide = std::make_unique<Lane<F>>(), one = std::make_unique<Lane<F>>();

  Step() {
    ports[kPort].mac_in = 0;
    std::memcpy(&ports[kPort].mac_in, kMacOurs.data(), 6);
    ports[kPort].network = kNetwork;
    for (uint32_t i = 0; i < kStep; ++i) memory.push_back(std::make_unique<Guarded>(2048));
  }
  Packet& packet(uint32_t i) { return batch->packets[i]; }
  void put(uint32_t i, const Bytes& bytes) {
    Packet& p = packet(i);
    p.data = memory[i]->put(bytes.data(), bytes.size());
    p.length = static_cast<uint32_t>(bytes.size());
    p.linear = static_cast<uint16_t>(bytes.size());
    p.port_in = kPort;
    p.flags = 0;
    p.gso = Gso::kNone;
  }
  bool read_at_once() {
    wide->count = 0;
    return read_wide(batch->packets, ports, *wide);
  }
  uint32_t read_one_by_one() {
    one->count = 0;
    batch->count = kStep;
    return read_run<F>(*batch, ports, 0, kStep, *one);
  }
  void expect_alike() {
    EXPECT_EQ(wide->count, kStep);
    for (uint32_t i = 0; i < kStep; ++i) {
      EXPECT_EQ(wide->who[i], one->who[i]) << i;
      EXPECT_EQ(wide->ip_bytes[i], one->ip_bytes[i]) << i;
      EXPECT_EQ(wide->tcp_flags[i], one->tcp_flags[i]) << i;
      EXPECT_TRUE(wide->keys[i] == one->keys[i]) << i;
    }
  }
};

template <class F>
Bytes some_packet(std::mt19937& random, size_t payload) {
  const auto pick = [&] { return static_cast<uint8_t>(random()); };
  const bool is_tcp = random() % 2 == 0;
  const auto sport = static_cast<uint16_t>(random()), dport = static_cast<uint16_t>(random());
  const Bytes l4 =
      is_tcp ? tcp(sport, dport, pick(), zeros(payload), random() % 4 == 0 ? zeros(12) : Bytes{})
             : udp(sport, dport, zeros(payload + 12));
  if constexpr (F::kFamily == 4) {
    Ip4 ip;
    ip.protocol = is_tcp ? 6 : 17;
    ip.src = {198, 51, 100, pick()};
    ip.dst = {10, 96, pick(), pick()};
    ip.ttl = static_cast<uint8_t>(2 + random() % 250);
    return eth(0x0800, ipv4(ip, l4));
  } else {
    Ip6 ip;
    ip.next = is_tcp ? 6 : 17;
    ip.src = kClient6;
    ip.src[15] = pick();
    ip.dst[14] = pick();
    ip.hop_limit = static_cast<uint8_t>(2 + random() % 250);
    return eth(0x86dd, ipv6(ip, l4));
  }
}

// Whatever stands in one packet of the step: at once the same is read as one by one, or nothing.
template <class F>
void reads_alike(bool judge) {
  std::mt19937 random(7);
  Step<F> step;
  step.ports[kPort].judge = judge;
  uint32_t taken = 0, left = 0;
  for (uint32_t round = 0; round < 40; ++round) {
    std::vector<Bytes> packets;
    for (uint32_t i = 0; i < kStep; ++i) {
      packets.push_back(some_packet<F>(random, random() % 100));
      step.put(i, packets[i]);
    }
    ASSERT_EQ(step.read_one_by_one(), kStep);
    ASSERT_TRUE(step.read_at_once());
    step.expect_alike();
    for (size_t at = 0; at < Step<F>::kLeast; ++at) {
      const auto i = static_cast<uint32_t>(random() % kStep);
      Bytes bent = packets[i];
      const auto bits = static_cast<uint8_t>(random() % 4 == 0 ? random() : 1u << random() % 8);
      bent[at] = static_cast<uint8_t>(bent[at] ^ bits);
      if (at >= 18 && F::kFamily == 4 && random() % 2 == 0) {  // and a right sum
        put16(bent, 24, 0);
        put16(bent, 24,
              static_cast<uint16_t>(~sum_of(Bytes(bent.begin() + 14, bent.begin() + 34))));
      }
      step.put(i, bent);
      const bool all = step.read_one_by_one() == kStep;
      ASSERT_EQ(step.read_at_once(), all) << "byte " << at << " of packet " << i;
      if (all) step.expect_alike();
      (all ? taken : left)++;
      step.put(i, packets[i]);
    }
  }
  EXPECT_GT(taken, 400u);
  EXPECT_GT(left, 400u);
}
TEST_F(ExpressWide, ReadsAsOneByOneV4) {
  reads_alike<V4>(false);
  reads_alike<V4>(true);
}
TEST_F(ExpressWide, ReadsAsOneByOneV6) {
  reads_alike<V6>(false);
  reads_alike<V6>(true);
}

// A sum that may be of the pseudo-header only is found in each place, and of both protocols.
template <class F>
void judges_sums() {
  std::mt19937 random(13);
  Step<F> step;
  step.ports[kPort].judge = true;
  for (uint32_t round = 0; round < 20 * kStep; ++round) {
    std::vector<Bytes> packets;
    for (uint32_t i = 0; i < kStep; ++i) {
      packets.push_back(some_packet<F>(random, random() % 100));
      step.put(i, packets[i]);
    }
    ASSERT_TRUE(step.read_at_once());
    const uint32_t i = round % kStep;
    Bytes& bytes = packets[i];
    const size_t l3 = 14, l4 = Step<F>::kLeast - 20;
    const uint8_t protocol = bytes[F::kFamily == 4 ? l3 + 9 : l3 + 6];
    const size_t sum_at = l4 + (protocol == 6 ? 16 : 6), addresses = F::kFamily == 4 ? 8 : 32;
    const Bytes pseudo = Bytes(bytes.begin() + static_cast<long>(l4 - addresses),
                               bytes.begin() + static_cast<long>(l4)) +
                         be16(protocol) + be16(static_cast<uint32_t>(bytes.size() - l4));
    put16(bytes, sum_at, sum_of(pseudo));
    step.put(i, bytes);
    EXPECT_EQ(step.read_one_by_one(), i);
    EXPECT_FALSE(step.read_at_once()) << "packet " << i;
    put16(bytes, sum_at, sum_of(pseudo) ^ 1u << random() % 16);
    step.put(i, bytes);
    EXPECT_EQ(step.read_one_by_one(), kStep);
    EXPECT_TRUE(step.read_at_once()) << "packet " << i;
  }
}
TEST_F(ExpressWide, JudgesSumsV4) { judges_sums<V4>(); }
TEST_F(ExpressWide, JudgesSumsV6) { judges_sums<V6>(); }

// Of what is said of a packet beside its bytes.
template <class F>
void leaves_odd_ones() {
  std::mt19937 random(11);
  Step<F> step;
  const auto fill = [&](size_t payload) {
    for (uint32_t i = 0; i < kStep; ++i) step.put(i, some_packet<F>(random, payload));
  };
  for (uint32_t i = 0; i < kStep; ++i) {
    const auto without = [&](const char* what, auto change) {
      fill(40);
      ASSERT_TRUE(step.read_at_once());
      change(step.packet(i));
      EXPECT_FALSE(step.read_at_once()) << what << ", packet " << i;
    };
    without("in two frames", [](Packet& p) { p.linear--; });
    without("longer by 64 KiB", [](Packet& p) { p.length += 65536; });
    without("another port's", [](Packet& p) { p.port_in--; });
    without("flagged", [](Packet& p) { p.flags = kFlagPartialChecksum; });
    without("the last flag", [](Packet& p) { p.flags = 1 << 15; });
    without("to be cut", [](Packet& p) { p.gso = Gso::kUdp; });
    without("cut short", [](Packet& p) {
      p.length = Step<F>::kLeast - 1;
      p.linear = Step<F>::kLeast - 1;
    });
  }
  fill(0);
  ASSERT_TRUE(step.read_at_once());
  step.ports[kPort].mac_in = ExpressTable::kMacClosed;
  for (uint32_t i = 0; i < kStep; ++i) std::memcpy(step.packet(i).data, kMacAll.data(), 6);
  EXPECT_FALSE(step.read_at_once()) << "a closed port";
}
TEST_F(ExpressWide, LeavesOddOnesV4) { leaves_odd_ones<V4>(); }
TEST_F(ExpressWide, LeavesOddOnesV6) { leaves_odd_ones<V6>(); }

// A client's packet; at times padded, with any TTL.
struct Client {
  uint8_t family, protocol, number;
  uint16_t sport;

  Bytes frame(std::mt19937& random, uint8_t flags) const {
    Talk talk;
    talk.family = family;
    talk.protocol = protocol;
    talk.flags = flags;
    talk.ttl = static_cast<uint8_t>(2 + random() % 250);
    talk.src = family == 4 ? kClient4 : kClient6;
    talk.src.back() = number;
    talk.dst = family == 4 ? kVip4 : kVip6;
    talk.sport = sport;
    talk.dport = protocol == kProtocolTcp ? 80 : 53;
    talk.payload = zeros(12 + random() % 30);
    const Bytes frame = talk.frame(kMacOurs);
    return random() % 4 == 0 ? frame + zeros(1 + random() % 9) : frame;
  }
};

// Those whose endpoint needs no asking.
std::vector<Client> known(CorridorTwins& twins, std::mt19937& random, uint8_t family) {
  std::vector<Client> clients;
  for (uint32_t i = 0; clients.size() < 40 && i < 1000; ++i) {
    const Client one{family, static_cast<uint8_t>(random() % 3 == 0 ? 17 : 6),
                     static_cast<uint8_t>(1 + i % 200), static_cast<uint16_t>(40000 + i)};
    EXPECT_EQ(twins.run({{0, one.frame(random, kTcpAck)}}), "");  // picked up in its midst
    const std::vector<Bytes>& sent = twins.fast.sent[1];
    if (sent.size() == 1 && sent[0].at(family == 4 ? 23 : 20) == one.protocol)
      clients.push_back(one);
  }
  return clients;
}

class ExpressWideSteps : public ExpressWide, public testing::WithParamInterface<int> {};

// Steps of known connections, whole or with one packet that is not: as the stages would have it.
TEST_P(ExpressWideSteps, ChangeNothingButTheTimeTheyTake) {
  std::mt19937 random(static_cast<uint32_t>(GetParam()));
  CorridorTwins twins(false, GetParam() % 3 != 0);
  const std::vector<Client> clients = known(twins, random, GetParam() % 2 == 0 ? 4 : 6);
  ASSERT_EQ(clients.size(), 40u);
  for (int round = 0; round < 40; ++round) {
    std::vector<CorridorKit::In> batch(kBatchSize);
    for (auto& in : batch)
      in = {0, clients[random() % 40].frame(random, kTcpAck | (random() % 2 ? kTcpPsh : 0))};
    for (uint32_t bends = round % 3 == 0 ? 3 : 0; bends != 0; --bends) {
      Bytes& bytes = batch[random() % batch.size()].bytes;
      const size_t at = random() % 60;
      bytes[at] = static_cast<uint8_t>(bytes[at] ^ 1u << random() % 8);
    }
    if (round == 20) batch[random() % batch.size()].bytes = eth(0x0806, zeros(46));
    ASSERT_EQ(twins.run(batch), "") << "round " << round;
    ASSERT_EQ(twins.compare_flows(), "") << "round " << round;
    if (round % 10 == 9) ASSERT_EQ(twins.advance(random() % 20 * kSecond), "");
  }
  EXPECT_GT(twins.fast.states->express.wide_steps, 400u);
  EXPECT_EQ(twins.plain.states->express.wide_steps, 0u);
  ASSERT_EQ(twins.finish_waiting(), "");
}
INSTANTIATE_TEST_SUITE_P(Seeds, ExpressWideSteps, testing::Range(0, 12));

// Behind a step of both families seven go one by one; then steps are tried again.
TEST_F(ExpressWide, AStepOfBothFamiliesSparesTheNextTheTrying) {
  std::mt19937 random(3);
  CorridorTwins twins;
  const std::vector<Client> four = known(twins, random, 4), six = known(twins, random, 6);
  ASSERT_EQ(four.size() + six.size(), 80u);
  const auto steps = [&](uint32_t other) {  // of a batch whose packet `other` is of IPv6
    std::vector<CorridorKit::In> batch;
    for (uint32_t i = 0; i < kBatchSize; ++i)
      batch.push_back({0, (i == other ? six : four)[random() % 40].frame(random, kTcpAck)});
    const uint64_t before = twins.fast.states->express.wide_steps;
    EXPECT_EQ(twins.run(batch), "");
    return twins.fast.states->express.wide_steps - before;
  };
  constexpr uint32_t kAll = kBatchSize / kStep;
  EXPECT_EQ(steps(kBatchSize), kAll);
  EXPECT_EQ(steps(5), kAll - 8);
  EXPECT_EQ(steps(kBatchSize - 1), kAll - 1);
  ASSERT_EQ(twins.finish_waiting(), "");
}

}  // namespace
}  // namespace nodeplane::test
