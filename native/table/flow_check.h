#pragma once
#include <array>
#include <cstdint>
#include <cstring>

#include "table/flow.h"
#include "table/mix.h"

namespace nodeplane {

// What of a connection never changes and cannot be derived: everything else that is immutable (the
// rewrites, hashes, the port's grant) follows from it, and is derived anew when records are recovered.
template <class F>
struct FlowFacts {
  typename F::Key original, reply;
  uint32_t service, endpoint;
  uint16_t zone;
  uint8_t snat;
};

// The check word over it: products of 128 bits, folded (as in wyhash), two words at a time. It tells
// damage, not malice: the file is its owner's alone.
template <class F>
inline uint32_t flow_check(const FlowFacts<F>& f) noexcept {
  constexpr uint32_t kKeyWords = sizeof(typename F::Key) / 8;
  constexpr uint32_t kWords = 2 * kKeyWords + 2;
  static_assert(sizeof(typename F::Key) % 8 == 0 && kWords % 2 == 0);
  static constexpr auto kSalt = [] {
    std::array<uint64_t, kWords> salt{};
    uint64_t h = F::kFamily;
    for (auto& s : salt) s = h = mix_in(h, 1);
    return salt;
  }();
  uint64_t w[kWords];
  std::memcpy(w, &f.original, sizeof f.original);
  std::memcpy(w + kKeyWords, &f.reply, sizeof f.reply);
  w[kWords - 2] = uint64_t{f.endpoint} << 32 | f.service;
  w[kWords - 1] = uint64_t{f.snat} << 16 | f.zone;
  uint64_t h = 0;
  for (uint32_t i = 0; i < kWords; i += 2) {
    const auto product =
        static_cast<unsigned __int128>(w[i] ^ kSalt[i]) * (w[i + 1] ^ kSalt[i + 1]);
    h += static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  }
  return static_cast<uint32_t>(h ^ (h >> 32));
}

}  // namespace nodeplane
