#pragma once
#include <cstdint>
#include <memory>

#include "base/ip.h"
#include "gen/layout.h"

namespace nodeplane {

struct RouteEntry {
  IpAddress via;  // zero when connected
  uint16_t port;
  bool has_via;
  uint8_t prefix_length;
};

// Longest prefix match per network and family, immutable once built: a hash table for every prefix
// length there is, the longest first. Of equal prefixes the first row counts.
class Lpm {
 public:
  // Null when a row's family, prefix length or port is impossible.
  static std::unique_ptr<Lpm> build(const RouteRow* rows, uint32_t count);
  ~Lpm();
  const RouteEntry* find(uint16_t network, uint8_t family, const IpAddress& address) const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nodeplane
