#include "stage/parse/link.h"

#include "base/check.h"
#include "base/sum.h"
#include "kernel/kernels.h"
#include "wire/arp.h"
#include "wire/ipv6.h"
#include "wire/ndp.h"

namespace nodeplane {
namespace {

bool sum_is_right(const Packet& p, const wire::Ipv6Header& ip, uint32_t bytes) noexcept {
  const uint64_t pseudo = uint64_t{sum_words(ip.src)} + sum_words(ip.dst) +
                          sum_words(swap32(bytes)) + swap16(kProtocolIcmp6);
  return sum_fold(pseudo + kernels().checksum(p.data + p.l4, bytes)) == 0xffff;
}

// RFC 4861 section 7.1.1 for solicitations, 7.1.2 for advertisements; options come later.
bool message_is_valid(const Packet& p, const wire::Ipv6Header& ip, const wire::NdpMessage& message,
                      uint32_t bytes) noexcept {
  if (ip.hop_limit != wire::kNdpHopLimit || message.code != 0) return false;
  if (wire::ipv6_is_multicast(message.target)) return false;
  if ((p.flags & kFlagPartialChecksum) == 0 && !sum_is_right(p, ip, bytes)) return false;
  if (message.type == wire::kIcmp6NeighbourAdvertisement) {
    const bool solicited = (message.flags.host() & wire::kNdpFlagSolicited) != 0;
    return !(solicited && wire::ipv6_is_multicast(ip.dst));
  }
  if (!wire::ipv6_is_unspecified(ip.src)) return true;
  uint8_t solicited_node[16];
  wire::ipv6_solicited_node(message.target, solicited_node);
  return std::memcmp(ip.dst, solicited_node, 16) == 0;
}

// Finds the MAC in the n bytes of options. False: they are malformed. Unknown ones are skipped.
bool read_options(const uint8_t* p, uint32_t n, uint8_t wanted, LinkNews& news) noexcept {
  while (n != 0) {
    const wire::NdpOption* option = wire::check_ndp_option(p, n);
    if (option == nullptr || option->length == 0 || option->bytes() > n) return false;
    if (option->type == wanted) {
      // Ethernet's is one unit long (RFC 2464 section 6), and no station has a group MAC.
      if (option->length != 1 || wire::mac_is_group(option->mac)) return false;
      std::memcpy(news.mac, option->mac, wire::kMacLength);
      news.has_mac = 1;
    }
    p += option->bytes();
    n -= static_cast<uint32_t>(option->bytes());
  }
  return true;
}

}  // namespace

void tell(Batch& batch, Packet& p, const LinkNews& news) noexcept {
  check(batch.link_count < kBatchSize, "more link news than packets in a batch");
  p.link = static_cast<uint16_t>(batch.link_count);
  batch.links[batch.link_count++] = news;
}

Drop name_arp(Batch& batch, Packet& p) noexcept {
  const wire::ArpPacket* arp = wire::check_arp(p.data + p.l3, p.linear - p.l3);
  if (arp == nullptr || !arp->is_ethernet_ipv4()) return Drop::kBadArp;
  // RFC 1812 section 3.3.2: a group MAC is never believed.
  if (wire::mac_is_group(arp->sender_mac)) return Drop::kBadArp;
  LinkNews news{};
  const uint16_t operation = arp->operation.host();
  news.what = operation == wire::kArpRequest ? LinkNews::What::kRequest
              : operation == wire::kArpReply ? LinkNews::What::kReply
                                             : LinkNews::What::kOther;
  news.family = 4;
  std::memcpy(news.mac, arp->sender_mac, wire::kMacLength);
  news.has_mac = 1;
  news.override_flag = 1;                  // RFC 826: what is told replaces what is known
  news.is_probe = arp->sender.raw() == 0;  // RFC 5227 section 1.1
  news.sender = IpAddress::from_v4(arp->sender.raw());
  news.target = IpAddress::from_v4(arp->target.raw());
  tell(batch, p, news);
  p.kind = Kind::kArp;
  return Drop::kNone;
}

Drop name_ndp(Batch& batch, Packet& p, uint32_t readable, uint32_t payload) noexcept {
  const auto* ip = wire::at<wire::Ipv6Header>(static_cast<const uint8_t*>(p.data + p.l3));
  const wire::NdpMessage* message = wire::check_ndp(p.data + p.l4, readable);
  if (message == nullptr || readable != payload) return Drop::kBadNdp;
  if (!message_is_valid(p, *ip, *message, payload)) return Drop::kBadNdp;
  const bool asks = message->type == wire::kIcmp6NeighbourSolicitation;
  LinkNews news{};
  news.what = asks ? LinkNews::What::kRequest : LinkNews::What::kReply;
  news.family = 6;
  news.override_flag = !asks && (message->flags.host() & wire::kNdpFlagOverride) != 0;
  news.is_probe = asks && wire::ipv6_is_unspecified(ip->src);
  // An advertisement speaks of its target, whoever sends it (RFC 4861 section 7.2.5).
  news.sender = IpAddress::from_bytes(asks ? ip->src : message->target, 6);
  news.target = IpAddress::from_bytes(message->target, 6);
  const uint32_t fixed = sizeof(wire::NdpMessage);
  const uint8_t wanted = asks ? wire::kNdpOptionSourceMac : wire::kNdpOptionTargetMac;
  if (!read_options(p.data + p.l4 + fixed, readable - fixed, wanted, news)) return Drop::kBadNdp;
  // RFC 4861 section 7.1.1: who has no address yet tells no MAC.
  if (news.is_probe && news.has_mac) return Drop::kBadNdp;
  tell(batch, p, news);
  p.kind = Kind::kNdp;
  return Drop::kNone;
}

}  // namespace nodeplane
