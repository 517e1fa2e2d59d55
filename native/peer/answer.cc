#include "peer/answer.h"

#include <cstring>
#include <utility>

#include "base/sum.h"
#include "kernel/kernels.h"
#include "peer/check.h"
#include "wire/arp.h"
#include "wire/eth.h"
#include "wire/icmp.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/ndp.h"
#include "wire/udp.h"

namespace nodeplane {

namespace {

constexpr uint8_t kTtl = 64;
constexpr uint16_t kRight = 0xffff;
constexpr uint32_t kAdvertisementBytes = sizeof(wire::EthHeader) + sizeof(wire::Ipv6Header) +
                                         sizeof(wire::NdpMessage) + sizeof(wire::NdpOption);

template <size_t N>
void exchange(uint8_t (&a)[N], uint8_t (&b)[N]) noexcept {
  for (size_t i = 0; i < N; ++i) std::swap(a[i], b[i]);
}

// A sum that holds only the pseudo-header's is one that an offloading sender left to its NIC.
bool mend_sum(const FrameArena& arena, Packet& p, const Sums& s, Be16& field) noexcept {
  if (s.protocol == kProtocolUdp && s.family == 4 && field.raw() == 0) return true;  // none made
  const uint16_t sum = l4_sum(arena, p, s);
  if (sum == kRight) return true;
  const uint16_t partial = field.raw();
  field.set_raw(0);
  const uint16_t whole = l4_sum(arena, p, s);
  Sums nothing = s;
  nothing.l4_bytes = 0;
  // The pseudo-header carries the true length, which a sum over no bytes does not.
  const uint16_t pseudo =
      sum_fold(uint32_t{l4_sum(arena, p, nothing)} + swap16(static_cast<uint16_t>(s.l4_bytes)));
  if (s.protocol == kProtocolIcmp || partial != pseudo) {
    field.set_raw(partial);
    return false;
  }
  const uint16_t check = inverted(whole);
  field.set_raw(check == 0 && s.protocol == kProtocolUdp ? 0xffff : check);
  return true;
}

// Addresses exchanged, which no sum notices, and a fresh TTL, which IPv4's does (RFC 1624).
void turn_ip(uint8_t* l3, uint8_t family) noexcept {
  if (family == 6) {
    auto* ip = wire::at<wire::Ipv6Header>(l3);
    exchange(ip->src, ip->dst);
    ip->hop_limit = kTtl;
    return;
  }
  auto* ip = wire::at<wire::Ipv4Header>(l3);
  std::swap(ip->src, ip->dst);
  uint16_t before, after;
  std::memcpy(&before, &ip->ttl, 2);
  ip->ttl = kTtl;
  std::memcpy(&after, &ip->ttl, 2);
  ip->checksum.set_raw(sum_apply(ip->checksum.raw(), sum_delta(before, after)));
}

void turn_echo(uint8_t* l4, uint8_t reply) noexcept {
  auto* icmp = wire::at<wire::IcmpHeader>(l4);
  uint16_t before, after;
  std::memcpy(&before, l4, 2);
  icmp->type = reply;
  std::memcpy(&after, l4, 2);
  icmp->checksum.set_raw(sum_apply(icmp->checksum.raw(), sum_delta(before, after)));
}

}  // namespace

Echo::Echo(std::vector<Address> addresses, const uint8_t* mac) : addresses_(std::move(addresses)) {
  std::memcpy(mac_, mac, sizeof mac_);
}

bool Echo::has(const uint8_t* address, uint8_t family) const noexcept {
  for (const Address& a : addresses_)
    if (a.family == family && std::memcmp(a.address.bytes, address, family == 4 ? 4 : 16) == 0)
      return true;
  return false;
}

void Echo::turn_link(Packet& p) const noexcept {
  auto* eth = wire::at<wire::EthHeader>(p.data);
  std::memcpy(eth->dst, eth->src, sizeof eth->dst);
  std::memcpy(eth->src, mac_, sizeof eth->src);
}

bool Echo::answer_arp(Packet& p) const noexcept {
  uint8_t* at = p.data + sizeof(wire::EthHeader);
  if (wire::check_arp(at, p.linear - sizeof(wire::EthHeader)) == nullptr) return false;
  auto* arp = wire::at<wire::ArpPacket>(at);
  if (!arp->is_ethernet_ipv4() || arp->operation.host() != wire::kArpRequest) return false;
  if (!has(arp->target.bytes, 4)) return false;
  arp->operation.set(wire::kArpReply);
  std::swap(arp->sender, arp->target);
  std::memcpy(arp->target_mac, arp->sender_mac, sizeof mac_);
  std::memcpy(arp->sender_mac, mac_, sizeof mac_);
  turn_link(p);
  return true;
}

// RFC 4861 section 7.2.4. The caller has checked sums and lengths.
bool Echo::answer_solicitation(const FrameArena& arena, Packet& p) const noexcept {
  auto* ip = wire::at<wire::Ipv6Header>(p.data + sizeof(wire::EthHeader));
  uint8_t* l4 = p.data + sizeof(wire::EthHeader) + sizeof *ip;
  auto* ndp = wire::at<wire::NdpMessage>(l4);
  auto* option = wire::at<wire::NdpOption>(l4 + sizeof *ndp);
  const auto used = static_cast<size_t>(p.data - arena.at(p.frame));
  if (ip->hop_limit != wire::kNdpHopLimit || ndp->code != 0 || !has(ndp->target, 6) ||
      arena.link(p.frame).next != kFrameNone || used + kAdvertisementBytes > arena.frame_size())
    return false;
  turn_link(p);
  const bool is_probe = wire::ipv6_is_unspecified(ip->src);
  std::memcpy(ip->dst, ip->src, 16);
  if (is_probe) {  // duplicate address detection: all nodes are told
    static constexpr uint8_t kAllNodes[16] = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    std::memcpy(ip->dst, kAllNodes, 16);
    wire::mac_of_multicast6(kAllNodes, wire::at<wire::EthHeader>(p.data)->dst);
  }
  std::memcpy(ip->src, ndp->target, 16);
  ndp->type = wire::kIcmp6NeighbourAdvertisement;
  ndp->flags.set((is_probe ? 0 : wire::kNdpFlagSolicited) | wire::kNdpFlagOverride);
  option->type = wire::kNdpOptionTargetMac;
  option->length = 1;
  std::memcpy(option->mac, mac_, sizeof mac_);
  p.length = p.linear = kAdvertisementBytes;
  ip->payload_length.set(sizeof *ndp + sizeof *option);
  ndp->checksum.set_raw(0);
  ndp->checksum.set_raw(inverted(l4_sum(arena, p, read_headers(p))));
  return true;
}

Echo::Outcome Echo::answer(const FrameArena& arena, Packet& p) const noexcept {
  const auto answered = [](bool yes) { return yes ? Outcome::kAnswered : Outcome::kNotForUs; };
  const auto* eth = wire::check_eth(p.data, p.linear);
  if (eth == nullptr) return Outcome::kNotForUs;
  if (eth->type.host() == wire::kEthertypeArp) return answered(answer_arp(p));
  const Sums s = read_headers(p);
  if (s.family == 0) return Outcome::kNotForUs;
  if (!s.is_whole) return Outcome::kCorrupt;
  uint8_t* l3 = p.data + s.l3;
  uint8_t* l4 = p.data + s.l4;
  const bool v4 = s.family == 4;
  auto* icmp = wire::at<wire::IcmpHeader>(l4);
  const bool is_icmp = s.protocol == (v4 ? kProtocolIcmp : kProtocolIcmp6);
  if (!v4 && is_icmp && icmp->type == wire::kIcmp6NeighbourSolicitation) {
    if (s.l4_bytes < sizeof(wire::NdpMessage) || l4 + sizeof(wire::NdpMessage) > p.data + p.linear)
      return Outcome::kNotForUs;
    if (l4_sum(arena, p, s) != kRight) return Outcome::kCorrupt;
    return answered(answer_solicitation(arena, p));
  }
  const uint8_t* destination =
      v4 ? wire::at<wire::Ipv4Header>(l3)->dst.bytes : wire::at<wire::Ipv6Header>(l3)->dst;
  if (!has(destination, s.family)) return Outcome::kNotForUs;
  const uint8_t request = v4 ? wire::kIcmpEchoRequest : wire::kIcmp6EchoRequest;
  if (s.protocol == kProtocolUdp) {
    auto* udp = wire::at<wire::UdpHeader>(l4);
    if (!mend_sum(arena, p, s, udp->checksum)) return Outcome::kCorrupt;
    std::swap(udp->sport, udp->dport);
  } else if (is_icmp && icmp->type == request && icmp->code == 0) {
    if (!mend_sum(arena, p, s, icmp->checksum)) return Outcome::kCorrupt;
    turn_echo(l4, v4 ? wire::kIcmpEchoReply : wire::kIcmp6EchoReply);
  } else {
    return Outcome::kNotForUs;
  }
  turn_ip(l3, s.family);
  turn_link(p);
  return Outcome::kAnswered;
}

bool bounce(Packet& p) noexcept {
  if (wire::check_eth(p.data, p.linear) == nullptr) return false;
  auto* eth = wire::at<wire::EthHeader>(p.data);
  exchange(eth->dst, eth->src);
  return true;
}

}  // namespace nodeplane
