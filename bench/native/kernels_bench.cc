#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "kernel/kernels.h"
#include "kernel/probe.h"
#include "packet/batch.h"

// Every variant of every kernel that this machine has: hashes of a batch of keys, sums of the lengths
// that matter (an IPv4 header, a small packet, a whole one, a large one), tags of a bucket. Names are
// KERNEL/VARIANT[/BYTES], items are what one call or element takes; bench/kernels.ts runs them.
namespace nodeplane {
namespace {

constexpr uint64_t kRandomSeed = 1;

template <class T>
std::vector<T> random_items(size_t n) {
  std::mt19937_64 random(kRandomSeed);
  std::vector<T> items(n);
  auto* bytes = reinterpret_cast<uint8_t*>(items.data());
  for (size_t i = 0; i < n * sizeof(T); ++i) bytes[i] = static_cast<uint8_t>(random());
  return items;
}

template <class Key>
using Hash = void (*)(const Key*, size_t, HashSeed, uint32_t*) noexcept;

template <class Key>
void hash_batch(benchmark::State& state, Hash<Key> hash) {
  const std::vector<Key> keys = random_items<Key>(kBatchSize);
  std::vector<uint32_t> out(kBatchSize);
  for (auto _ : state) {
    hash(keys.data(), keys.size(), HashSeed{1, 2}, out.data());
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * kBatchSize);
}

void sum(benchmark::State& state, const Kernels* kernels) {
  const auto n = static_cast<size_t>(state.range(0));
  const std::vector<uint8_t> bytes = random_items<uint8_t>(n);
  for (auto _ : state) benchmark::DoNotOptimize(kernels->checksum(bytes.data(), n));
  state.SetItemsProcessed(state.iterations());
}

// Buckets' tags as they lie in a table that is 60 % full: for each line one tag that is in it or not.
void probe(benchmark::State& state, uint32_t (*tags)(const std::atomic<uint16_t>*, uint16_t)) {
  struct alignas(64) Line {
    uint16_t tags[32];
  };
  const std::vector<Line> lines = random_items<Line>(kBatchSize);
  for (auto _ : state) {
    uint32_t found = 0;
    for (const Line& line : lines) {
      const auto* at = reinterpret_cast<const std::atomic<uint16_t>*>(line.tags);
      found += tags(at, line.tags[line.tags[31] % (2 * kProbeTags)]);
    }
    benchmark::DoNotOptimize(found);
  }
  state.SetItemsProcessed(state.iterations() * kBatchSize);
}

// Hashes that have an entry, over index lines and records that lie in the first-level cache.
void guess(benchmark::State& state, const Kernels* kernels) {
  constexpr uint32_t kLines = 64, kRecordBytes = 64, kRecords = 256;
  struct alignas(64) Line {
    uint8_t bytes[kGuessLineBytes];
  };
  std::vector<Line> lines(kLines), records(kRecords);
  std::vector<uint32_t> hashes = random_items<uint32_t>(kBatchSize), entries(kBatchSize);
  for (uint32_t i = 0; i < kBatchSize; ++i) {
    // A hash's line is its share of all lines.
    uint8_t* line = lines[uint64_t{hashes[i]} * kLines >> 32].bytes;
    const uint32_t slot = i % kProbeTags, entry = i % kRecords;
    const uint16_t tag = probe_tag(hashes[i]);
    std::memcpy(line + slot * sizeof tag, &tag, sizeof tag);
    std::memcpy(line + kGuessEntriesAt + slot * sizeof entry, &entry, sizeof entry);
  }
  const GuessLines where{lines.data(), kLines, records.data(), kRecordBytes};
  for (auto _ : state) {
    kernels->guess(where, hashes.data(), hashes.size(), entries.data());
    benchmark::DoNotOptimize(entries.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * kBatchSize);
}

template <class Key>
void add_hash(const char* subject, const Kernels& k, Hash<Key> Kernels::*which, Hash<Key>* last) {
  if (k.*which == *last) return;  // an older one's, named already
  *last = k.*which;
  const std::string name = std::string(subject) + "/" + k.name;
  benchmark::RegisterBenchmark(name.c_str(), hash_batch<Key>, k.*which);
}

const bool kEnrolled = [] {
  Hash<KeyV4> hash_v4 = nullptr, crc_v4 = nullptr;
  Hash<KeyV6> hash_v6 = nullptr, crc_v6 = nullptr;
  decltype(Kernels::checksum) checksum = nullptr;
  decltype(Kernels::guess) last_guess = nullptr;
  for (const char* name : {"scalar", "sse42", "avx2", "avx512"}) {
    const Kernels* k = kernels_named(name);
    if (k == nullptr) continue;
    add_hash("sip13 IPv4", *k, &Kernels::hash_v4, &hash_v4);
    add_hash("sip13 IPv6", *k, &Kernels::hash_v6, &hash_v6);
    add_hash("crc32c IPv4", *k, &Kernels::crc_v4, &crc_v4);
    add_hash("crc32c IPv6", *k, &Kernels::crc_v6, &crc_v6);
    if (k->guess != last_guess)
      benchmark::RegisterBenchmark((std::string("index guess/") + name).c_str(), guess, k);
    last_guess = k->guess;
    if (k->checksum == checksum) continue;
    checksum = k->checksum;
    auto* sums = benchmark::RegisterBenchmark((std::string("checksum/") + name).c_str(), sum, k);
    for (const int64_t n : {20, 64, 1480, 9000, 65535}) sums->Arg(n);
  }
  const auto scalar = [](const std::atomic<uint16_t>* line, uint16_t tag) {
    return probe_tags_scalar(line, tag);
  };
  const auto best = [](const std::atomic<uint16_t>* line, uint16_t tag) {
    return probe_tags(line, tag);
  };
  benchmark::RegisterBenchmark("tag probe/scalar", probe, scalar);
  benchmark::RegisterBenchmark("tag probe/sse2", probe, best);
  return true;
}();

}  // namespace
}  // namespace nodeplane
