#pragma once
#include <memory>
#include <string>

#include "driver/driver.h"

namespace nodeplane {

// af_packet: raw packet sockets (packet(7)) on spec.interface, one per queue, joined by a fanout
// over the flow's hash. Partial sums and packets of up to 64 KiB cross unsegmented both ways by the
// virtio-net header. The kernel keeps seeing every packet too: the host must not own the addresses
// that nodeplane answers for, or it will answer as well. Options: `promiscuous` (false). Needs
// CAP_NET_RAW.
std::unique_ptr<Port> open_af_packet(const PortSpec& spec, FrameArena& arena, std::string* error);

}  // namespace nodeplane
