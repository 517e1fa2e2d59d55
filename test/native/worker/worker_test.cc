#include "worker/worker.h"

#include <gtest/gtest.h>

#include "packet/place.h"
#include "support/corridor_kit.h"

namespace nodeplane::test {
namespace {

constexpr uint32_t kLarge = 16, kPieces = 64, kPieceBytes = 100;

// Gives one batch of large TCP packets to the virtual address; counts what is transmitted.
class LargePort : public NullPort {
 public:
  LargePort(PortCaps caps, bool gives) : NullPort(std::move(caps)), gives_(gives) {}
  uint32_t receive(uint32_t, Packet* packets, uint32_t, FrameCache& frames,
                   Counters&) noexcept override {
    if (!gives_) return 0;
    gives_ = false;
    Ip4 ip;
    ip.protocol = kProtocolTcp;
    const Bytes bytes =
        eth(0x0800, ipv4(ip, tcp(40000, 80, kTcpAck, zeros(kPieces * kPieceBytes))));
    for (uint32_t i = 0; i < kLarge; ++i) {
      packets[i] = Packet{};
      EXPECT_TRUE(
          place_bytes(packets[i], frames, bytes.data(), static_cast<uint32_t>(bytes.size())));
      packets[i].flags = kFlagPartialChecksum;
      packets[i].gso = Gso::kTcp4;
      packets[i].gso_size = kPieceBytes;
    }
    return kLarge;
  }
  uint32_t transmit(uint32_t, Packet* const* packets, uint32_t count,
                    FrameCache& frames) noexcept override {
    for (uint32_t i = 0; i < count; ++i) frames.give_chain(packets[i]->frame);
    sent += count;
    return count;
  }
  uint32_t sent = 0;

 private:
  bool gives_;
};

// As many packets in one list as segmentation may make: more than a batch ever received.
TEST(Worker, SendsAListLongerThanABatch) {
  CorridorKit kit;
  PortCaps caps;
  LargePort in(caps, true), out(caps, false);
  Shared shared;
  shared.arena = kit.arena.get();
  shared.epochs = &kit.epochs;
  shared.ports[0] = &in;
  shared.ports[1] = &out;
  shared.ports[2] = kit.ports[2].get();
  shared.port_count = 3;
  shared.rings.resize(1);
  shared.sleeping = std::make_unique<std::atomic<bool>[]>(1);
  shared.tables.store(kit.tables.get());
  auto counters = std::make_unique<Counters>();
  std::memset(static_cast<void*>(counters.get()), 0, sizeof *counters);
  {
    Worker worker(shared, 0, WorkerMode::kPolling, -1, counters.get());
    EXPECT_EQ(worker.turn(kit.now), kLarge);
    worker.drain(kit.now);
  }
  const uint64_t held_back = counters->drops[static_cast<uint32_t>(Drop::kNeighbourUnresolved)] +
                             counters->drops[static_cast<uint32_t>(Drop::kNeighbourQueueFull)];
  EXPECT_EQ(held_back, 0u) << "another port makes another endpoint";
  EXPECT_EQ(out.sent, kLarge * kPieces);
  EXPECT_EQ(counters->counts[static_cast<uint32_t>(Counter::kSegmented)], kLarge * kPieces);
}

}  // namespace
}  // namespace nodeplane::test
