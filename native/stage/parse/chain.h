#pragma once
#include <cstdint>

namespace nodeplane {

// Where an IPv6 header chain ends.
struct ChainEnd {
  bool readable;        // false: malformed, cut short, or over the limits
  bool fragment;        // a fragment header was in it, atomic ones included
  bool later_fragment;  // offset not 0: what follows is not a header
  uint8_t protocol;     // of what follows
  uint32_t bytes;       // of extension headers
};

// Walks the extension headers in the n bytes behind an IPv6 header whose next header is `next`.
// ESP, no-next-header and everything unknown end the chain (RFC 8200 section 4).
ChainEnd walk_chain(const uint8_t* p, uint32_t n, uint8_t next) noexcept;

}  // namespace nodeplane
