#include <algorithm>
#include <utility>

#include "packet/place.h"
#include "support/patience.h"
#include "support/worker_node.h"
#include "table/flow_wheel.h"

namespace nodeplane::test {
namespace {

constexpr uint32_t kLarge = 16, kPieces = 64, kPieceBytes = 100;

// Gives so many large TCP packets to the virtual address; counts what is transmitted.
class LargePort : public NullPort {
 public:
  LargePort(PortCaps caps, uint32_t gives) : NullPort(std::move(caps)), gives(gives) {}
  uint32_t receive(uint32_t, Packet* packets, uint32_t, FrameCache& frames,
                   Counters&) noexcept override {
    const uint32_t count = std::exchange(gives, 0);
    Ip4 ip;
    ip.protocol = kProtocolTcp;
    const Bytes bytes =
        eth(0x0800, ipv4(ip, tcp(40000, 80, kTcpAck, zeros(kPieces * kPieceBytes))));
    for (uint32_t i = 0; i < count; ++i) {
      packets[i] = Packet{};
      EXPECT_TRUE(
          place_bytes(packets[i], frames, bytes.data(), static_cast<uint32_t>(bytes.size())));
      packets[i].flags = kFlagPartialChecksum;
      packets[i].gso = Gso::kTcp4;
      packets[i].gso_size = kPieceBytes;
    }
    return count;
  }
  uint32_t transmit(uint32_t, Packet* const* packets, uint32_t count,
                    FrameCache& frames) noexcept override {
    count = std::min(count, room);
    for (uint32_t i = 0; i < count; ++i) frames.give_chain(packets[i]->frame);
    sent += count;
    return count;
  }
  uint32_t gives, sent = 0;
  uint32_t room = ~0u;  // packets that it takes at once
};

// As many packets in one list as segmentation may make: more than a batch ever received.
TEST(Worker, SendsAListLongerThanABatch) {
  PortCaps caps;
  LargePort in(caps, kLarge), out(caps, 0);
  WorkerNode node(&in, &out);
  {
    Worker worker(node.shared, 0, WorkerMode::kPolling, -1, node.counters.get());
    EXPECT_EQ(worker.turn(node.kit.now), kLarge);
    worker.drain(node.kit.now);
  }
  const uint64_t held_back =
      node.drops(Drop::kNeighbourUnresolved) + node.drops(Drop::kNeighbourQueueFull);
  EXPECT_EQ(held_back, 0u) << "another port makes another endpoint";
  EXPECT_EQ(out.sent, kLarge * kPieces);
  EXPECT_EQ(node.counters->counts[static_cast<uint32_t>(Counter::kSegmented)], kLarge * kPieces);
}

TEST(Worker, RefusesWhatTheTransmitRingCannotHold) {
  constexpr uint32_t kRoom = 100, kTook = 2 * kRoom;  // it gets a second chance
  PortCaps caps;
  LargePort in(caps, kLarge), out(caps, 0);
  WorkerNode node(&in, &out);
  {
    Worker worker(node.shared, 0, WorkerMode::kPolling, -1, node.counters.get());
    out.room = kRoom;
    worker.turn(node.kit.now);
    EXPECT_EQ(out.sent, kTook);
    EXPECT_EQ(node.drops(Drop::kTxRingFull), kLarge * kPieces - kTook);
    out.room = ~0u;
    in.gives = kLarge;
    worker.turn(node.kit.now);  // there is room again
    worker.drain(node.kit.now);
  }
  EXPECT_EQ(out.sent, kTook + kLarge * kPieces);
  EXPECT_EQ(node.drops(Drop::kTxRingFull), kLarge * kPieces - kTook);
  EXPECT_EQ(node.sum(Counter::kPacketsOut), out.sent);
  EXPECT_EQ(node.sum(Counter::kFramesTaken), node.sum(Counter::kFramesGiven));
}

TEST(Worker, RefusesMoreSegmentsThanABatchMayHave) {
  static_assert(kLarge * kPieces == kSegmentsBatchMax);
  PortCaps caps;
  LargePort in(caps, kLarge + 1), out(caps, 0);
  WorkerNode node(&in, &out);
  {
    Worker worker(node.shared, 0, WorkerMode::kPolling, -1, node.counters.get());
    worker.turn(node.kit.now);
    EXPECT_EQ(out.sent, kSegmentsBatchMax);
    EXPECT_EQ(node.drops(Drop::kSegmentFailed), 1u);
    in.gives = 1;
    worker.turn(node.kit.now);
    worker.drain(node.kit.now);
  }
  EXPECT_EQ(out.sent, kSegmentsBatchMax + kPieces);
  EXPECT_EQ(node.drops(Drop::kSegmentFailed), 1u);
  EXPECT_EQ(node.sum(Counter::kFramesTaken), node.sum(Counter::kFramesGiven));
}

// Worker 1 owns the queue that worker 0's packets leave by, and does not turn for a while.
TEST(Worker, RefusesWhatTheRingToAnotherCannotHold) {
  PortCaps caps;
  LargePort in(caps, kLarge), out(caps, 0);
  WorkerNode node(&in, &out, 2);
  static_assert(kLarge * kPieces == kHandoverSlots);
  constexpr uint32_t kMore = 4;
  {
    Worker busy(node.shared, 0, WorkerMode::kPolling, -1, node.counters.get());
    Worker idle(node.shared, 1, WorkerMode::kPolling, -1, node.others.get());
    busy.turn(node.kit.now);
    EXPECT_EQ(node.drops(Drop::kHandoverFull), 0u);
    in.gives = kMore;
    busy.turn(node.kit.now);
    EXPECT_EQ(node.drops(Drop::kHandoverFull), kMore * kPieces);
    EXPECT_EQ(out.sent, 0u);
    while (idle.turn(node.kit.now) > 0) {
    }
    EXPECT_EQ(out.sent, kHandoverSlots);
    in.gives = kMore;
    busy.turn(node.kit.now);  // there is room again
    idle.turn(node.kit.now);
    busy.drain(node.kit.now);
    idle.drain(node.kit.now);
  }
  EXPECT_EQ(node.drops(Drop::kHandoverFull), kMore * kPieces);
  EXPECT_EQ(node.sum(Counter::kHandedOver), kHandoverSlots + kMore * kPieces);
  EXPECT_EQ(node.sum(Counter::kPacketsOut), out.sent);
  EXPECT_EQ(out.sent, kHandoverSlots + kMore * kPieces);
  EXPECT_EQ(node.sum(Counter::kPacketsIn) + node.sum(Counter::kOriginated),
            node.sum(Counter::kPacketsOut) + node.sum(Counter::kConsumed) +
                node.drops(Drop::kHandoverFull));
  EXPECT_EQ(node.sum(Counter::kFramesTaken), node.sum(Counter::kFramesGiven));
}

// Is asked to wake its worker before that one sleeps; counts how often connections were overdue then.
class BellPort : public NullPort {
 public:
  BellPort() : NullPort(PortCaps{}) {}
  bool arm(uint32_t) noexcept override {
    sleeps.fetch_add(1);
    if (node->live() > 0) overslept.fetch_add(1);
    return true;
  }
  const WorkerNode* node = nullptr;
  std::atomic<uint32_t> sleeps{0}, overslept{0};
};

constexpr Time kTick = Time{1} << FlowWheel::kTickShift;

TEST(Worker, SaysThatConnectionsAreOverdue) {
  WorkerNode node(nullptr, nullptr);
  node.overdue(1000, node.kit.now);
  Worker worker(node.shared, 0, WorkerMode::kInterrupt, -1, node.counters.get());
  const Time then = node.kit.now + 2 * kTick;
  while (worker.turn(then) > 0) ASSERT_GT(node.live(), 0u);
  EXPECT_EQ(node.live(), 0u);
  EXPECT_EQ(node.counters->counts[static_cast<uint32_t>(Counter::kFlowExpired)], 1000u);
  worker.drain(then);
}

// Gives SYNs of ever new clients, who are pods; what is transmitted is forgotten.
class SynPort : public NullPort {
 public:
  SynPort() : NullPort(PortCaps{}) {}
  uint32_t receive(uint32_t, Packet* packets, uint32_t, FrameCache& frames,
                   Counters&) noexcept override {
    Ip4 ip;
    ip.src = {10, 1, 0, 20};
    ip.protocol = kProtocolTcp;
    for (uint32_t i = 0; i < kGives; ++i) {
      const Bytes bytes = eth(0x0800, ipv4(ip, tcp(next++, 80, kTcpSyn)));
      packets[i] = Packet{};
      EXPECT_TRUE(
          place_bytes(packets[i], frames, bytes.data(), static_cast<uint32_t>(bytes.size())));
    }
    return kGives;
  }
  static constexpr uint32_t kGives = 64;
  uint16_t next = 2000;
};

// One queue for each of two workers; the second worker sleeps until it is woken.
class QuietPort : public NullPort {
 public:
  explicit QuietPort(PortCaps caps) : NullPort(std::move(caps)) {}
  ~QuietPort() override { thread_event_close(event_); }
  bool arm(uint32_t) noexcept override { return ++sleeps, true; }
  int wait_fd(uint32_t) const noexcept override { return event_; }
  uint32_t transmit(uint32_t, Packet* const* packets, uint32_t count,
                    FrameCache& frames) noexcept override {
    for (uint32_t i = 0; i < count; ++i) frames.give_chain(packets[i]->frame);
    return count;
  }
  std::atomic<uint32_t> sleeps{0};

 private:
  const int event_ = thread_event();
};

// The table is full of half-open connections of one zone, whose owner sleeps. Another worker's new ones
// of another zone take their place, and the owner is woken to give back what they held: there is a
// reserve of a 32nd only.
TEST(WorkerConcurrent, WakesASleepingOwnerOfWhatItEvicts) {
  constexpr uint32_t kTurns = 20;
  static_assert(kTurns * SynPort::kGives > 4 * CorridorKit::kCapacity / 32);
  static_assert(kTurns * SynPort::kGives < CorridorKit::kCapacity * 40 / 100);
  PortCaps caps;
  caps.queues = 2;
  SynPort in;
  QuietPort out(caps);
  WorkerNode node(&in, &out, 2);
  ZoneRow pods{};
  pods.id = 1;
  pods.guaranteed = 40;
  pods.maximum = 100;
  pods.source = static_cast<uint8_t>(ZoneSource::kPods);
  node.kit.zones = {pods};
  node.kit.publish(false, true, 3);
  node.shared.tables.store(node.kit.tables.get());
  for (uint32_t n = 0; n < CorridorKit::kCapacity; ++n) {
    auto f = make_flow<V4>(n);
    f.state = FlowState::kSynSent;
    FlowRef ref;
    ASSERT_EQ(node.kit.flows4->keep(1, f, time_now(), &ref), KeepResult::kKept);
  }
  {
    Worker busy(node.shared, 0, WorkerMode::kPolling, -1, node.counters.get());
    Worker owner(node.shared, 1, WorkerMode::kInterrupt, -1, node.others.get());
    owner.start();
    const auto slept = [&](uint32_t times) {
      const Time end = time_now() + kPatience;
      while (out.sleeps.load() < times && time_now() < end)
        std::this_thread::sleep_for(std::chrono::microseconds(100));
    };
    slept(1);
    const Time start = time_now();
    for (uint32_t turn = 0; turn < kTurns; ++turn) {
      const uint32_t before = out.sleeps.load();
      busy.turn(time_now());
      EXPECT_EQ(node.drops(Drop::kFlowTableFull), 0u) << "in turn " << turn;
      slept(before + 1);
    }
    EXPECT_LT(time_now() - start, kTurns / 2 * Time{kSleepMsMax} * kMillisecond);
    node.shared.stopping.store(true);
    thread_wake(node.shared.wake_fds[1]);
    owner.join();
    busy.drain(time_now());
  }
  EXPECT_EQ(node.counters->counts[static_cast<uint32_t>(Counter::kFlowEvicted)],
            kTurns * SynPort::kGives);
  EXPECT_EQ(node.live(), CorridorKit::kCapacity);
}

class WorkerSleeps : public testing::TestWithParam<WorkerMode> {};

TEST_P(WorkerSleeps, OnlyWhenNoConnectionIsOverdue) {
  BellPort bell;
  WorkerNode node(&bell, nullptr);
  bell.node = &node;
  node.overdue(4000, time_now());
  std::this_thread::sleep_for(std::chrono::nanoseconds(2 * kTick));  // the clock is the real one
  Worker worker(node.shared, 0, GetParam(), -1, node.counters.get());
  worker.start();
  eventually([&] { return bell.sleeps.load() != 0; });
  node.shared.stopping.store(true);
  thread_wake(node.shared.wake_fds[0]);
  worker.join();
  EXPECT_GT(bell.sleeps.load(), 0u);
  EXPECT_EQ(bell.overslept.load(), 0u);
  EXPECT_EQ(node.live(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Modes, WorkerSleeps,
                         testing::Values(WorkerMode::kInterrupt, WorkerMode::kAdaptive),
                         [](const auto& mode) {
                           return mode.param == WorkerMode::kInterrupt ? "Interrupt" : "Adaptive";
                         });

}  // namespace
}  // namespace nodeplane::test
