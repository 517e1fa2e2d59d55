#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "support/services.h"
#include "table/mix.h"

namespace nodeplane {
namespace {

std::vector<MaglevEndpoint> many(uint32_t count, uint32_t weight = 1) {
  std::vector<MaglevEndpoint> all;
  for (uint32_t i = 0; i < count; ++i) all.push_back({0x9e3779b97f4a7c15 * (i + 1), i, weight});
  return all;
}
std::vector<uint16_t> ring_of(std::vector<MaglevEndpoint> e, uint64_t seed, uint32_t size) {
  std::vector<uint16_t> ring(size);
  maglev_fill(e.data(), static_cast<uint32_t>(e.size()), seed, size, ring.data());
  return ring;
}
std::map<uint32_t, uint32_t> shares(const std::vector<uint16_t>& ring) {
  std::map<uint32_t, uint32_t> count;
  for (const uint32_t i : ring) count[i]++;
  return count;
}
bool is_prime(uint32_t n) {
  for (uint32_t i = 2; i * i <= n; ++i)
    if (n % i == 0) return false;
  return n > 1;
}

TEST(Maglev, SizesArePrimesOfAtLeastAHundredPlacesPerEndpoint) {
  for (const uint32_t n : {0u, 1u, 2u, 3u, 5u, 6u, 10u, 11u, 100u, 1000u, 40000u, 65536u}) {
    const uint32_t size = maglev_size(n);
    EXPECT_TRUE(is_prime(size)) << size;
    EXPECT_GE(size, std::max(251u, 100 * n));
  }
}

TEST(Maglev, EqualWeightsShareEvenly) {
  const auto count = shares(ring_of(many(10), 7, maglev_size(10)));
  EXPECT_EQ(count.size(), 10u);
  for (const auto& [index, n] : count) {
    EXPECT_GE(n, maglev_size(10) / 10);
    EXPECT_LE(n, maglev_size(10) / 10 + 1);
  }
}

TEST(Maglev, WeightsShareInProportion) {
  auto endpoints = many(4);
  const uint32_t weights[] = {1, 2, 3, 10};
  for (uint32_t i = 0; i < 4; ++i) endpoints[i].weight = weights[i];
  constexpr uint32_t kSize = 16381;
  const auto count = shares(ring_of(endpoints, 7, kSize));
  for (uint32_t i = 0; i < 4; ++i) EXPECT_NEAR(count.at(i), kSize * weights[i] / 16.0, 2.0) << i;
}

TEST(Maglev, TheOrderOfTheListDoesNotMatter) {
  auto endpoints = many(50);
  endpoints[3].weight = 9;
  const auto ring = ring_of(endpoints, 7, 8191);
  std::shuffle(endpoints.begin(), endpoints.end(), std::mt19937(3));
  EXPECT_EQ(ring_of(endpoints, 7, 8191), ring);
  EXPECT_NE(ring_of(endpoints, 8, 8191), ring);  // another service's
}

// Section 3.4 of the paper word for word; the last places of small rings are found another way.
TEST(Maglev, TheRingIsAsOneWalks) {
  for (const uint32_t count : {2u, 3u, 5u, 10u, 20u, 40u, 41u}) {
    for (uint64_t seed = 0; seed < 40; ++seed) {
      auto endpoints = many(count);
      const uint32_t size = maglev_size(count);
      const auto ring = ring_of(endpoints, seed, size);
      std::sort(endpoints.begin(), endpoints.end(),
                [](const auto& a, const auto& b) { return a.identity < b.identity; });
      std::vector<uint16_t> walked(size, 0xffff);
      std::vector<uint64_t> turn(count);
      for (uint32_t filled = 0; filled < size; ++filled) {
        const uint32_t i = filled % count;
        const uint64_t h = mix_in(seed, endpoints[i].identity);
        const uint64_t skip = mix_in(h, seed) % (size - 1) + 1;
        const auto place = [&] { return (h % size + turn[i] * skip) % size; };
        while (walked[place()] != 0xffff) ++turn[i];
        walked[place()] = static_cast<uint16_t>(endpoints[i].index);
      }
      EXPECT_EQ(ring, walked) << count << " endpoints, seed " << seed;
    }
  }
}

// Rings as version 0.1 made them. All nodes must choose alike: these numbers may never change.
TEST(Maglev, TheRingIsPublic) {
  constexpr struct {
    uint32_t endpoints;
    bool is_weighted;
    uint64_t answer;
  } kKnown[] = {{1, false, 10225847657897961376u},   {2, false, 10599276955373413199u},
                {5, false, 211891131625698206u},     {16, false, 9343023233038418391u},
                {300, false, 10982788133321137419u}, {5, true, 17081680709418019529u}};
  for (uint32_t k = 0; k < std::size(kKnown); ++k) {
    const uint32_t n = kKnown[k].endpoints;
    std::vector<MaglevEndpoint> endpoints;
    for (uint32_t i = 0; i < n; ++i)
      endpoints.push_back({mix_in(1000 + k, i), i, kKnown[k].is_weighted ? 1 + i * i : 7});
    uint64_t h = 0;
    for (uint64_t seed = 1; seed <= 20; ++seed)
      for (const uint16_t index : ring_of(endpoints, seed, maglev_size(n))) h = mix_in(h, index);
    EXPECT_EQ(h, kKnown[k].answer) << n;
  }
}

TEST(Maglev, AGoneEndpointMovesLittleElse) {
  const auto endpoints = many(20);
  const auto before = ring_of(endpoints, 7, 4093);
  auto fewer = endpoints;
  fewer.erase(fewer.begin() + 5);
  const auto after = ring_of(fewer, 7, 4093);
  uint32_t moved = 0, of_gone = 0;
  for (uint32_t i = 0; i < 4093; ++i) {
    of_gone += before[i] == 5;
    moved += before[i] != 5 && before[i] != after[i];
  }
  EXPECT_GT(of_gone, 150u);
  EXPECT_LT(moved, 4093u * 5 / 100);
}

TEST(Maglev, TheSameEndpointTwiceIsOne) {
  auto endpoints = many(2);
  std::vector<MaglevEndpoint> all(1000, endpoints[0]);
  all.push_back(endpoints[1]);
  const auto count = shares(ring_of(all, 7, 251));
  ASSERT_EQ(count.size(), 2u);
  EXPECT_NEAR(count.begin()->second, 125, 1);
}

TEST(Maglev, ExtremeWeightsAreCheapAndEveryoneHasAPlace) {
  auto endpoints = many(5000);
  endpoints[17].weight = 65535;
  const auto count = shares(ring_of(endpoints, 7, maglev_size(5000)));
  EXPECT_EQ(count.size(), 5000u);
  EXPECT_GT(count.at(17), 480000u);
}

TEST(Maglev, FlowsSpreadEvenly) {
  std::map<uint32_t, uint32_t> buckets;
  for (uint32_t i = 0; i < 64000; ++i)
    buckets[maglev_hash(test::key4("198.51.100.7", static_cast<uint16_t>(i), "10.96.0.10", 80),
                        5) >>
            26]++;
  EXPECT_EQ(buckets.size(), 64u);
  for (const auto& [bucket, n] : buckets) EXPECT_NEAR(n, 1000, 150);
}

// What another node of another version must compute too: these numbers may never change.
TEST(Maglev, TheHashIsPublic) {
  EXPECT_EQ(maglev_hash(test::key4("198.51.100.7", 40000, "10.96.0.10", 80), 1), 3746899529u);
  EXPECT_EQ(maglev_hash(test::key6("2001:db8::7", 40000, "fd00:96::a", 80), 1), 52137978u);
  EXPECT_EQ(maglev_hash_client(test::key4("198.51.100.7", 1, "10.96.0.10", 80), 1), 1865036161u);
  EXPECT_EQ(maglev_hash_client(test::key6("2001:db8::7", 1, "fd00:96::a", 80), 1), 1360255495u);
}

TEST(Maglev, ClientsSpreadEvenlyWhateverTheirPorts) {
  std::map<uint32_t, uint32_t> buckets;
  for (uint32_t i = 0; i < 64000; ++i) {
    KeyV4 key = test::key4("198.51.100.7", static_cast<uint16_t>(i), "10.96.0.10", 80);
    key.src += swap32(i);
    const uint32_t place = maglev_hash_client(key, 5);
    key.sport ^= 0x55;
    key.dport ^= 0x55;
    EXPECT_EQ(maglev_hash_client(key, 5), place);
    buckets[place >> 26]++;
  }
  EXPECT_EQ(buckets.size(), 64u);
  for (const auto& [bucket, n] : buckets) EXPECT_NEAR(n, 1000, 150);
}

}  // namespace
}  // namespace nodeplane
