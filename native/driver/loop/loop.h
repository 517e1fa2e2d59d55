#pragma once
#include <memory>
#include <string>

#include "driver/driver.h"

namespace nodeplane {

// loop: one end of a cable in this process's memory, without root. spec.interface names the cable:
// two ports of one name are joined; the other end may as well be a LoopEnd (driver/loop/cable.h).
// Packets cross by copying, so the two ends may use different arenas.
std::unique_ptr<Port> open_loop(const PortSpec& spec, FrameArena& arena, std::string* error);

}  // namespace nodeplane
