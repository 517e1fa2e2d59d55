#include "driver/tap/tap.h"

#include "support/wire_pair.h"

namespace nodeplane {
namespace {

std::unique_ptr<Port> open_tap(NetSpace& space, PortKit& kit, PortSpec spec) {
  std::unique_ptr<Port> port;
  std::string error;
  space.run([&] { port = open_port(spec, *kit.arena, &error); });
  EXPECT_NE(port, nullptr) << error;
  return port;
}

// A server's and a client's namespace, each with a tap; the test is the wire between.
class TapWire : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!server.works() || !client.works()) GTEST_SKIP() << "needs root for network namespaces";
  }
  void address() {
    ASSERT_TRUE(
        server.shell("ip addr add 10.9.0.1/24 dev t0 && "
                     "ip addr add fd09::1/64 dev t0 nodad"));
    ASSERT_TRUE(
        client.shell("ip addr add 10.9.0.2/24 dev t0 && "
                     "ip addr add fd09::2/64 dev t0 nodad"));
  }
  PortKit kit;
  NetSpace server, client;
};

TEST_F(TapWire, TcpWithPartialSumsAndSegmentation) {
  auto a = open_tap(server, kit, port_spec("tap", "t0")),
       b = open_tap(client, kit, port_spec("tap", "t0"));
  address();
  Forwarder wire(kit, *a, *b);
  EXPECT_TRUE(transfer(server, client, "10.9.0.1", false, 1 << 20));
  EXPECT_TRUE(transfer(server, client, "fd09::1", true, 1 << 20));
  wire.stop();
  EXPECT_GT(wire.partial, 0u);
  EXPECT_GT(wire.gso, 0u);
  EXPECT_EQ(wire.in, wire.out + wire.refused + wire.full);
  EXPECT_EQ(wire.refused, 0u);
  EXPECT_EQ(snmp(server, "Tcp:", "InCsumErrors"), 0);
  EXPECT_EQ(snmp(client, "Tcp:", "InCsumErrors"), 0);
}

// Linux 6.2 and later; an older kernel segments before a tap sees them.
TEST_F(TapWire, UdpSegmentsCrossAsOnePacket) {
  auto a = open_tap(server, kit, port_spec("tap", "t0")),
       b = open_tap(client, kit, port_spec("tap", "t0"));
  address();
  Forwarder wire(kit, *a, *b);
  EXPECT_EQ(send_udp_segments(server, client, "10.9.0.1", 1000, 40), 40u);
  wire.stop();
  EXPECT_GE(wire.gso_udp, 1u);
  EXPECT_EQ(wire.refused, 0u);
  EXPECT_EQ(snmp(server, "Udp:", "InCsumErrors"), 0);
}

TEST_F(TapWire, WithoutOffloadEverythingIsWholeAndShort) {
  const PortSpec spec = port_spec("tap", "t0", {{"offload", "false"}});
  auto a = open_tap(server, kit, spec), b = open_tap(client, kit, spec);
  address();
  uint32_t longest = 0;
  Forwarder wire(kit, *a, *b, [&](Packet& p) { longest = std::max(longest, p.length); });
  EXPECT_TRUE(transfer(server, client, "10.9.0.1", false, 1 << 20));
  wire.stop();
  EXPECT_EQ(wire.partial + wire.gso, 0u);
  EXPECT_EQ(longest, 1514u);
  EXPECT_EQ(snmp(server, "Tcp:", "InCsumErrors"), 0);
  EXPECT_FALSE(a->caps().gso);
}

TEST_F(TapWire, SeveralQueues) {
  PortSpec spec = port_spec("tap", "t0");
  spec.queues = 2;
  auto a = open_tap(server, kit, spec), b = open_tap(client, kit, spec);
  EXPECT_EQ(a->caps().queues, 2);
  address();
  Forwarder wire(kit, *a, *b);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(transfer(server, client, "10.9.0.1", false, 100000));
  wire.stop();
  EXPECT_EQ(wire.in, wire.out);
}

TEST_F(TapWire, MtuMacAndNameAreTakenAndNothingStays) {
  PortSpec spec = port_spec("tap", "np-drivers", {{"mac", "02:00:00:00:07:10"}});
  spec.mtu = 9000;
  auto port = open_tap(server, kit, spec);
  EXPECT_EQ(port->caps().mtu, 9000u);
  const uint8_t ours[6] = {2, 0, 0, 0, 7, 0x11};
  EXPECT_EQ(std::memcmp(port->caps().mac, ours, 6), 0);
  EXPECT_TRUE(server.shell("ip -br link show np-drivers | grep -q '02:00:00:00:07:10.*,UP'"));
  EXPECT_TRUE(server.shell("ip link show np-drivers | grep -q 'mtu 9000'"));
  port.reset();
  EXPECT_FALSE(server.shell("ip link show np-drivers >/dev/null 2>&1"));
}

TEST_F(TapWire, WhatCannotBeOpenedSaysWhy) {
  const auto refuse = [&](PortSpec spec) {
    std::string error;
    server.run([&] { EXPECT_EQ(open_port(spec, *kit.arena, &error), nullptr); });
    return error;
  };
  EXPECT_NE(refuse(port_spec("tap", "lo")).find("tap lo: making the interface"), std::string::npos);
  EXPECT_NE(refuse(port_spec("tap", "a-name-that-is-too-long")).find("File name too long"),
            std::string::npos);
  EXPECT_NE(refuse(port_spec("tap", "t0", {{"mac", "zz"}})).find("no MAC"), std::string::npos);
  EXPECT_FALSE(server.shell("ip link show t0 >/dev/null 2>&1")) << "left behind by a failed open";
}

TEST_F(TapWire, ShortPacketsAndASleepingHostAreRefused) {
  auto port = open_tap(server, kit, port_spec("tap", "t0"));
  EXPECT_EQ(kit.send(*port, {{}, pattern(13), pattern(60)}), 3u);
  EXPECT_EQ(port->refused(0), 2u);
  ASSERT_TRUE(server.shell("ip link set t0 down"));
  EXPECT_EQ(kit.send(*port, {pattern(60)}), 1u);
  EXPECT_EQ(port->refused(0), 1u);
  // The host may have said something of its own (multicast listeners), but nothing came back.
  for (const Bytes& one : kit.take(*port)) EXPECT_NE(one, pattern(60));
}

TEST_F(TapWire, WithoutFramesPacketsWait) {
  auto port = open_tap(server, kit, port_spec("tap", "t0"));
  ASSERT_TRUE(
      server.shell("ip addr add 10.9.0.1/24 dev t0 && "
                   "ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:09 dev t0"));
  while (!kit.take(*port).empty()) {
  }
  std::vector<uint32_t> hoard;
  for (uint32_t f; (f = kit.frames->take()) != kFrameNone;) hoard.push_back(f);
  server.run([] {
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(9);
    inet_pton(AF_INET, "10.9.0.2", &to.sin_addr);
    EXPECT_EQ(sendto(fd, "x", 1, 0, reinterpret_cast<sockaddr*>(&to), sizeof to), 1);
    close(fd);
  });
  EXPECT_EQ(kit.receive(*port), 0u);
  for (const uint32_t f : hoard) kit.frames->give(f);
  size_t got = 0;
  EXPECT_TRUE(eventually([&] {
    for (const Bytes& one : kit.take(*port)) got += one.size() == 43;
    return got == 1;
  }));
}

}  // namespace
}  // namespace nodeplane
