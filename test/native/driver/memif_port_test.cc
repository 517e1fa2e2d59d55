// Whole ports: opened by the registry, joined by the hub through a socket of this machine.
#include <poll.h>

#include <atomic>
#include <functional>
#include <thread>

#include "driver/memif/memif.h"
#include "support/port_kit.h"

namespace nodeplane {
namespace {

std::string socket_of(const std::string& which) {
  return "@np-memif-port-" + std::to_string(getpid()) + "-" + which;
}

PortSpec memif_spec(const std::string& which, const std::string& role,
                    std::map<std::string, std::string> more = {}) {
  PortSpec spec = port_spec("memif", "", std::move(more));
  spec.name = role;
  spec.options["role"] = role;
  spec.options["socket"] = socket_of(which);
  spec.options["id"] = "3";
  return spec;
}

std::unique_ptr<Port> open(PortKit& kit, const PortSpec& spec) {
  std::string error;
  auto port = open_port(spec, *kit.arena, &error);
  EXPECT_NE(port, nullptr) << error;
  return port;
}

bool within(int ms, const std::function<bool()>& holds) {
  for (int i = 0; i < ms && !holds(); ++i) usleep(1000);
  return holds();
}

// Packets arrive both ways: a worker's rounds until then.
bool joined(PortKit& a, Port& left, PortKit& b, Port& right) {
  const auto crosses = [](PortKit& from, Port& out, PortKit& to, Port& in) {
    from.send(out, {pattern(60)});
    out.release(0, *from.frames);
    const bool came = !to.take(in).empty();
    in.release(0, *to.frames);
    return came;
  };
  return within(10000, [&] {
    const bool there = crosses(a, left, b, right);
    return crosses(b, right, a, left) && there;
  });
}

class ConcurrentMemifPort : public testing::TestWithParam<const char*> {};

TEST_P(ConcurrentMemifPort, ServerAndClientJoin) {
  PortKit left(8192), right(8192);
  auto client = open(right, memif_spec("join", "client", {{"zeroCopy", GetParam()}}));
  auto server = open(left, memif_spec("join", "server"));
  ASSERT_TRUE(server && client);
  ASSERT_TRUE(joined(left, *server, right, *client));
  const std::vector<Bytes> some = {pattern(60), pattern(1514, 2), pattern(9216, 3)};
  EXPECT_EQ(left.send(*server, some), 3u);
  EXPECT_EQ(right.take(*client), some);
  EXPECT_EQ(right.send(*client, some), 3u);
  EXPECT_EQ(left.take(*server), some);
}

INSTANTIATE_TEST_SUITE_P(Copying, ConcurrentMemifPort, testing::Values("false"));
INSTANTIATE_TEST_SUITE_P(Lending, ConcurrentMemifPort, testing::Values("true"));

}  // namespace
}  // namespace nodeplane
