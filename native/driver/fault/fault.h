#pragma once
#include <memory>
#include <string>

#include "driver/driver.h"

namespace nodeplane {

// fault: a port that holds a port and does harm, the same for the same seed and traffic. Option
// `fault`, a list such as drop=0.01,duplicate=0.01,corrupt=0.001,reorder=0.01,delay=5ms,txfull=0.1,
// seed=1. Received packets are dropped (counted as fault_injected), doubled, have one bit turned
// round in their first frame, are overtaken by the next one, or come later; txfull is the chance
// that a transmit takes only some. The other chances are per packet.
std::unique_ptr<Port> hold_fault(std::unique_ptr<Port> inner, const PortSpec& spec,
                                 FrameArena& arena, std::string* error);

}  // namespace nodeplane
