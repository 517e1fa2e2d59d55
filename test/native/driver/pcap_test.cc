#include "driver/pcap/pcap.h"

#include <cstdlib>

#include "support/capture_bytes.h"
#include "support/port_kit.h"
#include "support/temp_file.h"

namespace nodeplane {
namespace {

struct Seen {
  Time time;
  Bytes bytes;
  bool operator==(const Seen&) const = default;
};

std::unique_ptr<Port> open_pcap(PortKit& kit, const std::string& in, const std::string& out = "") {
  std::map<std::string, std::string> options;
  if (!in.empty()) options["in"] = in;
  if (!out.empty()) options["out"] = out;
  std::string error;
  auto port = open_port(port_spec("pcap", "", options), *kit.arena, &error);
  EXPECT_NE(port, nullptr) << error;
  return port;
}

std::string open_error(const Bytes& capture) {
  PortKit kit(64);
  TempFile file(capture);
  std::string error;
  auto port = open_port(port_spec("pcap", "", {{"in", file.path()}}), *kit.arena, &error);
  EXPECT_EQ(port, nullptr);
  return error;
}

std::vector<Seen> read_all(PortKit& kit, Port& port) {
  std::vector<Seen> all;
  while (const auto time = port.next_time())
    for (Bytes& one : kit.take(port)) all.push_back({*time, std::move(one)});
  return all;
}

std::vector<Seen> read_bytes(PortKit& kit, const Bytes& capture) {
  TempFile file(capture);
  auto port = open_pcap(kit, file.path());
  auto all = read_all(kit, *port);
  EXPECT_EQ(port->failure(), "");
  return all;
}

TEST(Pcap, ClassicInBothOrdersAndResolutions) {
  for (const bool big : {false, true}) {
    for (const bool nano : {false, true}) {
      PortKit kit;
      CaptureBytes c(big);
      c.classic(nano ? 0xa1b23c4d : 0xa1b2c3d4);
      c.record(100, 7, pattern(60)).record(100, 8, pattern(1514, 2));
      const Time unit = nano ? 1 : 1000;
      const std::vector<Seen> want = {{100 * kSecond + 7 * unit, pattern(60)},
                                      {100 * kSecond + 8 * unit, pattern(1514, 2)}};
      EXPECT_EQ(read_bytes(kit, c.bytes), want) << big << nano;
    }
  }
}

TEST(Pcap, OneReceiveGivesOneTimeOnly) {
  PortKit kit;
  CaptureBytes c;
  c.classic();
  for (int i = 0; i < 3; ++i) c.record(1, 0, pattern(60, i));
  for (int i = 0; i < 2; ++i) c.record(1, 1, pattern(60, i));
  TempFile file(c.bytes);
  auto port = open_pcap(kit, file.path());
  EXPECT_EQ(port->next_time(), 1 * kSecond);
  EXPECT_EQ(kit.take(*port, 0, 2).size(), 2u);
  EXPECT_EQ(port->next_time(), 1 * kSecond);
  EXPECT_EQ(kit.take(*port).size(), 1u);
  EXPECT_EQ(port->next_time(), 1 * kSecond + 1000);
  EXPECT_EQ(kit.take(*port).size(), 2u);
  EXPECT_EQ(port->next_time(), std::nullopt);
  EXPECT_EQ(kit.take(*port).size(), 0u);
}

TEST(Pcap, TimeNeverGoesBack) {
  PortKit kit;
  CaptureBytes c;
  c.classic().record(5, 0, pattern(60)).record(3, 0, pattern(61)).record(6, 0, pattern(62));
  const auto seen = read_bytes(kit, c.bytes);
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[1].time, 5 * kSecond);
  EXPECT_EQ(seen[2].time, 6 * kSecond);
}

TEST(Pcap, ShortLongAndSnappedRecordsAllCount) {
  PortKit kit;
  CaptureBytes c;
  c.classic().record(1, 0, {}).record(1, 0, pattern(1));
  c.u32(1).u32(0).u32(40).u32(1500).put(pattern(40));  // captured with a snap length
  c.record(1, 0, pattern(65550)).record(1, 0, pattern(kBatchSize * 1024));
  const auto seen = read_bytes(kit, c.bytes);
  ASSERT_EQ(seen.size(), 5u);
  EXPECT_EQ(seen[0].bytes.size(), 0u);
  EXPECT_EQ(seen[2].bytes, pattern(40));
  EXPECT_EQ(seen[3].bytes, pattern(65550));
  EXPECT_EQ(seen[4].bytes, pattern(262144));
  EXPECT_EQ(kit.drops(Drop::kRxTruncated), 0u);
}

TEST(Pcap, RecordThatIsTooLongIsCountedAndPassed) {
  PortKit kit;
  CaptureBytes c;
  c.classic().record(1, 0, pattern(262145)).record(2, 0, pattern(60));
  const auto seen = read_bytes(kit, c.bytes);
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].time, 2 * kSecond);
  EXPECT_EQ(kit.drops(Drop::kRxTruncated), 1u);
  EXPECT_EQ(lost_in_receive(*kit.counters), 1u);
}

TEST(Pcap, CutOffAnywhereEndsAndCounts) {
  CaptureBytes c;
  c.classic().record(1, 0, pattern(60)).record(2, 0, pattern(60));
  for (size_t size = 24; size <= c.bytes.size(); ++size) {
    PortKit kit(256);
    const auto seen = read_bytes(kit, Bytes(c.bytes.begin(), c.bytes.begin() + size));
    const size_t whole = (size - 24) / 76;
    EXPECT_EQ(seen.size(), whole) << size;
    EXPECT_EQ(kit.drops(Drop::kRxTruncated), (size - 24) % 76 != 0 ? 1u : 0u) << size;
  }
}

TEST(Pcap, AbsurdLengthEnds) {
  PortKit kit;
  CaptureBytes c;
  c.classic().record(1, 0, pattern(60)).u32(1).u32(0).u32(0xffffffff).u32(0xffffffff);
  EXPECT_EQ(read_bytes(kit, c.bytes).size(), 1u);
  EXPECT_EQ(kit.drops(Drop::kRxTruncated), 1u);
}

TEST(Pcap, WhatIsNoEthernetCaptureIsRefused) {
  EXPECT_NE(open_error({}).find("too short"), std::string::npos);
  EXPECT_NE(open_error(pattern(100)).find("neither pcap nor pcapng"), std::string::npos);
  EXPECT_NE(open_error(CaptureBytes().classic(0xa1b2c3d4, 113).bytes).find("this is 113"),
            std::string::npos);
  EXPECT_NE(open_error(CaptureBytes().classic(0xa1b2cd34).bytes).find("a1b2cd34"),
            std::string::npos);
  EXPECT_NE(open_error(CaptureBytes().section().interface(101).bytes).find("has 101"),
            std::string::npos);
  const Bytes head = CaptureBytes().classic().bytes;
  EXPECT_NE(open_error(Bytes(head.begin(), head.begin() + 20)).find("file header"),
            std::string::npos);
  PortKit kit(64);
  std::string error;
  EXPECT_EQ(open_port(port_spec("pcap", "", {{"in", "/nowhere/a.pcap"}}), *kit.arena, &error),
            nullptr);
  EXPECT_NE(error.find("/nowhere/a.pcap: No such file"), std::string::npos);
}

TEST(PcapNg, EveryPacketBlockInBothOrders) {
  for (const bool big : {false, true}) {
    PortKit kit;
    CaptureBytes c(big);
    c.section().interface().packet(5'000'001, pattern(61)).simple_packet(pattern(64));
    c.block(0x0bad, pattern(100)).old_packet(6'000'000, pattern(63, 9)).packet(7'000'000, {});
    const std::vector<Seen> want = {{5'000'001'000, pattern(61)},
                                    {5'000'001'000, pattern(64)},
                                    {6 * kSecond, pattern(63, 9)},
                                    {7 * kSecond, {}}};
    EXPECT_EQ(read_bytes(kit, c.bytes), want) << big;
  }
}

TEST(PcapNg, ResolutionsAndOffsets) {
  struct Case {
    int resolution;
    int64_t offset;
    uint64_t ticks;
    Time want;
  };
  const Case cases[] = {
      {9, 0, 1'234'567'890, 1'234'567'890},
      {3, 0, 1500, 1'500'000'000},
      {0, 0, 7, 7 * kSecond},
      {12, 0, 5'000, 5},
      {0x80 | 10, 0, 512, kSecond / 2},
      {6, 100, 1, 100 * kSecond + 1000},
      {6, -1, 3'000'000, 2 * kSecond},
      {6, -100, 1, 0},
      {127, 0, ~0ull, 0},
      {0xff, 0, ~0ull, 0},
      {0, 0, ~0ull, INT64_MAX},
      {6, INT64_MAX, ~0ull, INT64_MAX},
  };
  for (const bool big : {false, true}) {
    for (const Case& one : cases) {
      PortKit kit(256);
      CaptureBytes c(big);
      c.section().interface(1, one.resolution, one.offset).packet(one.ticks, pattern(60));
      const auto seen = read_bytes(kit, c.bytes);
      ASSERT_EQ(seen.size(), 1u);
      EXPECT_EQ(seen[0].time, one.want) << one.resolution << " " << one.offset;
    }
  }
}

TEST(PcapNg, SectionsHaveTheirOwnOrderAndInterfaces) {
  PortKit kit;
  CaptureBytes c, second(true);
  c.section().interface(1, 9).interface(1, 6);
  c.packet(1'000'000, pattern(60), 1).packet(1'500'000'000, pattern(60), 0);
  second.section().interface(1, 3).packet(2'000, pattern(62)).packet(3'000, pattern(62), 1);
  c.put(second.bytes);
  const auto seen = read_bytes(kit, c.bytes);
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[0].time, kSecond);
  EXPECT_EQ(seen[1].time, 3 * kSecond / 2);
  EXPECT_EQ(seen[2].time, 2 * kSecond);
  EXPECT_EQ(kit.drops(Drop::kRxTruncated), 1u) << "interface 1 is not of the second section";
}

TEST(PcapNg, LyingBlocksEndOrAreCounted) {
  PortKit kit;
  CaptureBytes c;  // a packet block that claims more than it has
  c.section().interface().block(6, CaptureBytes().u32(0).u32(0).u32(9).u32(4096).u32(4096).bytes);
  c.block(6, {}).packet(10, pattern(60));
  EXPECT_EQ(read_bytes(kit, c.bytes).size(), 1u);
  EXPECT_EQ(kit.drops(Drop::kRxTruncated), 2u);

  for (const uint32_t length : {0u, 4u, 13u, 0xfffffffdu}) {
    TempFile file(CaptureBytes()
                      .section()
                      .interface()
                      .packet(1, pattern(60))
                      .u32(6)
                      .u32(length)
                      .put(pattern(40))
                      .bytes);
    auto port = open_pcap(kit, file.path());
    EXPECT_EQ(read_all(kit, *port).size(), 1u);
    EXPECT_NE(port->failure().find("impossible block length"), std::string::npos);
  }
  CaptureBytes differ;
  differ.section().interface().packet(1, pattern(60)).packet(2, pattern(60));
  differ.bytes[differ.bytes.size() - 1] = 1;
  TempFile file(differ.bytes);
  auto port = open_pcap(kit, file.path());
  EXPECT_EQ(read_all(kit, *port).size(), 2u);
  EXPECT_NE(port->failure().find("two lengths differ"), std::string::npos);
}

TEST(PcapNg, CutOffAnywhereIsNoCrash) {
  CaptureBytes c;
  c.section().interface(1, 9, 5).packet(1, pattern(60)).simple_packet(pattern(10));
  for (size_t size = 28; size < c.bytes.size(); ++size) {
    PortKit kit(256);
    EXPECT_LE(read_bytes(kit, Bytes(c.bytes.begin(), c.bytes.begin() + size)).size(), 2u);
  }
}

TEST(Pcap, OutputIsClassicLittleEndianMicroseconds) {
  PortKit kit;
  TempFile out;
  {
    auto port = open_pcap(kit, "", out.path());
    EXPECT_EQ(port->next_time(), std::nullopt);
    port->set_time(1'700'000'000 * kSecond + 123'456'789);
    EXPECT_EQ(kit.send(*port, {pattern(60), {}}), 2u);
    port->set_time(1'700'000'001 * kSecond);
    EXPECT_EQ(kit.send(*port, {pattern(9014)}), 1u);
    EXPECT_EQ(port->failure(), "");
  }
  CaptureBytes want;
  want.classic().record(1'700'000'000, 123'456, pattern(60)).record(1'700'000'000, 123'456, {});
  want.record(1'700'000'001, 0, pattern(9014));
  EXPECT_EQ(out.read(), want.bytes);
}

TEST(Pcap, WithoutOutputPacketsAreTaken) {
  PortKit kit;
  auto port = open_pcap(kit, "");
  EXPECT_EQ(kit.send(*port, {pattern(60), pattern(61)}), 2u);
  EXPECT_EQ(port->refused(0), 0u);
}

TEST(Pcap, FullDiskIsTold) {
  PortKit kit;
  auto port = open_pcap(kit, "", "/dev/full");
  for (int i = 0; i < 300; ++i) EXPECT_EQ(kit.send(*port, {pattern(1514)}), 1u);
  EXPECT_EQ(port->refused(0), 1u);
  EXPECT_NE(port->failure().find("No space left"), std::string::npos);
}

TEST(Pcap, InputIsNotOverwritten) {
  PortKit kit(64);
  TempFile file(CaptureBytes().classic().record(1, 0, pattern(60)).bytes);
  std::string error;
  EXPECT_EQ(open_port(port_spec("pcap", "", {{"in", file.path()}, {"out", file.path()}}),
                      *kit.arena, &error),
            nullptr);
  EXPECT_NE(error.find("input too"), std::string::npos);
  EXPECT_EQ(file.read().size(), 100u);
}

TEST(Pcap, NoFrameLosesByName) {
  PortKit kit(64);
  CaptureBytes c;
  c.classic().record(1, 0, pattern(200000)).record(2, 0, pattern(60));
  EXPECT_EQ(read_bytes(kit, c.bytes).size(), 1u);
  EXPECT_EQ(kit.drops(Drop::kNoFrame), 1u);
  EXPECT_EQ(lost_in_receive(*kit.counters), 1u);
}

// Wireshark's own writers and readers as second opinion.
TEST(Pcap, AgreesWithEditcap) {
  if (std::system("command -v editcap >/dev/null") != 0) GTEST_SKIP() << "editcap is not here";
  CaptureBytes c;
  c.classic(0xa1b23c4d);
  for (uint32_t i = 0; i < 500; ++i) c.record(1'700'000'000 + i / 7, i * 1000, pattern(i * 3, i));
  TempFile source(c.bytes), converted, ours;
  for (const char* format : {"pcapng", "pcap", "nsecpcap"}) {
    const std::string run =
        std::string("editcap -F ") + format + " " + source.path() + " " + converted.path();
    ASSERT_EQ(std::system(run.c_str()), 0) << run;
    PortKit kit;
    auto reference = open_pcap(kit, source.path());
    auto port = open_pcap(kit, converted.path(), ours.path());
    const auto seen = read_all(kit, *port);
    EXPECT_EQ(seen, read_all(kit, *reference)) << format;
    EXPECT_EQ(seen.size(), 500u);
    for (const Seen& one : seen) {
      port->set_time(one.time);
      kit.send(*port, {one.bytes});
    }
    port.reset();
    EXPECT_EQ(std::system(("capinfos -M " + ours.path() + " | grep -q 'packets: *500$'").c_str()),
              0);
  }
}

}  // namespace
}  // namespace nodeplane
