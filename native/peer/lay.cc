#include "peer/lay.h"

#include <cstring>
#include <utility>

#include "base/sum.h"
#include "kernel/kernels.h"
#include "wire/eth.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/tcp.h"
#include "wire/udp.h"

namespace nodeplane {

namespace {

constexpr size_t kEthBytes = sizeof(wire::EthHeader);
constexpr size_t l3_header(uint8_t family) { return family == 4 ? 20 : 40; }
constexpr size_t l4_bytes(size_t bytes, uint8_t family) {
  return bytes - kEthBytes - l3_header(family);
}

// n: bytes of the L4 header and payload.
void finish_sums(uint8_t* l3, size_t n, uint8_t family, uint8_t protocol) {
  uint8_t* l4 = l3 + l3_header(family);
  uint64_t sum = uint32_t{swap16(protocol)} + swap16(static_cast<uint16_t>(n));
  if (family == 4) {
    auto* ip = wire::at<wire::Ipv4Header>(l3);
    ip->checksum.set_raw(0);
    ip->checksum.set_raw(inverted(kernels().checksum(l3, 20)));
    sum += kernels().checksum(l3 + 12, 8);
  } else {
    sum += kernels().checksum(l3 + 8, 32);
  }
  Be16& field = protocol == kProtocolTcp ? wire::at<wire::TcpHeader>(l4)->checksum
                                         : wire::at<wire::UdpHeader>(l4)->checksum;
  field.set_raw(0);
  const uint16_t check = inverted(sum_fold(sum + kernels().checksum(l4, n)));
  // A sum of zero would say that there is none (RFC 768).
  field.set_raw(check == 0 && protocol == kProtocolUdp ? 0xffff : check);
}

}  // namespace

void lay_packet(uint8_t* data, const LaySpec& spec) noexcept {
  const size_t bytes = lay_bytes(spec);
  std::memset(data, 0, bytes);
  auto* eth = wire::at<wire::EthHeader>(data);
  std::memcpy(eth->dst, spec.dst_mac, 6);
  std::memcpy(eth->src, spec.src_mac, 6);
  eth->type.set(spec.family == 4 ? wire::kEthertypeIpv4 : wire::kEthertypeIpv6);
  uint8_t* l3 = data + kEthBytes;
  uint8_t* l4 = l3 + l3_header(spec.family);
  const uint32_t host = lay_host(spec.flow);
  if (spec.family == 4) {
    auto* ip = wire::at<wire::Ipv4Header>(l3);
    ip->version_ihl = 0x45;
    ip->total_length.set(static_cast<uint16_t>(bytes - kEthBytes));
    ip->fragment.set(wire::kIpv4DontFragment);
    ip->ttl = 64;
    ip->protocol = spec.protocol;
    ip->src.set(kLayNet4 + host);
    ip->dst.set_raw(spec.service.v4());
  } else {
    auto* ip = wire::at<wire::Ipv6Header>(l3);
    l3[0] = 0x60;
    ip->payload_length.set(static_cast<uint16_t>(l4_bytes(bytes, 6)));
    ip->next_header = spec.protocol;
    ip->hop_limit = 64;
    const uint32_t low = swap32(host);
    const uint8_t net[4] = {0xfd, 0x00, 0x00, 0x0c};
    std::memcpy(l3 + 8, net, 4);
    std::memcpy(l3 + 20, &low, 4);
    std::memcpy(l3 + 24, spec.service.bytes, 16);
  }
  const uint16_t sport = lay_port(spec.flow);
  if (spec.protocol == kProtocolTcp) {
    auto* tcp = wire::at<wire::TcpHeader>(l4);
    tcp->sport.set(sport);
    tcp->dport.set_raw(spec.be_service_port);
    tcp->sequence.set(spec.flow);
    tcp->set_data_offset(5);
    tcp->flags = spec.tcp_flags;
  } else {
    auto* udp = wire::at<wire::UdpHeader>(l4);
    udp->sport.set(sport);
    udp->dport.set_raw(spec.be_service_port);
    udp->length.set(static_cast<uint16_t>(l4_bytes(bytes, spec.family)));
  }
  finish_sums(l3, l4_bytes(bytes, spec.family), spec.family, spec.protocol);
}

void lay_answer(uint8_t* data, const uint8_t* packet, const uint8_t* dst_mac, uint8_t family,
                uint8_t tcp_flags) noexcept {
  std::memcpy(data, packet, lay_bytes(family));
  std::memcpy(wire::at<wire::EthHeader>(data)->dst, dst_mac, 6);
  uint8_t* l3 = data + kEthBytes;
  const size_t n = family == 4 ? 4 : 16;
  uint8_t* src = l3 + (family == 4 ? 12 : 8);
  for (size_t i = 0; i < n; ++i) std::swap(src[i], src[n + i]);
  auto* tcp = wire::at<wire::TcpHeader>(l3 + l3_header(family));
  std::swap(tcp->sport, tcp->dport);
  tcp->flags = tcp_flags;
  finish_sums(l3, l4_bytes(lay_bytes(family), family), family, kProtocolTcp);
}

}  // namespace nodeplane
