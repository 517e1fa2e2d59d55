#pragma once
#include "packet/batch.h"

namespace nodeplane {

// parse: checks bytes once and names what it saw.
// reads   the frame, packet.length linear port_in      writes  everything up to key, batch.links
// table   ports (network, checksum mode, own MAC, host)   state   none
// drops   short_frame bad_ethertype vlan_too_deep short_ip bad_ip_version bad_ip_header bad_ip_length
//         bad_extension_chain short_l4 bad_l4_header bad_arp bad_ndp not_for_us bad_icmp_inner
// why     RFC 791, 8200, 9293, 768, 9260, 792, 4443, 826, 4861; IEEE 802.1Q
struct Parse {
  static constexpr const char* kName = "parse";
  struct Table {
    PortRow ports[kPortMax];
    bool unknown_partial[kPortMax];  // PortCaps: sums may be partial without a mark
    uint32_t port_count = 0;
  };
  struct State {};
  static void run(Batch& batch, const Table& table, State& state) noexcept;
};

}  // namespace nodeplane
