#pragma once
#include "driver/driver.h"

namespace nodeplane {

// What a driver room gives: a port, or null with a reason.
using OpenPort = std::unique_ptr<Port> (*)(const PortSpec& spec, FrameArena& arena,
                                           std::string* error);

// One row per driver; the whole list is in registry.cc.
struct DriverRow {
  const char* name;
  OpenPort open;
  bool is_automatic;  // `auto` may choose it
};

}  // namespace nodeplane
