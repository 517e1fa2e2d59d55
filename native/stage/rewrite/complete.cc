#include "base/crc32c.h"
#include "kernel/kernels.h"
#include "packet/chain.h"
#include "stage/rewrite/parts.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/sctp.h"
#include "wire/tcp.h"
#include "wire/udp.h"

namespace nodeplane::rewriting {
namespace {

struct Transport {
  uint32_t header, field;  // its least bytes, where its sum stands
};
constexpr Transport transport_of(uint8_t protocol) noexcept {
  switch (protocol) {
    case kProtocolTcp:
      return {wire::kTcpHeaderMin, wire::kTcpChecksumOffset};
    case kProtocolUdp:
      return {wire::kUdpHeaderLength, wire::kUdpChecksumOffset};
    case kProtocolSctp:
      return {wire::kSctpHeaderLength, 8};
    default:
      return {0, 0};
  }
}

// RFC 9293 section 3.1, RFC 8200 section 8.1; raw order.
uint32_t pseudo_header_sum(const Packet& p, uint32_t bytes) noexcept {
  const uint32_t tail = uint32_t{p.protocol} * 0x100 + sum_words(swap32(bytes));
  if (p.family == 4) {
    const auto* ip = wire::at<wire::Ipv4Header>(p.data + p.l3);
    return tail + sum_words(ip->src.raw()) + sum_words(ip->dst.raw());
  }
  const auto* ip = wire::at<wire::Ipv6Header>(p.data + p.l3);
  return tail + sum_words(ip->src) + sum_words(ip->dst);
}

// A run that begins at an odd byte of the packet has its words' bytes the other way round
// (RFC 1071 section 2 B).
bool sum_chain(Chain chain, uint32_t bytes, uint32_t* sum) noexcept {
  const auto checksum = kernels().checksum;
  bool odd = false;
  while (bytes != 0) {
    const Chain::Run run = chain.next(bytes);
    if (run.bytes == 0) return false;
    const uint16_t part = checksum(run.at, run.bytes);
    *sum = sum_fold(uint64_t{*sum} + (odd ? swap16(part) : part));
    odd ^= (run.bytes & 1) != 0;
    bytes -= run.bytes;
  }
  return true;
}

bool crc_chain(Chain chain, uint32_t bytes, uint32_t* crc) noexcept {
  while (bytes != 0) {
    const Chain::Run run = chain.next(bytes);
    if (run.bytes == 0) return false;
    *crc = crc32c(*crc, run.at, run.bytes);
    bytes -= run.bytes;
  }
  return true;
}

}  // namespace

bool complete_sum(Packet& p, const FrameArena& arena) noexcept {
  const Transport transport = transport_of(p.protocol);
  const uint32_t end = uint32_t{p.l3} + p.ip_length;
  const bool holds = transport.header != 0 && p.l4 > p.l3 && !(p.flags & kFlagFragment) &&
                     p.l4 + transport.header <= p.linear && p.l4 + transport.header <= end &&
                     end <= p.length;
  if (!holds) return false;
  uint8_t* const field = p.data + p.l4 + transport.field;
  uint32_t bytes = end - p.l4;
  if (p.protocol == kProtocolSctp) {
    uint32_t crc = kCrc32cInit;
    std::memset(field, 0, 4);
    if (!crc_chain(Chain(arena, p, p.l4), bytes, &crc)) return false;
    crc = ~crc;
    std::memcpy(field, &crc, 4);
    return true;
  }
  if (p.protocol == kProtocolUdp) {  // may end before the IP packet does; parse knows it fits
    bytes = wire::at<wire::UdpHeader>(p.data + p.l4)->length.host();
    if (bytes < wire::kUdpHeaderLength || bytes > end - p.l4) return false;
  }
  uint32_t sum = pseudo_header_sum(p, bytes);
  store16(field, 0);
  if (!sum_chain(Chain(arena, p, p.l4), bytes, &sum)) return false;
  const uint16_t check = inverted(sum_fold(sum));
  store16(field, p.protocol == kProtocolUdp && check == 0 ? 0xffff : check);
  return true;
}

}  // namespace nodeplane::rewriting
