#include "driver/loop/loop.h"

#include <poll.h>

#include <atomic>
#include <thread>

#include "driver/loop/cable.h"
#include "support/patience.h"
#include "support/port_kit.h"

namespace nodeplane {
namespace {

std::unique_ptr<Port> open_loop(PortKit& kit, const std::string& cable, uint16_t queues = 1) {
  PortSpec spec = port_spec("loop", cable);
  spec.queues = queues;
  std::string error;
  auto port = open_port(spec, *kit.arena, &error);
  EXPECT_NE(port, nullptr) << error;
  return port;
}

std::unique_ptr<LoopEnd> outside(const std::string& cable, uint32_t queues = 1) {
  std::string error;
  auto end = LoopEnd::open(loop_cable(cable), queues, &error);
  EXPECT_NE(end, nullptr) << error;
  return end;
}

bool readable(int fd, int timeout_ms = kPatienceMs) {
  pollfd p{fd, POLLIN, 0};
  return poll(&p, 1, timeout_ms) == 1;
}

TEST(Loop, CarriesPacketsBothWays) {
  PortKit left, right(4096, 4096);  // different arenas
  auto a = open_loop(left, "both"), b = open_loop(right, "both");
  const std::vector<Bytes> some = {pattern(60), {}, pattern(1), pattern(9014, 3)};
  EXPECT_EQ(left.send(*a, some), 4u);
  EXPECT_EQ(right.take(*b), some);
  EXPECT_EQ(right.send(*b, some), 4u);
  EXPECT_EQ(left.take(*a), some);
  EXPECT_EQ(left.take(*a).size(), 0u);
}

TEST(Loop, ThirdEndIsRefusedAndAFreedOneIsNot) {
  PortKit kit(256);
  auto a = open_loop(kit, "third"), b = open_loop(kit, "third");
  std::string error;
  EXPECT_EQ(open_port(port_spec("loop", "third"), *kit.arena, &error), nullptr);
  EXPECT_NE(error.find("both ends of cable third are taken"), std::string::npos);
  b.reset();
  b = open_loop(kit, "third");
  kit.send(*a, {pattern(60)});
  EXPECT_EQ(kit.take(*b).size(), 1u);
}

TEST(Loop, FullRingRefusesAndLosesNothing) {
  PortKit kit;
  auto a = open_loop(kit, "full"), b = open_loop(kit, "full");
  uint32_t sent = 0;
  for (uint32_t n = 1; n != 0; sent += n) n = kit.send(*a, {pattern(1500, sent)});
  EXPECT_GT(sent, 600u);
  uint32_t got = 0;
  for (auto batch = kit.take(*b); !batch.empty(); batch = kit.take(*b))
    for (const Bytes& one : batch) EXPECT_EQ(one, pattern(1500, got++));
  EXPECT_EQ(got, sent);
}

TEST(Loop, TooLongIsRefusedByName) {
  PortKit kit;
  auto a = open_loop(kit, "long");
  EXPECT_EQ(kit.send(*a, {pattern(kLoopPacketMax + 1), pattern(60)}), 2u);
  EXPECT_EQ(a->refused(0), 1u);
}

TEST(Loop, OutsideEndInjectsAndCollects) {
  PortKit kit;
  auto end = outside("end");
  EXPECT_TRUE(end->inject(pattern(64).data(), 64));  // before the port is there
  auto port = open_loop(kit, "end");
  EXPECT_EQ(kit.take(*port), std::vector<Bytes>{pattern(64)});
  kit.send(*port, {pattern(100), pattern(101)});
  Bytes bytes;
  EXPECT_TRUE(end->collect(&bytes));
  EXPECT_EQ(bytes, pattern(100));
  EXPECT_TRUE(end->collect(&bytes));
  EXPECT_FALSE(end->collect(&bytes));
}

TEST(LoopConcurrent, WakesASleeper) {
  PortKit kit;
  auto port = open_loop(kit, "sleep");
  auto end = outside("sleep");
  ASSERT_TRUE(port->arm(0));
  EXPECT_FALSE(readable(port->wait_fd(0), 0));
  std::thread sender([&] { end->inject(pattern(60).data(), 60); });
  EXPECT_TRUE(readable(port->wait_fd(0)));
  sender.join();
  EXPECT_FALSE(port->arm(0)) << "a packet is there";
  EXPECT_EQ(kit.take(*port).size(), 1u);
  EXPECT_TRUE(port->arm(0));
  EXPECT_FALSE(readable(port->wait_fd(0), 0)) << "armed again, nothing new";
}

TEST(Loop, QueuesOfDifferentCount) {
  PortKit kit;
  auto a = open_loop(kit, "queues", 4), b = open_loop(kit, "queues", 2);
  EXPECT_EQ(a->caps().queues, 4);
  for (uint32_t q = 0; q < 4; ++q) kit.send(*a, {pattern(60 + q)}, q);
  size_t got[2] = {};
  for (uint32_t q = 0; q < 2; ++q)
    for (auto batch = kit.take(*b, q); !batch.empty(); batch = kit.take(*b, q))
      for (const Bytes& one : batch) {
        EXPECT_EQ((one.size() - 60) % 2, q);
        got[q]++;
      }
  EXPECT_EQ(got[0], 2u);
  EXPECT_EQ(got[1], 2u);
  kit.send(*b, {pattern(60)}, 1);
  EXPECT_EQ(kit.take(*a, 1).size(), 1u);
  EXPECT_EQ(kit.take(*a, 0).size(), 0u);
}

TEST(Loop, NoFrameLosesByName) {
  PortKit kit(64);
  auto port = open_loop(kit, "poor");
  auto end = outside("poor");
  const Bytes big = pattern(65000);
  for (int i = 0; i < 3; ++i) end->inject(big.data(), 65000);
  uint32_t got = 0;
  for (int i = 0; i < 3; ++i) {
    const uint32_t n = kit.receive(*port);
    kit.give(n);
    got += n;
  }
  EXPECT_EQ(got + kit.drops(Drop::kNoFrame), 3u);
  EXPECT_GE(kit.drops(Drop::kNoFrame), 1u);
}

// A sleeping receiver and a sender in bursts: no packet and no wake-up is lost, order is kept.
TEST(LoopConcurrent, TwoThreads) {
  constexpr uint32_t kTotal = 60000;
  PortKit kit;
  auto port = open_loop(kit, "threads");
  auto end = outside("threads");
  std::thread sender([&] {
    for (uint32_t i = 0; i < kTotal; ++i) {
      uint8_t bytes[1500];
      std::memset(bytes, static_cast<int>(i), sizeof bytes);
      std::memcpy(bytes, &i, 4);
      while (!end->inject(bytes, 60 + i * 7 % 1400)) std::this_thread::yield();
      if (i % 512 == 0) usleep(50);
    }
  });
  uint32_t got = 0;
  while (got < kTotal) {
    const auto batch = kit.take(*port);
    for (const Bytes& one : batch) {
      uint32_t i;
      std::memcpy(&i, one.data(), 4);
      ASSERT_EQ(i, got);
      ASSERT_EQ(one.size(), 60 + i * 7 % 1400);
      ASSERT_EQ(one.back(), static_cast<uint8_t>(i));
      got++;
    }
    if (batch.empty() && port->arm(0)) {
      ASSERT_TRUE(readable(port->wait_fd(0))) << got;
    }
  }
  sender.join();
}

}  // namespace
}  // namespace nodeplane
