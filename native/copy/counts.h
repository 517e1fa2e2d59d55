#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace nodeplane {

// What engines count: copies and bytes are everything submitted; of these by_cpu were left to the
// CPU, full of which for want of room. The rest is about an engine's own ways.
enum class CopyCount : uint8_t {
  kCopies,
  kBytes,
  kByCpu,
  kFull,
  kErrors,   // descriptors or batches that failed and were redone on the CPU
  kFaults,   // page faults, whose rest the CPU copied
  kRetries,  // a shared queue said: not now
  kFar,      // went past the caches
  kGivenUp,  // descriptors whose completion never came
  kEnd
};
inline constexpr size_t kCopyCounts = static_cast<size_t>(CopyCount::kEnd);

// One channel's, written by its owner only, so that adding needs no locked instruction.
struct alignas(64) CopyCounts {
  std::atomic<uint64_t> at[kCopyCounts] = {};
  void add(CopyCount what, uint64_t n = 1) noexcept {
    auto& counter = at[static_cast<size_t>(what)];
    counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
};

// All channels' counts of one engine, those of channels that are gone included.
class CopyLedger {
 public:
  CopyCounts* open();
  void close(CopyCounts* counts);
  uint64_t sum(CopyCount what) const;
  std::string json(const std::string& more = {}) const;  // `more`: further members, `"a":1,"b":2`

 private:
  mutable std::mutex lock_;
  std::vector<std::unique_ptr<CopyCounts>> open_;
  CopyCounts gone_;
};

}  // namespace nodeplane
