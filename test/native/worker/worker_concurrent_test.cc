#include <chrono>
#include <thread>

#include "packet/place.h"
#include "support/patience.h"
#include "support/worker_node.h"

// Two workers on threads of their own: one has the clients' queue, the other the endpoints', so every
// packet is handed over. Control publishes meanwhile; now and then nothing comes, and they sleep.
namespace nodeplane::test {
namespace {

constexpr uint32_t kFlows = 64, kBurst = 8, kBursts = 256, kRests = 32, kAnswersWanted = 5'000;
constexpr uint32_t kPublishesWanted = 20, kAnswersWaiting = 256;

Bytes question(uint32_t flow) {
  Ip4 ip;
  return eth(0x0800, ipv4(ip, tcp(static_cast<uint16_t>(1024 + flow), 80, kTcpAck)));
}

Bytes answer(const Packet& p) {
  Bytes b(p.data, p.data + p.linear);
  std::swap_ranges(b.begin(), b.begin() + 6, b.begin() + 6);
  std::swap_ranges(b.begin() + 26, b.begin() + 30, b.begin() + 30);
  std::swap_ranges(b.begin() + 34, b.begin() + 36, b.begin() + 36);
  return b;
}

// Asks in bursts, and not at all for a while.
class ClientPort : public NullPort {
 public:
  ClientPort() : NullPort(PortCaps{}) {
    for (uint32_t n = 0; n < kFlows; ++n) questions_.push_back(question(n));
  }
  uint32_t receive(uint32_t, Packet* packets, uint32_t, FrameCache& frames,
                   Counters&) noexcept override {
    if (++calls_ % (kBursts + kRests) >= kBursts) return 0;
    uint32_t n = 0;
    while (n < kBurst) {
      const Bytes& b = questions_[next_++ % kFlows];
      packets[n] = Packet{};
      if (!place_bytes(packets[n], frames, b.data(), static_cast<uint32_t>(b.size()))) break;
      ++n;
    }
    return n;
  }
  uint32_t transmit(uint32_t, Packet* const* packets, uint32_t count,
                    FrameCache& frames) noexcept override {
    for (uint32_t i = 0; i < count; ++i) frames.give_chain(packets[i]->frame);
    answered.fetch_add(count, std::memory_order_relaxed);
    return count;
  }
  std::atomic<uint32_t> answered{0};

 private:
  std::vector<Bytes> questions_;
  uint32_t calls_ = 0, next_ = 0;
};

// Answers what it transmits, as far as it can remember.
class EndpointPort : public NullPort {
 public:
  EndpointPort() : NullPort(PortCaps{}) {}
  uint32_t transmit(uint32_t, Packet* const* packets, uint32_t count,
                    FrameCache& frames) noexcept override {
    for (uint32_t i = 0; i < count; ++i) {
      if (waiting_.size() < kAnswersWaiting) waiting_.push_back(answer(*packets[i]));
      frames.give_chain(packets[i]->frame);
    }
    return count;
  }
  uint32_t receive(uint32_t, Packet* packets, uint32_t max, FrameCache& frames,
                   Counters&) noexcept override {
    uint32_t n = 0;
    for (; n < max && !waiting_.empty(); ++n) {
      const Bytes& b = waiting_.back();
      packets[n] = Packet{};
      if (!place_bytes(packets[n], frames, b.data(), static_cast<uint32_t>(b.size()))) break;
      waiting_.pop_back();
    }
    return n;
  }

 private:
  std::vector<Bytes> waiting_;
};

TEST(WorkerConcurrent, EveryPacketIsHandedOverWhileControlPublishes) {
  ClientPort clients;
  EndpointPort endpoints;
  WorkerNode node(&clients, &endpoints, 2);
  Shared& shared = node.shared;
  CorridorKit& kit = node.kit;
  {
    Worker asks(shared, 0, WorkerMode::kAdaptive, -1, node.counters.get());
    Worker answers(shared, 1, WorkerMode::kInterrupt, -1, node.others.get());
    asks.start();
    answers.start();
    const Time end = time_now() + kPatience;
    uint32_t published = 0;
    while ((clients.answered.load(std::memory_order_relaxed) < kAnswersWanted ||
            published < kPublishesWanted) &&
           time_now() < end) {
      if (published % 4 == 0)
        kit.publish(false, true, 2);
      else
        kit.change(~0u, 0, 1 + published % 2, 0);
      shared.tables.store(kit.tables.get(), std::memory_order_seq_cst);
      for (const uint64_t epoch = kit.epochs.retire(); kit.epochs.safe() <= epoch;)
        std::this_thread::yield();
      for (const int fd : shared.wake_fds) thread_wake(fd);
      ++published;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    EXPECT_GE(clients.answered.load(), kAnswersWanted);
    EXPECT_GE(published, kPublishesWanted);
    shared.stopping.store(true);
    for (const int fd : shared.wake_fds) thread_wake(fd);
    asks.join();
    answers.join();
    asks.drain(time_now());
    answers.drain(time_now());
  }
  uint64_t drops = 0;
  for (uint32_t d = 0; d < kDropCount; ++d)
    drops += node.counters->drops[d] + node.others->drops[d];
  EXPECT_EQ(node.sum(Counter::kPacketsIn) + node.sum(Counter::kOriginated),
            node.sum(Counter::kPacketsOut) + node.sum(Counter::kConsumed) + drops);
  EXPECT_EQ(node.sum(Counter::kFramesTaken), node.sum(Counter::kFramesGiven));
  EXPECT_GT(node.counters->counts[static_cast<uint32_t>(Counter::kHandedOver)], 0u);
  EXPECT_GT(node.others->counts[static_cast<uint32_t>(Counter::kHandedOver)], 0u);
  EXPECT_EQ(kit.flows4->live(), node.sum(Counter::kFlowNew) - node.sum(Counter::kFlowForgotten) -
                                    node.sum(Counter::kFlowExpired));
}

}  // namespace
}  // namespace nodeplane::test
