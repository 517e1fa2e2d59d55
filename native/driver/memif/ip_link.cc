#include "driver/memif/ip_link.h"

#include <cstddef>
#include <cstring>

#include "base/ip.h"
#include "base/sum.h"
#include "wire/arp.h"
#include "wire/eth.h"
#include "wire/ipv6.h"
#include "wire/ndp.h"

namespace nodeplane::memif {
namespace {

constexpr size_t kNdpAt = sizeof(wire::EthHeader) + sizeof(wire::Ipv6Header);
constexpr size_t kNdpBytes = sizeof(wire::NdpMessage) + sizeof(wire::NdpOption);
static_assert(kEthernetBytes == sizeof(wire::EthHeader));

// Of an even number of bytes, with the pseudo-header (RFC 4443 section 2.3).
uint16_t icmp6_sum(const wire::Ipv6Header& ip, const uint8_t* from, uint32_t bytes) noexcept {
  uint64_t sum = sum_words(ip.src) + uint64_t{sum_words(ip.dst)} + swap16(kProtocolIcmp6) +
                 swap16(static_cast<uint16_t>(bytes));
  for (uint32_t i = 0; i < bytes; i += 2) {
    uint16_t word;
    std::memcpy(&word, from + i, 2);
    sum += word;
  }
  return inverted(sum_fold(sum));
}

}  // namespace

IpLink::IpLink(const uint8_t* mac, const uint8_t* peer_mac) noexcept {
  std::memcpy(mac_, mac, sizeof mac_);
  std::memcpy(peer_mac_, peer_mac, sizeof peer_mac_);
}

IpLink::Kind IpLink::kind_of(const Packet& p) noexcept {
  const auto* eth = wire::check_eth(p.data, p.linear);
  if (eth == nullptr) return Kind::kOther;
  switch (eth->type.host()) {
    case wire::kEthertypeArp: {
      const auto* arp = wire::check_arp(p.data + kEthernetBytes, p.linear - kEthernetBytes);
      return arp != nullptr && arp->is_ethernet_ipv4() && arp->operation.host() == wire::kArpRequest
                 ? Kind::kArpRequest
                 : Kind::kOther;
    }
    case wire::kEthertypeIpv6:
      if (p.linear == p.length && p.linear >= kNdpAt + sizeof(wire::NdpMessage) &&
          p.data[kEthernetBytes + offsetof(wire::Ipv6Header, next_header)] == kProtocolIcmp6 &&
          p.data[kNdpAt] == wire::kIcmp6NeighbourSolicitation)
        return Kind::kSolicitation;
      [[fallthrough]];
    case wire::kEthertypeIpv4:
      return p.linear > kEthernetBytes ? Kind::kIp : Kind::kOther;
    default:
      return Kind::kOther;
  }
}

void IpLink::answer(Packet& p, Kind kind, FrameCache& frames) noexcept {
  const bool is_answer =
      kind == Kind::kArpRequest ? answer_arp(p) : answer_solicitation(p, frames.arena());
  if (!is_answer || !keep(p)) frames.give_chain(p.frame);
}

// False: a probe or an announcement (RFC 5227), nobody waits for an answer.
bool IpLink::answer_arp(Packet& p) const noexcept {
  auto* eth = wire::at<wire::EthHeader>(p.data);
  auto* arp = wire::at<wire::ArpPacket>(p.data + kEthernetBytes);
  const uint32_t asker = arp->sender.raw(), asked = arp->target.raw();
  if (asker == 0 || asker == asked) return false;
  std::memcpy(eth->dst, arp->sender_mac, sizeof eth->dst);
  std::memcpy(eth->src, peer_mac_, sizeof eth->src);
  arp->operation.set(wire::kArpReply);
  std::memcpy(arp->target_mac, arp->sender_mac, sizeof arp->target_mac);
  std::memcpy(arp->sender_mac, peer_mac_, sizeof arp->sender_mac);
  arp->target.set_raw(asker);
  arp->sender.set_raw(asked);
  p.linear = static_cast<uint16_t>(kEthernetBytes + sizeof *arp);
  return true;
}

// RFC 4861 section 7.2.4. False: duplicate address detection, to which silence is the answer.
bool IpLink::answer_solicitation(Packet& p, const FrameArena& arena) const noexcept {
  const auto room = arena.frame_size() - static_cast<size_t>(p.data - arena.at(p.frame));
  if (room < kNdpAt + kNdpBytes) return false;
  auto* eth = wire::at<wire::EthHeader>(p.data);
  auto* ip = wire::at<wire::Ipv6Header>(p.data + kEthernetBytes);
  auto* ndp = wire::at<wire::NdpMessage>(p.data + kNdpAt);
  auto* option = wire::at<wire::NdpOption>(p.data + kNdpAt + sizeof *ndp);
  if (wire::ipv6_is_unspecified(ip->src)) return false;
  std::memcpy(eth->dst, eth->src, sizeof eth->dst);
  std::memcpy(eth->src, peer_mac_, sizeof eth->src);
  std::memcpy(ip->dst, ip->src, sizeof ip->dst);
  std::memcpy(ip->src, ndp->target, sizeof ip->src);
  ip->hop_limit = wire::kNdpHopLimit;
  ip->payload_length.set(kNdpBytes);
  ndp->type = wire::kIcmp6NeighbourAdvertisement;
  ndp->code = 0;
  ndp->checksum.set_raw(0);
  ndp->flags.set(wire::kNdpFlagSolicited | wire::kNdpFlagOverride);
  option->type = wire::kNdpOptionTargetMac;
  option->length = 1;
  std::memcpy(option->mac, peer_mac_, sizeof option->mac);
  ndp->checksum.set_raw(icmp6_sum(*ip, p.data + kNdpAt, kNdpBytes));
  p.linear = static_cast<uint16_t>(kNdpAt + kNdpBytes);
  return true;
}

// False: more wait than can be kept; whoever asked will ask again.
bool IpLink::keep(const Packet& p) noexcept {
  if (end_ - first_ == kAnswersMax) return false;
  answers_[end_++ % kAnswersMax] = {p.data, p.frame, p.linear};
  return true;
}

uint32_t IpLink::answers(Packet* packets, uint32_t max, const FrameArena& arena) noexcept {
  uint32_t n = 0;
  for (; n < max && has_answers(); ++n) {
    const Answer& answer = answers_[first_++ % kAnswersMax];
    Packet& p = packets[n];
    p.data = answer.data;
    p.frame = answer.frame;
    p.length = p.linear = answer.bytes;
    p.flags = 0;
    p.gso = Gso::kNone;
    arena.link(p.frame).next = kFrameNone;
  }
  return n;
}

void IpLink::put_on(Packet* packets, uint32_t count) const noexcept {
  for (uint32_t i = 0; i < count; ++i) {
    Packet& p = packets[i];
    const bool is_ipv4 = p.data[0] >> 4 == 4;
    put_back(p);
    auto* eth = wire::at<wire::EthHeader>(p.data);
    std::memcpy(eth->dst, mac_, sizeof eth->dst);
    std::memcpy(eth->src, peer_mac_, sizeof eth->src);
    eth->type.set(is_ipv4 ? wire::kEthertypeIpv4 : wire::kEthertypeIpv6);
  }
}

void IpLink::close(FrameCache& frames) noexcept {
  for (; has_answers(); ++first_) frames.give_chain(answers_[first_ % kAnswersMax].frame);
}

}  // namespace nodeplane::memif
