#pragma once
#include <cstdint>
#include <vector>

namespace nodeplane {

// Row numbers by hash. Lines of 64 bytes with eight (tag, row) pairs, at most half full over all: a
// lookup reads one line, and the next only when that one is full. Built once, then only read.
class TagIndex {
 public:
  static constexpr uint32_t kNone = 0xffffffff;

  // Room for `rows` rows.
  explicit TagIndex(uint32_t rows) : lines_(line_count(rows)), mask_(lines_.size() - 1) {}

  void add(uint64_t hash, uint32_t row) noexcept {
    for (uint64_t at = hash & mask_;; at = (at + 1) & mask_) {
      Line& line = lines_[at];
      for (uint32_t i = 0; i < kPairs; ++i) {
        if (line.row[i] != kNone) continue;
        line.tag[i] = tag_of(hash);
        line.row[i] = row;
        return;
      }
    }
  }
  // The first row with this hash for which is(row) holds, or kNone.
  template <class Is>
  uint32_t find(uint64_t hash, Is is) const noexcept {
    for (uint64_t at = hash & mask_;; at = (at + 1) & mask_) {
      const Line& line = lines_[at];
      for (uint32_t i = 0; i < kPairs; ++i) {
        if (line.row[i] == kNone) return kNone;
        if (line.tag[i] == tag_of(hash) && is(line.row[i])) return line.row[i];
      }
    }
  }
  void prefetch(uint64_t hash) const noexcept { __builtin_prefetch(&lines_[hash & mask_]); }

 private:
  static constexpr uint32_t kPairs = 8;
  struct alignas(64) Line {
    uint32_t tag[kPairs] = {};
    uint32_t row[kPairs] = {kNone, kNone, kNone, kNone, kNone, kNone, kNone, kNone};
  };
  static uint32_t tag_of(uint64_t hash) noexcept { return static_cast<uint32_t>(hash >> 32); }
  static size_t line_count(uint32_t rows) noexcept {
    size_t lines = 1;
    while (lines * (kPairs / 2) < rows + size_t{1}) lines *= 2;
    return lines;
  }

  std::vector<Line> lines_;
  uint64_t mask_;
};

}  // namespace nodeplane
