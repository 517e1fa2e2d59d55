#pragma once
#include <memory>
#include <string>

#include "driver/driver.h"

namespace nodeplane {

// tap: an interface that the host sees (spec.interface, made here, gone when closed), whose other
// end is this port. Partial sums and packets of up to 64 KiB cross unsegmented both ways by the
// virtio-net header. Options: `mac` (of the host's interface), `persist` (it stays), `offload`
// (false: complete, segmented packets only). caps().mac is the port's end of the wire, made from
// the host's with the lowest bit turned round. Needs CAP_NET_ADMIN. Linux
// Documentation/networking/tuntap.rst.
std::unique_ptr<Port> open_tap(const PortSpec& spec, FrameArena& arena, std::string* error);

}  // namespace nodeplane
