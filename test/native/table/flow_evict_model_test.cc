// Random operations of several workers against a plain map: keep, touch, forget, evict, expire, and
// quiescent points, interleaved as a seed says, in one thread. What fails is told with the shortest
// run that still fails.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "support/flows.h"
#include "support/sanitized.h"

namespace nodeplane {
namespace {

constexpr uint32_t kWorkers = 3, kZones = 3, kFlows = 160, kCapacity = 64;
constexpr ZoneShare kShares[kZones] = {{0, 100}, {50, 75}, {25, 100}};
constexpr uint8_t kFlags[] = {kTcpAck,           kTcpAck,           kTcpSyn,
                              kTcpSyn | kTcpAck, kTcpFin | kTcpAck, kTcpRst};
constexpr uint8_t kCalmFlags[2] = {kTcpAck, kTcpSyn | kTcpAck};  // by direction: they end nothing

template <class F>
class Play {
 public:
  explicit Play(uint32_t seed)
      : calm_(seed % 2 == 0), random_(seed), table_(make_table<F>(epochs_, kCapacity, kWorkers)) {
    table_->set_zones(kShares, kZones);
    for (uint32_t w = 0; w < kWorkers; ++w) epochs_.quiescent(w);
  }
  // What went wrong within so many steps, or nothing.
  std::string run(uint32_t steps) {
    for (uint32_t i = 0; i < steps; ++i) {
      const std::string wrong = step();
      if (!wrong.empty()) return wrong + " in step " + std::to_string(i);
    }
    return end();
  }

 private:
  struct Entry {
    uint32_t record;
    FlowState state;
    uint8_t zone;
    Time seen;
    bool fin[2] = {};
  };

  std::string step() {
    const uint32_t n = random_() % (calm_ ? kFlows / 2 : kFlows), worker = random_() % kWorkers;
    const auto f = flow(n);
    const auto at = live_.find(n);
    const bool known = at != live_.end();
    switch (random_() % 16) {
      case 0:
        epochs_.quiescent(worker);
        held_[worker].clear();
        return {};
      case 1: {
        now_ += random_() % 50 == 0 ? 200 * kSecond : random_() % 3000 * kMillisecond;
        return expire(worker);
      }
      case 2:
        if (!known || (calm_ && random_() % 8 != 0)) return {};
        return table_->forget(worker, at->second.record, &gone_) && left(at, gone_)
                   ? ""
                   : "not forgotten";
      case 3:
      case 4:
      case 5:
      case 6:
      case 7:
        // Once most live, new ones are rare: what is half-open has time to become more.
        if (calm_ && live_.size() > kCapacity - 4 && random_() % 32 != 0) return {};
        return keep(worker, n, f, at);
      default:
        return touch(worker, f, at);
    }
  }

  std::string keep(uint32_t worker, uint32_t n, const NewFlow<F>& f, auto at) {
    FlowRef ref;
    for (uint32_t tries = 0; tries < 4; ++tries) {
      const KeepResult r = table_->keep(worker, f, now_, &ref);
      if (at != live_.end())
        return r == KeepResult::kExisting && ref.record == at->second.record ? "" : "kept twice";
      if (r == KeepResult::kKept) {
        for (const auto& [other, e] : live_)
          if (e.record == ref.record) return "one record for two";
        for (const auto& held : held_)
          if (held.count(ref.record) != 0) return "a record reused while a worker may look at it";
        live_[n] = {ref.record, f.state, f.zone, now_};
        return live_.size() > kCapacity ? "more than the capacity" : "";
      }
      if (r == KeepResult::kDry) return {};
      if (r != KeepResult::kFull) return "what does not live was found";
      const std::string wrong = evict(worker, f.zone);
      if (wrong == "none") return {};
      if (!wrong.empty()) return wrong;
    }
    return {};
  }

  std::string evict(uint32_t worker, uint8_t zone) {
    uint32_t count[kZones] = {}, classes[kZones][kFlowClassCount] = {};
    for (const auto& [n, e] : live_) {
      count[e.zone]++;
      classes[e.zone][static_cast<uint32_t>(flow_class(e.state))]++;
    }
    const auto part = [](uint32_t percent) { return kCapacity * percent / 100; };
    if (!table_->evict(worker, zone, &gone_)) {
      // With lots of none (a small table) the counts are exact: nobody is over who could give way.
      for (uint32_t z = 0; z < kZones; ++z) {
        const bool over = count[z] + (z == zone) > part(kShares[z].guaranteed);
        const bool at_maximum =
            count[zone] >= part(kShares[zone].maximum) && kShares[zone].maximum < 100;
        if ((at_maximum ? z != zone : !over)) continue;
        if (classes[z][0] + classes[z][1] + classes[z][2] != 0) return "nobody gave way who could";
      }
      return "none";
    }
    for (auto it = live_.begin(); it != live_.end(); ++it) {
      if (it->first != gone_.snat_grant) continue;
      const Entry& e = it->second;
      const bool own = e.zone == zone;
      if (count[e.zone] + own <= part(kShares[e.zone].guaranteed) &&
          !(own && count[zone] >= part(kShares[zone].maximum)))
        return "a zone within its guarantee gave way";
      if (flow_class(e.state) == FlowClass::kEstablished &&
          count[zone] >= part(kShares[zone].guaranteed))
        return "an established one gave way to a zone without a right";
      left(it, gone_);
      return {};
    }
    return "what gave way did not live";
  }

  std::string touch(uint32_t worker, const NewFlow<F>& f, auto at) {
    const uint8_t direction = random_() % 2;
    const FlowRef ref = direction == 0 ? table_->find(f.original, f.original_hash)
                                       : table_->find(f.reply, f.reply_hash);
    if (at == live_.end()) return ref.record == kRecordNone ? "" : "found what does not live";
    Entry& e = at->second;
    if (ref.record != e.record || ref.direction != direction) return "not found";
    const uint8_t protocol = f.original.protocol;
    const uint8_t wild = kFlags[random_() % sizeof kFlags];
    const uint8_t flags = protocol != kProtocolTcp ? 0 : calm_ ? kCalmFlags[direction] : wild;
    table_->touch(worker, ref, 100, flags, protocol, now_);
    if (flags & kTcpFin) e.fin[direction] = true;
    e.state = next_flow_state(e.state, protocol, direction, flags, e.fin[direction ^ 1]);
    e.seen = now_;
    return table_->state_of(ref.record) == e.state ? "" : "another state";
  }

  // Whatever went must have been over; what is over may wait for its owner.
  std::string expire(uint32_t worker) {
    Gone gone[16];
    bool more = true;
    for (uint32_t i = 0; i < 4 && more; ++i) {
      const uint32_t count = table_->expire(worker, now_, 16, gone, &more);
      for (uint32_t g = 0; g < count; ++g) {
        const auto at = live_.find(gone[g].snat_grant);
        if (at == live_.end()) return "what expired did not live";
        const Entry& e = at->second;
        if (now_ < e.seen / kMillisecond * kMillisecond + timeout(at->first, e.state))
          return "expired too early";
        left(at, gone[g]);
      }
    }
    return {};
  }

  std::string end() {
    if (table_->live() != live_.size()) return "another number live";
    for (uint32_t round = 0; round < 4; ++round)
      for (uint32_t w = 0; w < kWorkers; ++w) {
        epochs_.quiescent(w);
        held_[w].clear();
        const std::string wrong = expire(w);
        if (!wrong.empty()) return wrong;
      }
    uint64_t counted = 0;
    for (uint8_t z = 0; z < kZones; ++z) {
      ZoneStateRow row;
      table_->zone_state(z, &row);
      counted += row.closing + row.half_open + row.one_way + row.established;
    }
    return counted == live_.size() ? "" : "zones count otherwise";
  }

  bool left(auto at, const Gone& gone) {
    if (gone.snat_grant != at->first) return false;
    for (auto& held : held_)
      held[at->second.record] = true;  // until each has passed a quiescent point
    live_.erase(at);
    return true;
  }
  // A flow's grant is its number, so that who went can be told.
  NewFlow<F> flow(uint32_t n) const {
    auto f = make_flow<F>(n, n % 4 == 0 ? kProtocolUdp : kProtocolTcp, n % 7);
    f.snat_grant = n;
    f.zone = static_cast<uint8_t>(n / 4 % kZones);
    if (n % 8 == 1) f.state = FlowState::kPickedUp;
    return f;
  }
  Time timeout(uint32_t n, FlowState state) const {
    const FlowTimers t = test_timers();
    const uint32_t udp = state == FlowState::kReplied ? t.udp_replied : t.udp_unreplied;
    return Time{n % 4 == 0 ? udp : t.by_state[static_cast<uint32_t>(state)]} * kMillisecond;
  }

  const bool calm_;  // connections stay established, until the table is full of them
  std::mt19937 random_;
  Epochs epochs_;
  std::unique_ptr<FlowTable<F>> table_;
  std::map<uint32_t, Entry> live_;  // by flow number
  std::map<uint32_t, bool>
      held_[kWorkers];  // records removed since that worker's last quiescent point
  Time now_ = kTestStart;
  Gone gone_{};
};

template <class F>
void play(uint32_t seeds, uint32_t steps) {
  for (uint32_t seed = 1; seed <= seeds; ++seed) {
    std::string wrong = Play<F>(seed).run(steps);
    if (wrong.empty()) continue;
    // A run is the beginning of every longer one of its seed.
    uint32_t good = 0, bad = steps;
    while (bad - good > 1) {
      const uint32_t middle = (good + bad) / 2;
      const std::string still = Play<F>(seed).run(middle);
      if (still.empty()) {
        good = middle;
      } else {
        bad = middle;
        wrong = still;
      }
    }
    FAIL() << wrong << ": seed " << seed << ", " << bad << " steps";
  }
}

TEST(FlowEvictModel, BehavesLikeAMapV4) { play<V4>(test::kSanitized ? 100 : 400, 2000); }
TEST(FlowEvictModel, BehavesLikeAMapV6) { play<V6>(test::kSanitized ? 50 : 150, 2000); }

}  // namespace
}  // namespace nodeplane
