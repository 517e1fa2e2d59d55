#include <algorithm>
#include <queue>

#include "base/check.h"
#include "table/mix.h"
#include "table/service_table.h"

namespace nodeplane {
namespace {

constexpr uint32_t kEmpty = 0xffffffff;

// The largest primes below powers of two: a ring grows only when its endpoints have doubled, and
// while its size stays, a changed endpoint moves only its own share (section 5.3 of the paper).
constexpr uint32_t kSizes[] = {251,   509,    1021,   2039,   4093,    8191,    16381,   32749,
                               65521, 131071, 262139, 524287, 1048573, 2097143, 4194301, 8388593};
static_assert(kSizes[0] >= kMaglevRingMin);

// An endpoint's walk over the ring: offset, offset + skip, offset + 2 skip, … modulo the size.
struct Walker {
  uint32_t at, skip, index, weight;
};

void claim(std::vector<uint32_t>& ring, Walker& w) noexcept {
  const uint32_t size = static_cast<uint32_t>(ring.size());
  while (ring[w.at] != kEmpty) {
    w.at += w.skip;
    if (w.at >= size) w.at -= size;
  }
  ring[w.at] = w.index;
}

// In the order of identities, so that lists in any order give the same ring. The same identity
// twice is one endpoint: two walkers on one path would only chase each other.
std::vector<Walker> walkers(const MaglevEndpoint* endpoints, uint32_t count, uint64_t seed,
                            uint32_t size) {
  std::vector<MaglevEndpoint> sorted(endpoints, endpoints + count);
  std::sort(sorted.begin(), sorted.end(), [](const MaglevEndpoint& a, const MaglevEndpoint& b) {
    if (a.identity != b.identity) return a.identity < b.identity;
    return a.weight != b.weight ? a.weight > b.weight : a.index < b.index;
  });
  std::vector<Walker> all;
  all.reserve(count);
  for (uint32_t i = 0; i < count; ++i) {
    if (i > 0 && sorted[i].identity == sorted[i - 1].identity) continue;
    const uint64_t h = mix_in(seed, sorted[i].identity);
    all.push_back({static_cast<uint32_t>(h % size),
                   static_cast<uint32_t>(mix_in(h, seed) % (size - 1)) + 1, sorted[i].index,
                   sorted[i].weight});
  }
  return all;
}

}  // namespace

uint32_t maglev_size(uint32_t endpoints) noexcept {
  const uint64_t wanted = uint64_t{kMaglevPerEndpoint} * endpoints;
  for (const uint32_t size : kSizes)
    if (size >= wanted) return size;
  return kSizes[std::size(kSizes) - 1];
}

std::vector<uint32_t> maglev_build(const MaglevEndpoint* endpoints, uint32_t count, uint64_t seed,
                                   uint32_t size) {
  check(size > 1, "a Maglev ring has a prime size");
  if (count == 0) return {};
  std::vector<uint32_t> ring(size, kEmpty);
  std::vector<Walker> all = walkers(endpoints, count, seed, size);
  uint32_t heaviest = 0, lightest = kEmpty;
  for (const auto& w : all) {
    heaviest = std::max(heaviest, w.weight);
    lightest = std::min(lightest, w.weight);
  }
  check(lightest > 0, "an endpoint on the ring has a weight");
  if (heaviest == lightest) {
    for (uint32_t filled = 0; filled < size;)
      for (uint32_t i = 0; i < all.size() && filled < size; ++i, ++filled) claim(ring, all[i]);
    return ring;
  }
  // Turn k of an endpoint comes at time k * heaviest / weight: the heaviest has one per round, the
  // others theirs in proportion. A heap, so that few heavy and many light ones stay cheap.
  struct Turn {
    uint64_t time;
    uint32_t walker;
    uint64_t taken;
    bool operator>(const Turn& o) const noexcept {
      return time != o.time ? time > o.time : walker > o.walker;
    }
  };
  std::vector<Turn> turns(all.size());
  for (uint32_t i = 0; i < all.size(); ++i) turns[i] = {0, i, 0};
  std::priority_queue<Turn, std::vector<Turn>, std::greater<>> queue({}, std::move(turns));
  for (uint32_t filled = 0; filled < size; ++filled) {
    Turn turn = queue.top();
    queue.pop();
    claim(ring, all[turn.walker]);
    turn.taken++;
    turn.time = turn.taken * heaviest / all[turn.walker].weight;
    queue.push(turn);
  }
  return ring;
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

}  // namespace nodeplane
