#include "kernel/probe.h"

#include <gtest/gtest.h>

#include <random>

namespace nodeplane {
namespace {

TEST(Probe, AgreesWithScalarOnEveryLine) {
  alignas(64) std::atomic<uint16_t> line[32];
  std::mt19937 random(3);
  for (uint32_t round = 0; round < 20000; ++round) {
    // Few different values, so that several match, those behind the tenth tag too.
    for (auto& tag : line) tag.store(static_cast<uint16_t>(0x7ffe + random() % 4));
    for (uint32_t tag = 0x7ffe; tag < 0x8002; ++tag) {
      const auto t = static_cast<uint16_t>(tag);
      ASSERT_EQ(probe_tags(line, t), probe_tags_scalar(line, t));
    }
    ASSERT_EQ(probe_tags(line, 0), 0u);
  }
}

}  // namespace
}  // namespace nodeplane
