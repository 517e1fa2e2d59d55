#pragma once
#include <memory>
#include <string>

#include "driver/driver.h"

namespace nodeplane {

// memif: packets through memory shared with another process, without the kernel (protocol 2.0, as
// VPP, DPDK's net_memif and libmemif speak it). Options: role, socket, id, secret, ringSize,
// bufferSize, mode, zeroCopy, quota, mac. The port opens without a peer; one may come and go.
std::unique_ptr<Port> open_memif(const PortSpec& spec, FrameArena& arena, std::string* error);

}  // namespace nodeplane
