#include "copy/copy_bytes.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "copy/distance.h"
#include "support/guarded.h"

namespace nodeplane {
namespace {

constexpr size_t kRoom = 16384;
constexpr uint8_t kRubbish = 0xdb;

std::vector<uint8_t> random_bytes(size_t n) {
  std::mt19937_64 random(7);
  std::vector<uint8_t> bytes(n);
  for (auto& b : bytes) b = static_cast<uint8_t>(random());
  return bytes;
}

using Copier = void (*)(void*, const void*, size_t);

// Source and destination end where their memory does, or stand `slack` before it; the byte before
// the destination and the slack behind stay as they were.
void expect_copied(Copier copy, test::Guarded& from, test::Guarded& to, size_t bytes,
                   size_t from_slack, size_t to_slack) {
  const uint8_t* f = from.end() - from_slack - bytes;
  uint8_t* t = to.end() - to_slack - bytes;
  std::memset(t - 64, kRubbish, bytes + 64 + to_slack);
  copy(t, f, bytes);
  copy_fence();
  ASSERT_EQ(std::memcmp(t, f, bytes), 0) << bytes << " " << from_slack << " " << to_slack;
  for (size_t i = 1; i <= 64; ++i) ASSERT_EQ(t[-static_cast<ptrdiff_t>(i)], kRubbish) << bytes;
  for (size_t i = 0; i < to_slack; ++i) ASSERT_EQ(t[bytes + i], kRubbish) << bytes;
}

void expect_like_memcpy(Copier copy, size_t first) {
  test::Guarded from(kRoom), to(kRoom);
  const auto bytes = random_bytes(from.capacity());
  from.put(bytes.data(), bytes.size());
  // Every size to 320 at every alignment of the destination's line and some of the source's.
  for (size_t n = first; n <= 320; ++n) {
    for (size_t to_slack = 0; to_slack < 64; ++to_slack) {
      for (const size_t from_slack : {0, 1, 14, 33, 63})
        expect_copied(copy, from, to, n, from_slack, to_slack);
    }
  }
  // Every size to 9,216 at one alignment each.
  for (size_t n = first; n <= 9216; ++n) expect_copied(copy, from, to, n, n * 7 % 64, n * 13 % 64);
}

void expect_kernels_like_memcpy(const char* name) {
  static const CopyKernels* kernels;
  kernels = copy_kernels_named(name);
  if (kernels == nullptr) GTEST_SKIP() << "this CPU has no " << name;
  auto call = [](CopyKernels::Copy copy, void* to, const void* from, size_t n) {
    copy(static_cast<uint8_t*>(to), static_cast<const uint8_t*>(from), n);
  };
  static const auto caller = call;
  expect_like_memcpy([](void* t, const void* f, size_t n) { caller(kernels->near, t, f, n); },
                     kCopyInlineMax + 1);
  expect_like_memcpy([](void* t, const void* f, size_t n) { caller(kernels->far, t, f, n); },
                     kCopyInlineMax + 1);
}

TEST(CopyBytes, IsMemcpy) {
  expect_like_memcpy([](void* t, const void* f, size_t n) { copy_bytes(t, f, n); }, 0);
}
TEST(CopyBytes, FarIsMemcpy) {
  expect_like_memcpy([](void* t, const void* f, size_t n) { copy_bytes_far(t, f, n); }, 0);
}
TEST(CopyBytes, LibcIsMemcpy) { expect_kernels_like_memcpy("libc"); }
TEST(CopyBytes, Avx2IsMemcpy) { expect_kernels_like_memcpy("avx2"); }
TEST(CopyBytes, Avx512IsMemcpy) { expect_kernels_like_memcpy("avx512"); }

TEST(CopyBytes, SameBytesInEveryPage) {
  // Source and destination with equal low 12 bits, where string instructions are avoided.
  std::vector<uint8_t> memory(10 * 4096);
  const auto bytes = random_bytes(9000);
  for (const size_t ahead : {0, 1, 63, 64, 4095}) {
    std::memcpy(memory.data(), bytes.data(), bytes.size());
    copy_bytes(memory.data() + 5 * 4096 + ahead, memory.data(), bytes.size());
    ASSERT_EQ(std::memcmp(memory.data() + 5 * 4096 + ahead, bytes.data(), bytes.size()), 0);
  }
}

TEST(Distance, RingsThatFitAreNear) {
  Distance distance;
  for (size_t i = 0; i < 200000; ++i)
    ASSERT_FALSE(distance.is_far(reinterpret_cast<void*>(0x10000000 + i % 1024 * 2048), 1500));
}
TEST(Distance, RingsThatDoNotAreFarUntilTheyShrink) {
  Distance distance;
  bool far = false;
  for (size_t i = 0; i < 100000; ++i)
    far = distance.is_far(reinterpret_cast<void*>(0x10000000 + i * 10240), 9000);
  EXPECT_TRUE(far);
  for (size_t i = 0; i < 20000; ++i)
    far = distance.is_far(reinterpret_cast<void*>(0x10000000 + i % 64 * 2048), 1500);
  EXPECT_FALSE(far);
}

}  // namespace
}  // namespace nodeplane
