#include "driver/fault/fault.h"

#include <algorithm>

#include "driver/loop/cable.h"
#include "support/capture_bytes.h"
#include "support/patience.h"
#include "support/port_kit.h"
#include "support/temp_file.h"

namespace nodeplane {
namespace {

constexpr uint32_t kPackets = 2000;

// A capture of kPackets packets, 10 of each time, 1 ms apart, each telling its number.
Bytes numbered_capture() {
  CaptureBytes c;
  c.classic();
  for (uint32_t i = 0; i < kPackets; ++i) {
    Bytes bytes = pattern(60 + i % 3000);
    std::memcpy(bytes.data(), &i, 4);
    c.record(1, i / 10 * 1000, bytes);
  }
  return c.bytes;
}

struct Outcome {
  std::vector<uint32_t> numbers;
  std::vector<Time> times;
  uint64_t damaged = 0;
  uint64_t dropped = 0;
};

Outcome run(const std::string& harm) {
  PortKit kit;
  TempFile in(numbered_capture());
  std::string error;
  auto port =
      open_port(port_spec("pcap", "", {{"in", in.path()}, {"fault", harm}}), *kit.arena, &error);
  EXPECT_NE(port, nullptr) << error;
  Outcome all;
  Time last = 0;
  for (uint32_t calls = 0; const auto time = port->next_time(); ++calls) {
    EXPECT_GE(*time, last);
    last = *time;
    for (const Bytes& one : kit.take(*port)) {
      uint32_t number;
      std::memcpy(&number, one.data(), 4);
      Bytes want = pattern(static_cast<uint32_t>(one.size()));
      std::memcpy(want.data(), &number, 4);
      if (want != one || number >= kPackets) all.damaged++;
      all.numbers.push_back(number);
      all.times.push_back(*time);
    }
    if (calls > 100000) {
      ADD_FAILURE() << "no end";
      break;
    }
  }
  all.dropped = kit.drops(Drop::kFaultInjected);
  EXPECT_EQ(lost_in_receive(*kit.counters), all.dropped);
  return all;
}

TEST(Fault, NoHarmChangesNothing) {
  const Outcome all = run("seed=7");
  ASSERT_EQ(all.numbers.size(), kPackets);
  EXPECT_TRUE(std::is_sorted(all.numbers.begin(), all.numbers.end()));
  EXPECT_EQ(all.damaged + all.dropped, 0u);
}

TEST(Fault, DropsAreCounted) {
  const Outcome all = run("drop=0.1");
  EXPECT_EQ(all.numbers.size() + all.dropped, kPackets);
  EXPECT_GT(all.dropped, kPackets / 20);
  EXPECT_LT(all.dropped, kPackets / 5);
}

TEST(Fault, DuplicatesAreWholeCopies) {
  const Outcome all = run("duplicate=0.1");
  EXPECT_GT(all.numbers.size(), kPackets + kPackets / 20);
  EXPECT_LT(all.numbers.size(), kPackets + kPackets / 5);
  EXPECT_EQ(all.damaged, 0u);
}

TEST(Fault, CorruptionTouchesSome) {
  const Outcome all = run("corrupt=0.1");
  EXPECT_EQ(all.numbers.size(), kPackets);
  EXPECT_GT(all.damaged, kPackets / 30);
  EXPECT_LT(all.damaged, kPackets / 5);
}

TEST(Fault, ReorderedPacketsAllCome) {
  Outcome all = run("reorder=0.1");
  ASSERT_EQ(all.numbers.size(), kPackets);
  uint32_t overtaken = 0;
  for (uint32_t i = 1; i < kPackets; ++i) overtaken += all.numbers[i] < all.numbers[i - 1];
  EXPECT_GT(overtaken, kPackets / 20);
  std::sort(all.numbers.begin(), all.numbers.end());
  for (uint32_t i = 0; i < kPackets; ++i) ASSERT_EQ(all.numbers[i], i);
}

TEST(Fault, DelayedPacketsComeAtTheirTime) {
  const Outcome all = run("delay=5.5ms");
  ASSERT_EQ(all.numbers.size(), kPackets);
  for (uint32_t i = 0; i < kPackets; ++i) {
    ASSERT_EQ(all.numbers[i], i);
    ASSERT_EQ(all.times[i], kSecond + i / 10 * kMillisecond + 5'500'000);
  }
}

TEST(Fault, SameSeedSameHarm) {
  const std::string harm = "drop=0.05,duplicate=0.05,corrupt=0.05,reorder=0.05,delay=3ms,seed=";
  const Outcome one = run(harm + "42"), two = run(harm + "42"), other = run(harm + "43");
  EXPECT_EQ(one.numbers, two.numbers);
  EXPECT_EQ(one.damaged, two.damaged);
  EXPECT_NE(one.numbers, other.numbers);
}

TEST(Fault, LivePortsDelayByTheClockAndStayAwake) {
  PortKit kit;
  std::string error;
  auto port = open_port(port_spec("loop", "late", {{"fault", "delay=20ms"}}), *kit.arena, &error);
  ASSERT_NE(port, nullptr) << error;
  auto end = LoopEnd::open(loop_cable("late"), 1, &error);
  EXPECT_TRUE(port->arm(0));
  end->inject(pattern(60).data(), 60);
  const Time begin = time_now();
  uint32_t n = 0;
  while ((n = kit.receive(*port)) == 0) {
    EXPECT_FALSE(port->arm(0));
    ASSERT_LT(time_now() - begin, kPatience);
  }
  EXPECT_GE(time_now() - begin, 19 * kMillisecond);
  kit.give(n);
  EXPECT_TRUE(port->arm(0));
}

TEST(Fault, FullTransmitRingsLeaveTheRestToTheCaller) {
  PortKit kit;
  std::string error;
  auto port = open_port(port_spec("pcap", "", {{"fault", "txfull=0.5"}}), *kit.arena, &error);
  ASSERT_NE(port, nullptr) << error;
  uint32_t whole = 0, taken = 0;
  for (int i = 0; i < 100; ++i) {
    const uint32_t n = kit.send(*port, std::vector<Bytes>(10, pattern(60)));
    whole += n == 10;
    taken += n;
  }
  EXPECT_GT(whole, 25u);
  EXPECT_LT(whole, 75u);
  EXPECT_LT(taken, 1000u);
}

TEST(Fault, ClosingGivesBackWhatIsOnItsWay) {
  PortKit kit;  // its end checks the frames
  std::string error;
  auto port =
      open_port(port_spec("loop", "close", {{"fault", "delay=10s,reorder=1"}}), *kit.arena, &error);
  auto end = LoopEnd::open(loop_cable("close"), 1, &error);
  for (int i = 0; i < 7; ++i) end->inject(pattern(5000).data(), 5000);
  EXPECT_EQ(kit.receive(*port), 0u);
}

TEST(Fault, MoreThanItCanHoldWaitsInThePort) {
  PortKit kit(16384);
  std::string error;
  auto port = open_port(port_spec("loop", "many", {{"fault", "delay=300ms"}}), *kit.arena, &error);
  auto end = LoopEnd::open(loop_cable("many"), 1, &error);
  uint32_t sent = 0, got = 0;
  const Time begin = time_now();
  while (got < sent || sent < 6000) {
    while (sent < 6000 && end->inject(pattern(64).data(), 64)) sent++;
    const uint32_t n = kit.receive(*port);
    kit.give(n);
    got += n;
    ASSERT_LT(time_now() - begin, kPatience);
  }
  EXPECT_EQ(got, 6000u);
  EXPECT_EQ(kit.drops(Drop::kNoFrame), 0u);
}

TEST(Fault, WrongSpecsSayWhy) {
  PortKit kit(64);
  for (const char* harm : {"drop=2", "drop=", "drop", "delay=5", "delay=x", "delay=100s", "seed=a",
                           "drop=nan", "delay=-1ms"}) {
    std::string error;
    EXPECT_EQ(open_port(port_spec("loop", "w", {{"fault", harm}}), *kit.arena, &error), nullptr)
        << harm;
    EXPECT_NE(error.find("chances are 0 to 1"), std::string::npos) << harm << ": " << error;
  }
}

}  // namespace
}  // namespace nodeplane
