#pragma once
#include <vector>

#include "packet/packet.h"

namespace nodeplane {

// Which zone a new connection is counted in: the first row that matches its first packet, else 0.
struct ZoneRules {
  std::vector<ZoneRow> rows;
  std::vector<PodRangeRow> pods;
};

uint8_t zone_of(const Packet& p, const ZoneRules& rules) noexcept;

}  // namespace nodeplane
