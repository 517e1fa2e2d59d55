#pragma once
#include "packet/packet.h"

namespace nodeplane::test {

inline uint32_t l4_bytes(uint8_t protocol) {
  switch (protocol) {
    case kProtocolTcp:
      return 20;
    case kProtocolSctp:
      return 12;
    default:
      return 8;
  }
}

// What parse promises of every packet it lets walk on, whatever came in: null, or what was broken.
// `length` and `linear` are those of the packet as it came.
inline const char* parse_lie(const Packet& p, uint32_t length, uint32_t linear) {
  if (p.length > length || p.linear > linear || p.linear > p.length) return "the packet grew";
  if (p.verdict == Verdict::kDrop) return p.drop == Drop::kNone ? "a drop without a name" : nullptr;
  if (p.verdict != Verdict::kGo) return "parse only drops";
  if (p.l3 < 14 || p.l3 > p.linear || p.vlan_count > 2) return "Ethernet";
  if (p.l3 != 14 + 4 * p.vlan_count) return "tags";
  const bool ip = p.kind == Kind::kIp || p.kind == Kind::kIpPlain || p.kind == Kind::kIcmpError ||
                  p.kind == Kind::kNdp;
  if (ip != (p.family == 4 || p.family == 6)) return "family and kind";
  if (!ip) return p.kind == Kind::kArp && p.linear < p.l3 + 28 ? "ARP" : nullptr;
  if (p.linear < p.l3 + (p.family == 4 ? 20 : 40)) return "IP header";
  if (p.l4 != 0 && (p.l4 < p.l3 + 20 || p.l4 + l4_bytes(p.protocol) > p.linear)) return "L4 header";
  if ((p.kind == Kind::kIp || p.kind == Kind::kNdp) && p.l4 == 0) return "a tuple without L4";
  if ((p.flags & kFlagFragment) != 0 && p.kind != Kind::kIpPlain) return "fragment";
  const uint8_t key_protocol = p.family == 4 ? p.key4.protocol : p.key6.protocol;
  const uint16_t key_network = p.family == 4 ? p.key4.network : p.key6.network;
  const uint8_t key_zero = p.family == 4 ? p.key4.zero : p.key6.zero;
  if (key_network != p.network || key_zero != 0) return "key";
  if (p.kind != Kind::kIcmpError) {
    if (p.inner_l3 != 0 || p.inner_l4 != 0 || p.inner_protocol != 0) return "inner without error";
    return key_protocol == p.protocol ? nullptr : "key's protocol";
  }
  if (key_protocol != p.inner_protocol) return "key's protocol is not the inner one";
  if (p.inner_l3 != p.l4 + 8 || p.inner_l4 < p.inner_l3 + 20) return "inner header";
  return p.inner_l4 + 8u <= p.linear ? nullptr : "inner L4";
}

}  // namespace nodeplane::test
