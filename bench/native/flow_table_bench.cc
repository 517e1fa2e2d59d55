// The flow table alone: hits in batches as the find stage asks for them (index lines, then records,
// prefetched a stride ahead), with and without touch, and keeps. Items are packets. The walk is longer
// than the sides are many, so that it does not come back to lines that the last-level cache still has.
// keep_forget turns over 65,536 tuples with 4,096 alive: warm lines, no cold table.
#include <benchmark/benchmark.h>

#include <memory>
#include <random>
#include <vector>

#include "kernel/kernels.h"
#include "table/flow_table.h"

namespace nodeplane {
namespace {

constexpr HashSeed kSeed{0x0123456789abcdef, 0xfedcba9876543210};
constexpr uint32_t kBurst = 256, kAhead = 16, kRing = 1 << 22;
constexpr Time kStart = 1000 * kSecond;

void hash(const KeyV4* k, size_t n, uint32_t* out) { kernels().hash_v4(k, n, kSeed, out); }
void hash(const KeyV6* k, size_t n, uint32_t* out) { kernels().hash_v6(k, n, kSeed, out); }

template <class F>
NewFlow<F> flow(uint32_t n) {
  NewFlow<F> f{};
  std::memcpy(&f.original.src, &n, 4);
  const uint32_t server = 0x01000060 + n % 64;
  std::memcpy(&f.original.dst, &server, 4);
  f.original.sport = static_cast<uint16_t>(n * 7);
  f.original.dport = 0x5000;
  f.original.protocol = kProtocolTcp;
  f.reply = f.original;
  std::memcpy(&f.reply.src, &server, 4);
  f.reply.sport = 0x901f;
  f.reply.dport = f.original.sport;
  std::memcpy(&f.reply.dst, &n, 4);
  hash(&f.original, 1, &f.original_hash);
  hash(&f.reply, 1, &f.reply_hash);
  f.state = FlowState::kEstablished;
  return f;
}

template <class F>
struct Filled {
  explicit Filled(uint32_t flows) {
    std::string error;
    table = FlowTable<F>::create({flows, 1, true}, epochs, &error);
    std::vector<typename F::Key> all;
    for (uint32_t n = 0; n < flows; ++n) {
      const auto f = flow<F>(n);
      FlowRef ref;
      table->keep(0, f, kStart, &ref);
      all.push_back(f.original);
      all.push_back(f.reply);
    }
    std::mt19937 random(1);
    for (uint32_t i = 0; i < kRing; ++i) keys.push_back(all[random() % all.size()]);
  }
  Epochs epochs;
  std::unique_ptr<FlowTable<F>> table;
  std::vector<typename F::Key> keys;  // a random walk over both directions
};

template <class F, bool kTouch>
void find(benchmark::State& state) {
  Filled<F> f(static_cast<uint32_t>(state.range(0)));
  FlowTable<F>& t = *f.table;
  uint32_t hashes[kBurst], at = 0, missed = 0;
  Time now = kStart;
  for (auto _ : state) {
    const auto* keys = &f.keys[at];
    hash(keys, kBurst, hashes);
    for (uint32_t step = 0; step < kBurst + 2 * kAhead; ++step) {
      if (step < kBurst) t.prefetch_index(hashes[step]);
      const uint32_t near = step - kAhead, here = step - 2 * kAhead;
      if (near < kBurst) t.guess(hashes[near]);
      if (here >= kBurst) continue;
      const FlowRef ref = t.find(keys[here], hashes[here]);
      missed += ref.record == kRecordNone;
      if (kTouch) t.touch(0, ref, 64, kTcpAck, kProtocolTcp, now);
    }
    at = (at + kBurst) % kRing;
    now += 1000;
  }
  if (missed != 0) state.SkipWithError("a kept flow was not found");
  state.SetItemsProcessed(state.iterations() * kBurst);
}

// New connections, each followed by its removal 4096 later, as a table in a steady state has them.
template <class F>
void keep(benchmark::State& state) {
  constexpr uint32_t kLag = 4096, kFlows = 1 << 16;
  const auto capacity = static_cast<uint32_t>(state.range(0));
  Epochs epochs;
  std::string error;
  auto t = FlowTable<F>::create({capacity, 1, true}, epochs, &error);
  std::vector<NewFlow<F>> flows;
  for (uint32_t n = 0; n < kFlows; ++n) flows.push_back(flow<F>(n));
  std::vector<uint32_t> records(kLag, kRecordNone);
  uint64_t n = 0;
  Gone gone[kExpireBatchMax];
  bool more;
  for (auto _ : state) {
    epochs.quiescent(0);
    for (uint32_t i = 0; i < kBurst; ++i) {
      t->prefetch_index(flows[(n + i) % kFlows].original_hash);
      t->prefetch_index(flows[(n + i) % kFlows].reply_hash);
    }
    for (uint32_t i = 0; i < kBurst; ++i, ++n) {
      uint32_t& old = records[n % kLag];
      if (old != kRecordNone) t->forget(0, old, gone);
      FlowRef ref;
      if (t->keep(0, flows[n % kFlows], kStart, &ref) != KeepResult::kKept) {
        state.SkipWithError("not kept");
      }
      old = ref.record;
    }
    t->expire(0, kStart, kBurst, gone, &more);
  }
  state.SetItemsProcessed(state.iterations() * kBurst);
}

BENCHMARK(find<V4, false>)->Name("find_v4")->Arg(1000)->Arg(10000)->Arg(100000)->Arg(1000000);
BENCHMARK(find<V4, true>)->Name("find_touch_v4")->Arg(1000)->Arg(10000)->Arg(100000)->Arg(1000000);
BENCHMARK(find<V6, true>)->Name("find_touch_v6")->Arg(1000)->Arg(100000)->Arg(1000000);
BENCHMARK(keep<V4>)->Name("keep_forget_v4")->Arg(100000)->Arg(1000000);
BENCHMARK(keep<V6>)->Name("keep_forget_v6")->Arg(100000);

}  // namespace
}  // namespace nodeplane
