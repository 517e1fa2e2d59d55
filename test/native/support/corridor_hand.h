#pragma once
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "support/corridor_kit.h"

namespace nodeplane::test {

// One worker's batch, states, frames and books, where a kit has several workers.
class CorridorHand {
 public:
  CorridorHand(CorridorKit& kit, uint32_t id) : kit_(kit), frames_(*kit.arena) {
    std::memset(static_cast<void*>(counters_.get()), 0, sizeof *counters_);
    batch_->worker = states_->conntrack.worker = states_->nat.worker = id;
    batch_->frames = &frames_;
    batch_->counters = counters_.get();
    begin(kit.now);
  }
  void begin(Time now) { batch_->reset(now); }
  void put(uint16_t port, const Bytes& bytes) {
    Packet& p = batch_->packets[batch_->count++];
    p = Packet{};
    p.frame = frames_.take();
    if (p.frame == kFrameNone) std::abort();
    p.data = kit_.arena->at(p.frame) + kFrameHeadroom;
    p.length = static_cast<uint32_t>(bytes.size());
    p.linear = static_cast<uint16_t>(bytes.size());
    p.port_in = port;
    std::memcpy(p.data, bytes.data(), bytes.size());
    counters_->add(Counter::kPacketsIn);
  }
  void run(const Tables& tables) {
    states_->express.pause = 0;  // it tries every batch
    corridor(*batch_, tables, *states_);
    // Parse names what it sees.
    for (uint32_t i = 0; i < batch_->count; ++i)
      express_ +=
          batch_->packets[i].kind == Kind::kOther && batch_->packets[i].verdict == Verdict::kSent;
    collect(true);
  }
  uint64_t by_express() const { return express_; }
  uint64_t by_whole_steps() const { return states_->express.wide_steps; }
  // What a worker does between batches. `all`: what waits for a neighbour leaves. True: more is due.
  bool tidy(const Tables& tables, bool all) {
    begin(batch_->now);
    route_wake(*batch_, tables.route, states_->route, all);
    corridor_resume(*batch_, tables, *states_);
    collect(false);
    begin(batch_->now);
    return conntrack_expire(*batch_, tables.conntrack, states_->conntrack, kExpireBatchMax);
  }
  void end(const Tables& tables) {
    tidy(tables, true);
    frames_.flush();
  }
  uint64_t count(Counter c) const { return counters_->counts[static_cast<uint32_t>(c)]; }
  uint64_t drops(Drop d) const { return counters_->drops[static_cast<uint32_t>(d)]; }
  uint64_t drops() const {
    uint64_t sum = 0;
    for (const uint64_t d : counters_->drops) sum += d;
    return sum;
  }
  const Batch& batch() const { return *batch_; }
  // Every packet that came or was made has left, or waits.
  bool is_balanced() const {
    return count(Counter::kPacketsIn) + count(Counter::kOriginated) ==
           count(Counter::kPacketsOut) + count(Counter::kConsumed) + count(Counter::kHeld) +
               drops();
  }
  std::vector<Bytes> to_pods;  // sent by the last run

 private:
  void collect(bool keep) {
    if (keep) to_pods.clear();
    for (uint32_t port = 0; port < 3; ++port) {
      auto& list = states_->output.lists[port];
      for (uint32_t i = 0; i < list.count; ++i) {
        const Packet& p = *list.packets[i];
        if (keep && port == 1) to_pods.emplace_back(p.data, p.data + p.linear);
        frames_.give_chain(p.frame);
      }
      counters_->add(Counter::kPacketsOut, list.count);
      list.count = 0;
    }
    states_->output.segment_count = 0;
  }

  CorridorKit& kit_;
  uint64_t express_ = 0;  // packets that went express
  FrameCache frames_;
  std::unique_ptr<Counters> counters_ = std::make_unique<Counters>();
  std::unique_ptr<Batch> batch_ = std::make_unique<Batch>();
  std::unique_ptr<States> states_ = std::make_unique<States>();
};

}  // namespace nodeplane::test
