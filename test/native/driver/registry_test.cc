#include "driver/registry.h"

#include "support/netspace.h"
#include "support/port_kit.h"

namespace nodeplane {
namespace {

bool says(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string refusal(PortKit& kit, const PortSpec& spec) {
  std::string error;
  EXPECT_EQ(open_port(spec, *kit.arena, &error), nullptr);
  return error;
}

TEST(Registry, UnknownDriverNamesTheKnown) {
  PortKit kit(64);
  const std::string error = refusal(kit, port_spec("afxdp", "eth9"));
  EXPECT_TRUE(says(error, "unknown driver 'afxdp'")) << error;
  for (const std::string& name : driver_names()) EXPECT_TRUE(says(error, " " + name)) << error;
  EXPECT_EQ(driver_names().front(), "auto");
}

class Auto : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!space.works()) GTEST_SKIP() << "needs root for a network namespace";
    ASSERT_TRUE(
        space.shell("ip link add v0 type veth peer name v1 && ip link set v0 up && "
                    "ip link set v1 up"));
  }
  std::string description(PortSpec spec) {
    std::string text;
    space.run([&] {
      std::string error;
      const auto port = open_port(spec, *kit.arena, &error);
      text = port != nullptr ? port->caps().description : "refused: " + error;
    });
    return text;
  }
  PortKit kit{16384};
  NetSpace space;
};

TEST_F(Auto, KeepsLargePacketsOnVeth) {
  const std::string text = description(port_spec("auto", "v0"));
  EXPECT_EQ(text.rfind("af_packet", 0), 0u) << text;
  EXPECT_TRUE(says(text, "(auto: on veth it keeps large packets whole)")) << text;
  // What is asked of af_xdp alone is granted.
  const std::string asked = description(port_spec("auto", "v0", {{"rxRing", "1024"}}));
  EXPECT_EQ(asked.rfind("af_xdp", 0), 0u) << asked;
}

// Else the kernel would forward every packet a second time.
TEST_F(Auto, TakesAfXdpWhereTheKernelForwards) {
  ASSERT_TRUE(space.shell("sysctl -qw net.ipv4.ip_forward=1"));
  const std::string text = description(port_spec("auto", "v0"));
  EXPECT_EQ(text.rfind("af_xdp", 0), 0u) << text;
  EXPECT_TRUE(says(text, "(auto: the fastest)")) << text;
}

TEST_F(Auto, FallsBackAndSaysWhy) {
  ASSERT_TRUE(space.shell(
      "sysctl -qw net.ipv4.ip_forward=1 && ip link set v0 mtu 9000 && ip link set v1 mtu 9000"));
  const std::string text = description(port_spec("auto", "v0"));
  EXPECT_EQ(text.rfind("af_packet", 0), 0u) << text;
  EXPECT_TRUE(says(text, "(auto, since af_xdp: ")) << text;
  EXPECT_TRUE(says(text, "MTU 9000")) << text;
}

TEST_F(Auto, WhereNothingWorksSaysAllReasons) {
  const std::string text = description(port_spec("auto", "none0"));
  EXPECT_TRUE(says(text, "no driver works on none0: af_xdp: ")) << text;
  EXPECT_TRUE(says(text, "af_packet: interface none0: No such device")) << text;
}

// af_packet cannot leave the host's traffic to the host.
TEST_F(Auto, NeverSharesByAfPacket) {
  ASSERT_TRUE(space.shell("ip link set v0 mtu 9000 && ip link set v1 mtu 9000"));
  const std::string text = description(port_spec("auto", "v0", {{"take", "services"}}));
  EXPECT_TRUE(says(text, "refused: no driver works on v0")) << text;
  EXPECT_TRUE(says(text, "af_packet cannot share")) << text;
}

TEST(Registry, WrappersShowInTheDescriptionAndFailWithReasons) {
  PortKit kit(64);
  std::string error;
  const auto port =
      open_port(port_spec("loop", "wrapped", {{"fault", "drop=0.5"}, {"trace", "/dev/null"}}),
                *kit.arena, &error);
  ASSERT_NE(port, nullptr) << error;
  EXPECT_TRUE(says(port->caps().description, "loop cable wrapped")) << port->caps().description;
  EXPECT_TRUE(says(port->caps().description, "with faults drop=0.5, traced to /dev/null"));
  EXPECT_GE(port->wait_fd(0), 0);
  EXPECT_TRUE(says(refusal(kit, port_spec("loop", "w", {{"fault", "drp=1"}})), "unknown 'drp'"));
  EXPECT_TRUE(says(refusal(kit, port_spec("loop", "w", {{"trace", "/no/t"}})), "/no/t: No such"));
}

}  // namespace
}  // namespace nodeplane
