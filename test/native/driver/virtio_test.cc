#include "driver/virtio.h"

#include "support/port_kit.h"

namespace nodeplane {
namespace {

constexpr VirtioHeader kPlain{};

Bytes ipv4(uint8_t protocol, uint32_t payload, uint32_t options = 0) {
  Bytes b = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0};
  b.push_back(static_cast<uint8_t>(0x45 + options / 4));
  b.insert(b.end(), {0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2});
  b.resize(b.size() + options);
  const Bytes rest = pattern(payload);
  b.insert(b.end(), rest.begin(), rest.end());
  return b;
}

struct VirtioTest : ::testing::Test {
  PortKit kit;
  Packet made{};
  bool read(const Bytes& bytes, const VirtioHeader& header) {
    made = kit.make(bytes);
    const bool is_good = read_header(*kit.arena, header, made);
    after = kit.bytes(made);
    kit.frames->give_chain(made.frame);
    return is_good;
  }
  Bytes after;
};

TEST_F(VirtioTest, PlainPacketsSayNothing) {
  EXPECT_TRUE(read(ipv4(6, 20), kPlain));
  EXPECT_EQ(made.flags, 0);
  EXPECT_EQ(made.gso, Gso::kNone);
  EXPECT_TRUE(read({}, kPlain));
}

TEST_F(VirtioTest, OuterSumsStayPartial) {
  EXPECT_TRUE(read(ipv4(6, 40, 8), {1, 0, 0, 0, 42, 16}));
  EXPECT_EQ(made.flags, kFlagPartialChecksum);
  EXPECT_EQ(made.l4, 42);
  EXPECT_EQ(made.protocol, 6);
  Bytes v6 = {2, 0, 0, 0,    0,    1,    2, 0, 0, 0, 0,  2, 0x81,
              0, 0, 7, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 0, 64};
  v6.resize(18 + 40);
  v6.insert(v6.end(), {60, 0, 1, 4, 0, 0, 0, 0, 17, 1});  // hop-by-hop, 8 bytes; destination, 16
  v6.resize(18 + 40 + 8 + 16 + 20);
  EXPECT_TRUE(read(v6, {1, 0, 0, 0, 82, 6}));
  EXPECT_EQ(made.flags, kFlagPartialChecksum);
  EXPECT_EQ(made.l4, 82);
  EXPECT_EQ(made.protocol, 17);
}

TEST_F(VirtioTest, SctpMustBeFinishedByRewrite) {
  EXPECT_TRUE(read(ipv4(132, 40), {1, 0, 0, 0, 34, 8}));
  EXPECT_EQ(made.flags, kFlagPartialChecksum | kFlagForceComplete);
}

TEST_F(VirtioTest, InnerSumsAreFinishedOverAllFrames) {
  for (const uint32_t start : {50u, 51u}) {
    const Bytes bytes = ipv4(17, 5000);
    EXPECT_TRUE(read(bytes, {1, 0, 0, 0, static_cast<uint16_t>(start), 6}));
    EXPECT_EQ(made.flags, 0);
    // As RFC 1071 has it, over 16-bit words in network order.
    uint64_t sum = 0;
    for (size_t i = start; i < bytes.size(); ++i)
      sum += (i - start) % 2 == 0 ? uint64_t{bytes[i]} << 8 : bytes[i];
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    EXPECT_EQ(after[start + 6] << 8 | after[start + 7], ~sum & 0xffff);
    Bytes mended = after;
    mended[start + 6] = bytes[start + 6];
    mended[start + 7] = bytes[start + 7];
    EXPECT_EQ(mended, bytes) << "only the sum may change";
  }
}

TEST_F(VirtioTest, ContradictionsAreRefused) {
  EXPECT_FALSE(read(ipv4(17, 40), {1, 0, 0, 0, 0xffff, 6}));
  EXPECT_FALSE(read(ipv4(17, 40), {1, 0, 0, 0, 70, 0xffff}));
  EXPECT_FALSE(read({}, {1, 0, 0, 0, 0, 0}));
  EXPECT_FALSE(read(ipv4(6, 40), {0, 1, 0, 0, 0, 0})) << "segments of no size";
  EXPECT_FALSE(read(ipv4(6, 40), {0, 3, 0, 100, 0, 0})) << "UDP fragmentation offload";
  EXPECT_FALSE(read(ipv4(17, 4000), {1, 1, 0, 100, 84, 16})) << "segmentation inside a tunnel";
  for (size_t size = 0; size < 60; ++size) read(Bytes(size, 0x81), {1, 0, 0, 0, 34, 16});
}

TEST_F(VirtioTest, WritesWhatItReads) {
  const VirtioHeader headers[] = {
      kPlain, {1, 0, 0, 0, 34, 16}, {1, 1, 54, 1448, 34, 16}, {1, 4, 54, 1428, 34, 16}};
  for (const VirtioHeader& want : headers) {
    ASSERT_TRUE(read(ipv4(6, 9000), want));
    VirtioHeader got;
    ASSERT_TRUE(write_header(made, &got));
    EXPECT_EQ(std::memcmp(&got, &want, sizeof want), 0);
  }
  const VirtioHeader udp{1, 5, 42, 1400, 34, 6};
  ASSERT_TRUE(read(ipv4(17, 9000), udp));
  VirtioHeader got;
  ASSERT_TRUE(write_header(made, &got));
  EXPECT_EQ(std::memcmp(&got, &udp, sizeof udp), 0);
}

TEST_F(VirtioTest, WhatCannotBeToldIsRefused) {
  Packet p{};
  VirtioHeader header;
  p.flags = kFlagPartialChecksum;
  EXPECT_FALSE(write_header(p, &header)) << "no transport header is known";
  p.l4 = 34;
  p.protocol = 132;
  EXPECT_FALSE(write_header(p, &header)) << "a CRC";
}

}  // namespace
}  // namespace nodeplane
