#include "kernel/guess/guess.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace nodeplane {
namespace {

struct alignas(64) Line {
  uint16_t tags[kProbeTags];
  uint32_t control;
  uint32_t entries[kProbeTags];
};
static_assert(sizeof(Line) == kGuessLineBytes && offsetof(Line, entries) == kGuessEntriesAt);

uint32_t meant(const std::vector<Line>& lines, uint32_t hash) {
  const Line& line = lines[uint64_t{hash} * lines.size() >> 32];
  for (uint32_t i = 0; i < kProbeTags; ++i)
    if (line.tags[i] == probe_tag(hash)) return line.entries[i];
  return kGuessNone;
}

TEST(Guess, EveryVariantFindsTheFirstEntryWithTheTag) {
  std::mt19937 random(11);
  std::vector<Line> lines(61);
  for (Line& line : lines) {
    // Few different tags, 0 and such as look like the control word among them.
    for (uint16_t& tag : line.tags) tag = static_cast<uint16_t>(random() % 5);
    line.control = random() % 5 * 0x10001;
    for (uint32_t& entry : line.entries) entry = random() % 1000;
  }
  std::vector<uint8_t> records(1000 * 128);
  for (const char* name : {"scalar", "sse42", "avx2", "avx512"}) {
    const Kernels* kernels = kernels_named(name);
    if (kernels == nullptr) continue;
    for (const uint32_t record_bytes : {64u, 128u}) {
      const GuessLines all{lines.data(), static_cast<uint32_t>(lines.size()), records.data(),
                           record_bytes};
      for (uint32_t n = 0; n < 40; ++n) {
        std::vector<uint32_t> hashes(n), entries(n, 7);
        for (uint32_t& hash : hashes) hash = (random() & 0xffff0000) | random() % 6;
        kernels->guess(all, hashes.data(), n, entries.data());
        for (uint32_t i = 0; i < n; ++i) EXPECT_EQ(entries[i], meant(lines, hashes[i])) << name;
      }
    }
  }
}

}  // namespace
}  // namespace nodeplane
