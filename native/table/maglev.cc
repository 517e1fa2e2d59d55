#include "table/maglev.h"

#include <algorithm>
#include <queue>
#include <vector>

#include "base/check.h"
#include "gen/layout.h"
#include "table/mix.h"

namespace nodeplane {
namespace {

// Rings and endpoints that need no memory of their own while they are built.
constexpr uint32_t kSmall = 4096, kFew = 64;

// The largest primes below powers of two: a ring grows only when its endpoints have doubled, and
// while its size stays, a changed endpoint moves only its own share (section 5.3 of the paper).
constexpr uint32_t kSizes[] = {251,   509,    1021,   2039,   4093,    8191,    16381,   32749,
                               65521, 131071, 262139, 524287, 1048573, 2097143, 4194301, 8388593};
static_assert(kSizes[0] >= kMaglevRingMin);

// An endpoint's walk over the ring: offset, offset + skip, offset + 2 skip, … modulo the size.
struct Walker {
  uint32_t at, skip, index, weight;
};

struct Ring {
  uint16_t* places;
  uint64_t* taken;  // a bit per place
  uint32_t size;

  void claim(Walker& w) const noexcept {
    while (taken[w.at / 64] >> (w.at % 64) & 1) {
      w.at += w.skip;
      if (w.at >= size) w.at -= size;
    }
    taken[w.at / 64] |= uint64_t{1} << (w.at % 64);
    places[w.at] = static_cast<uint16_t>(w.index);
  }
};

// In the order of identities, so that lists in any order give the same ring. The same identity
// twice is one endpoint: two walkers on one path would only chase each other.
uint32_t make_walkers(MaglevEndpoint* endpoints, uint32_t count, uint64_t seed, uint32_t size,
                      Walker* walkers) {
  std::sort(endpoints, endpoints + count, [](const MaglevEndpoint& a, const MaglevEndpoint& b) {
    if (a.identity != b.identity) return a.identity < b.identity;
    return a.weight != b.weight ? a.weight > b.weight : a.index < b.index;
  });
  uint32_t made = 0;
  for (uint32_t i = 0; i < count; ++i) {
    if (i > 0 && endpoints[i].identity == endpoints[i - 1].identity) continue;
    const uint64_t h = mix_in(seed, endpoints[i].identity);
    walkers[made++] = {static_cast<uint32_t>(h % size),
                       static_cast<uint32_t>(mix_in(h, seed) % (size - 1)) + 1, endpoints[i].index,
                       endpoints[i].weight};
  }
  return made;
}

// Turn k of an endpoint comes at time k * heaviest / weight: the heaviest has one per round, the
// others theirs in proportion. A heap, so that few heavy and many light ones stay cheap.
void fill_weighted(const Ring& ring, Walker* walkers, uint32_t count, uint32_t heaviest) {
  struct Turn {
    uint64_t time;
    uint32_t walker;
    uint64_t taken;
    bool operator>(const Turn& o) const noexcept {
      return time != o.time ? time > o.time : walker > o.walker;
    }
  };
  std::vector<Turn> turns(count);
  for (uint32_t i = 0; i < count; ++i) turns[i] = {0, i, 0};
  std::priority_queue<Turn, std::vector<Turn>, std::greater<>> queue({}, std::move(turns));
  for (uint32_t filled = 0; filled < ring.size; ++filled) {
    Turn turn = queue.top();
    queue.pop();
    ring.claim(walkers[turn.walker]);
    turn.taken++;
    turn.time = turn.taken * heaviest / walkers[turn.walker].weight;
    queue.push(turn);
  }
}

// The inverses of 1 … size - 1 modulo the sizes of small rings.
class Inverses {
 public:
  Inverses() {
    for (uint32_t k = 0; k < kCount; ++k) {
      of_[k] = std::vector<uint16_t>(kSizes[k]);
      of_[k][1] = 1;
      for (uint32_t i = 2; i < kSizes[k]; ++i) {
        const uint32_t inverse = of_[k][kSizes[k] % i];
        of_[k][i] = static_cast<uint16_t>(kSizes[k] - kSizes[k] / i * inverse % kSizes[k]);
      }
    }
  }
  const uint16_t* of(uint32_t size) const noexcept {
    const uint32_t* at = std::find(kSizes, kSizes + kCount, size);
    return at == kSizes + kCount ? nullptr : of_[at - kSizes].data();
  }

 private:
  static constexpr uint32_t kCount = 5;
  static_assert(kSizes[kCount - 1] <= kSmall);
  std::vector<uint16_t> of_[kCount];
};

// A small ring of few endpoints of equal weight, as most services have. To walk costs more the fewer
// places are free: the last 64 would take most of all steps. For them every endpoint gets the turn at
// which it would come to each, and takes the least.
class SmallRing {
 public:
  SmallRing(uint16_t* places, uint32_t size, const uint16_t* inverses)
      : places_(places),
        size_(size),
        reciprocal_((uint64_t{1} << 40) / size + 1),
        inverses_(inverses) {
    std::memset(taken_, 0, size);
  }

  void fill(Walker* walkers, uint32_t count) noexcept {
    uint32_t i = 0;
    for (uint32_t left = size_; left > kLast; --left) {
      walk(walkers[i]);
      if (++i == count) i = 0;
    }
    find_turns(walkers, count);
    for (uint32_t left = kLast; left > 0; --left) {
      take_least(walkers[i], turns_[i], count);
      if (++i == count) i = 0;
    }
  }

 private:
  static constexpr uint32_t kLast = 64;
  static constexpr int16_t kNever = 0x7fff;

  // Without a division: below 2^27 it is exact for sizes below 2^12.
  uint32_t modulo(uint32_t x) const noexcept {
    return x - static_cast<uint32_t>(x * reciprocal_ >> 40) * size_;
  }
  uint32_t step(uint32_t at, uint32_t skip) const noexcept {
    at += skip;
    return at >= size_ ? at - size_ : at;
  }
  void walk(Walker& w) noexcept {
    // Two places without a branch: while half are free, none can be foreseen.
    uint32_t at = w.at;
    for (;;) {
      const uint32_t second = step(at, w.skip), third = step(second, w.skip);
      const uint32_t t1 = -uint32_t{taken_[at]}, t2 = -uint32_t{taken_[second]};
      const uint32_t later = second ^ ((second ^ third) & t2);
      at ^= (at ^ later) & t1;
      if (!taken_[at]) break;
    }
    w.at = at;
    taken_[w.at] = 1;
    places_[w.at] = static_cast<uint16_t>(w.index);
  }
  void find_turns(const Walker* walkers, uint32_t count) noexcept {
    uint16_t free[kLast + 1];
    for (uint32_t place = 0, n = 0; place < size_; ++place) {
      free[n] = static_cast<uint16_t>(place);
      const bool is_free = !taken_[place];
      taken_[place] = static_cast<uint8_t>(n);  // from now on a free place's number
      n += is_free;
    }
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t inverse = inverses_[walkers[i].skip], back = size_ - walkers[i].at;
      for (uint32_t k = 0; k < kLast; ++k)
        turns_[i][k] = static_cast<int16_t>(modulo((free[k] + back) * inverse));
    }
  }
  void take_least(const Walker& w, const int16_t* turns, uint32_t count) noexcept {
    int16_t least = kNever;
    for (uint32_t k = 0; k < kLast; ++k) least = std::min(least, turns[k]);
    const uint32_t place = modulo(w.at + static_cast<uint32_t>(least) * w.skip);
    places_[place] = static_cast<uint16_t>(w.index);
    const uint32_t number = taken_[place];
    for (uint32_t i = 0; i < count; ++i) turns_[i][number] = kNever;
  }

  uint16_t* const places_;
  const uint32_t size_;
  const uint64_t reciprocal_;
  const uint16_t* const inverses_;
  uint8_t taken_[kSmall];
  alignas(16) int16_t turns_[kFew][kLast];
};

}  // namespace

uint32_t maglev_size(uint32_t endpoints) noexcept {
  const uint64_t wanted = uint64_t{kMaglevPerEndpoint} * endpoints;
  for (const uint32_t size : kSizes)
    if (size >= wanted) return size;
  return kSizes[std::size(kSizes) - 1];
}

void maglev_fill(MaglevEndpoint* endpoints, uint32_t count, uint64_t seed, uint32_t size,
                 uint16_t* places) {
  check(size > 1 && count > 0, "a Maglev ring has a prime size and an endpoint");
  Walker few[kFew];
  uint64_t small[kSmall / 64];
  std::vector<Walker> many(count > kFew ? count : 0);
  std::vector<uint64_t> large(size > kSmall ? size / 64 + 1 : 0);
  Walker* walkers = count > kFew ? many.data() : few;
  const Ring ring{places, size > kSmall ? large.data() : small, size};
  if (size <= kSmall) std::memset(small, 0, sizeof small);
  const uint32_t made = make_walkers(endpoints, count, seed, size, walkers);
  uint32_t heaviest = 0, lightest = 0xffffffff;
  for (uint32_t i = 0; i < made; ++i) {
    heaviest = std::max(heaviest, walkers[i].weight);
    lightest = std::min(lightest, walkers[i].weight);
  }
  check(lightest > 0, "an endpoint on the ring has a weight");
  if (heaviest != lightest) return fill_weighted(ring, walkers, made, heaviest);
  static const Inverses inverses;
  const uint16_t* of_size = inverses.of(size);
  if (of_size != nullptr && made > 1 && made <= kFew)
    return SmallRing(places, size, of_size).fill(walkers, made);
  for (uint32_t filled = 0; filled < size;)
    for (uint32_t i = 0; i < made && filled < size; ++i, ++filled) ring.claim(walkers[i]);
}

// The network is a number of this node's own and stays out: the ring's place is the same anywhere.
uint32_t maglev_hash(const KeyV4& key, uint64_t seed) noexcept {
  const uint64_t h = mix_in(seed, key.src | uint64_t{key.dst} << 32);
  return static_cast<uint32_t>(
      mix_in(h, key.sport | uint64_t{key.dport} << 16 | uint64_t{key.protocol} << 32) >> 32);
}

uint32_t maglev_hash(const KeyV6& key, uint64_t seed) noexcept {
  const uint64_t h = mix_address(mix_address(seed, 6, key.src), 6, key.dst);
  return static_cast<uint32_t>(
      mix_in(h, key.sport | uint64_t{key.dport} << 16 | uint64_t{key.protocol} << 32) >> 32);
}

uint32_t maglev_hash_client(const KeyV4& key, uint64_t seed) noexcept {
  return static_cast<uint32_t>(mix_in(seed, key.src) >> 32);
}

uint32_t maglev_hash_client(const KeyV6& key, uint64_t seed) noexcept {
  return static_cast<uint32_t>(mix_address(seed, 6, key.src) >> 32);
}

}  // namespace nodeplane
