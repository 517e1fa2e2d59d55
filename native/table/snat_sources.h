#pragma once
#include <cstring>

#include "table/lpm.h"
#include "table/port_pool.h"

namespace nodeplane {

// The address that clients of an endpoint wear when they are masqueraded: that of the port by which
// the endpoint is reached, as the port pool's number.
struct SnatSources {
  const Lpm* lpm = nullptr;
  uint16_t by_port[kPortMax][2];  // IPv4, IPv6

  SnatSources() noexcept { std::memset(by_port, 0xff, sizeof by_port); }
  uint16_t of(uint16_t network, uint8_t family, const IpAddress& address) const noexcept {
    const RouteEntry* route = lpm == nullptr ? nullptr : lpm->find(network, family, address);
    return route == nullptr ? kSnatSourceNone : by_port[route->port][family == 6];
  }
};
static_assert(kSnatSourceNone == 0xffff);

}  // namespace nodeplane
