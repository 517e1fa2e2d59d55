#pragma once
#include "table/cow.h"

namespace nodeplane {

// Row numbers by hash, shared between generations as CowArray shares. Lines of 64 bytes with eight
// (tag, row) pairs, at most half full over all: a lookup reads one line, and the next only when that
// one is full. `hash_of(row)` tells what a row that stands here was added with.
class CowIndex {
 public:
  static constexpr uint32_t kNone = 0xffffffff;

  CowIndex() { lines_.grow(kPageLines); }

  // Room for `rows` rows: before the first is added.
  void reserve(uint32_t rows) {
    uint32_t lines = lines_.size();
    while (lines * (kPairs / 2) < rows) lines *= 2;
    lines_.grow(lines);
  }

  template <class HashOf>
  void add(uint64_t hash, uint32_t row, HashOf hash_of) {
    if (count_ >= lines_.size() * (kPairs / 2)) grow(hash_of);
    put(hash, row);
    ++count_;
  }
  // The row must stand here.
  template <class HashOf>
  void remove(uint64_t hash, uint32_t row, HashOf hash_of);

  // The first row with this hash for which is(row) holds, or kNone.
  template <class Is>
  uint32_t find(uint64_t hash, Is is) const noexcept {
    for (uint32_t at = home(hash);; at = next(at)) {
      const Line& line = lines_[at];
      for (uint32_t i = 0; i < kPairs; ++i) {
        if (line.row[i] == 0) return kNone;
        if (line.tag[i] == tag_of(hash) && is(line.row[i] - 1)) return line.row[i] - 1;
      }
    }
  }
  void prefetch(uint64_t hash) const noexcept { lines_.prefetch(home(hash)); }
  // The row that find will most likely look at, or kNone; reads the hash's line only.
  uint32_t guess(uint64_t hash) const noexcept {
    const Line& line = lines_[home(hash)];
    uint32_t found = 0;
    for (uint32_t i = 0; i < kPairs; ++i)
      if (line.tag[i] == tag_of(hash)) found = line.row[i];
    return found - 1;
  }

  void commit(CowIndex& original) { lines_.commit(original.lines_); }

 private:
  static constexpr uint32_t kPairs = 8;
  static constexpr uint32_t kPageLines = 64;
  struct alignas(64) Line {
    uint32_t tag[kPairs];
    uint32_t row[kPairs];  // one more than the row's number; 0: free, as all behind it
  };
  static uint32_t tag_of(uint64_t hash) noexcept { return static_cast<uint32_t>(hash >> 32); }
  uint32_t home(uint64_t hash) const noexcept {
    return static_cast<uint32_t>(hash) & (lines_.size() - 1);
  }
  uint32_t next(uint32_t line) const noexcept { return (line + 1) & (lines_.size() - 1); }
  bool is_full(uint32_t line) const noexcept { return lines_[line].row[kPairs - 1] != 0; }
  // A row behind `hole` that stands there only because `hole` was full, so that it may move up: a
  // lookup stops at the first free place.
  template <class HashOf>
  bool follower(uint32_t hole, HashOf hash_of, uint32_t* at, uint32_t* place) const {
    const uint32_t mask = lines_.size() - 1;
    for (*at = hole; is_full(*at);) {
      *at = next(*at);
      const Line& line = lines_[*at];
      for (*place = 0; *place < kPairs && line.row[*place] != 0; ++*place) {
        const uint32_t from = home(hash_of(line.row[*place] - 1));
        if (((*at - from) & mask) >= ((*at - hole) & mask)) return true;
      }
    }
    return false;
  }

  void put(uint64_t hash, uint32_t row) {
    for (uint32_t at = home(hash);; at = next(at)) {
      if (is_full(at)) continue;
      Line& line = lines_.touch(at);
      uint32_t i = 0;
      while (line.row[i] != 0) ++i;
      line.tag[i] = tag_of(hash);
      line.row[i] = row + 1;
      return;
    }
  }
  template <class HashOf>
  void grow(HashOf hash_of) {
    std::vector<uint32_t> rows;
    rows.reserve(count_);
    for (uint32_t at = 0; at < lines_.size(); ++at)
      for (const uint32_t row : lines_[at].row)
        if (row != 0) rows.push_back(row - 1);
    const uint32_t lines = lines_.size() * 2;
    lines_.clear();
    lines_.grow(lines);
    for (const uint32_t row : rows) put(hash_of(row), row);
  }

  CowArray<Line, kPageLines> lines_;  // a power of two
  uint32_t count_ = 0;
};

template <class HashOf>
void CowIndex::remove(uint64_t hash, uint32_t row, HashOf hash_of) {
  uint32_t hole = home(hash), i = 0;
  for (;; hole = next(hole)) {
    const Line& line = lines_[hole];
    for (i = 0; i < kPairs && line.row[i] != row + 1;) ++i;
    if (i < kPairs) break;
  }
  --count_;
  for (;;) {
    uint32_t at, place;
    const bool moves = follower(hole, hash_of, &at, &place);
    Line& line = lines_.touch(hole);
    if (moves) {
      line.tag[i] = lines_[at].tag[place];
      line.row[i] = lines_[at].row[place];
      hole = at;
      i = place;
      continue;
    }
    uint32_t last = kPairs - 1;
    while (line.row[last] == 0) --last;
    line.tag[i] = line.tag[last];
    line.row[i] = line.row[last];
    line.tag[last] = line.row[last] = 0;
    return;
  }
}

}  // namespace nodeplane
