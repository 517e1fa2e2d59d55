#pragma once
#include <cstdint>
#include <vector>

#include "control/load.h"
#include "driver/driver.h"
#include "path/tables.h"

namespace nodeplane {

// What is ours on an interface shared with the host, each row as often as a service wishes for it.
struct TakeRows {
  std::vector<TakeRow> come, gone;
};

// Ports from which masqueraded clients go out; host order, inclusive.
struct TakeSnat {
  uint16_t low, high;
};

// All of it: virtual addresses, endpoints as source, and the addresses and ports that masqueraded
// clients wear.
std::vector<TakeRow> take_all(const Tables& tables, const PortPool& ports, TakeSnat snat);
// What a change (not a whole set) makes other, in proportion to it.
TakeRows take_difference(const TableSet& change, const Tables& before, const Tables& next);

}  // namespace nodeplane
