#pragma once
#include <cstdint>
#include <cstring>

namespace nodeplane {

// What a checked payload holds: the number of its flow, its own number in that flow, and then words
// that follow from both, up to the last byte. So a receiver sees loss, duplication, reordering, and
// bytes that are of another packet or of an older lap of the same buffer. Sums are one's complement
// sums in raw order (base/sum.h), unfolded.

inline constexpr uint32_t kMarkBytes = 8;  // least payload

constexpr uint64_t mark_of(uint32_t flow, uint32_t sequence) noexcept {
  return uint64_t{sequence} << 32 | flow;
}
constexpr uint32_t mark_flow(uint64_t mark) noexcept { return static_cast<uint32_t>(mark); }
constexpr uint32_t mark_sequence(uint64_t mark) noexcept {
  return static_cast<uint32_t>(mark >> 32);
}
inline constexpr uint64_t kMarkStep = 0x9e3779b97f4a7c15;  // from one word to the next
constexpr uint64_t mark_sum(uint64_t word) noexcept { return (word & 0xffffffff) + (word >> 32); }
// The first n bytes of a word, others zero; 0 < n < 8.
constexpr uint64_t mark_part(uint64_t word, uint32_t n) noexcept {
  return word & ((uint64_t{1} << (8 * n)) - 1);
}

// Writes n bytes, and up to 7 behind them. The sum of the n bytes.
inline uint64_t mark_lay(uint8_t* payload, uint32_t n, uint64_t mark) noexcept {
  uint64_t sum = 0, word = mark;
  uint32_t at = 0;
  for (; at + 8 <= n; at += 8, word += kMarkStep) {
    std::memcpy(payload + at, &word, 8);
    sum += mark_sum(word);
  }
  if (at == n) return sum;
  word = mark_part(word, n - at);
  std::memcpy(payload + at, &word, 8);
  return sum + mark_sum(word);
}

// Whether n bytes (at least kMarkBytes) are those of the mark they begin with; their sum if so.
inline bool mark_check(const uint8_t* payload, uint32_t n, uint64_t* mark, uint64_t* sum) noexcept {
  std::memcpy(mark, payload, 8);
  uint64_t difference = 0, total = 0, word = *mark;
  uint32_t at = 0;
  for (; at + 8 <= n; at += 8, word += kMarkStep) {
    uint64_t found;
    std::memcpy(&found, payload + at, 8);
    difference |= found ^ word;
    total += mark_sum(word);
  }
  if (at != n) {
    uint64_t last;  // the last 8 bytes, of which n - at are not yet looked at
    std::memcpy(&last, payload + n - 8, 8);
    word = mark_part(word, n - at);
    difference |= (last >> (8 * (8 - (n - at)))) ^ word;
    total += mark_sum(word);
  }
  *sum = total;
  return difference == 0;
}

}  // namespace nodeplane
