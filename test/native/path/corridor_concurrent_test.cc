#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iterator>
#include <random>
#include <thread>

#include "support/corridor_hand.h"
#include "support/patience.h"

// Two workers run the whole corridor over one flow table: the questions of established connections
// come by one, their answers by the other, by the express lane where they may, while both open, close,
// reset and lose other ones (the same for both) in two zones that evict, and control publishes services,
// as changes and as whole sets.
namespace nodeplane::test {
namespace {

constexpr uint32_t kWorkers = 2, kCapacity = 256, kKnown = 32, kOthers = 600, kPhaseMs = 400;
constexpr uint8_t kPodZone = 1;  // the zone of clients in the pod range; the others' is 0
constexpr uint32_t kSrc4 = 26, kSrc6 = 22;  // of addresses in a frame
constexpr Time kDuration = 2 * kSecond;
// Turns of each worker from one publish to the next: the first after it takes no express lane.
constexpr uint64_t kTurnsPublished = 8;
constexpr Counter kWanted[] = {Counter::kFlowExpired, Counter::kFlowEvicted,
                               Counter::kFlowForgotten};
const Bytes kOutside4 = {198, 51, 100, 7};
const Bytes kPod4 = {10, 1, 0, 12};
const Bytes kPodPortMac = {0x02, 0, 0, 0, 0, 0x02};  // of port 1
const Bytes kOutside6 = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7};
const Bytes kVirtual4 = {10, 96, 0, 10};
const Bytes kVirtual6 = {0xfd, 0, 0, 0x96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10};

Bytes question(bool v6, uint16_t port, uint8_t flags) {
  Ip4 ip4;
  ip4.src = kOutside4;
  ip4.dst = kVirtual4;
  Ip6 ip6;
  ip6.src = kOutside6;
  ip6.dst = kVirtual6;
  return v6 ? eth(0x86dd, ipv6(ip6, tcp(port, 80, flags)))
            : eth(0x0800, ipv4(ip4, tcp(port, 80, flags)));
}

Bytes pods_question(uint16_t port, uint8_t flags) {
  Ip4 ip;
  ip.src = kPod4;
  ip.dst = kVirtual4;
  return eth(0x0800, ipv4(ip, tcp(port, 80, flags)), kPodPortMac);
}

// What the receiver of this TCP packet says next; sums stay right, but for the flags' sake.
Bytes answer_with(Bytes b, uint8_t flags) {
  const bool v6 = b[12] == 0x86;
  const long at = v6 ? kSrc6 : kSrc4, length = v6 ? 16 : 4, l4 = at + 2 * length;
  std::swap_ranges(b.begin(), b.begin() + 6, b.begin() + 6);
  std::swap_ranges(b.begin() + at, b.begin() + at + length, b.begin() + at + length);
  std::swap_ranges(b.begin() + l4, b.begin() + l4 + 2, b.begin() + l4 + 2);
  b[static_cast<size_t>(l4) + 13] = flags;
  return b;
}

bool is_tcp(const Bytes& b) {
  return b[12] == 0x86 ? b[20] == kProtocolTcp : b[13] == 0 && b[23] == kProtocolTcp;
}

struct Road {
  CorridorKit kit{false, true, kCapacity, kWorkers};
  CorridorHand hands[kWorkers] = {{kit, 0}, {kit, 1}};
  std::atomic<const Tables*> tables{nullptr};
  const Time start = time_now();
  std::atomic<bool> stop{false};
  std::atomic<bool> happened[std::size(kWanted)] = {};
  std::vector<Bytes> known[kWorkers];            // by worker: questions, answers
  std::atomic<uint64_t> carried[kWorkers] = {};  // of each of them

  Road() {
    ZoneRow pods{};
    pods.id = kPodZone;
    pods.maximum = 40;
    pods.source = static_cast<uint8_t>(ZoneSource::kPods);
    kit.zones = {pods};
    publish(true, 2);
    establish();
  }
  void publish(bool whole, uint32_t endpoints) {
    if (whole)
      kit.publish(false, true, endpoints);
    else
      kit.change(~0u, 0, endpoints, 0);
    set_timers(kPhaseMs / 4);
    tables.store(kit.tables.get());
    // Until nobody reads what is kept as `before`: the next one drops it.
    for (const uint64_t epoch = kit.epochs.retire(); kit.epochs.safe() <= epoch;)
      std::this_thread::yield();
  }
  void set_timers(uint32_t closed_ms) {
    FlowTimers timers{};
    for (uint32_t& ms : timers.by_state) ms = 3'600'000;
    timers.by_state[static_cast<uint32_t>(FlowState::kClosed)] = closed_ms;
    timers.udp_unreplied = timers.udp_replied = timers.icmp = timers.sctp = 30'000;
    kit.flows4->set_timers(timers);
    kit.flows6->set_timers(timers);
  }
  void establish() {
    CorridorHand& h = hands[0];
    const auto one = [&](uint16_t port, const Bytes& bytes) {
      h.begin(kit.now);
      h.put(port, bytes);
      h.run(*kit.tables);
    };
    for (uint32_t n = 0; n < kKnown; ++n) {
      const auto port = static_cast<uint16_t>(1024 + n);
      const bool v6 = n >= kKnown / 2;  // each family's make a whole step
      one(0, question(v6, port, kTcpSyn));
      ASSERT_EQ(h.to_pods.size(), 1u);
      const Bytes sent = h.to_pods[0];
      one(1, answer_with(sent, kTcpSyn | kTcpAck));
      one(0, question(v6, port, kTcpAck));
      known[0].push_back(question(v6, port, kTcpAck));
      known[1].push_back(answer_with(sent, kTcpAck));
    }
    ASSERT_EQ(live(), kKnown);
  }
  Time clock() const { return kit.now + time_now() - start; }
  uint32_t live() const { return kit.flows4->live() + kit.flows6->live(); }
  ZoneStateRow zone(uint8_t z) const {
    ZoneStateRow row;
    kit.flows4->zone_state(z, &row);
    return row;
  }
  uint64_t evicted(uint8_t z) const {
    const ZoneStateRow row = zone(z);
    return row.evicted_closing + row.evicted_half_open;
  }
  bool all_happened() const {
    return evicted(0) > 0 && evicted(kPodZone) > 0 &&
           std::all_of(std::begin(happened), std::end(happened),
                       [](const std::atomic<bool>& h) { return h.load(); });
  }
  uint64_t sum(Counter c) const { return hands[0].count(c) + hands[1].count(c); }

  void drive(uint32_t w) {
    constexpr uint8_t kFlags[] = {kTcpSyn, kTcpSyn, kTcpAck, kTcpFin | kTcpAck, kTcpRst, kTcpSyn};
    CorridorHand& h = hands[w];
    std::mt19937 random(w + 1);
    std::vector<Bytes> heard;
    while (!stop.load(std::memory_order_relaxed)) {
      kit.epochs.quiescent(w);
      const Tables& now_valid = *tables.load(std::memory_order_acquire);
      const Time now = clock();
      h.begin(now);
      // What is answered below, with whatever flags, is none of the known ones.
      const bool known_too = random() % 4 != 0;
      if (known_too) {
        for (const Bytes& b : known[w]) h.put(static_cast<uint16_t>(w), b);
        ++carried[w];
      }
      // In every other phase no more come, so that some expire before they are evicted.
      const bool busy = now / kMillisecond / kPhaseMs % 2 == 0;
      for (uint32_t i = busy ? random() % 24 : 0; i > 0; --i) {
        const auto port = static_cast<uint16_t>(5000 + random() % kOthers);
        const uint8_t flags = kFlags[random() % 6];
        if (!heard.empty() && random() % 3 == 0)
          h.put(1, answer_with(heard[random() % heard.size()], flags | kTcpAck));
        else if (random() % 3 == 0)
          h.put(1, pods_question(port, flags));
        else
          h.put(0, question(random() % 2, port, flags));
      }
      h.run(now_valid);
      if (heard.size() > 64) heard.clear();
      for (const Bytes& b : h.to_pods)
        if (!known_too && is_tcp(b)) heard.push_back(b);
      h.tidy(now_valid, false);
      for (size_t i = 0; i < std::size(kWanted); ++i)
        if (h.count(kWanted[i]) > 0) happened[i].store(true, std::memory_order_relaxed);
    }
    kit.epochs.offline(w);
  }
};

template <class F>
void look(const FlowTable<F>& flows, Time now, const Road& road, uint32_t* known,
          uint32_t* masqueraded) {
  std::vector<FlowRow> rows(flows.capacity());
  uint32_t cursor = 0;
  rows.resize(flows.dump(&cursor, rows.data(), flows.capacity(), now));
  EXPECT_EQ(rows.size(), flows.live()) << "a record is lost";
  for (const FlowRow& r : rows) {
    *masqueraded += std::memcmp(r.reply_destination, r.original_source, 16) != 0;
    if (swap16(r.original_source_port) >= 1024 + kKnown) continue;
    ++*known;
    EXPECT_EQ(r.packets_forward, 2 + road.carried[0]);
    EXPECT_EQ(r.packets_backward, 1 + road.carried[1]);
  }
}

TEST(CorridorConcurrent, OneTableManyHands) {
  Road road;
  CorridorKit& kit = road.kit;
  for (uint32_t w = 0; w < kWorkers; ++w) kit.epochs.quiescent(w);
  std::thread threads[kWorkers];
  for (uint32_t w = 0; w < kWorkers; ++w) threads[w] = std::thread([&, w] { road.drive(w); });
  const Time start = time_now();
  const auto goes_on = [&] {
    const Time spent = time_now() - start;
    return spent < kDuration || (spent < kPatience && !road.all_happened());
  };
  std::vector<FlowRow> rows(kCapacity);
  for (uint32_t n = 0; goes_on(); ++n) {
    const uint64_t before[] = {road.carried[0], road.carried[1]};
    road.publish(n % 3 == 0, 2 + n % 2);
    uint32_t cursor = 0;
    kit.flows4->dump(&cursor, rows.data(), kCapacity, kit.now);
    std::this_thread::sleep_for(std::chrono::nanoseconds(kDuration / 40));
    EXPECT_TRUE(eventually([&] {
      return road.carried[0] >= before[0] + kTurnsPublished &&
             road.carried[1] >= before[1] + kTurnsPublished;
    }));
  }
  road.stop.store(true);
  for (auto& t : threads) t.join();
  for (auto& h : road.hands) h.end(*kit.tables);

  for (const auto& h : road.hands) EXPECT_TRUE(h.is_balanced());
  EXPECT_EQ(kit.arena->free_count(), kit.arena->count());
  for (const Counter c : kWanted)
    EXPECT_GT(road.sum(c), 0u) << kCounterNames[static_cast<uint32_t>(c)];
  EXPECT_EQ(road.sum(Counter::kFlowNew) - road.sum(Counter::kFlowForgotten) -
                road.sum(Counter::kFlowExpired) - road.sum(Counter::kFlowEvicted),
            road.live());
  for (const uint8_t z : {uint8_t{0}, kPodZone}) {
    EXPECT_GT(road.evicted(z), 0u) << "zone " << +z;
    EXPECT_EQ(road.zone(z).evicted_established, 0u);
  }
  for (uint32_t w = 0; w < kWorkers; ++w) {
    EXPECT_GT(road.hands[w].by_express(), kKnown * road.carried[w] / 2) << "worker " << w;
    if (express_is_wide())
      EXPECT_GT(road.hands[w].by_whole_steps(), road.carried[w] / 2) << "worker " << w;
  }
  road.set_timers(3'600'000);  // nothing runs out while we look
  const Time last = road.clock();
  uint32_t known = 0, masqueraded = 0;
  look(*kit.flows4, last, road, &known, &masqueraded);
  look(*kit.flows6, last, road, &known, &masqueraded);
  EXPECT_EQ(kit.snat.in_use(), masqueraded);
  EXPECT_EQ(known, kKnown) << "an established connection was lost";

  for (uint32_t round = 0; round < 100; ++round) {  // limbo empties by and by
    for (auto& h : road.hands) {
      h.begin(last + 8000 * kSecond);
      while (h.tidy(*kit.tables, true)) {
      }
    }
  }
  for (auto& h : road.hands) h.end(*kit.tables);
  EXPECT_EQ(road.live(), 0u);
  EXPECT_EQ(kit.snat.in_use(), 0u);
}

}  // namespace
}  // namespace nodeplane::test
