#pragma once
#include <memory>
#include <string>

#include "driver/driver.h"

namespace nodeplane {

// pcap: an offline port. Option `in`: a capture to receive from (pcap or pcapng, Ethernet; absent:
// nothing comes). Option `out`: a classic pcap that transmitted packets are written to, stamped
// with the time told by set_time (absent: discarded). Time is the packets' own.
std::unique_ptr<Port> open_pcap(const PortSpec& spec, FrameArena& arena, std::string* error);

}  // namespace nodeplane
