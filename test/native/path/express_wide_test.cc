#include "path/express_wide.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>

#include "support/corridor_twins.h"
#include "support/guarded.h"

namespace nodeplane::test {
namespace {

using express_lane::kStep;
using express_lane::Lane;
using express_lane::read_run;
using express_lane::read_wide;

constexpr const char* kNoWide = "no AVX-512, or other kernels are forced";

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
void reads_alike() {
  std::mt19937 random(7);
  Step<F> step;
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
TEST(ExpressWide, ReadsAsOneByOneV4) {
  if (!express_is_wide()) GTEST_SKIP() << kNoWide;
  reads_alike<V4>();
}
TEST(ExpressWide, ReadsAsOneByOneV6) {
  if (!express_is_wide()) GTEST_SKIP() << kNoWide;
  reads_alike<V6>();
}

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
  step.ports[kPort].judge = true;
  EXPECT_FALSE(step.read_at_once());
  step.ports[kPort].judge = false;
  ASSERT_TRUE(step.read_at_once());
  step.ports[kPort].mac_in = ExpressTable::kMacClosed;
  for (uint32_t i = 0; i < kStep; ++i) std::memcpy(step.packet(i).data, kMacAll.data(), 6);
  EXPECT_FALSE(step.read_at_once()) << "a closed port";
}
TEST(ExpressWide, LeavesOddOnesV4) {
  if (!express_is_wide()) GTEST_SKIP() << kNoWide;
  leaves_odd_ones<V4>();
}
TEST(ExpressWide, LeavesOddOnesV6) {
  if (!express_is_wide()) GTEST_SKIP() << kNoWide;
  leaves_odd_ones<V6>();
}

const Bytes kVip4 = {10, 96, 0, 10};
const Bytes kVip6 = {0xfd, 0, 0, 0x96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10};

// Packets of clients of one family, of TCP or UDP; at times padded, at times with another TTL.
Bytes from_client(std::mt19937& random, uint8_t family, uint8_t protocol, uint8_t flags) {
  const auto number = static_cast<uint8_t>(1 + random() % 24);
  const auto sport = static_cast<uint16_t>(40000 + random() % 4);
  const Bytes payload = zeros(12 + random() % 30);
  const Bytes l4 = protocol == 6 ? tcp(sport, 80, flags, payload) : udp(sport, 53, payload);
  Bytes frame;
  if (family == 4) {
    Ip4 ip;
    ip.protocol = protocol;
    ip.dst = kVip4;
    ip.src.back() = number;
    ip.ttl = static_cast<uint8_t>(2 + random() % 250);
    frame = eth(0x0800, ipv4(ip, l4));
  } else {
    Ip6 ip;
    ip.next = protocol;
    ip.dst = kVip6;
    ip.src.back() = number;
    ip.hop_limit = static_cast<uint8_t>(2 + random() % 250);
    frame = eth(0x86dd, ipv6(ip, l4));
  }
  return random() % 4 == 0 ? frame + zeros(1 + random() % 9) : frame;
}

class ExpressWideSteps : public testing::TestWithParam<int> {};

// Steps of known connections, whole or with one packet that is not: as the stages would have it.
TEST_P(ExpressWideSteps, ChangeNothingButTheTimeTheyTake) {
  if (!express_is_wide()) GTEST_SKIP() << kNoWide;
  std::mt19937 random(static_cast<uint32_t>(GetParam()));
  const uint8_t family = GetParam() % 2 == 0 ? 4 : 6;
  CorridorTwins twins(false, GetParam() % 3 != 0);
  const auto some = [&](uint8_t flags) {
    return CorridorKit::In{
        0, from_client(random, family, GetParam() % 5 == 0 || random() % 3 == 0 ? 17 : 6, flags)};
  };
  for (int round = 0; round < 40; ++round) {
    std::vector<CorridorKit::In> batch(kBatchSize);
    for (auto& in : batch) in = some(round < 4 ? kTcpSyn : kTcpAck | (random() % 2 ? kTcpPsh : 0));
    if (round % 3 == 0)
      for (int bends = 0; bends < 3; ++bends) {
        Bytes& bytes = batch[random() % batch.size()].bytes;
        const size_t at = random() % 60;
        bytes[at] = static_cast<uint8_t>(bytes[at] ^ 1u << random() % 8);
      }
    if (round == 20) batch[random() % batch.size()].bytes = eth(0x0806, zeros(46));
    ASSERT_EQ(twins.run(batch), "") << "round " << round;
    ASSERT_EQ(twins.compare_flows(), "") << "round " << round;
    if (round % 10 == 9) ASSERT_EQ(twins.advance(random() % 20 * kSecond), "");
  }
  EXPECT_GT(twins.fast.states->express.wide_steps, 100u);
  EXPECT_EQ(twins.plain.states->express.wide_steps, 0u);
  ASSERT_EQ(twins.finish_waiting(), "");
}
INSTANTIATE_TEST_SUITE_P(Seeds, ExpressWideSteps, testing::Range(0, 12));

}  // namespace
}  // namespace nodeplane::test
