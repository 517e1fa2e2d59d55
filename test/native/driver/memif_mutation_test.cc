// Shared memory that changes at random while traffic runs: rings, slots, packets. The port lives, its
// frames all come back, nobody else notices. NODEPLANE_SEED repeats a run's changes (not their
// moments), NODEPLANE_MUTATE_MS makes it longer.
#include <random>

#include "support/memif_kinds.h"

namespace nodeplane::memif {
namespace {

constexpr uint32_t kSmallRing = 64;
constexpr int kPeerMs = 30;  // a peer that is not cut off goes by itself

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

// Writes nonsense, and what is nearly right, until it goes out of scope.
class Mutator {
 public:
  Mutator(const SharedRings& rings, const SharedRings* lent, uint64_t seed)
      : rings_(rings), lent_(lent), random_(seed), thread_([this] { run(); }) {}
  ~Mutator() {
    stop_ = true;
    thread_.join();
  }

 private:
  uint64_t draw(uint64_t below) { return random_() % below; }
  static void put(uint8_t* at, uint8_t value) { __atomic_store_n(at, value, __ATOMIC_RELAXED); }
  void mutate() {
    const bool way = draw(2) != 0;
    RingHead& ring = rings_.ring(way);
    Slot& slot = rings_.slots(way)[draw(rings_.size)];
    const auto any = static_cast<uint32_t>(random_());
    const auto near = static_cast<uint32_t>(rings_.bytes - draw(5000));
    const auto small = static_cast<uint32_t>(draw(3000));
    switch (draw(12)) {
      case 0:
        return store_index(&ring.head, static_cast<uint16_t>(ring.head + draw(5) - 2));
      case 1:
        return store_index(&ring.tail, static_cast<uint16_t>(ring.tail + draw(5) - 2));
      case 2:
        return store_index(draw(2) ? &ring.head : &ring.tail, static_cast<uint16_t>(any));
      case 3:
        return __atomic_store_n(&ring.flags, any, __ATOMIC_RELAXED);
      case 4:
        return __atomic_store_n(&slot.flags, draw(4), __ATOMIC_RELAXED);
      case 5:
        return __atomic_store_n(&slot.region, draw(3), __ATOMIC_RELAXED);
      case 6:
        return __atomic_store_n(&slot.length, draw(2) ? small : any, __ATOMIC_RELAXED);
      case 7:
        return __atomic_store_n(&slot.offset, draw(2) ? near : any, __ATOMIC_RELAXED);
      case 8:
        return write_slot(slot, any & 1, 0, small, near);
      case 9:
        if (lent_ != nullptr && lent_->base != nullptr)
          return put(lent_->base + draw(lent_->bytes), static_cast<uint8_t>(any));
        [[fallthrough]];
      default:
        return put(rings_.base + draw(rings_.bytes), static_cast<uint8_t>(any));
    }
  }
  void run() {
    while (!stop_.load(std::memory_order_relaxed)) {
      for (int i = 0; i < 20; ++i) mutate();
      // Some changes must be few, or no packet ever gets through.
      std::this_thread::sleep_for(std::chrono::microseconds(draw(200)));
    }
  }
  const SharedRings& rings_;
  const SharedRings* const lent_;
  std::mt19937_64 random_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

class MemifMutation : public testing::TestWithParam<Kind> {
 protected:
  // One peer's life: packets both ways while its memory is changed.
  void live_as_client(uint64_t seed) {
    HostileClient peer(socket_, {.log2 = 6, .sealed = seed % 4 != 0});
    if (!peer.join(HostileClient::kSteps, [&] { victim_->turn(); })) return;
    peer.post();
    const Mutator mutator(peer, nullptr, seed);
    victim_->turn_until(
        [&] {
          // Its own words may be nonsense by now; what it says of them stays within its memory.
          if (distance(peer.tail(kToServer), peer.laid) < peer.size / 2) peer.send(pattern(400));
          peer.set_head(kToClient, static_cast<uint16_t>(peer.tail(kToClient) + peer.size));
          return !ended(peer.fd.get()).empty();
        },
        kPeerMs);
  }
  void live_as_server(HostileServer& peer, uint64_t seed) {
    if (!peer.accept() || !peer.join()) return;
    if (peer.regions.size() > 1) peer.lent.map(peer.regions[1].file.get(), peer.regions[1].bytes);
    const Mutator mutator(peer, &peer.lent, seed);
    victim_->turn_until(
        [&] {
          // Without a look at where the slots are: their lengths, and the index.
          if (distance(peer.sent, peer.head(kToClient)) - 1 < peer.size) {
            write_low(peer.slot(kToClient, peer.sent), slot_low(0, 0, 400));
            peer.set_tail(kToClient, ++peer.sent);
          }
          peer.set_tail(kToServer, peer.head(kToServer));
          return !ended(peer.fd.get()).empty();
        },
        kPeerMs);
  }
  std::string socket_ = socket_name("mutation");
  std::unique_ptr<Victim> victim_;
};

TEST_P(MemifMutation, OfSharedMemoryHarmsNobodyElse) {
  const uint64_t seed = from_environment("NODEPLANE_SEED", std::random_device{}());
  const uint64_t ms = from_environment("NODEPLANE_MUTATE_MS", 1000);
  SCOPED_TRACE("NODEPLANE_SEED=" + std::to_string(seed));
  std::printf("NODEPLANE_SEED=%llu\n", static_cast<unsigned long long>(seed));
  const Kind& kind = GetParam();
  const bool is_server = std::string(kind.role) == "server";
  const Innocents innocents(is_server ? socket_ : socket_ + "-beside", 2);
  std::unique_ptr<HostileServer> listener;
  if (!is_server) listener = std::make_unique<HostileServer>(socket_);
  victim_ = std::make_unique<Victim>(memif_spec(socket_, 1, kind.role, kind.options(kSmallRing)),
                                     kind.engine);
  ASSERT_TRUE(innocents.go_on());
  const Time begin = time_now();
  const auto goes_on = [&] {  // for so long, and until something got through and something did not
    const Time spent = time_now() - begin;
    return spent < ms * kMillisecond ||
           (spent < kPatience && (victim_->received == 0 || victim_->stat("violations") == 0));
  };
  uint32_t peers = 0;
  for (; goes_on(); ++peers) {
    if (is_server)
      live_as_client(seed + peers);
    else
      live_as_server(*listener, seed + peers);
    if (listener != nullptr) listener->leave();
    ASSERT_TRUE(victim_->turn_until_gone());
  }
  EXPECT_GT(victim_->received, 0u);
  EXPECT_GT(victim_->stat("violations"), 0u) << "of " << peers << " peers";
  EXPECT_TRUE(innocents.go_on());
  victim_.reset();  // says whether all frames are back
}

INSTANTIATE_TEST_SUITE_P(All, MemifMutation, testing::ValuesIn(kKinds), kind_name);

}  // namespace
}  // namespace nodeplane::memif
