#include <cstddef>

#include "stage/rewrite/parts.h"
#include "wire/icmp.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/sctp.h"
#include "wire/tcp.h"
#include "wire/udp.h"

namespace nodeplane::rewriting {
namespace {

// Writes, and says what that adds to a sum over the field.
uint16_t put(uint8_t* field, uint16_t value) noexcept {
  const uint16_t delta = sum_delta(load16(field), value);
  store16(field, value);
  return delta;
}
uint16_t put(Be32& field, uint32_t value) noexcept {
  const uint32_t before = field.raw();
  field.set_raw(value);
  return sum_fold(uint64_t{sum_words(~before)} + sum_words(value));
}
uint16_t put(uint8_t (&field)[16], const uint8_t (&value)[16]) noexcept {
  const uint16_t before = sum_fold(sum_words(field));
  std::memcpy(field, value, 16);
  return sum_fold(uint32_t{inverted(before)} + sum_words(value));
}

// Where the quoted transport header keeps its sum; 0 if it has none that can be mended.
uint32_t sum_offset(uint8_t protocol) noexcept {
  switch (protocol) {
    case kProtocolTcp:
      return wire::kTcpChecksumOffset;
    case kProtocolUdp:
      return wire::kUdpChecksumOffset;
    case kProtocolIcmp:
    case kProtocolIcmp6:
      return wire::kIcmpChecksumOffset;
    default:
      return 0;
  }
}

// Gives what the CRC's change adds to a sum over the quote. `bytes`: how long the SCTP packet was.
uint16_t mend_quoted_crc(uint8_t* l4, uint32_t before, uint32_t bytes) noexcept {
  uint32_t after, crc, mended;
  uint8_t* const field = l4 + offsetof(wire::SctpHeader, checksum);
  std::memcpy(&after, l4, 4);
  std::memcpy(&crc, field, 4);
  mend_crc(field, before, after, bytes - 4);
  std::memcpy(&mended, field, 4);
  return sum_fold(uint64_t{sum_words(~crc)} + sum_words(mended));
}

// The quoted transport header went the other way: its source is our destination. Gives what that
// adds to a sum over the quote. A quote may end before the sum (RFC 792 asks for 8 bytes only).
// `bytes`: how long the quoted transport packet was; 0 if the quote does not say.
uint16_t mend_quoted_l4(Packet& p, uint16_t new_sport, uint16_t new_dport, uint16_t addresses,
                        uint32_t bytes) noexcept {
  if (p.inner_l4 == 0) return 0;
  uint8_t* const l4 = p.data + p.inner_l4;
  const uint8_t protocol = p.inner_protocol;
  uint32_t before_ports;
  std::memcpy(&before_ports, l4, 4);
  const bool echo = protocol == kProtocolIcmp || protocol == kProtocolIcmp6;
  const uint16_t ports = echo ? put(l4 + 4, static_cast<uint16_t>(new_sport | new_dport))
                              : sum_fold(uint32_t{put(l4, new_sport)} + put(l4 + 2, new_dport));
  const uint32_t offset = sum_offset(protocol);
  const uint32_t end = std::min<uint32_t>(p.linear, uint32_t{p.l3} + p.ip_length);
  if (protocol == kProtocolSctp && bytes >= wire::kSctpHeaderLength &&
      p.inner_l4 + wire::kSctpHeaderLength <= end)
    return sum_fold(uint32_t{ports} + mend_quoted_crc(l4, before_ports, bytes));
  if (offset == 0 || p.inner_l4 + offset + 2 > end) return ports;
  uint8_t* const field = l4 + offset;
  const uint16_t before = load16(field);
  const uint16_t covered =
      protocol == kProtocolIcmp ? ports : sum_fold(uint32_t{ports} + addresses);
  protocol == kProtocolUdp ? mend_udp(field, covered) : mend(field, covered);
  return sum_fold(uint32_t{ports} + sum_delta(before, load16(field)));
}

// Bytes of the quoted transport packet as it was sent; 0 for a fragment, which does not say.
uint32_t quoted_bytes(const Packet& p, const wire::Ipv4Header& inner) noexcept {
  const uint32_t header = p.inner_l4 - p.inner_l3, total = inner.total_length.host();
  return inner.is_fragment() || total < header ? 0 : total - header;
}
uint32_t quoted_bytes(const Packet& p, const wire::Ipv6Header& inner) noexcept {
  const uint32_t chain = p.inner_l4 - p.inner_l3 - wire::kIpv6HeaderLength;
  const uint32_t payload = inner.payload_length.host();
  return payload < chain ? 0 : payload - chain;
}

bool source_too(uint8_t source_changed, uint8_t direction) noexcept {
  return source_changed != 0 && direction == 0;
}

}  // namespace

uint16_t translate_error4(Packet& p, const SideV4& side) noexcept {
  auto* ip = wire::at<wire::Ipv4Header>(p.data + p.l3);
  auto* inner = wire::at<wire::Ipv4Header>(p.data + p.inner_l3);
  const uint16_t addresses =
      sum_fold(uint32_t{put(inner->src, side.new_dst)} + put(inner->dst, side.new_src));
  const uint16_t header = put(inner->checksum.bytes, sum_apply(inner->checksum.raw(), addresses));
  const uint16_t l4 =
      mend_quoted_l4(p, side.new_dport, side.new_sport, addresses, quoted_bytes(p, *inner));
  mend(p.data + p.l4 + wire::kIcmpChecksumOffset, sum_fold(uint32_t{addresses} + header + l4));
  uint32_t outer = put(ip->dst, side.new_dst);
  if (source_too(side.source_changed, side.direction)) outer += put(ip->src, side.new_src);
  return sum_fold(outer);
}

void translate_error6(Packet& p, const SideV6& side) noexcept {
  auto* ip = wire::at<wire::Ipv6Header>(p.data + p.l3);
  auto* inner = wire::at<wire::Ipv6Header>(p.data + p.inner_l3);
  const uint16_t addresses =
      sum_fold(uint32_t{put(inner->src, side.new_dst)} + put(inner->dst, side.new_src));
  const uint16_t l4 =
      mend_quoted_l4(p, side.new_dport, side.new_sport, addresses, quoted_bytes(p, *inner));
  uint32_t outer = put(ip->dst, side.new_dst);
  if (source_too(side.source_changed, side.direction)) outer += put(ip->src, side.new_src);
  // The ICMPv6 sum covers the outer addresses too (RFC 4443 section 2.3).
  mend(p.data + p.l4 + wire::kIcmpChecksumOffset, sum_fold(uint32_t{addresses} + l4 + outer));
}

}  // namespace nodeplane::rewriting
