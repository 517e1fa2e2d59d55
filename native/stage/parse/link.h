#pragma once
#include "packet/batch.h"

namespace nodeplane {

// What neighbours say of their addresses, into batch.links.
// ARP at p.l3 (RFC 826).
Drop name_arp(Batch& batch, Packet& p) noexcept;
// A solicitation or advertisement at p.l4, behind the IPv6 header at p.l3 (RFC 4861 section 7.1).
Drop name_ndp(Batch& batch, Packet& p, uint32_t readable, uint32_t payload) noexcept;

// The next entry of batch.links, named by p.link. At most one per packet.
void tell(Batch& batch, Packet& p, const LinkNews& news) noexcept;

}  // namespace nodeplane
