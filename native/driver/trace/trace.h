#pragma once
#include <memory>
#include <string>

#include "driver/driver.h"

namespace nodeplane {

// trace: a port that holds a port and writes what it receives and transmits to a pcapng file
// (option `trace`), with the direction in epb_flags. Option `traceMaxBytes` (1 GiB): the file stops
// growing there. Partial sums and unsegmented packets are written as they are. Stamped with the
// wall clock, or an offline port's own time.
std::unique_ptr<Port> hold_trace(std::unique_ptr<Port> inner, const PortSpec& spec,
                                 std::string* error);

}  // namespace nodeplane
