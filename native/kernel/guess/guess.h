#pragma once
#include "kernel/kernels.h"
#include "kernel/probe.h"

namespace nodeplane {

void guess_scalar(const GuessLines& lines, const uint32_t* hashes, size_t n,
                  uint32_t* entries) noexcept;
void guess_avx2(const GuessLines& lines, const uint32_t* hashes, size_t n,
                uint32_t* entries) noexcept;
void guess_avx512(const GuessLines& lines, const uint32_t* hashes, size_t n,
                  uint32_t* entries) noexcept;

// The loop of every variant; `Probe` says which tags of a line are the wanted one. In a namespace of
// each file's own, so that no code of one variant is taken for another's.
namespace {
template <uint32_t kRecordBytes, class Probe>
inline void guess_each(const GuessLines& lines, const uint32_t* hashes, size_t n, uint32_t* entries,
                       Probe probe) noexcept {
  const auto* const buckets = static_cast<const uint8_t*>(lines.buckets);
  const auto* const records = static_cast<const uint8_t*>(lines.records);
  const uint64_t count = lines.bucket_count;
  for (size_t i = 0; i < n; ++i) {
    const uint32_t hash = hashes[i];
    const uint8_t* const line = buckets + (hash * count >> 32) * kGuessLineBytes;
    const uint32_t mask = probe(line, probe_tag(hash));
    if (__builtin_expect(mask == 0, 0)) {
      entries[i] = kGuessNone;
      continue;
    }
    const size_t slot = static_cast<uint32_t>(__builtin_ctz(mask));
    const auto* const held = reinterpret_cast<const uint32_t*>(line + kGuessEntriesAt);
    // Acquire: what was written before the entry was published is seen.
    const uint32_t entry = __atomic_load_n(held + slot, __ATOMIC_ACQUIRE);
    const uint8_t* const record = records + size_t{entry} * kRecordBytes;
    __builtin_prefetch(record, 1, 3);
    if constexpr (kRecordBytes > 64) __builtin_prefetch(record + 64, 1, 3);
    entries[i] = entry;
  }
}
template <class Probe>
inline void guess_all(const GuessLines& lines, const uint32_t* hashes, size_t n, uint32_t* entries,
                      Probe probe) noexcept {
  if (lines.record_bytes == 64) return guess_each<64>(lines, hashes, n, entries, probe);
  guess_each<128>(lines, hashes, n, entries, probe);
}
}  // namespace

}  // namespace nodeplane
