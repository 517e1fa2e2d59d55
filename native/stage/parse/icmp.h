#pragma once
#include "packet/batch.h"

namespace nodeplane {

// ICMP and ICMPv6 at p.l4: echo gets its tuple, an error its flow's, neighbour discovery goes to
// link.h, the rest is plain. p.key holds the outer addresses and protocol with ports 0; an error's
// outer addresses go to batch.links. `readable` bytes from p.l4 lie in the first frame and in the
// IP packet, `payload` in the IP packet.
Drop name_icmp4(Batch& batch, Packet& p, uint32_t readable) noexcept;
Drop name_icmp6(Batch& batch, Packet& p, uint32_t readable, uint32_t payload) noexcept;

}  // namespace nodeplane
