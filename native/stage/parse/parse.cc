#include "stage/parse/parse.h"

#include "base/sum.h"
#include "kernel/kernels.h"
#include "stage/parse/chain.h"
#include "stage/parse/icmp.h"
#include "stage/parse/link.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/sctp.h"
#include "wire/tcp.h"
#include "wire/udp.h"
#include "wire/vlan.h"

namespace nodeplane {
namespace {

constexpr uint32_t kPrefetchAhead = 4;  // packets
constexpr uint8_t kIpv4WithoutOptions = 0x45;
constexpr uint16_t kFlagsOfDriver = kFlagPartialChecksum | kFlagForceComplete;

// What one packet is parsed with.
struct Context {
  Batch& batch;
  const PortRow& port;
  bool unknown_partial;
};

// Where an L4 header begins, and how far one may look.
struct L4 {
  uint32_t offset;
  uint32_t readable;  // bytes from there in the first frame and in the IP packet
  uint32_t payload;   // bytes from there in the IP packet
};

// A field that nobody sets must not tell of the packet that was here before.
void forget_previous(Packet& p, const PortRow& port) noexcept {
  p.side = nullptr;
  p.port_out = kPortNone;
  p.network = port.network;
  p.verdict = Verdict::kGo;
  p.drop = Drop::kNone;
  p.kind = Kind::kOther;
  p.family = p.protocol = p.tcp_flags = p.icmp_type = p.icmp_code = 0;
  p.flags &= kFlagsOfDriver;
  p.l3 = p.l4 = p.inner_l3 = p.inner_l4 = p.link = p.ip_length = 0;
  p.ttl = p.direction = p.inner_protocol = p.l4_header = 0;
  p.vlan = 0;
  p.vlan_count = 0;
}

// Whether `field`, a TCP or UDP sum as it lies, holds only the folded pseudo-header sum: what Linux
// leaves there for hardware to finish. AF_XDP does not say, so the value itself must; a full sum
// that happens to look so is computed again to the same value.
template <class Key>
void judge_sum(const Context& in, Packet& p, const Key& key, uint16_t field,
               uint32_t length) noexcept {
  const auto mode = static_cast<ChecksumMode>(in.port.checksum_mode);
  if (mode == ChecksumMode::kTrust) return;
  // Zero over IPv4: the sender made none (RFC 768).
  if (sizeof key == sizeof(KeyV4) && key.protocol == kProtocolUdp && field == 0) return;
  if (mode == ChecksumMode::kAuto) {
    if (!in.unknown_partial || (p.flags & kFlagPartialChecksum) != 0) return;
    if (pseudo_sum(key, length) != field) return;
  }
  p.flags |= kFlagPartialChecksum | kFlagForceComplete;
}

// Linux leaves zero where hardware is to put the CRC; one that is zero by right is computed again.
void judge_crc(const Context& in, Packet& p, uint32_t field) noexcept {
  const auto mode = static_cast<ChecksumMode>(in.port.checksum_mode);
  const bool left_out = mode == ChecksumMode::kAuto && in.unknown_partial && field == 0;
  if (left_out || mode == ChecksumMode::kCompute)
    p.flags |= kFlagPartialChecksum | kFlagForceComplete;
}

template <class Key>
Drop name_tcp(const Context& in, Packet& p, Key& key, const L4& l4) noexcept {
  const wire::TcpHeader* tcp = wire::check_tcp(p.data + l4.offset, l4.readable);
  if (tcp == nullptr) return Drop::kShortL4;
  const size_t header = tcp->header_length();
  if (header < wire::kTcpHeaderMin || header > l4.readable) return Drop::kBadL4Header;
  key.sport = tcp->sport.raw();
  key.dport = tcp->dport.raw();
  p.tcp_flags = tcp->flags;
  p.l4_header = static_cast<uint8_t>(header);
  p.kind = Kind::kIp;
  judge_sum(in, p, key, tcp->checksum.raw(), l4.payload);
  return Drop::kNone;
}

template <class Key>
Drop name_udp(const Context& in, Packet& p, Key& key, const L4& l4) noexcept {
  const wire::UdpHeader* udp = wire::check_udp(p.data + l4.offset, l4.readable);
  if (udp == nullptr) return Drop::kShortL4;
  uint32_t length = udp->length.host();
  if (p.gso != Gso::kNone) {
    length = l4.payload;
  } else if (length < wire::kUdpHeaderLength || length > l4.payload) {
    return Drop::kBadL4Header;
  }
  p.l4_header = wire::kUdpHeaderLength;
  key.sport = udp->sport.raw();
  key.dport = udp->dport.raw();
  p.kind = Kind::kIp;
  judge_sum(in, p, key, udp->checksum.raw(), length);
  return Drop::kNone;
}

template <class Key>
[[gnu::noinline]] Drop name_rest(const Context& in, Packet& p, Key& key, const L4& l4) noexcept {
  if (p.protocol == kProtocolSctp) {
    const wire::SctpHeader* sctp = wire::check_sctp(p.data + l4.offset, l4.readable);
    if (sctp == nullptr) return Drop::kShortL4;
    key.sport = sctp->sport.raw();
    key.dport = sctp->dport.raw();
    p.kind = Kind::kIp;
    judge_crc(in, p, sctp->checksum.raw());
    return Drop::kNone;
  }
  if (p.family == 4 && p.protocol == kProtocolIcmp) return name_icmp4(in.batch, p, l4.readable);
  if (p.family == 6 && p.protocol == kProtocolIcmp6) {
    return name_icmp6(in.batch, p, l4.readable, l4.payload);
  }
  p.l4 = 0;
  p.kind = Kind::kIpPlain;
  return Drop::kNone;
}

template <class Key>
Drop name_l4(const Context& in, Packet& p, Key& key, const L4& l4) noexcept {
  p.l4 = static_cast<uint16_t>(l4.offset);
  if (p.protocol == kProtocolTcp) return name_tcp(in, p, key, l4);
  if (p.protocol == kProtocolUdp) return name_udp(in, p, key, l4);
  return name_rest(in, p, key, l4);
}

// The length that the IP header states, against the frame's. What Ethernet padded is cut off (IEEE
// 802.3 section 3.2.8); a chain's is left, nothing pads those. A large packet may state 0 or too
// little: its frames say how long it is. False: it cannot be so.
bool fit(Packet& p, uint32_t header, uint32_t stated, uint32_t* ip_bytes) noexcept {
  const uint32_t held = p.length - p.l3;
  if (__builtin_expect(p.gso != Gso::kNone, 0)) stated = held;
  if (stated < header || stated > held) return false;
  if (p.linear == p.length) {
    p.length = p.l3 + stated;
    p.linear = static_cast<uint16_t>(p.length);
  }
  p.ip_length = static_cast<uint16_t>(stated);
  *ip_bytes = stated;
  return true;
}

L4 l4_at(const Packet& p, uint32_t headers, uint32_t ip_bytes) noexcept {
  const uint32_t in_frame = p.linear - p.l3;
  const uint32_t readable = in_frame < ip_bytes ? in_frame : ip_bytes;
  return L4{p.l3 + headers, readable - headers, ip_bytes - headers};
}

bool plain_header_sum_is_right(const uint8_t* header) noexcept {
  uint64_t a, b;
  uint32_t c;
  std::memcpy(&a, header, 8);
  std::memcpy(&b, header + 8, 8);
  std::memcpy(&c, header + 16, 4);
  const uint64_t halves = (a & 0xffffffff) + (a >> 32) + (b & 0xffffffff) + (b >> 32);
  return sum_fold(halves + c) == 0xffff;
}

// A first byte other than 0x45: options, or nonsense.
[[gnu::noinline]] Drop check_odd_ipv4(Packet& p, const wire::Ipv4Header& ip) noexcept {
  if (ip.version() != 4) return Drop::kBadIpVersion;
  const size_t header = ip.header_length();
  if (header < wire::kIpv4HeaderMin) return Drop::kBadIpHeader;
  if (header > size_t{p.linear} - p.l3) return Drop::kShortIp;
  if (kernels().checksum(p.data + p.l3, header) != 0xffff) return Drop::kBadIpHeader;
  p.flags |= kFlagIpOptions;
  return Drop::kNone;
}

Drop name_ipv4(const Context& in, Packet& p) noexcept {
  const wire::Ipv4Header* ip = wire::check_ipv4(p.data + p.l3, p.linear - p.l3);
  if (ip == nullptr) return Drop::kShortIp;
  if (__builtin_expect(ip->version_ihl == kIpv4WithoutOptions, 1)) {
    if (!plain_header_sum_is_right(p.data + p.l3)) return Drop::kBadIpHeader;
  } else if (const Drop drop = check_odd_ipv4(p, *ip); drop != Drop::kNone) {
    return drop;
  }
  const uint32_t src = ip->src.raw();
  if (wire::ipv4_is_multicast(src) || wire::ipv4_is_limited_broadcast(src)) {
    return Drop::kBadIpHeader;  // RFC 1122 section 3.2.1.3
  }
  const uint32_t header = static_cast<uint32_t>(ip->header_length());
  uint32_t ip_bytes;
  if (!fit(p, header, ip->total_length.host(), &ip_bytes)) return Drop::kBadIpLength;
  p.family = 4;
  p.protocol = ip->protocol;
  p.ttl = ip->ttl;
  if (ip->dont_fragment()) p.flags |= kFlagDontFragment;
  p.key4 = KeyV4{src, ip->dst.raw(), 0, 0, p.network, ip->protocol, 0};
  if (__builtin_expect(ip->is_fragment(), 0)) {
    p.flags |= kFlagFragment;
    p.kind = Kind::kIpPlain;
    return Drop::kNone;
  }
  return name_l4(in, p, p.key4, l4_at(p, header, ip_bytes));
}

// Extension headers between the IPv6 header and what it carries.
[[gnu::noinline]] Drop name_chained(const Context& in, Packet& p, uint32_t ip_bytes) noexcept {
  const L4 first = l4_at(p, wire::kIpv6HeaderLength, ip_bytes);
  const ChainEnd end = walk_chain(p.data + first.offset, first.readable, p.protocol);
  if (!end.readable) return Drop::kBadExtensionChain;
  p.protocol = p.key6.protocol = end.protocol;
  if (end.fragment) {
    p.flags |= kFlagFragment;
    p.kind = Kind::kIpPlain;
    return Drop::kNone;
  }
  return name_l4(in, p, p.key6, l4_at(p, wire::kIpv6HeaderLength + end.bytes, ip_bytes));
}

Drop name_ipv6(const Context& in, Packet& p) noexcept {
  constexpr uint32_t kHeader = wire::kIpv6HeaderLength;
  const wire::Ipv6Header* ip = wire::check_ipv6(p.data + p.l3, p.linear - p.l3);
  if (ip == nullptr) return Drop::kShortIp;
  if (ip->version() != 6) return Drop::kBadIpVersion;
  if (wire::ipv6_is_multicast(ip->src)) return Drop::kBadIpHeader;  // RFC 4291 section 2.7
  uint32_t ip_bytes;
  if (!fit(p, kHeader, kHeader + ip->payload_length.host(), &ip_bytes)) return Drop::kBadIpLength;
  p.family = 6;
  p.protocol = ip->next_header;
  p.ttl = ip->hop_limit;
  std::memcpy(p.key6.src, ip->src, sizeof ip->src);
  std::memcpy(p.key6.dst, ip->dst, sizeof ip->dst);
  p.key6.sport = p.key6.dport = 0;
  p.key6.network = p.network;
  p.key6.protocol = p.protocol;
  p.key6.zero = 0;
  if (__builtin_expect(wire::ipv6_is_extension(p.protocol), 0)) {
    return name_chained(in, p, ip_bytes);
  }
  return name_l4(in, p, p.key6, l4_at(p, kHeader, ip_bytes));
}

// Takes the tags off the way: p.l3 and the answer are behind them. Ours stay in the frame.
[[gnu::noinline]] Drop read_tags(Packet& p, uint16_t* type) noexcept {
  while (wire::is_vlan_type(*type)) {
    if (p.vlan_count == wire::kVlanDepthMax) return Drop::kVlanTooDeep;
    const wire::VlanTag* tag = wire::check_vlan(p.data + p.l3, p.linear - p.l3);
    if (tag == nullptr) return Drop::kShortFrame;
    if (p.vlan_count++ == 0) p.vlan = tag->tci.host();
    p.l3 += sizeof(wire::VlanTag);
    *type = tag->type.host();
  }
  return Drop::kNone;
}

// Whether the frame is addressed to this station or a group. The host side of a port speaks to
// whomever the host wishes.
bool addressed_to_us(const PortRow& port, Packet& p, const uint8_t* dst) noexcept {
  if (wire::mac_equal(dst, port.mac)) return true;
  if (wire::mac_is_group(dst)) {
    p.flags |= kFlagMulticastMac;
    return true;
  }
  return port.host_of != kPortNone || wire::mac_is_zero(port.mac);
}

[[gnu::noinline]] Drop name_other(const Context& in, Packet& p, uint16_t type) noexcept {
  if (type == wire::kEthertypeArp) return name_arp(in.batch, p);
  const bool host = in.port.host_port != kPortNone || in.port.host_of != kPortNone;
  return host ? Drop::kNone : Drop::kBadEthertype;  // kind is kOther already
}

Drop name_frame(const Context& in, Packet& p) noexcept {
  const wire::EthHeader* eth = wire::check_eth(p.data, p.linear);
  if (eth == nullptr) return Drop::kShortFrame;
  if (!addressed_to_us(in.port, p, eth->dst)) return Drop::kNotForUs;
  p.l3 = sizeof(wire::EthHeader);
  uint16_t type = eth->type.host();
  if (__builtin_expect(wire::is_vlan_type(type), 0)) {
    if (const Drop drop = read_tags(p, &type); drop != Drop::kNone) return drop;
  }
  if (type == wire::kEthertypeIpv4) return name_ipv4(in, p);
  if (type == wire::kEthertypeIpv6) return name_ipv6(in, p);
  return name_other(in, p, type);
}

}  // namespace

void Parse::run(Batch& batch, const Table& table, State&) noexcept {
  for (uint32_t i = 0; i < batch.live_count; ++i) {
    if (i + kPrefetchAhead < batch.live_count) {
      __builtin_prefetch(batch.packets[batch.live[i + kPrefetchAhead]].data);
    }
    Packet& p = batch.packets[batch.live[i]];
    const PortRow& port = table.ports[p.port_in];
    forget_previous(p, port);
    const Context in{batch, port, table.unknown_partial[p.port_in]};
    if (const Drop drop = name_frame(in, p); drop != Drop::kNone) batch.drop(p, drop);
  }
}

}  // namespace nodeplane
