#pragma once
#include <cstdint>

namespace nodeplane {

// An endpoint's walk over a ring: at, at + skip, at + 2 skip, … modulo the (prime) size.
struct MaglevWalker {
  uint32_t at, skip, index, weight;
};

// What small rings have at most: places and endpoints.
inline constexpr uint32_t kMaglevSmall = 4095, kMaglevFew = 64;

// A ring of so few places and endpoints of equal weight, as most services have.
void maglev_fill_small(const MaglevWalker* walkers, uint32_t count, uint32_t size,
                       uint16_t* places) noexcept;

}  // namespace nodeplane
