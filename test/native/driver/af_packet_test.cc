#include "driver/af_packet/af_packet.h"

#include "support/wire_pair.h"

namespace nodeplane {
namespace {

std::unique_ptr<Port> open_af_packet(NetSpace& space, PortKit& kit, PortSpec spec) {
  std::unique_ptr<Port> port;
  std::string error;
  space.run([&] { port = open_port(spec, *kit.arena, &error); });
  EXPECT_NE(port, nullptr) << error;
  return port;
}

// client - node - server, joined by veths; the node's ends are the ports.
class PacketWire : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!node.works() || !server.works() || !client.works())
      GTEST_SKIP() << "needs root for network namespaces";
    ASSERT_TRUE(node.shell("ip link add s0 type veth peer name e0 netns " + server.path()));
    ASSERT_TRUE(node.shell("ip link add c0 type veth peer name e0 netns " + client.path()));
    // The node's kernel sees every packet too: without addresses it has nothing to answer.
    ASSERT_TRUE(
        node.shell("for i in s0 c0; do sysctl -qw net.ipv6.conf.$i.disable_ipv6=1; "
                   "ip link set $i up; done"));
    ASSERT_TRUE(
        server.shell("ip link set e0 up && ip addr add 10.9.0.1/24 dev e0 && "
                     "ip addr add fd09::1/64 dev e0 nodad"));
    ASSERT_TRUE(
        client.shell("ip link set e0 up && ip addr add 10.9.0.2/24 dev e0 && "
                     "ip addr add fd09::2/64 dev e0 nodad"));
  }
  void expect_no_bad_sums() {
    EXPECT_EQ(snmp(server, "Tcp:", "InCsumErrors"), 0);
    EXPECT_EQ(snmp(client, "Tcp:", "InCsumErrors"), 0);
  }
  PortKit kit;
  NetSpace node, server, client;
};

TEST_F(PacketWire, TcpWithPartialSumsAndSegmentation) {
  auto a = open_af_packet(node, kit, port_spec("af_packet", "s0"));
  auto b = open_af_packet(node, kit, port_spec("af_packet", "c0"));
  Forwarder wire(kit, *a, *b);
  EXPECT_TRUE(transfer(server, client, "10.9.0.1", false, 1 << 20));
  EXPECT_TRUE(transfer(server, client, "fd09::1", true, 1 << 20));
  wire.stop();
  EXPECT_GT(wire.partial, 0u);
  EXPECT_GT(wire.gso, 0u);
  EXPECT_EQ(wire.in, wire.out + wire.full);
  EXPECT_EQ(wire.refused, 0u);
  expect_no_bad_sums();
}

// Linux 6.2 and later; an older kernel segments before a tap sees them.
TEST_F(PacketWire, UdpSegmentsCrossAsOnePacket) {
  auto a = open_af_packet(node, kit, port_spec("af_packet", "s0")),
       b = open_af_packet(node, kit, port_spec("af_packet", "c0"));
  Forwarder wire(kit, *a, *b);
  EXPECT_EQ(send_udp_segments(server, client, "10.9.0.1", 1000, 40), 40u);
  wire.stop();
  EXPECT_GE(wire.gso_udp, 1u);
  EXPECT_EQ(wire.refused, 0u);
  EXPECT_EQ(snmp(server, "Udp:", "InCsumErrors"), 0);
}

TEST_F(PacketWire, QueuesShareByFlow) {
  PortSpec spec = port_spec("af_packet", "s0");
  spec.queues = 2;
  auto a = open_af_packet(node, kit, spec);
  spec.interface = "c0";
  auto b = open_af_packet(node, kit, spec);
  Forwarder wire(kit, *a, *b);
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(transfer(server, client, "10.9.0.1", false, 50000));
  wire.stop();
  // A packet seen by two sockets, or one of our own coming back, would have shown here.
  EXPECT_EQ(wire.refused, 0u);
  EXPECT_EQ(wire.in, wire.out + wire.full);
  expect_no_bad_sums();
}

// The kernel takes the outer tag off before a packet socket sees the packet; the port puts it back,
// and moves where the partial sum begins.
TEST_F(PacketWire, VlanTagsStayWhereTheyWere) {
  auto sender = open_af_packet(node, kit, port_spec("af_packet", "s0"));
  auto receiver = open_af_packet(server, kit, port_spec("af_packet", "e0"));
  const Bytes tcp = {0, 80, 0, 81, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0};
  for (const uint32_t tags : {1u, 2u}) {
    Bytes bytes = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
    if (tags == 2) bytes.insert(bytes.end(), {0x88, 0xa8, 0x20, 9});
    bytes.insert(bytes.end(), {0x81, 0, 0x60, 7, 8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0});
    bytes.insert(bytes.end(), {10, 7, 0, 1, 10, 7, 0, 2});
    const auto l4 = static_cast<uint16_t>(bytes.size());
    bytes.insert(bytes.end(), tcp.begin(), tcp.end());
    Packet out = kit.make(bytes);
    out.flags = kFlagPartialChecksum;
    out.protocol = 6;
    out.l4 = l4;
    Packet* list[] = {&out};
    ASSERT_EQ(sender->transmit(0, list, 1, *kit.frames), 1u);
    ASSERT_EQ(sender->refused(0), 0u);
    uint32_t found = 0;
    EXPECT_TRUE(eventually([&] {
      const uint32_t n = kit.receive(*receiver);
      for (uint32_t i = 0; i < n; ++i) {
        const Packet& p = kit.packets[i];
        if (kit.bytes(p) != bytes) continue;  // the kernel's own, such as router solicitations
        found++;
        EXPECT_TRUE(p.flags & kFlagPartialChecksum);
        EXPECT_EQ(p.l4, l4);
      }
      kit.give(n);
      return found == 1;
    })) << tags;
  }
}

TEST_F(PacketWire, TooLongForTheWireIsRefusedAndTheRestGoes) {
  auto a = open_af_packet(node, kit, port_spec("af_packet", "s0"));
  EXPECT_EQ(kit.send(*a, {pattern(60), pattern(9000), pattern(61)}), 3u);
  EXPECT_EQ(a->refused(0), 1u);
  ASSERT_TRUE(node.shell("ip link set s0 down"));
  EXPECT_EQ(kit.send(*a, {pattern(60), pattern(61)}), 2u);
  EXPECT_EQ(a->refused(0), 2u);
}

TEST_F(PacketWire, WhatTheKernelLosesIsCounted) {
  auto a = open_af_packet(node, kit, port_spec("af_packet", "s0"));
  const uint8_t head[14] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 0x88, 0xb5};
  Bytes big = pattern(1514);
  std::memcpy(big.data(), head, sizeof head);
  auto sender = open_af_packet(server, kit, port_spec("af_packet", "e0"));
  const std::vector<Bytes> many(256, big);
  uint64_t sent = 0, got = 0;
  for (int i = 0; i < 100; ++i) sent += kit.send(*sender, many);
  EXPECT_TRUE(eventually([&] {
    for (uint32_t n; (n = kit.receive(*a)) != 0; got += n) kit.give(n);
    return got + kit.count(Counter::kKernelDropped) >= sent;
  }));
  EXPECT_GT(kit.count(Counter::kKernelDropped), 0u);
}

TEST_F(PacketWire, WhatCannotBeOpenedSaysWhy) {
  const auto refuse = [&](PortSpec spec) {
    std::string error;
    node.run([&] { EXPECT_EQ(open_port(spec, *kit.arena, &error), nullptr); });
    return error;
  };
  EXPECT_NE(refuse(port_spec("af_packet", "nope")).find("interface nope: No such device"),
            std::string::npos);
  PortSpec spec = port_spec("af_packet", "s0");
  spec.mtu = 9000;
  EXPECT_NE(refuse(spec).find("MTU is 1500, the configuration says 9000"), std::string::npos);
}

}  // namespace
}  // namespace nodeplane
