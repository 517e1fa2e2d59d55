#pragma once
#include <memory>
#include <string>

#include "driver/driver.h"

namespace nodeplane {

// A port on AF_XDP sockets, one per queue, with an XDP program of our own.
// interface: the kernel's name of it. queues: as many as it has active ones.
// options: mode auto|native|generic, copy auto|zero-copy|copy, needWakeup true|false,
//   take all|services, takeMax (addresses, and ports), rxRing, txRing, fillRing, completionRing (powers of two),
//   txBudget (packets per sendto in copy mode).
// auto means native, and generic where that fails; zero-copy, and copying where that fails.
// caps().description says what it became. See kernel documentation, networking/af_xdp.rst.
std::unique_ptr<Port> open_af_xdp(const PortSpec& spec, FrameArena& arena, std::string* error);

}  // namespace nodeplane
