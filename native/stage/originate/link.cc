#include "base/sum.h"
#include "stage/originate/parts.h"
#include "wire/arp.h"
#include "wire/ndp.h"

namespace nodeplane::originating {
namespace {

constexpr uint8_t kMacUnknown[wire::kMacLength] = {};
// ff02::1 (RFC 4291 section 2.7.1): where a probe of an unspecified sender is answered.
constexpr uint8_t kAllNodes[16] = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

// RFC 4291 appendix A: what a port without an IPv6 address asks as. The unspecified address would
// make the question a duplicate address probe.
IpAddress link_local_of(const uint8_t* mac) noexcept {
  IpAddress a{};
  uint8_t* b = a.bytes;
  b[0] = 0xfe;
  b[1] = 0x80;
  b[8] = mac[0] ^ 0x02;
  b[9] = mac[1];
  b[10] = mac[2];
  b[11] = 0xff;
  b[12] = 0xfe;
  b[13] = mac[3];
  b[14] = mac[4];
  b[15] = mac[5];
  return a;
}

void add_arp(Draft& draft, uint16_t operation, const uint8_t* sender_mac, uint32_t sender,
             const uint8_t* target_mac, uint32_t target) noexcept {
  auto* arp = wire::at<wire::ArpPacket>(draft.add(sizeof(wire::ArpPacket)));
  arp->hardware.set(wire::kArpHardwareEthernet);
  arp->protocol.set(wire::kEthertypeIpv4);
  arp->hardware_length = wire::kMacLength;
  arp->protocol_length = 4;
  arp->operation.set(operation);
  std::memcpy(arp->sender_mac, sender_mac, wire::kMacLength);
  arp->sender.set_raw(sender);
  std::memcpy(arp->target_mac, target_mac, wire::kMacLength);
  arp->target.set_raw(target);
}

struct Neighbourly {
  uint8_t type, option;
  uint32_t flags;
};

// An NDP message with the one option that says whose MAC we are (RFC 4861 sections 4.3, 4.4).
void add_ndp(Draft& draft, const Neighbourly& kind, const uint8_t* src, const uint8_t* dst,
             const IpAddress& target, const uint8_t* mac) noexcept {
  constexpr uint32_t kBytes = sizeof(wire::NdpMessage) + sizeof(wire::NdpOption);
  auto* ip = add_ipv6(draft, src, dst, kProtocolIcmp6, kBytes, wire::kNdpHopLimit);
  auto* message = wire::at<wire::NdpMessage>(draft.add(sizeof(wire::NdpMessage)));
  message->type = kind.type;
  message->flags.set(kind.flags);
  std::memcpy(message->target, target.bytes, 16);
  auto* option = wire::at<wire::NdpOption>(draft.add(sizeof(wire::NdpOption)));
  option->type = kind.option;
  option->length = sizeof(wire::NdpOption) / 8;
  std::memcpy(option->mac, mac, wire::kMacLength);
  const uint32_t sum = pseudo_sum6(*ip, kProtocolIcmp6, kBytes) +
                       draft.sum_from(reinterpret_cast<const uint8_t*>(message));
  message->checksum.set_raw(inverted(sum_fold(sum)));
}

bool make_arp_request(Context& context, const Owed& owed) noexcept {
  Draft draft(context, owed.port);
  if (!draft) return false;
  const uint8_t* mac = context.mac(owed.port);
  // Without an address of ours the question is a probe, which everyone answers (RFC 5227 1.1).
  const IpAddress* source = context.nearest(owed.port, 4, owed.target);
  add_ethernet(draft, wire::kMacBroadcast, mac, wire::kEthertypeArp);
  add_arp(draft, wire::kArpRequest, mac, source != nullptr ? source->v4() : 0, kMacUnknown,
          owed.target.v4());
  draft.send();
  context.batch.counters->add(Counter::kArpRequestSent);
  return true;
}

bool make_arp_reply(Context& context, const Owed& owed) noexcept {
  const Packet& asked = context.asked(owed);
  const LinkNews& news = context.batch.links[asked.link];
  if (wire::mac_is_group(news.mac) || wire::mac_is_group(asked.data + wire::kMacLength))
    return false;
  Draft draft(context, owed.port);
  if (!draft) return false;
  const uint8_t* mac = context.mac(owed.port);
  add_ethernet_back(draft, asked, mac);
  add_arp(draft, wire::kArpReply, mac, owed.target.v4(), news.mac, news.sender.v4());
  draft.send();
  context.batch.counters->add(Counter::kArpReplySent);
  return true;
}

}  // namespace

bool make_arp(Context& context, const Owed& owed) noexcept {
  return owed.what == Owed::What::kArpRequest ? make_arp_request(context, owed)
                                              : make_arp_reply(context, owed);
}

bool make_solicitation(Context& context, const Owed& owed) noexcept {
  Draft draft(context, owed.port);
  if (!draft) return false;
  const uint8_t* mac = context.mac(owed.port);
  const IpAddress* nearest = context.nearest(owed.port, 6, owed.target);
  const IpAddress source = nearest != nullptr ? *nearest : link_local_of(mac);
  uint8_t group[16], group_mac[wire::kMacLength];
  wire::ipv6_solicited_node(owed.target.bytes, group);
  wire::mac_of_multicast6(group, group_mac);
  add_ethernet(draft, group_mac, mac, wire::kEthertypeIpv6);
  add_ndp(draft, {wire::kIcmp6NeighbourSolicitation, wire::kNdpOptionSourceMac, 0}, source.bytes,
          group, owed.target, mac);
  draft.send();
  context.batch.counters->add(Counter::kArpRequestSent);
  return true;
}

bool make_advertisement(Context& context, const Owed& owed) noexcept {
  const Packet& asked = context.asked(owed);
  const LinkNews& news = context.batch.links[asked.link];
  const uint8_t* to = news.has_mac ? news.mac : asked.data + wire::kMacLength;
  if (wire::mac_is_group(to)) return false;
  Draft draft(context, owed.port);
  if (!draft) return false;
  const uint8_t* mac = context.mac(owed.port);
  wire::EthHeader* eth = add_ethernet_back(draft, asked, mac);
  // We forward, hence the router flag; RFC 4861 section 7.2.4 for the others.
  uint32_t flags = wire::kNdpFlagRouter | wire::kNdpFlagOverride;
  const uint8_t* dst = kAllNodes;
  if (news.is_probe) {
    wire::mac_of_multicast6(kAllNodes, eth->dst);
  } else {
    flags |= wire::kNdpFlagSolicited;
    dst = news.sender.bytes;
    std::memcpy(eth->dst, to, wire::kMacLength);
  }
  add_ndp(draft, {wire::kIcmp6NeighbourAdvertisement, wire::kNdpOptionTargetMac, flags},
          owed.target.bytes, dst, owed.target, mac);
  draft.send();
  context.batch.counters->add(Counter::kArpReplySent);
  return true;
}

}  // namespace nodeplane::originating
