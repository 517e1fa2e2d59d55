#pragma once
#include <cstdint>
#include <cstring>

namespace nodeplane::memif {

// The line will be written: asked for as one's own at once, where the compiler's own builtin would
// only read it on a baseline x86.
inline void prefetch_to_write(void* at) noexcept {
#if defined(__x86_64__)
  asm volatile("prefetchw %0" : : "m"(*static_cast<uint8_t*>(at)));
#else
  __builtin_prefetch(at, 1);
#endif
}

template <uint32_t kBytes>
struct Block {
  uint64_t words[kBytes / 8];
};

// Between half a Block and a whole one: from both ends, overlapping. Not a byte more than there
// is, since what lies behind a packet may be another one's.
template <uint32_t kBytes>
inline void copy_both_ends(uint8_t* to, const uint8_t* from, uint32_t bytes) noexcept {
  Block<kBytes> first, last;
  std::memcpy(&first, from, kBytes);
  std::memcpy(&last, from + bytes - kBytes, kBytes);
  std::memcpy(to, &first, kBytes);
  std::memcpy(to + bytes - kBytes, &last, kBytes);
}

// Small packets are copied in line: a call costs as much as their bytes.
inline void copy_packet(uint8_t* to, const uint8_t* from, uint32_t bytes) noexcept {
  if (bytes - 33 < 32) return copy_both_ends<32>(to, from, bytes);
  if (bytes - 65 < 64) return copy_both_ends<64>(to, from, bytes);
  std::memcpy(to, from, bytes);
}

}  // namespace nodeplane::memif
