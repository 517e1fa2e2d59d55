#include "table/maglev_small.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace nodeplane {
namespace {

// What costs is not to know whether a walk's next place is free. So of every walk some places are
// looked at together, the more the fewer are free, and all walks look before one of them takes. The
// last 64 places would take most of all steps: for them every walk gets the turn at which it would
// come to each, and takes the least.
class SmallRing {
 public:
  SmallRing(uint16_t* places, uint32_t size)
      : places_(places),
        size_(size),
        reciprocal_((uint64_t{1} << 40) / size + 1),
        end_(taken_ + size) {
    std::memset(taken_, 0, 2 * size);
  }

  void fill(const MaglevWalker* walkers, uint32_t count) noexcept {
    for (uint32_t i = 0; i < count; ++i) begin(walkers[i], paths_[i]);
    Path* const end = paths_ + count;
    uint32_t left = size_;
    for (; left > size_ / 2; left -= count) round<2>(end);
    for (; left > std::max(size_ / 4, kLast); left -= count) round<4>(end);
    for (; left > kLast; left -= count) round<8>(end);
    uint16_t free[kLast] = {};
    number(free);
    find_inverses(count);
    for (uint32_t i = 0; i < count; ++i) find_turns(paths_[i], free, left, turns_[i]);
    take_rest(count, left);
  }

 private:
  static constexpr uint32_t kLast = 64, kAhead = 8;
  static constexpr int16_t kNever = 0x7fff;
  static constexpr uint8_t kGone = 0xff;

  struct Path {
    const uint8_t* at;       // in taken_
    uint64_t steps[kAhead];  // skip, 2 skip, …
    uint32_t skip, inverse;  // of each other modulo the size
    uint16_t index;
  };

  uint32_t wrap(uint32_t at) const noexcept { return at >= size_ ? at - size_ : at; }
  uint32_t place(const uint8_t* at) const noexcept { return static_cast<uint32_t>(at - taken_); }

  // Without a division: below 2^27 it is exact for sizes below 2^12.
  uint32_t modulo(uint32_t x) const noexcept {
    return x - static_cast<uint32_t>(x * reciprocal_ >> 40) * size_;
  }

  // Just before its first place.
  void begin(const MaglevWalker& w, Path& p) const noexcept {
    p.at = taken_ + wrap(w.at + size_ - w.skip);
    p.skip = w.skip;
    p.index = static_cast<uint16_t>(w.index);
    uint32_t step = 0;
    for (uint64_t& s : p.steps) s = step = wrap(step + w.skip);
  }

  // The next free place of a walk.
  template <uint32_t kPlaces>
  const uint8_t* next(const Path& p) const noexcept {
    constexpr uint32_t kAll = (1u << kPlaces) - 1;
    const uint8_t* at = p.at;
    for (;;) {
      uint32_t taken = 0;
      for (uint32_t k = 0; k < kPlaces; ++k) taken |= uint32_t{at[p.steps[k]]} << k;
      at += p.steps[taken == kAll ? kPlaces - 1 : std::countr_zero(~taken)];
      if (at >= end_) at -= size_;
      if (taken != kAll) return at;
    }
  }

  // Whose place was taken by one before looks again.
  template <uint32_t kPlaces>
  void round(Path* end) noexcept {
    for (Path* p = paths_; p != end; ++p) p->at = next<kPlaces>(*p);
    for (Path* p = paths_; p != end; ++p) {
      if (*p->at) p->at = next<kPlaces>(*p);
      const uint32_t at = place(p->at);
      taken_[at] = taken_[at + size_] = 1;
      places_[at] = p->index;
    }
  }

  // Lists the free places; in taken_ each gets its number in the list.
  void number(uint16_t* free) noexcept {
    uint8_t n = 0;
    for (uint32_t first = 0; first < size_; first += 64) {
      uint64_t bits = free_bits(first);
      for (; bits != 0; bits &= bits - 1) {
        const uint32_t at = first + static_cast<uint32_t>(std::countr_zero(bits));
        taken_[at] = n;
        free[n++] = static_cast<uint16_t>(at);
      }
    }
  }
  // A bit for each of 64 places: of eight bytes at a time a product gathers the lowest bits.
  uint64_t free_bits(uint32_t first) const noexcept {
    uint64_t bits = 0;
    for (uint32_t k = 0; k < 64; k += 8) {
      uint64_t eight;
      std::memcpy(&eight, taken_ + first + k, sizeof eight);
      bits |= ((eight ^ 0x0101010101010101) * 0x0102040810204080 >> 56) << k;
    }
    const uint32_t count = size_ - first;
    return count < 64 ? bits & ((uint64_t{1} << count) - 1) : bits;
  }

  // Euclid's algorithm; the size is prime.
  uint32_t inverse_of(uint32_t value) const noexcept {
    int32_t a = static_cast<int32_t>(size_), b = static_cast<int32_t>(value), x = 0, y = 1;
    while (b > 1) {
      const int32_t q = a / b;
      a = std::exchange(b, a - q * b);
      x = std::exchange(y, x - q * y);
    }
    return static_cast<uint32_t>(y < 0 ? y + static_cast<int32_t>(size_) : y);
  }

  // All at the price of one: from the inverse of their product (Montgomery 1987, section 10.3.1).
  void find_inverses(uint32_t count) noexcept {
    uint32_t product = 1;
    for (uint32_t i = 0; i < count; ++i) {
      paths_[i].inverse = product;  // of those before it
      product = modulo(product * paths_[i].skip);
    }
    uint32_t inverse = inverse_of(product);
    for (uint32_t i = count; i-- > 0;) {
      paths_[i].inverse = modulo(inverse * paths_[i].inverse);
      inverse = modulo(inverse * paths_[i].skip);
    }
  }

  // turn = (place - at) / skip modulo the size, in lanes of 16 bits: a product by a known factor without
  // a division (Shoup), which leaves less than twice the size.
  void find_turns(const Path& p, const uint16_t* free, uint32_t left,
                  int16_t* turns) const noexcept {
    const auto size = static_cast<uint16_t>(size_);
    const auto back = static_cast<uint16_t>(size_ - place(p.at));
    const auto inverse = static_cast<uint16_t>(p.inverse);
    const auto quotient = static_cast<uint16_t>((uint32_t{inverse} << 16) / size_);
    for (uint32_t k = 0; k < kLast; ++k) {
      const auto x = static_cast<uint16_t>(free[k] + back);
      const auto q = static_cast<uint16_t>(uint32_t{x} * quotient >> 16);
      const auto less = static_cast<int16_t>(x * inverse - q * size - size);
      turns[k] = static_cast<int16_t>(less + (size & (less >> 15)));
    }
    std::fill(turns + left, turns + kLast, kNever);
  }

  uint32_t least(uint32_t i) const noexcept {
    int16_t turn = kNever;
    for (uint32_t k = 0; k < kLast; ++k) turn = std::min(turn, turns_[i][k]);
    return modulo(place(paths_[i].at) + static_cast<uint32_t>(turn) * paths_[i].skip);
  }

  void take_rest(uint32_t count, uint32_t left) noexcept {
    uint32_t wanted[kMaglevFew];
    while (left > 0) {
      const uint32_t end = std::min(count, left);
      for (uint32_t i = 0; i < end; ++i) wanted[i] = least(i);
      for (uint32_t i = 0; i < end; ++i) {
        const uint32_t at = taken_[wanted[i]] == kGone ? least(i) : wanted[i];
        const uint32_t number = taken_[at];
        taken_[at] = kGone;
        places_[at] = paths_[i].index;
        for (uint32_t k = 0; k < count; ++k) turns_[k][number] = kNever;
      }
      left -= end;
    }
  }

  uint16_t* const places_;
  const uint32_t size_;
  const uint64_t reciprocal_;
  const uint8_t* const end_;  // of taken_'s first half
  Path paths_[kMaglevFew];
  uint8_t taken_[2 * kMaglevSmall];  // twice over, so that no step need wrap
  alignas(16) int16_t turns_[kMaglevFew][kLast];
};

}  // namespace

void maglev_fill_small(const MaglevWalker* walkers, uint32_t count, uint32_t size,
                       uint16_t* places) noexcept {
  if (count == 1)
    std::fill_n(places, size, static_cast<uint16_t>(walkers[0].index));
  else
    SmallRing(places, size).fill(walkers, count);
}

}  // namespace nodeplane
