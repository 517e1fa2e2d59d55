#include "kernel/kernels.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/be.h"
#include "support/guarded.h"

namespace nodeplane {
namespace {

constexpr size_t kKeysMax = 67;  // past several steps of four, with every tail
constexpr size_t kLengthMax = 2048;

std::vector<const Kernels*> variants() {
  std::vector<const Kernels*> all;
  for (const char* name : {"scalar", "sse42", "avx2", "avx512"}) {
    if (const Kernels* k = kernels_named(name)) all.push_back(k);
  }
  return all;
}

template <class T>
T random_bytes(std::mt19937_64& random) {
  T value;
  for (size_t i = 0; i < sizeof value; ++i) {
    reinterpret_cast<uint8_t*>(&value)[i] = static_cast<uint8_t>(random());
  }
  return value;
}

template <class Key>
Key counting() {  // bytes 0, 1, 2, …
  Key key;
  for (size_t i = 0; i < sizeof key; ++i)
    reinterpret_cast<uint8_t*>(&key)[i] = static_cast<uint8_t>(i);
  return key;
}

uint32_t folded(uint64_t h) { return static_cast<uint32_t>(h) ^ static_cast<uint32_t>(h >> 32); }

// The meaning in the plainest words: 16-bit words in memory order, carries back in at the low end.
uint16_t checksum_meaning(const uint8_t* p, size_t n) {
  uint32_t sum = 0;
  for (size_t i = 0; i < n; i += 2) {
    sum += p[i] | (i + 1 < n ? p[i + 1] << 8 : 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return static_cast<uint16_t>(sum);
}

// The vectors of SipHash-1-3 that are published with its reference code and the Rust library:
// key 00 01 … 0f, message 00 01 … of 16 and of 40 bytes.
TEST(KernelsTest, SipHash13AgreesWithPublishedVectors) {
  const HashSeed seed{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  for (const Kernels* k : variants()) {
    std::vector<KeyV4> v4(5, counting<KeyV4>());
    std::vector<KeyV6> v6(5, counting<KeyV6>());
    uint32_t out[5];
    k->hash_v4(v4.data(), 5, seed, out);
    for (const uint32_t h : out) EXPECT_EQ(h, folded(0xcc4fdd1a7d908b66)) << k->name;
    k->hash_v6(v6.data(), 5, seed, out);
    for (const uint32_t h : out) EXPECT_EQ(h, folded(0xc1d2363299e41531)) << k->name;
  }
}

// RFC 3720 appendix B.4: CRC32C of 32 bytes of zeros, of ones, and counting up. Two 16-byte keys
// in turn are one such message; start and end are inverted there.
TEST(KernelsTest, Crc32cAgreesWithPublishedVectors) {
  struct Vector {
    uint8_t first, step;
    uint32_t crc;
  };
  const Vector vectors[] = {{0, 0, 0x8a9136aa}, {0xff, 0, 0x62a8ab43}, {0, 1, 0x46dd794e}};
  for (const Kernels* k : variants()) {
    for (const Vector& v : vectors) {
      KeyV4 keys[2];
      for (size_t i = 0; i < 32; ++i) {
        reinterpret_cast<uint8_t*>(keys)[i] = static_cast<uint8_t>(v.first + i * v.step);
      }
      uint32_t c = 0xffffffff;
      for (const KeyV4& key : keys) k->crc_v4(&key, 1, HashSeed{c, 0}, &c);
      EXPECT_EQ(~c, v.crc) << k->name;
    }
  }
}

// Eighty bytes are five short keys or two long ones: ties the long CRC to the published short one.
TEST(KernelsTest, Crc32cOfLongKeysContinuesShortOnes) {
  std::mt19937_64 random(1);
  for (const Kernels* k : variants()) {
    struct Bytes {
      uint8_t b[80];
    };
    const Bytes bytes = random_bytes<Bytes>(random);
    KeyV4 v4[5];
    KeyV6 v6[2];
    std::memcpy(v4, &bytes, sizeof v4);
    std::memcpy(v6, &bytes, sizeof v6);
    uint32_t a = 7, b = 7;
    for (const KeyV4& key : v4) k->crc_v4(&key, 1, HashSeed{a, 0}, &a);
    for (const KeyV6& key : v6) k->crc_v6(&key, 1, HashSeed{b, 0}, &b);
    EXPECT_EQ(a, b) << k->name;
  }
}

template <class Key, class Function>
void compare_hashes(Function Kernels::*function) {
  std::mt19937_64 random(2);
  const Kernels& scalar = *kernels_named("scalar");
  test::Guarded guarded(kKeysMax * sizeof(Key));
  for (const Kernels* k : variants()) {
    for (size_t n = 0; n <= kKeysMax; ++n) {
      std::vector<Key> keys(n);
      for (Key& key : keys) key = random_bytes<Key>(random);
      const HashSeed seed = random_bytes<HashSeed>(random);
      std::vector<uint32_t> expected(n), got(n + 1, 0xa5a5a5a5);
      (scalar.*function)(keys.data(), n, seed, expected.data());
      const auto* at_end = reinterpret_cast<const Key*>(guarded.put(keys.data(), n * sizeof(Key)));
      (k->*function)(at_end, n, seed, got.data());
      EXPECT_EQ(got.back(), 0xa5a5a5a5) << k->name << " wrote past its " << n << " answers";
      got.pop_back();
      EXPECT_EQ(got, expected) << k->name << " n=" << n;
    }
  }
}

TEST(KernelsTest, EveryHashAgreesWithScalar) {
  compare_hashes<KeyV4>(&Kernels::hash_v4);
  compare_hashes<KeyV6>(&Kernels::hash_v6);
  compare_hashes<KeyV4>(&Kernels::crc_v4);
  compare_hashes<KeyV6>(&Kernels::crc_v6);
}

// Why the keyed hash is the default: what collides by CRC does so under every seed, so that one who knows
// nothing can fill a bucket.
TEST(KernelsTest, OnlyTheKeyedHashTakesCollisionsApart) {
  constexpr size_t kKeys = 300'000;  // about ten pairs collide
  std::mt19937_64 random(3);
  std::vector<KeyV4> keys(kKeys);
  for (KeyV4& key : keys) key = random_bytes<KeyV4>(random);
  const Kernels& k = kernels();
  for (const bool keyed : {true, false}) {
    const auto hash = keyed ? k.hash_v4 : k.crc_v4;
    std::vector<uint32_t> one(kKeys), other(kKeys);
    hash(keys.data(), kKeys, HashSeed{1, 2}, one.data());
    hash(keys.data(), kKeys, HashSeed{3, 4}, other.data());
    std::unordered_map<uint32_t, size_t> first;
    uint32_t pairs = 0, still = 0;
    for (size_t i = 0; i < kKeys; ++i) {
      const auto [at, fresh] = first.try_emplace(one[i], i);
      if (fresh) continue;
      ++pairs;
      still += other[i] == other[at->second];
    }
    EXPECT_GT(pairs, 0u);
    EXPECT_EQ(still, keyed ? 0 : pairs);
  }
}

TEST(KernelsTest, HashDependsOnBothHalvesOfTheSeed) {
  const KeyV4 key = counting<KeyV4>();
  for (const Kernels* k : variants()) {
    uint32_t a, b, c;
    k->hash_v4(&key, 1, HashSeed{1, 2}, &a);
    k->hash_v4(&key, 1, HashSeed{3, 2}, &b);
    k->hash_v4(&key, 1, HashSeed{1, 4}, &c);
    EXPECT_NE(a, b);
    EXPECT_NE(a, c);
    EXPECT_NE(b, c);
  }
}

// RFC 1071 section 3: 00 01 f2 03 f4 f5 f6 f7 sums to ddf2.
TEST(KernelsTest, ChecksumOfTheRfcExample) {
  const uint8_t bytes[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  for (const Kernels* k : variants()) {
    EXPECT_EQ(k->checksum(bytes, sizeof bytes), swap16(0xddf2)) << k->name;
  }
}

TEST(KernelsTest, EveryChecksumAgreesWithTheMeaningAtEveryLengthAndAlignment) {
  std::mt19937_64 random(3);
  std::vector<uint8_t> bytes(kLengthMax);
  for (uint8_t& b : bytes) b = static_cast<uint8_t>(random());
  test::Guarded guarded(kLengthMax + 64);
  for (size_t n = 0; n <= kLengthMax; ++n) {
    // Ends at the page's end, so the start walks through every alignment as n does.
    const uint8_t* p = guarded.put(bytes.data(), n);
    const uint16_t expected = checksum_meaning(p, n);
    for (const Kernels* k : variants())
      ASSERT_EQ(k->checksum(p, n), expected) << k->name << " " << n;
  }
  for (size_t shift = 0; shift < 64; ++shift) {
    for (const size_t n : {size_t{20}, size_t{63}, size_t{64}, size_t{65}, size_t{1460}}) {
      const uint8_t* p = bytes.data() + shift;
      const uint16_t expected = checksum_meaning(p, n);
      for (const Kernels* k : variants()) ASSERT_EQ(k->checksum(p, n), expected) << k->name;
    }
  }
}

// Nothing sums to zero but zeros, and all carries happen.
TEST(KernelsTest, ChecksumOfOnesAndZeros) {
  const std::vector<uint8_t> ones(65536, 0xff), zeros(65536, 0);
  for (const Kernels* k : variants()) {
    for (const size_t n : {1u, 2u, 7u, 8u, 64u, 65u, 65535u, 65536u}) {
      EXPECT_EQ(k->checksum(ones.data(), n), checksum_meaning(ones.data(), n)) << k->name << n;
      EXPECT_EQ(k->checksum(zeros.data(), n), 0) << k->name << n;
    }
  }
}

TEST(KernelsTest, NamesAreFoundAndUnknownOnesAreNot) {
  ASSERT_NE(kernels_named("scalar"), nullptr);
  EXPECT_STREQ(kernels_named("scalar")->name, "scalar");
  EXPECT_EQ(kernels_named("mmx"), nullptr);
  EXPECT_EQ(kernels_named(""), nullptr);
}

// The choice is made once in a process, so each case is a child of its own.
[[noreturn]] void report_choice(const char* forced) {
  setenv("NODEPLANE_KERNEL", forced, 1);
  std::fprintf(stderr, "chose %s, again %s\n", kernels().name, kernels().name);
  std::exit(0);
}
TEST(KernelsDeathTest, VariableForcesAVariant) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(report_choice("scalar"), ::testing::ExitedWithCode(0), "^chose scalar, again scalar");
  if (kernels_named("sse42") == nullptr) GTEST_SKIP() << "this CPU has no SSE 4.2";
  EXPECT_EXIT(report_choice("sse42"), ::testing::ExitedWithCode(0), "^chose sse42, again sse42");
}
TEST(KernelsDeathTest, UnknownNameIsSaidOnceAndTheBestUsed) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  const std::string expected = std::string("^nodeplane: NODEPLANE_KERNEL=abacus: [^\n]*; using ") +
                               variants().back()->name + "\nchose " + variants().back()->name;
  EXPECT_EXIT(report_choice("abacus"), ::testing::ExitedWithCode(0), expected);
}

}  // namespace
}  // namespace nodeplane
