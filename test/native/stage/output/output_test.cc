#include "stage/output/output.h"

#include <gtest/gtest.h>

#include "support/batch_kit.h"

namespace nodeplane {
namespace {

using test::Bytes;
using test::Spec;

struct OutputKit : test::BatchKit {
  explicit OutputKit(uint32_t frames = 1024) : BatchKit(frames) {
    table.port_count = 4;
    table.arena = arena.get();
    for (int i = 0; i < 4; ++i) table.open[i] = true;
  }
  void run() {
    Output::run(*batch, table, *state);
    settle(*batch);
    finish(*batch);
  }
  // What a worker does with the lists.
  void send_all() {
    for (auto& list : state->lists) {
      for (uint32_t i = 0; i < list.count; ++i) cache->give_chain(list.packets[i]->frame);
      list.count = 0;
    }
    state->segment_count = 0;
    end();
  }
  Output::List& list(uint16_t port) { return state->lists[port]; }

  Output::Table table;
  std::unique_ptr<Output::State> state = std::make_unique<Output::State>();
};

TEST(Output, ListsPerPortInOrder) {
  OutputKit kit;
  kit.table.open[3] = false;
  for (uint8_t i = 0; i < 6; ++i) {
    Packet& p = kit.put(Bytes(60, i));
    p.port_out = i == 4 ? 3 : i == 5 ? 9 : static_cast<uint16_t>(1 + i % 2);
  }
  kit.run();
  ASSERT_EQ(kit.list(1).count, 2u);
  ASSERT_EQ(kit.list(2).count, 2u);
  EXPECT_EQ(kit.list(1).packets[1], &kit.batch->packets[2]);
  EXPECT_EQ(kit.list(2).packets[0], &kit.batch->packets[1]);
  EXPECT_EQ(kit.list(2).packets[0]->verdict, Verdict::kSent);
  EXPECT_EQ(kit.drops(Drop::kNotTransmittable), 2u);  // closed, and no such port
  EXPECT_EQ(kit.batch->live_count, 0u);
  kit.send_all();
}

TEST(Output, LinearisesForPortsWithoutChains) {
  OutputKit kit;
  kit.table.chains[2] = true;
  test::Random random(1);
  const Bytes small = random.bytes(1500), large = random.bytes(4000);
  kit.put(small, 1, 700).port_out = 1;
  kit.put(small, 1, 700).port_out = 2;
  kit.put(large, 1, 700).port_out = 1;
  kit.run();
  ASSERT_EQ(kit.list(1).count, 1u);
  EXPECT_EQ(kit.list(1).packets[0]->linear, 1500);
  EXPECT_EQ(kit.bytes(*kit.list(1).packets[0]), small);
  ASSERT_EQ(kit.list(2).count, 1u);
  EXPECT_EQ(kit.list(2).packets[0]->linear, 700);
  EXPECT_EQ(kit.drops(Drop::kNotTransmittable), 1u);
  kit.send_all();
}

Spec large_spec(uint8_t family, uint8_t protocol, size_t payload) {
  test::Random random(static_cast<uint32_t>(family * 1000 + protocol));
  Spec s;
  s.family = family;
  s.protocol = protocol;
  s.src = random.address(family);
  s.dst = random.address(family);
  s.seq = 0xfffffff0;  // wraps on the way
  s.tcp_flags = 0x10 | 0x08 | 0x01 | 0x80;
  s.payload = random.bytes(payload);
  s.partial = true;
  return s;
}

Packet& put_large(OutputKit& kit, const Spec& s, uint16_t size, size_t piece) {
  Packet& p = kit.put(test::frame_of(s), 1, piece);
  p.gso = s.protocol == 17 ? Gso::kUdp : s.family == 4 ? Gso::kTcp4 : Gso::kTcp6;
  p.gso_size = size;
  p.flags = kFlagPartialChecksum;
  EXPECT_EQ(kit.name(), 1u);
  p.port_out = 1;
  return p;
}

void expect_cut(uint8_t family, uint8_t protocol, size_t payload, uint16_t size, size_t piece) {
  SCOPED_TRACE(testing::Message() << "family " << int(family) << " protocol " << int(protocol)
                                  << " payload " << payload << " piece " << piece);
  OutputKit kit;
  const Spec s = large_spec(family, protocol, payload);
  put_large(kit, s, size, piece);
  kit.run();
  const uint32_t pieces = static_cast<uint32_t>((payload + size - 1) / size);
  ASSERT_EQ(kit.list(1).count, pieces);
  const size_t l4 = family == 4 ? 34 : 54, headers = l4 + (protocol == 6 ? 20 : 8);
  Bytes together;
  for (uint32_t i = 0; i < pieces; ++i) {
    const Packet& p = *kit.list(1).packets[i];
    const Bytes b = kit.bytes(p);
    EXPECT_TRUE(test::sums_right(b)) << "piece " << i;
    EXPECT_EQ(b.size(), headers + std::min<size_t>(size, payload - i * size));
    EXPECT_EQ(p.gso, Gso::kNone);
    EXPECT_EQ(p.flags & kFlagPartialChecksum, 0);
    if (family == 4) {
      EXPECT_EQ(test::get16(b, 16), b.size() - 14);
      EXPECT_EQ(test::get16(b, 18), static_cast<uint16_t>(s.id + i));
    } else {
      EXPECT_EQ(test::get16(b, 18), b.size() - 54);
    }
    if (protocol == 6) {
      EXPECT_EQ(test::get32(b, l4 + 4), static_cast<uint32_t>(s.seq + i * size));
      EXPECT_EQ(b[l4 + 13], 0x10 | (i == 0 ? 0x80 : 0) | (i + 1 == pieces ? 0x09 : 0));
    } else {
      EXPECT_EQ(test::get16(b, l4 + 4), b.size() - l4);
    }
    test::append(together, test::slice(b, headers));
  }
  EXPECT_EQ(together, s.payload);
  EXPECT_EQ(kit.count(Counter::kConsumed), 1u);
  EXPECT_EQ(kit.count(Counter::kOriginated), pieces);
  EXPECT_EQ(kit.count(Counter::kSegmented), pieces);
  kit.send_all();
}

TEST(Output, SegmentsLargePackets) {
  for (uint8_t family : {4, 6})
    for (uint8_t protocol : {6, 17})
      for (size_t piece : {size_t{1701}, size_t{1400}, size_t{333}})
        for (size_t payload : {size_t{1400}, size_t{2801}, size_t{60000}})
          expect_cut(family, protocol, payload, 1400, piece);
}

TEST(Output, LargePacketsPassUncutWhereThePortTakesThem) {
  OutputKit kit;
  kit.table.gso[1] = kit.table.chains[1] = true;
  const Spec s = large_spec(4, 6, 9000);
  put_large(kit, s, 1400, 1500);
  kit.run();
  ASSERT_EQ(kit.list(1).count, 1u);
  EXPECT_EQ(kit.list(1).packets[0]->gso, Gso::kTcp4);
  EXPECT_EQ(kit.count(Counter::kSegmented), 0u);
  kit.send_all();
}

TEST(Output, RefusesWhatCannotBeCut) {
  for (uint16_t size : {0, 10, 2000}) {  // none; too many pieces; larger than a frame
    OutputKit kit;
    put_large(kit, large_spec(4, 6, 9000), size, 1500);
    kit.run();
    EXPECT_EQ(kit.drops(Drop::kSegmentFailed), 1u) << size;
    EXPECT_EQ(kit.list(1).count, 0u);
    EXPECT_EQ(kit.count(Counter::kConsumed), 0u);
    kit.send_all();
  }
}

TEST(Output, FrameShortageWhileCuttingLosesNoFrame) {
  OutputKit kit(64);
  put_large(kit, large_spec(4, 6, 60000), 1400, 1400);  // 43 frames of 64; 43 more are needed
  kit.run();
  EXPECT_EQ(kit.drops(Drop::kNoFrame), 1u);
  EXPECT_EQ(kit.list(1).count, 0u);
  kit.send_all();
}

}  // namespace
}  // namespace nodeplane
