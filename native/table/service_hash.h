#pragma once
#include "table/mix.h"

namespace nodeplane {

// What a packet's destination says, hashed; equal for a service and for a key.
inline uint64_t place_hash(uint16_t network, uint8_t family, uint8_t protocol, uint16_t be_port,
                           const uint8_t* address) noexcept {
  const uint64_t rest = uint64_t{network} | uint64_t{be_port} << 16 | uint64_t{family} << 32 |
                        uint64_t{protocol} << 40;
  return mix_address(mix_in(0, rest), family, address);
}

}  // namespace nodeplane
