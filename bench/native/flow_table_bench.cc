// The flow table alone, in laps of 8,192 items that are newly drawn between laps, untimed.
//   find_hit  random established keys of both directions in batches of 256, as the express lane asks for
//             them: hash, index lines, then records, asked for some packets ahead; counters touched
//   find_hit crc32c  the same with the other hash
//   find_miss the same of keys that are not there
//   keep      new connections beside those that live; remove: random ones of those, one by one
//   expire    connections whose time ran out, in batches, with caches full of other memory
//   floor     one random 64-byte line for each item, of as many bytes as the table has
// Names are SUBJECT/FAMILY/FLOWS; bench/flows.ts runs them.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "base/memory.h"
#include "kernel/kernels.h"
#include "table/flow_table.h"

namespace nodeplane {
namespace {

constexpr HashSeed kSeed{0x0123456789abcdef, 0xfedcba9876543210};
constexpr uint32_t kLap = 8192, kBurst = 256, kLinesAhead = 32;
constexpr uint32_t kStep = 16, kAhead = 2 * kStep;  // as the express lane does
constexpr uint32_t kSpare = 4;               // a table has room for a quarter more than live in it,
constexpr uint32_t kSurplus = 5;             // and had a fifth more
constexpr uint32_t kOtherHashMax = 1000000;  // flows of a second table
constexpr Time kStart = 1000 * kSecond;
constexpr uint32_t kShortMs = 1000, kLongMs = 20u * 24 * 3600 * 1000;
constexpr size_t kOtherBytes = size_t{64} << 20;  // more than a core complex caches

HashKind hash_kind = HashKind::kSip13;  // of the benchmark that runs

void hash(const KeyV4* k, size_t n, uint32_t* out) {
  const bool keyed = hash_kind == HashKind::kSip13;
  (keyed ? kernels().hash_v4 : kernels().crc_v4)(k, n, kSeed, out);
}
void hash(const KeyV6* k, size_t n, uint32_t* out) {
  const bool keyed = hash_kind == HashKind::kSip13;
  (keyed ? kernels().hash_v6 : kernels().crc_v6)(k, n, kSeed, out);
}

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

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - from_).count();
  }

 private:
  std::chrono::steady_clock::time_point from_ = std::chrono::steady_clock::now();
};

// One for all benchmarks of a size and hash; each leaves it as it was.
template <class F>
struct Filled {
  static Filled& of(uint32_t flows, HashKind kind = HashKind::kSip13) {
    static std::map<std::pair<uint32_t, HashKind>, std::unique_ptr<Filled>> all;
    hash_kind = kind;
    std::unique_ptr<Filled>& one = all[{flows, kind}];
    if (!one) one.reset(new Filled(flows));
    return *one;
  }

  explicit Filled(uint32_t count) : flows(count), next(count) {
    std::string error;
    table = FlowTable<F>::create({flows + flows / kSpare, 1, true}, epochs, &error);
    FlowTimers timers;
    std::fill(std::begin(timers.by_state), std::end(timers.by_state), kShortMs);
    timers.by_state[static_cast<uint32_t>(FlowState::kEstablished)] = kLongMs;
    timers.udp_unreplied = timers.udp_replied = timers.icmp = timers.sctp = kShortMs;
    table->set_timers(timers);
    epochs.quiescent(0);
    for (uint32_t n = 0; n < flows; ++n) records.push_back(keep(flow<F>(n)));
    // As a table is that was fuller once: what is free lies anywhere.
    std::vector<uint32_t> surplus;
    for (uint32_t i = 0; i < flows / kSurplus; ++i) surplus.push_back(keep(flow<F>(next++)));
    std::shuffle(surplus.begin(), surplus.end(), random);
    for (const uint32_t record : surplus) forget(record);
    recycle();
  }
  uint32_t keep(const NewFlow<F>& f) {
    FlowRef ref;
    return table->keep(0, f, now, &ref) == KeepResult::kKept ? ref.record : kRecordNone;
  }
  bool forget(uint32_t record) {
    Gone gone;
    return table->forget(0, record, &gone);
  }
  // What was removed may be used again.
  void recycle() {
    Gone gone[kExpireBatchMax];
    bool more;
    epochs.quiescent(0);
    table->expire(0, now, kExpireBatchMax, gone, &more);
  }
  std::vector<NewFlow<F>> fresh(FlowState state) {
    std::vector<NewFlow<F>> made;
    for (uint32_t i = 0; i < kLap; ++i) made.push_back(flow<F>(next++));
    for (NewFlow<F>& f : made) f.state = state;
    return made;
  }

  Epochs epochs;
  std::unique_ptr<FlowTable<F>> table;
  uint32_t flows, next;           // those below `flows` live; `next` was never kept
  std::vector<uint32_t> records;  // of those that live
  std::mt19937 random{1};
  Time now = kStart;
};

template <class F>
uint32_t settle_step(FlowTable<F>& t, const typename F::Key* keys, const uint32_t* hashes,
                     const uint32_t* guesses, Time now) {
  uint32_t found = 0;
  for (uint32_t i = 0; i < kStep; ++i) {
    const uint32_t entry = t.settle(guesses[i], keys[i], hashes[i]);
    if (entry == kRecordNone) continue;
    ++found;
    t.touch(0, FlowRef{entry >> 1, static_cast<uint8_t>(entry & 1)}, 64, kTcpAck, kProtocolTcp,
            now);
  }
  return found;
}

// Of one lap over all keys: how many were found.
template <class F>
uint32_t find_all(FlowTable<F>& t, const std::vector<typename F::Key>& keys, Time now) {
  uint32_t hashes[kBurst], guesses[kBurst], found = 0;
  for (uint32_t from = 0; from < kLap; from += kBurst) {
    hash(&keys[from], kBurst, hashes);
    for (uint32_t step = 0; step < kBurst + 2 * kAhead; step += kStep) {
      if (step < kBurst)
        for (uint32_t i = step; i < step + kStep; ++i) t.prefetch_index(hashes[i]);
      const uint32_t near = step - kAhead, here = step - 2 * kAhead;
      if (near < kBurst) t.guess(&hashes[near], kStep, &guesses[near]);
      if (here < kBurst)
        found += settle_step(t, &keys[from + here], &hashes[here], &guesses[here], now);
    }
  }
  return found;
}

template <class F>
void find(benchmark::State& state, bool is_there, HashKind kind = HashKind::kSip13) {
  auto& f = Filled<F>::of(static_cast<uint32_t>(state.range(0)), kind);
  std::vector<typename F::Key> keys(kLap);
  for (auto _ : state) {
    for (auto& key : keys) {
      const uint32_t n = f.random() % f.flows;
      const NewFlow<F> one = flow<F>(is_there ? n : n + (1u << 31));
      key = f.random() % 2 ? one.original : one.reply;
    }
    f.now += kMillisecond;
    const Stopwatch watch;
    const uint32_t found = find_all(*f.table, keys, f.now);
    state.SetIterationTime(watch.seconds());
    if (found != (is_there ? kLap : 0)) state.SkipWithError("keys found are not those kept");
  }
  state.SetItemsProcessed(state.iterations() * kLap);
}

template <class F>
void keep(benchmark::State& state) {
  auto& f = Filled<F>::of(static_cast<uint32_t>(state.range(0)));
  std::vector<uint32_t> records(kLap);
  for (auto _ : state) {
    const std::vector<NewFlow<F>> made = f.fresh(FlowState::kEstablished);
    const Stopwatch watch;
    for (uint32_t from = 0; from < kLap; from += kBurst) {
      for (uint32_t i = from; i < from + kBurst; ++i) {
        f.table->prefetch_index(made[i].original_hash);
        f.table->prefetch_index(made[i].reply_hash);
      }
      for (uint32_t i = from; i < from + kBurst; ++i) records[i] = f.keep(made[i]);
    }
    state.SetIterationTime(watch.seconds());
    std::shuffle(records.begin(), records.end(), f.random);
    for (const uint32_t record : records)
      if (record == kRecordNone || !f.forget(record)) state.SkipWithError("not kept");
    f.recycle();
  }
  state.SetItemsProcessed(state.iterations() * kLap);
}

template <class F>
void remove(benchmark::State& state) {
  auto& f = Filled<F>::of(static_cast<uint32_t>(state.range(0)));
  for (auto _ : state) {
    std::vector<uint32_t> drawn;
    while (drawn.size() < kLap) {
      while (drawn.size() < kLap) drawn.push_back(f.random() % f.flows);
      std::sort(drawn.begin(), drawn.end());
      drawn.erase(std::unique(drawn.begin(), drawn.end()), drawn.end());
    }
    std::shuffle(drawn.begin(), drawn.end(), f.random);
    uint32_t removed = 0;
    const Stopwatch watch;
    for (const uint32_t n : drawn) removed += f.forget(f.records[n]);
    state.SetIterationTime(watch.seconds());
    f.recycle();
    for (const uint32_t n : drawn) f.records[n] = f.keep(flow<F>(n));
    if (removed != kLap) state.SkipWithError("not removed");
  }
  state.SetItemsProcessed(state.iterations() * kLap);
}

// Memory that no table uses: what a floor reads, and what drives a table out of the caches.
uint8_t* other_memory(size_t bytes) {
  static size_t had = 0;
  static uint8_t* memory = nullptr;
  if (bytes > had) {
    if (memory != nullptr) memory_unmap(memory, had);
    memory = static_cast<uint8_t*>(memory_map(bytes, true, nullptr));
    if (memory != nullptr) std::memset(memory, 1, bytes);
    had = bytes;
  }
  return memory;
}

template <class F>
void expire(benchmark::State& state) {
  auto& f = Filled<F>::of(static_cast<uint32_t>(state.range(0)));
  Gone gone[kExpireBatchMax];
  const uint8_t* other = other_memory(kOtherBytes);
  for (auto _ : state) {
    for (const NewFlow<F>& one : f.fresh(FlowState::kSynSent)) f.keep(one);
    for (size_t i = 0; i < kOtherBytes; i += 64) benchmark::DoNotOptimize(other[i]);
    f.now += 2 * kShortMs * kMillisecond;
    uint32_t went = 0;
    bool more = true;
    const Stopwatch watch;
    while (more) {
      went += f.table->expire(0, f.now, kExpireBatchMax, gone, &more);
      f.epochs.quiescent(0);
    }
    state.SetIterationTime(watch.seconds());
    if (went != kLap) state.SkipWithError("not expired");
  }
  state.SetItemsProcessed(state.iterations() * kLap);
}

template <class F>
void floor_of(benchmark::State& state) {
  auto& f = Filled<F>::of(static_cast<uint32_t>(state.range(0)));
  const uint8_t* memory = other_memory(f.table->bytes());
  const size_t lines = f.table->bytes() / 64;
  std::vector<const uint8_t*> at(kLap);
  for (auto _ : state) {
    for (auto& line : at) line = memory + (uint64_t{f.random()} * lines >> 32) * 64;
    uint64_t sum = 0;
    const Stopwatch watch;
    for (uint32_t i = 0; i < kLap + kLinesAhead; ++i) {
      if (i < kLap) __builtin_prefetch(at[i]);
      if (i >= kLinesAhead) sum += *at[i - kLinesAhead];
    }
    benchmark::DoNotOptimize(sum);
    state.SetIterationTime(watch.seconds());
  }
  state.SetItemsProcessed(state.iterations() * kLap);
}

template <class F>
void enroll(const std::string& family) {
  const auto add = [&](const char* subject, uint32_t flows, auto run) {
    const std::string name = subject + ("/" + family);
    benchmark::RegisterBenchmark(name.c_str(), run)->Arg(flows)->UseManualTime();
  };
  for (const uint32_t flows : {1000, 10000, 100000, 1000000, 4000000, 16000000}) {
    add("find_hit", flows, [](benchmark::State& state) { find<F>(state, true); });
    if (flows <= kOtherHashMax)
      add("find_hit crc32c", flows,
          [](benchmark::State& state) { find<F>(state, true, HashKind::kCrc32c); });
    add("find_miss", flows, [](benchmark::State& state) { find<F>(state, false); });
    add("floor", flows, floor_of<F>);
    if (flows / kSpare < 2 * kLap) continue;  // no room for a lap of new ones
    add("keep", flows, keep<F>);
    add("remove", flows, remove<F>);
    add("expire", flows, expire<F>);
  }
}

const bool kEnrolled = [] {
  enroll<V4>("IPv4");
  enroll<V6>("IPv6");
  return true;
}();

}  // namespace
}  // namespace nodeplane
