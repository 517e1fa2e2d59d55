#pragma once
#include <cstdint>
#include <cstring>

#include "base/ip.h"

namespace nodeplane {

// A public hash for tables whose content control chooses and for Maglev, which every node must
// compute alike: the finalizer of splitmix64 (Steele, Lea, Flood 2014), a bijection per step, so no
// input absorbs what came before it. Flow tables use the keyed kernels instead.
constexpr uint64_t mix_in(uint64_t h, uint64_t v) noexcept {
  h = (h ^ v) + 0x9e3779b97f4a7c15;
  h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9;
  h = (h ^ (h >> 27)) * 0x94d049bb133111eb;
  return h ^ (h >> 31);
}

// 4 or 16 bytes of an address on top of h.
inline uint64_t mix_address(uint64_t h, uint8_t family, const uint8_t* bytes) noexcept {
  uint64_t words[2] = {0, 0};
  std::memcpy(words, bytes, family == 4 ? 4 : 16);
  h = mix_in(h, words[0]);
  return family == 4 ? h : mix_in(h, words[1]);
}

}  // namespace nodeplane
