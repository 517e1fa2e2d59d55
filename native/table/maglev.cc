#include "table/maglev.h"

#include <algorithm>
#include <queue>
#include <vector>

#include "base/check.h"
#include "gen/layout.h"
#include "table/maglev_small.h"
#include "table/mix.h"

namespace nodeplane {
namespace {

// The largest primes below powers of two: a ring grows only when its endpoints have doubled, and
// while its size stays, a changed endpoint moves only its own share (section 5.3 of the paper).
constexpr uint32_t kSizes[] = {251,   509,    1021,   2039,   4093,    8191,    16381,   32749,
                               65521, 131071, 262139, 524287, 1048573, 2097143, 4194301, 8388593};
static_assert(kSizes[0] >= kMaglevRingMin);

struct Ring {
  uint16_t* places;
  uint64_t* taken;  // a bit per place
  uint32_t size;

  void claim(MaglevWalker& w) const noexcept {
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
                      MaglevWalker* walkers) {
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
void fill_weighted(const Ring& ring, MaglevWalker* walkers, uint32_t count, uint32_t heaviest) {
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
  MaglevWalker few[kMaglevFew];
  std::vector<MaglevWalker> many(count > kMaglevFew ? count : 0);
  MaglevWalker* walkers = count > kMaglevFew ? many.data() : few;
  const uint32_t made = make_walkers(endpoints, count, seed, size, walkers);
  uint32_t heaviest = 0, lightest = 0xffffffff;
  for (uint32_t i = 0; i < made; ++i) {
    heaviest = std::max(heaviest, walkers[i].weight);
    lightest = std::min(lightest, walkers[i].weight);
  }
  check(lightest > 0, "an endpoint on the ring has a weight");
  const bool is_even = heaviest == lightest;
  if (is_even && size <= kMaglevSmall && made <= kMaglevFew)
    return maglev_fill_small(walkers, made, size, places);
  std::vector<uint64_t> taken(size / 64 + 1);
  const Ring ring{places, taken.data(), size};
  if (!is_even) return fill_weighted(ring, walkers, made, heaviest);
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
