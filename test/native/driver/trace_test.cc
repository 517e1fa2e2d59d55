#include "driver/trace/trace.h"

#include <cstdlib>

#include "driver/loop/cable.h"
#include "support/capture_bytes.h"
#include "support/port_kit.h"
#include "support/temp_file.h"

namespace nodeplane {
namespace {

std::unique_ptr<Port> open_trace(PortKit& kit, const PortSpec& spec) {
  std::string error;
  auto port = open_port(spec, *kit.arena, &error);
  EXPECT_NE(port, nullptr) << error;
  return port;
}

// Time and bytes of every packet in a file, read by the pcap port.
std::vector<std::pair<Time, Bytes>> packets_of(PortKit& kit, const std::string& path) {
  std::vector<std::pair<Time, Bytes>> all;
  auto port = open_trace(kit, port_spec("pcap", "", {{"in", path}}));
  if (port == nullptr) return all;
  while (const auto time = port->next_time())
    for (Bytes& one : kit.take(*port)) all.emplace_back(*time, std::move(one));
  EXPECT_EQ(port->failure(), "");
  EXPECT_EQ(kit.drops(Drop::kRxTruncated), 0u);
  return all;
}

TEST(Trace, WritesBothDirectionsWithTheOfflineTime) {
  PortKit kit;
  TempFile in(CaptureBytes().classic(0xa1b23c4d).record(7, 5, pattern(61)).bytes), out;
  {
    auto port = open_trace(kit, port_spec("pcap", "", {{"in", in.path()}, {"trace", out.path()}}));
    EXPECT_EQ(kit.take(*port).size(), 1u);
    port->set_time(9 * kSecond + 1);
    EXPECT_EQ(kit.send(*port, {pattern(62), {}, pattern(9000)}), 3u);
    EXPECT_EQ(port->failure(), "");
  }
  const std::vector<std::pair<Time, Bytes>> want = {{7 * kSecond + 5, pattern(61)},
                                                    {9 * kSecond + 1, pattern(62)},
                                                    {9 * kSecond + 1, {}},
                                                    {9 * kSecond + 1, pattern(9000)}};
  EXPECT_EQ(packets_of(kit, out.path()), want);
  if (std::system("command -v tshark >/dev/null") != 0) GTEST_SKIP() << "tshark is not here";
  const std::string fields = "tshark -r " + out.path() +
                             " -T fields -e frame.packet_flags_direction -e frame.interface_name"
                             " 2>/dev/null | tr '\\n\\t' ' ,'";
  FILE* pipe = popen(fields.c_str(), "r");
  char text[256] = {};
  const size_t got = fread(text, 1, sizeof text - 1, pipe);
  pclose(pipe);
  EXPECT_EQ(std::string(text, got),
            "0x00000001,port 0x00000002,port 0x00000002,port 0x00000002,port ");
}

TEST(Trace, WritesOnlyWhatThePortTook) {
  PortKit kit;
  TempFile out;
  auto end = open_trace(kit, port_spec("loop", "trace-full"));
  uint64_t sent = 0;
  {
    auto port = open_trace(kit, port_spec("loop", "trace-full", {{"trace", out.path()}}));
    const std::vector<Bytes> many(200, pattern(1500));
    for (uint32_t n = 200; n == 200; sent += n) n = kit.send(*port, many);
    EXPECT_EQ(port->failure(), "");
  }
  EXPECT_GT(sent, 600u);
  EXPECT_NE(sent % 200, 0u);
  EXPECT_EQ(packets_of(kit, out.path()).size(), sent);
}

TEST(Trace, StopsAtItsSize) {
  PortKit kit;
  TempFile out;
  {
    auto port =
        open_trace(kit, port_spec("pcap", "", {{"trace", out.path()}, {"traceMaxBytes", "20000"}}));
    for (int i = 0; i < 100; ++i) EXPECT_EQ(kit.send(*port, {pattern(1000)}), 1u);
  }
  EXPECT_LE(out.read().size(), 20000u);
  EXPECT_EQ(packets_of(kit, out.path()).size(), 19u);
}

TEST(Trace, ShowsPacketsOnceTheLinkIsQuiet) {
  PortKit kit;
  TempFile out;
  auto port = open_trace(kit, port_spec("loop", "trace-quiet", {{"trace", out.path()}}));
  std::string error;
  auto end = LoopEnd::open(loop_cable("trace-quiet"), 1, &error);
  end->inject(pattern(60).data(), 60);
  EXPECT_EQ(kit.take(*port).size(), 1u);
  EXPECT_EQ(packets_of(kit, out.path()).size(), 0u);
  EXPECT_EQ(kit.take(*port).size(), 0u);
  EXPECT_EQ(packets_of(kit, out.path()).size(), 1u);
}

TEST(Trace, AFullDiskEndsTheTraceNotTheTraffic) {
  PortKit kit;
  auto port = open_trace(kit, port_spec("pcap", "", {{"trace", "/dev/full"}}));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(kit.send(*port, {pattern(1000)}), 1u);
  EXPECT_EQ(port->refused(0), 0u);
  EXPECT_EQ(port->failure(), "/dev/full: No space left on device");
}

}  // namespace
}  // namespace nodeplane
