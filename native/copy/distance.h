#pragma once
#include <cstdint>

namespace nodeplane {

inline constexpr uint64_t kCopyFarDistance = uint64_t{32} << 20;  // about a core's share of L3

// How many bytes are copied before the same destination comes again. Beyond what the caches hold,
// its lines have left them, and storing past the caches saves reading them in first. One block at a
// time is watched; two equal answers in a row count.
class Distance {
 public:
  bool is_far(const void* to, uint32_t bytes) noexcept {
    const uintptr_t block = reinterpret_cast<uintptr_t>(to) >> kBlockShift;
    copied_ += bytes;
    if (block == watched_ || copied_ >= kCopyFarDistance) [[unlikely]] {
      const bool far = copied_ >= kCopyFarDistance;
      if (far == last_) far_ = far;
      last_ = far;
      watched_ = block;
      copied_ = 0;
    }
    return far_;
  }

 private:
  static constexpr uint32_t kBlockShift = 11;  // packets' buffers are seldom smaller
  uintptr_t watched_ = 0;
  uint64_t copied_ = 0;
  bool last_ = false, far_ = false;
};

}  // namespace nodeplane
