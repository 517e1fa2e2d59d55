#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/flow_key.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace nodeplane {

// The key of a TCP or UDP packet, from the bytes that hold it: addresses, ports and, as one word at
// the key's end, network and protocol. `ip`: an IPv4 header of 20 bytes, ports behind it.
// The meaning:
inline void tuple_v4_scalar(const uint8_t* ip, uint16_t network, KeyV4* out) noexcept {
  std::memcpy(out, ip + 12, 12);
  out->network = network;
  out->protocol = ip[9];
  out->zero = 0;
}

#if defined(__SSE2__)
// SSE2 is in the x86-64 baseline, so this needs no dispatch. The 16 bytes from the TTL on, moved down
// over what stands before the addresses.
inline void tuple_v4(const uint8_t* ip, uint16_t network, KeyV4* out) noexcept {
  static_assert(offsetof(KeyV4, network) == 12 && offsetof(KeyV4, protocol) == 14);
  __m128i v = _mm_srli_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(ip + 8)), 4);
  v = _mm_insert_epi16(v, network, 6);
  v = _mm_insert_epi16(v, ip[9], 7);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), v);
}
#else
inline void tuple_v4(const uint8_t* ip, uint16_t network, KeyV4* out) noexcept {
  tuple_v4_scalar(ip, network, out);
}
#endif

inline bool tuple_equal(const KeyV4& a, const KeyV4& b) noexcept {
#if defined(__SSE2__)
  const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(&a));
  const __m128i y = _mm_loadu_si128(reinterpret_cast<const __m128i*>(&b));
  return _mm_movemask_epi8(_mm_cmpeq_epi32(x, y)) == 0xffff;
#else
  return a == b;
#endif
}

}  // namespace nodeplane
