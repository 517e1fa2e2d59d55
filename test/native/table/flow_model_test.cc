#include <gtest/gtest.h>

#include <random>
#include <unordered_map>
#include <vector>

#include "support/flows.h"
#include "support/sanitized.h"

namespace nodeplane {
namespace {

// The meaning of a flow table: what a std::unordered_map and a clock would do.
struct Model {
  struct Entry {
    uint32_t record;
    FlowState state;
    uint8_t protocol;
    Time seen;
    uint32_t packets[2];
    bool fin[2];
  };
  std::unordered_map<uint32_t, Entry> live;  // by flow number
  FlowTimers timers = test_timers();

  Time timeout(const Entry& e) const {
    if (e.protocol == kProtocolTcp) {
      return Time{timers.by_state[static_cast<uint32_t>(e.state)]} * kMillisecond;
    }
    return Time{e.state == FlowState::kReplied ? timers.udp_replied : timers.udp_unreplied} *
           kMillisecond;
  }
  void touch(Entry& e, uint8_t direction, uint8_t flags, Time now) const {
    e.packets[direction]++;
    if (flags & kTcpFin) e.fin[direction] = true;
    e.state = next_flow_state(e.state, e.protocol, direction, flags, e.fin[direction ^ 1]);
    e.seen = now;
  }
};

constexpr uint8_t kFlagChoices[] = {kTcpAck,           kTcpAck,           kTcpAck, kTcpSyn,
                                    kTcpSyn | kTcpAck, kTcpFin | kTcpAck, kTcpRst};

template <class F>
void play(uint32_t seed) {
  constexpr uint32_t kFlows = 3000, kCapacity = 1000, kSteps = test::kSanitized ? 15000 : 60000;
  constexpr Time kLate = 140 * kMillisecond;  // two ticks of the wheel
  Epochs epochs;
  auto t = make_table<F>(epochs, kCapacity);
  ASSERT_NE(t, nullptr);
  Model model;
  std::mt19937 random(seed);
  Time now = kTestStart;
  Gone gone[kExpireBatchMax];
  for (uint32_t step = 0; step < kSteps; ++step) {
    const uint32_t n = random() % kFlows;
    const uint8_t protocol = n % 3 == 0 ? kProtocolUdp : kProtocolTcp;
    const auto f = make_flow<F>(n, protocol, n % 50);
    const auto entry = model.live.find(n);
    const bool known = entry != model.live.end();
    const uint32_t what = random() % 100;
    if (what < 40) {
      FlowRef ref;
      const KeepResult r = t->keep(0, f, now, &ref);
      if (known) {
        ASSERT_EQ(r, KeepResult::kExisting);
        ASSERT_EQ(ref.record, entry->second.record);
      } else if (model.live.size() == kCapacity) {
        ASSERT_EQ(r, KeepResult::kFull);
      } else {
        ASSERT_EQ(r, KeepResult::kKept) << model.live.size();
        model.live[n] = {ref.record, f.state, protocol, now, {0, 0}, {false, false}};
      }
    } else if (what < 85) {
      const uint8_t direction = random() % 2;
      const auto& key = direction == 0 ? f.original : f.reply;
      const FlowRef ref = t->find(key, direction == 0 ? f.original_hash : f.reply_hash);
      ASSERT_EQ(ref.record != kRecordNone, known);
      if (known) {
        ASSERT_EQ(ref.record, entry->second.record);
        ASSERT_EQ(ref.direction, direction);
        const uint8_t flags = protocol == kProtocolTcp ? kFlagChoices[random() % 7] : 0;
        t->touch(0, ref, 100, flags, protocol, now);
        model.touch(entry->second, direction, flags, now);
        ASSERT_EQ(t->state_of(ref.record), entry->second.state);
      }
    } else if (what < 90) {
      if (known) {
        ASSERT_TRUE(t->forget(0, entry->second.record, gone));
        model.live.erase(entry);
      }
    } else {
      now += random() % 1000 == 0 ? 3600 * kSecond : random() % 2000 * kMillisecond;
      expire_all(*t, 0, now);
      for (auto it = model.live.begin(); it != model.live.end();) {
        const auto& e = it->second;
        const Time end = e.seen / kMillisecond * kMillisecond + model.timeout(e);
        const auto g = make_flow<F>(it->first, e.protocol, it->first % 50);
        const bool there = t->find(g.original, g.original_hash).record != kRecordNone;
        const bool must = now < end, must_not = now >= end + kLate;
        ASSERT_TRUE(there ? !must_not : !must);
        it = there ? std::next(it) : model.live.erase(it);
      }
    }
    ASSERT_EQ(t->live(), model.live.size());
  }
  std::vector<FlowRow> rows(kCapacity);
  uint32_t cursor = 0;
  ASSERT_EQ(t->dump(&cursor, rows.data(), kCapacity, now), model.live.size());
  uint64_t packets = 0, expected = 0;
  for (const auto& [n, e] : model.live) expected += e.packets[0] + e.packets[1];
  for (const auto& r : rows) packets += r.packets_forward + r.packets_backward;
  EXPECT_EQ(packets, expected);
}

TEST(FlowModel, BehavesLikeAMapV4) {
  for (uint32_t seed = 1; seed <= 3; ++seed) play<V4>(seed);
}
TEST(FlowModel, BehavesLikeAMapV6) { play<V6>(4); }

}  // namespace
}  // namespace nodeplane
