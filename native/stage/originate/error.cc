#include "base/sum.h"
#include "stage/originate/parts.h"
#include "wire/icmp.h"
#include "wire/tcp.h"

namespace nodeplane::originating {
namespace {

constexpr uint32_t kErrorMax4 = 576;                    // RFC 1812 section 4.3.2.3
constexpr uint32_t kErrorMax6 = wire::kIpv6MinimumMtu;  // RFC 4443 section 2.4 c

// Bytes of the packet from its IP header on. A large packet's length field has no room for it.
uint32_t ip_bytes(const Packet& p) noexcept {
  return p.gso != Gso::kNone ? p.length - p.l3 : p.ip_length;
}

const wire::Ipv4Header* ip4(const Packet& p) noexcept {
  return wire::at<wire::Ipv4Header>(static_cast<const uint8_t*>(p.data + p.l3));
}
const wire::Ipv6Header* ip6(const Packet& p) noexcept {
  return wire::at<wire::Ipv6Header>(static_cast<const uint8_t*>(p.data + p.l3));
}

// An address that names one station: not this network, loopback, multicast, class E or broadcast
// (RFC 1122 section 3.2.1.3).
bool names_one4(uint32_t raw) noexcept {
  const uint8_t first = raw & 0xff;
  return first != 0 && first != 127 && first < 224;
}
bool names_one6(const uint8_t* a) noexcept {
  static constexpr uint8_t kLoopback[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  return !wire::ipv6_is_multicast(a) && !wire::ipv6_is_unspecified(a) &&
         std::memcmp(a, kLoopback, 16) != 0;
}

bool may_refuse4(const Packet& p) noexcept {
  const wire::Ipv4Header* ip = ip4(p);
  if ((p.flags & kFlagMulticastMac) || ip->fragment_offset() != 0) return false;
  if (!names_one4(ip->src.raw()) || !names_one4(ip->dst.raw())) return false;
  return ip->protocol != kProtocolIcmp || (p.l4 != 0 && !wire::icmp4_is_error(p.icmp_type));
}

// Path MTU discovery for multicast needs its packet too big (RFC 4443 section 2.4 e 3).
bool may_refuse6(const Packet& p, uint8_t icmp_type) noexcept {
  const wire::Ipv6Header* ip = ip6(p);
  if (!names_one6(ip->src)) return false;
  const bool group = (p.flags & kFlagMulticastMac) || wire::ipv6_is_multicast(ip->dst);
  if (group && icmp_type != wire::kIcmp6PacketTooBig) return false;
  if (p.protocol != kProtocolIcmp6) return true;
  return p.l4 != 0 && !wire::icmp6_is_error(p.icmp_type) && p.icmp_type != wire::kIcmp6Redirect;
}

void fill_icmp_error(const Owed& owed, wire::IcmpHeader* icmp) noexcept {
  icmp->type = owed.icmp_type;
  icmp->code = owed.icmp_code;
  if (owed.family == 4 && owed.icmp_type == wire::kIcmpUnreachable &&
      owed.icmp_code == wire::kIcmpCodeFragmentationNeeded)
    icmp->set_mtu4(static_cast<uint16_t>(std::min(owed.mtu, 0xffffu)));
  if (owed.family == 6 && owed.icmp_type == wire::kIcmp6PacketTooBig) icmp->set_mtu6(owed.mtu);
}

// Who speaks: for a port that is closed, the address it would have been on.
bool error_source(const Context& context, const Packet& asked, const Owed& owed,
                  IpAddress* out) noexcept {
  const uint8_t* dst = asked.family == 4 ? ip4(asked)->dst.bytes : ip6(asked)->dst;
  const bool port_closed = asked.family == 4
                               ? owed.icmp_type == wire::kIcmpUnreachable &&
                                     owed.icmp_code == wire::kIcmpCodePortUnreachable
                               : owed.icmp_type == wire::kIcmp6Unreachable &&
                                     owed.icmp_code == wire::kIcmp6CodePortUnreachable;
  const IpAddress destination = IpAddress::from_bytes(dst, asked.family);
  const IpAddress* ours = port_closed ? nullptr : context.error_source(asked, owed.port);
  const bool local = port_closed || (asked.flags & kFlagLocal) != 0;
  if (ours == nullptr && !local) return false;
  *out = ours != nullptr ? *ours : destination;
  return true;
}

}  // namespace

bool may_refuse(const Packet& p, uint8_t icmp_type) noexcept {
  if (wire::mac_is_group(p.data + wire::kMacLength)) return false;
  if (p.family == 4) return may_refuse4(p);
  return p.family == 6 && may_refuse6(p, icmp_type);
}

bool make_icmp_error(Context& context, const Owed& owed) noexcept {
  const Packet& asked = context.asked(owed);
  IpAddress source;
  if (!error_source(context, asked, owed, &source)) return false;
  const bool v4 = asked.family == 4;
  const uint32_t headers =
      sizeof(wire::IcmpHeader) + (v4 ? sizeof(wire::Ipv4Header) : sizeof(wire::Ipv6Header));
  const uint32_t quote = std::min(ip_bytes(asked), (v4 ? kErrorMax4 : kErrorMax6) - headers);
  const uint32_t payload = sizeof(wire::IcmpHeader) + quote;
  Draft draft(context, owed.port);
  if (!draft) return false;
  add_ethernet_back(draft, asked, context.mac(owed.port));
  uint32_t sum = 0;
  if (v4) {
    add_ipv4(draft, source.v4(), ip4(asked)->src.raw(), kProtocolIcmp, payload, kTosControl);
  } else {
    auto* ip = add_ipv6(draft, source.bytes, ip6(asked)->src, kProtocolIcmp6, payload, kTtl);
    sum = pseudo_sum6(*ip, kProtocolIcmp6, payload);
  }
  auto* icmp = wire::at<wire::IcmpHeader>(draft.add(sizeof(wire::IcmpHeader)));
  fill_icmp_error(owed, icmp);
  if (!draft.copy(Chain(*context.table.arena, asked, asked.l3), quote)) return false;
  sum += draft.sum_from(reinterpret_cast<const uint8_t*>(icmp));
  icmp->checksum.set_raw(inverted(sum_fold(sum)));
  draft.send();
  context.batch.counters->add(Counter::kIcmpErrorSent);
  return true;
}

// The request's bytes come back, and its sum is mended by what the type's change makes of it: a
// request that came damaged is answered damaged.
bool make_echo_reply(Context& context, const Owed& owed) noexcept {
  const Packet& asked = context.asked(owed);
  const bool v4 = asked.family == 4;
  const uint32_t payload = asked.l3 + ip_bytes(asked) - asked.l4;
  if ((asked.flags & kFlagFragment) || asked.l4 == 0 || !may_refuse(asked, 0)) return false;
  Draft draft(context, owed.port);
  if (!draft) return false;
  add_ethernet_back(draft, asked, context.mac(owed.port));
  if (v4)
    add_ipv4(draft, ip4(asked)->dst.raw(), ip4(asked)->src.raw(), kProtocolIcmp, payload,
             ip4(asked)->tos);
  else
    add_ipv6(draft, ip6(asked)->dst, ip6(asked)->src, kProtocolIcmp6, payload, kTtl);
  auto* icmp = wire::at<wire::IcmpHeader>(draft.add(sizeof(wire::IcmpHeader)));
  const auto* request =
      wire::at<wire::IcmpHeader>(static_cast<const uint8_t*>(asked.data + asked.l4));
  *icmp = *request;
  icmp->type = v4 ? wire::kIcmpEchoReply : wire::kIcmp6EchoReply;
  // Type and code are one word of the sum.
  const uint16_t before = static_cast<uint16_t>(request->type | request->code << 8);
  const uint16_t after = static_cast<uint16_t>(icmp->type | icmp->code << 8);
  icmp->checksum.set_raw(sum_apply(request->checksum.raw(), sum_delta(before, after)));
  if (!draft.copy(Chain(*context.table.arena, asked, asked.l4 + sizeof *icmp),
                  payload - sizeof *icmp))
    return false;
  // Zeros only: their sum is ffff and not also 0 (RFC 1624 section 3).
  if (v4 && icmp->checksum.raw() == 0 && draft.is_linear() &&
      draft.sum_from(reinterpret_cast<const uint8_t*>(icmp)) == 0)
    icmp->checksum.set_raw(0xffff);
  draft.send();
  return true;
}

// RFC 9293 section 3.10.7.1: what a closed port says. Without ACK it acknowledges what came.
bool make_tcp_reset(Context& context, const Owed& owed) noexcept {
  const Packet& asked = context.asked(owed);
  const auto* came = wire::at<wire::TcpHeader>(static_cast<const uint8_t*>(asked.data + asked.l4));
  const uint32_t segment = asked.l3 + ip_bytes(asked) - asked.l4;
  if (asked.protocol != kProtocolTcp || asked.l4 == 0 || (came->flags & kTcpRst) ||
      came->header_length() > segment)
    return false;
  Draft draft(context, owed.port);
  if (!draft) return false;
  add_ethernet_back(draft, asked, context.mac(owed.port));
  constexpr uint32_t kBytes = sizeof(wire::TcpHeader);
  uint32_t sum;
  if (asked.family == 4) {
    const uint32_t src = ip4(asked)->dst.raw(), dst = ip4(asked)->src.raw();
    add_ipv4(draft, src, dst, kProtocolTcp, kBytes, 0);
    sum = pseudo_sum4(src, dst, kProtocolTcp, kBytes);
  } else {
    auto* ip = add_ipv6(draft, ip6(asked)->dst, ip6(asked)->src, kProtocolTcp, kBytes, kTtl);
    sum = pseudo_sum6(*ip, kProtocolTcp, kBytes);
  }
  auto* tcp = wire::at<wire::TcpHeader>(draft.add(kBytes));
  tcp->sport = came->dport;
  tcp->dport = came->sport;
  tcp->set_data_offset(kBytes / 4);
  tcp->flags = kTcpRst;
  if (came->flags & kTcpAck) {
    tcp->sequence = came->acknowledgement;
  } else {
    const uint32_t controls = ((came->flags & kTcpSyn) != 0) + ((came->flags & kTcpFin) != 0);
    const uint32_t took = segment - static_cast<uint32_t>(came->header_length()) + controls;
    tcp->flags |= kTcpAck;
    tcp->acknowledgement.set(came->sequence.host() + took);
  }
  sum += draft.sum_from(reinterpret_cast<const uint8_t*>(tcp));
  tcp->checksum.set_raw(inverted(sum_fold(sum)));
  draft.send();
  return true;
}

}  // namespace nodeplane::originating
