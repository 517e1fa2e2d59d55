#include "peer/load.h"

#include <set>

#include "peer/check.h"
#include "peer/mark.h"
#include "support/peer_kit.h"
#include "support/port_kit.h"

namespace nodeplane {
namespace {

struct Shape {
  uint8_t family, protocol;
  uint32_t bytes;
  bool marked;
  uint32_t frame_size;
};

TEST(Load, StampsHaveTheirSum) {
  for (const uint8_t family : {4, 6}) {
    for (const uint8_t protocol : {kProtocolUdp, kProtocolTcp}) {
      PortKit kit(64);
      LoadSpec spec = load_spec(3, 90, false, family, protocol);
      spec.stamped = true;
      std::string error;
      auto load = Load::create(spec, *kit.arena, &error);
      ASSERT_NE(load, nullptr) << error;
      Load::Cursor cursor = load->share(0, 1);
      for (const Time stamp : {Time{1}, ~Time{0}, Time{0x123456789abcdef0}}) {
        Packet p{};
        ASSERT_TRUE(load->lay(cursor, p, *kit.frames, stamp));
        Time found;
        std::memcpy(&found, p.data + lay_headers(family, protocol), sizeof found);
        EXPECT_EQ(found, stamp);
        const Sums sums = read_headers(p);
        ASSERT_TRUE(sums.is_whole);
        EXPECT_EQ(l4_sum(*kit.arena, p, sums), 0xffff);
        kit.frames->give_chain(p.frame);
      }
    }
  }
  PortKit kit(64);
  std::string error;
  LoadSpec both = load_spec(1, 90, true);
  both.stamped = true;
  EXPECT_EQ(Load::create(both, *kit.arena, &error), nullptr);
  LoadSpec small = load_spec(1, 74, false, 6, kProtocolTcp);
  small.stamped = true;
  EXPECT_EQ(Load::create(small, *kit.arena, &error), nullptr);
}

class LoadShapes : public ::testing::TestWithParam<Shape> {};

// Each packet is what lay_packet would have made of it, byte for byte but for the payload.
TEST_P(LoadShapes, AreLaidPackets) {
  const Shape s = GetParam();
  PortKit kit(1024, s.frame_size);
  constexpr uint32_t kFlows = 70;
  LoadSpec spec = load_spec(kFlows, s.bytes, s.marked, s.family, s.protocol);
  spec.first_flow = kLayFlowsPerAddress - 7;  // two client addresses
  std::string error;
  auto load = Load::create(spec, *kit.arena, &error);
  ASSERT_NE(load, nullptr) << error;
  Load::Cursor cursor = load->share(0, 1);
  auto check = std::make_unique<Check>(spec.first_flow, kFlows);
  for (uint32_t n = 0; n < 3 * kFlows; ++n) {
    Packet p{};
    ASSERT_TRUE(load->lay(cursor, p, *kit.frames));
    ASSERT_EQ(p.length, s.bytes);
    const Bytes got = kit.bytes(p);
    LaySpec one = spec.packet;
    one.flow = spec.first_flow + n % kFlows;
    one.service = spec.services[n % kFlows % 3].address;
    one.be_service_port = spec.services[n % kFlows % 3].be_port;
    Bytes want(s.bytes);
    lay_packet(want.data(), one);
    // A load's packets all have TCP's sequence number 0, and marked ones another payload and sum.
    const size_t l4 = s.family == 4 ? 34 : 54;
    if (!s.marked && s.protocol == kProtocolUdp) {
      ASSERT_EQ(got, want) << n;
    }
    ASSERT_EQ(Bytes(got.begin(), got.begin() + static_cast<long>(l4) + 4),
              Bytes(want.begin(), want.begin() + static_cast<long>(l4) + 4))
        << n;
    const Sums sums = read_headers(p);
    ASSERT_TRUE(sums.is_whole);
    ASSERT_EQ(l4_sum(*kit.arena, p, sums), 0xffff) << n;
    if (s.marked) {
      uint64_t missing = 0;
      ASSERT_EQ(check->see(*kit.arena, p, &missing), Finding::kGood) << n;
      ASSERT_EQ(missing, 0u);
    }
    kit.frames->give_chain(p.frame);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, LoadShapes,
    ::testing::Values(Shape{4, 17, 60, false, 2048}, Shape{4, 17, 64, true, 2048},
                      Shape{4, 6, 64, true, 2048}, Shape{6, 17, 74, true, 2048},
                      Shape{6, 6, 83, true, 2048}, Shape{4, 17, 65, true, 2048},
                      Shape{4, 17, 1514, false, 2048}, Shape{4, 17, 1514, true, 2048},
                      Shape{4, 17, 1792, false, 2048}, Shape{4, 17, 1791, true, 2048},
                      Shape{4, 17, 1793, true, 2048}, Shape{6, 6, 9216, true, 2048},
                      Shape{4, 17, 9014, false, 2048}, Shape{4, 17, 9014, true, 4096},
                      Shape{6, 17, 9001, false, 4096}));

TEST(Load, RewritesFramesThatWereTouched) {
  PortKit kit(64);
  std::string error;
  auto load = Load::create(load_spec(1, 1000, false), *kit.arena, &error);
  ASSERT_NE(load, nullptr) << error;
  Load::Cursor cursor = load->share(0, 1);
  Packet p{};
  ASSERT_TRUE(load->lay(cursor, p, *kit.frames));
  const Bytes want = kit.bytes(p);
  std::memset(p.data, 0x55, 1000);
  load->touched(p.frame);
  kit.frames->give_chain(p.frame);
  ASSERT_TRUE(load->lay(cursor, p, *kit.frames));
  EXPECT_EQ(kit.bytes(p), want);
  kit.frames->give_chain(p.frame);
}

TEST(Load, SharesAreApartAndComplete) {
  PortKit kit(64);
  std::string error;
  auto load = Load::create(load_spec(10, 64, true), *kit.arena, &error);
  ASSERT_NE(load, nullptr) << error;
  std::set<uint32_t> flows;
  for (uint32_t i = 0; i < 4; ++i) {
    Load::Cursor c = load->share(i, 4);
    for (uint32_t k = 0; k < c.count; ++k) EXPECT_TRUE(flows.insert(c.first + k).second);
  }
  EXPECT_EQ(flows.size(), 10u);
}

TEST(Load, NoFrameNothingTaken) {
  PortKit kit(64);
  std::string error;
  auto load = Load::create(load_spec(1, 9000, false), *kit.arena, &error);
  ASSERT_NE(load, nullptr) << error;
  Load::Cursor cursor = load->share(0, 1);
  std::vector<Packet> all;
  for (Packet p{}; load->lay(cursor, p, *kit.frames);) all.push_back(p);
  EXPECT_EQ(all.size(), 64u / 5);
  EXPECT_EQ(kit.frames->taken() - kit.frames->given(), all.size() * 5);
  for (const Packet& p : all) kit.frames->give_chain(p.frame);
}

TEST(Load, RefusesNonsense) {
  PortKit kit(64);
  std::string error;
  const auto refused = [&](LoadSpec spec) {
    error.clear();
    return Load::create(std::move(spec), *kit.arena, &error) == nullptr && !error.empty();
  };
  EXPECT_TRUE(refused(load_spec(1, 59, false)));
  EXPECT_TRUE(refused(load_spec(1, 9217, false)));
  EXPECT_TRUE(refused(load_spec(1, 60, true, 4, kProtocolTcp)));
  EXPECT_TRUE(refused(load_spec(1, 60, false, 6)));
  EXPECT_TRUE(refused(load_spec(0, 64, false)));
  EXPECT_TRUE(refused(load_spec(1, 64, false, 5)));
  EXPECT_TRUE(refused(load_spec(1, 64, false, 4, kProtocolIcmp)));
  EXPECT_TRUE(refused(LoadSpec{}));
  LoadSpec raw;
  raw.raw = {{}};
  EXPECT_TRUE(refused(raw));
}

TEST(Mark, TellsEveryByte) {
  for (uint32_t n = 8; n < 40; ++n) {
    uint8_t payload[64] = {};
    const uint64_t mark = mark_of(7, 1000 + n);
    const uint64_t sum = mark_lay(payload, n, mark);
    uint64_t found, found_sum;
    ASSERT_TRUE(mark_check(payload, n, &found, &found_sum)) << n;
    EXPECT_EQ(found, mark);
    EXPECT_EQ(found_sum, sum);
    for (uint32_t i = 8; i < n; ++i) {
      payload[i] ^= 0x10;
      EXPECT_FALSE(mark_check(payload, n, &found, &found_sum)) << n << " " << i;
      payload[i] ^= 0x10;
    }
  }
}

TEST(Check, LossDuplicationOrder) {
  PortKit kit(64);
  std::string error;
  auto load = Load::create(load_spec(1, 100, true), *kit.arena, &error);
  ASSERT_NE(load, nullptr) << error;
  auto check = std::make_unique<Check>(0, 1);
  const auto see = [&](uint32_t sequence, uint64_t* missing) {
    Load::Cursor cursor = load->share(0, 1);
    cursor.sequence = sequence;
    Packet p{};
    EXPECT_TRUE(load->lay(cursor, p, *kit.frames));
    const Finding f = check->see(*kit.arena, p, missing);
    kit.frames->give_chain(p.frame);
    return f;
  };
  uint64_t missing;
  EXPECT_EQ(see(0, &missing), Finding::kGood);
  EXPECT_EQ(see(0, &missing), Finding::kDuplicate);
  EXPECT_EQ(see(3, &missing), Finding::kGood);
  EXPECT_EQ(missing, 2u);
  EXPECT_EQ(see(2, &missing), Finding::kLate);
  EXPECT_EQ(see(2, &missing), Finding::kDuplicate);
  EXPECT_EQ(see(1, &missing), Finding::kLate);
  EXPECT_EQ(see(4, &missing), Finding::kGood);
  EXPECT_EQ(missing, 0u);
  EXPECT_EQ(see(4 + kCheckWindow, &missing), Finding::kGood);
  EXPECT_EQ(missing, kCheckWindow - 1);
  EXPECT_EQ(see(5, &missing), Finding::kLate);
  EXPECT_EQ(see(4, &missing), Finding::kDuplicate);
}

}  // namespace
}  // namespace nodeplane
