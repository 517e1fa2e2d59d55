#include "stage/parse/icmp.h"

#include "stage/parse/chain.h"
#include "stage/parse/link.h"
#include "wire/icmp.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/udp.h"

namespace nodeplane {
namespace {

// Echo has one number for two ports: base/flow_key.h says which one it is.
void echo_ports(bool request, uint16_t id, uint16_t* sport, uint16_t* dport) noexcept {
  *sport = request ? id : uint16_t{0};
  *dport = request ? uint16_t{0} : id;
}

// The error's own addresses, before its key becomes that of the flow it speaks of.
void tell_outer(Batch& batch, Packet& p, const IpAddress& src, const IpAddress& dst) noexcept {
  LinkNews news{};
  news.what = LinkNews::What::kOther;
  news.family = p.family;
  news.sender = src;
  news.target = dst;
  tell(batch, p, news);
}

template <class Key>
Drop name_echo(Packet& p, Key& key, bool request, uint16_t id) noexcept {
  echo_ports(request, id, &key.sport, &key.dport);
  p.kind = Kind::kIp;
  return Drop::kNone;
}

// What the L4 header in a quoted packet may be of.
enum class Inner { kPorts, kEcho4, kEcho6, kNone };

Inner inner_of(uint8_t family, uint8_t protocol) noexcept {
  if (protocol == kProtocolTcp || protocol == kProtocolUdp || protocol == kProtocolSctp) {
    return Inner::kPorts;
  }
  if (family == 4 && protocol == kProtocolIcmp) return Inner::kEcho4;
  if (family == 6 && protocol == kProtocolIcmp6) return Inner::kEcho6;
  return Inner::kNone;
}

// The ports in the first 8 bytes of a quoted L4 header. False: it has none.
bool inner_ports(Inner inner, const uint8_t* l4, uint16_t* sport, uint16_t* dport) noexcept {
  if (inner == Inner::kPorts) {
    const auto* udp = wire::at<wire::UdpHeader>(l4);  // TCP and SCTP begin the same
    *sport = udp->sport.raw();
    *dport = udp->dport.raw();
    return true;
  }
  const auto* icmp = wire::at<wire::IcmpHeader>(l4);
  const uint8_t request = inner == Inner::kEcho4 ? wire::kIcmpEchoRequest : wire::kIcmp6EchoRequest;
  const uint8_t reply = inner == Inner::kEcho4 ? wire::kIcmpEchoReply : wire::kIcmp6EchoReply;
  if (icmp->type != request && icmp->type != reply) return false;
  echo_ports(icmp->type == request, icmp->id.raw(), sport, dport);
  return true;
}

// The quoted L4 header of `protocol` begins `offset` bytes into the message and should have 8
// (RFC 792; more is quoted today, but need not be). On success inner_* and ports are set, the
// latter mirrored: the error travels against the packet it quotes.
template <class Key>
Drop name_inner(Packet& p, Key& key, uint8_t protocol, uint32_t offset,
                uint32_t readable) noexcept {
  const Inner inner = inner_of(p.family, protocol);
  if (inner == Inner::kNone) return Drop::kNone;
  if (readable - offset < wire::kIcmpInnerL4Min) return Drop::kBadIcmpInner;
  uint16_t sport, dport;
  if (!inner_ports(inner, p.data + p.l4 + offset, &sport, &dport)) return Drop::kNone;
  key.sport = dport;
  key.dport = sport;
  key.protocol = protocol;
  p.inner_l3 = static_cast<uint16_t>(p.l4 + wire::kIcmpHeaderLength);
  p.inner_l4 = static_cast<uint16_t>(p.l4 + offset);
  p.inner_protocol = protocol;
  p.kind = Kind::kIcmpError;
  return Drop::kNone;
}

// The quoted header's own sum and lengths are not judged: routers on the way have changed them.
Drop name_error4(Batch& batch, Packet& p, uint32_t readable) noexcept {
  constexpr uint32_t kAt = wire::kIcmpHeaderLength;
  const wire::Ipv4Header* ip = wire::check_ipv4(p.data + p.l4 + kAt, readable - kAt);
  if (ip == nullptr || ip->version() != 4 || ip->header_length() < wire::kIpv4HeaderMin ||
      ip->header_length() > readable - kAt) {
    return Drop::kBadIcmpInner;
  }
  if (ip->fragment_offset() != 0) return Drop::kNone;
  const uint32_t offset = kAt + static_cast<uint32_t>(ip->header_length());
  const Drop drop = name_inner(p, p.key4, ip->protocol, offset, readable);
  if (p.kind != Kind::kIcmpError) return drop;
  tell_outer(batch, p, key_src(p.key4), key_dst(p.key4));
  p.key4.src = ip->dst.raw();
  p.key4.dst = ip->src.raw();
  return drop;
}

Drop name_error6(Batch& batch, Packet& p, uint32_t readable) noexcept {
  constexpr uint32_t kAt = wire::kIcmpHeaderLength;
  constexpr uint32_t kBehind = kAt + wire::kIpv6HeaderLength;
  const wire::Ipv6Header* ip = wire::check_ipv6(p.data + p.l4 + kAt, readable - kAt);
  if (ip == nullptr || ip->version() != 6) return Drop::kBadIcmpInner;
  const ChainEnd end = walk_chain(p.data + p.l4 + kBehind, readable - kBehind, ip->next_header);
  if (!end.readable) return Drop::kBadIcmpInner;
  if (end.later_fragment) return Drop::kNone;
  const Drop drop = name_inner(p, p.key6, end.protocol, kBehind + end.bytes, readable);
  if (p.kind != Kind::kIcmpError) return drop;
  tell_outer(batch, p, key_src(p.key6), key_dst(p.key6));
  std::memcpy(p.key6.src, ip->dst, 16);
  std::memcpy(p.key6.dst, ip->src, 16);
  return drop;
}

}  // namespace

Drop name_icmp4(Batch& batch, Packet& p, uint32_t readable) noexcept {
  const wire::IcmpHeader* icmp = wire::check_icmp(p.data + p.l4, readable);
  if (icmp == nullptr) return Drop::kShortL4;
  p.icmp_type = icmp->type;
  p.icmp_code = icmp->code;
  p.kind = Kind::kIpPlain;
  if (icmp->type == wire::kIcmpEchoRequest || icmp->type == wire::kIcmpEchoReply) {
    return name_echo(p, p.key4, icmp->type == wire::kIcmpEchoRequest, icmp->id.raw());
  }
  return wire::icmp4_is_flow_error(icmp->type) ? name_error4(batch, p, readable) : Drop::kNone;
}

Drop name_icmp6(Batch& batch, Packet& p, uint32_t readable, uint32_t payload) noexcept {
  const wire::IcmpHeader* icmp = wire::check_icmp(p.data + p.l4, readable);
  if (icmp == nullptr) return Drop::kShortL4;
  p.icmp_type = icmp->type;
  p.icmp_code = icmp->code;
  p.kind = Kind::kIpPlain;
  switch (icmp->type) {
    case wire::kIcmp6EchoRequest:
    case wire::kIcmp6EchoReply:
      return name_echo(p, p.key6, icmp->type == wire::kIcmp6EchoRequest, icmp->id.raw());
    case wire::kIcmp6NeighbourSolicitation:
    case wire::kIcmp6NeighbourAdvertisement:
      return name_ndp(batch, p, readable, payload);
    default:
      return wire::icmp6_is_flow_error(icmp->type) ? name_error6(batch, p, readable) : Drop::kNone;
  }
}

}  // namespace nodeplane
