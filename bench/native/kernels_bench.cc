#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "kernel/kernels.h"
#include "packet/batch.h"

// Every variant of every kernel that this machine has: hashes of a batch of keys, in time per key,
// and sums of the lengths that matter (an IPv4 header, a small packet, a whole one, a large one).
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
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

const bool kRegistered = [] {
  for (const char* name : {"scalar", "sse42", "avx2"}) {
    const Kernels* k = kernels_named(name);
    if (k == nullptr) continue;
    const std::string variant = name;
    benchmark::RegisterBenchmark(("hash_v4/" + variant).c_str(), hash_batch<KeyV4>, k->hash_v4);
    benchmark::RegisterBenchmark(("hash_v6/" + variant).c_str(), hash_batch<KeyV6>, k->hash_v6);
    benchmark::RegisterBenchmark(("crc_v4/" + variant).c_str(), hash_batch<KeyV4>, k->crc_v4);
    benchmark::RegisterBenchmark(("crc_v6/" + variant).c_str(), hash_batch<KeyV6>, k->crc_v6);
    auto* sums = benchmark::RegisterBenchmark(("checksum/" + variant).c_str(), sum, k);
    for (const int64_t n : {20, 64, 1480, 9000, 65535}) sums->Arg(n);
  }
  return true;
}();

}  // namespace
}  // namespace nodeplane
