#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace nodeplane {

// How often which values came, in log-linear buckets as HdrHistogram has them: the same number for
// every power of two, so that a value is told to within 1/128 of itself, from 1 ns to hours, in
// 58 KiB and without ever growing.
class Histogram {
 public:
  static constexpr uint32_t kBits = 7;
  static constexpr uint32_t kBuckets = (64 - kBits + 1) << kBits;

  // Values below 2^(kBits + 1) have buckets of their own; every further power of two 2^kBits.
  static constexpr uint32_t bucket_of(uint64_t value) noexcept {
    const auto width = static_cast<uint32_t>(std::bit_width(value));
    const uint32_t shift = width > kBits + 1 ? width - (kBits + 1) : 0;
    return (shift << kBits) + static_cast<uint32_t>(value >> shift);
  }
  // The largest value of a bucket.
  static constexpr uint64_t top_of(uint32_t bucket) noexcept {
    const uint32_t shift = bucket < 2u << kBits ? 0 : (bucket >> kBits) - 1;
    const uint64_t first = bucket - (shift << kBits);
    return ((first + 1) << shift) - 1;
  }

  void add(uint64_t value) noexcept {
    counts_[bucket_of(value)]++;
    count_++;
    min_ = std::min(min_, value);
    max_ = std::max(max_, value);
  }
  uint64_t count() const noexcept { return count_; }
  uint64_t min() const noexcept { return count_ == 0 ? 0 : min_; }
  uint64_t max() const noexcept { return max_; }
  // The value that `share` of all do not exceed, 0 to 1; never below it. 0 of nothing.
  uint64_t quantile(double share) const noexcept {
    const auto rank = static_cast<uint64_t>(std::ceil(share * static_cast<double>(count_)));
    uint64_t seen = 0;
    for (uint32_t b = 0; b < kBuckets; ++b) {
      seen += counts_[b];
      if (seen != 0 && seen >= rank) return std::min(top_of(b), max_);
    }
    return max_;
  }

 private:
  uint64_t count_ = 0, min_ = ~uint64_t{0}, max_ = 0;
  uint64_t counts_[kBuckets] = {};
};

}  // namespace nodeplane
