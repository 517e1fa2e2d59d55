#include "stage/rewrite/rewrite.h"

#include <cstddef>

#include "kernel/kernels.h"
#include "stage/rewrite/parts.h"
#include "wire/eth.h"
#include "wire/icmp.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/sctp.h"
#include "wire/tcp.h"
#include "wire/udp.h"
#include "wire/vlan.h"

namespace nodeplane {
namespace {

using namespace rewriting;

// One off the TTL takes 1 off the word it stands in: what that adds to a one's complement sum.
constexpr uint16_t kTtlDelta = 0xfffe;

constexpr uint16_t kFlagsUntouched = kFlagUntranslated | kFlagOurs;
constexpr uint16_t kFlagsSum = kFlagPartialChecksum | kFlagForceComplete;

// Both ports in one store; they lie in the record as on the wire.
template <class Side>
void put_ports(uint8_t* l4, const Side& side) noexcept {
  static_assert(offsetof(Side, new_dport) == offsetof(Side, new_sport) + 2);
  std::memcpy(l4, &side.new_sport, 4);
}

template <class Side>
void translate_sctp(const Packet& p, uint8_t* l4, const Side& side) noexcept {
  uint32_t before, after;
  std::memcpy(&before, l4, 4);
  put_ports(l4, side);
  std::memcpy(&after, l4, 4);
  mend_crc(l4 + offsetof(wire::SctpHeader, checksum), before, after,
           uint32_t{p.l3} + p.ip_length - p.l4 - 4);
}

// An echo reply of zeros only is the one packet whose sum, ffff, is not also 0: no other word of it
// makes a one's complement sum of ffff (RFC 1624 section 3). A chain is not looked through.
void mend_icmp(const Packet& p, uint8_t* l4, uint16_t delta) noexcept {
  uint8_t* const field = l4 + wire::kIcmpChecksumOffset;
  mend(field, delta);
  if (__builtin_expect(load16(field) != 0, 1) || p.protocol != kProtocolIcmp) return;
  const uint32_t end = uint32_t{p.l3} + p.ip_length;
  if (end <= p.linear && kernels().checksum(l4, end - p.l4) == 0) store16(field, 0xffff);
}

template <class Side>
void translate_l4(const Packet& p, const Side& side) noexcept {
  uint8_t* const l4 = p.data + p.l4;
  switch (p.protocol) {
    case kProtocolTcp:
      put_ports(l4, side);
      mend(l4 + wire::kTcpChecksumOffset, side.l4_delta);
      return;
    case kProtocolUdp:
      put_ports(l4, side);
      mend_udp(l4 + wire::kUdpChecksumOffset, side.l4_delta);
      return;
    case kProtocolSctp:
      translate_sctp(p, l4, side);
      return;
    default:  // echo: the identifier is one of the two, the other is zero
      store16(l4 + offsetof(wire::IcmpHeader, id),
              static_cast<uint16_t>(side.new_sport | side.new_dport));
      mend_icmp(p, l4, side.l4_delta);
  }
}

// The field holds the pseudo-header's sum, not inverted: addresses count, the other way round, and
// ports do not. What will be finished anyway needs none of it.
template <class Side>
void translate_partial(const Packet& p, const Side& side) noexcept {
  uint8_t* const l4 = p.data + p.l4;
  put_ports(l4, side);
  if (p.protocol == kProtocolSctp) return;
  uint8_t* const field =
      l4 + (p.protocol == kProtocolTcp ? wire::kTcpChecksumOffset : wire::kUdpChecksumOffset);
  const uint16_t delta = address_delta(side.key, side.new_src, side.new_dst);
  store16(field, sum_fold(uint32_t{load16(field)} + delta));
}

bool is_echo(const Packet& p) noexcept {
  return p.protocol == kProtocolIcmp || p.protocol == kProtocolIcmp6;
}

template <class Side>
void translate_transport(const Packet& p, const Side& side) noexcept {
  if (__builtin_expect(p.flags & kFlagPartialChecksum, 0) && !is_echo(p))
    return translate_partial(p, side);
  translate_l4(p, side);
}

// Gives what it adds to the header's sum.
uint16_t translate4(Packet& p, wire::Ipv4Header* ip) noexcept {
  const SideV4& side = *static_cast<const SideV4*>(p.side);
  if (__builtin_expect(p.kind == Kind::kIcmpError, 0)) return translate_error4(p, side);
  ip->src.set_raw(side.new_src);
  ip->dst.set_raw(side.new_dst);
  translate_transport(p, side);
  return side.l3_delta;
}

void translate6(Packet& p, wire::Ipv6Header* ip) noexcept {
  const SideV6& side = *static_cast<const SideV6*>(p.side);
  if (__builtin_expect(p.kind == Kind::kIcmpError, 0)) return translate_error6(p, side);
  std::memcpy(ip->src, side.new_src, 16);
  std::memcpy(ip->dst, side.new_dst, 16);
  translate_transport(p, side);
}

// Tags end here: the header moves up to the IP packet, whose type already stands before it.
void strip_vlan(Packet& p) noexcept {
  const uint16_t bytes = static_cast<uint16_t>(p.vlan_count * sizeof(wire::VlanTag));
  p.data += bytes;
  p.length -= bytes;
  p.linear -= bytes;
  p.l3 -= bytes;
  if (p.l4 != 0) p.l4 -= bytes;
  if (p.inner_l3 != 0) p.inner_l3 -= bytes;
  if (p.inner_l4 != 0) p.inner_l4 -= bytes;
  p.vlan_count = 0;
}

// Both MACs of a way out. Neighbouring packets mostly share one, so the last one is kept.
struct Macs {
  uint32_t next_hop = ~0u;
  uint16_t port = kPortNone;
  uint8_t bytes[2 * wire::kMacLength];

  const uint8_t* of(const Packet& p, const Rewrite::Table& table) noexcept {
    if (next_hop == p.next_hop && port == p.port_out) return bytes;
    next_hop = p.next_hop;
    port = p.port_out;
    std::memcpy(bytes, table.neighbours->read(next_hop).mac, wire::kMacLength);
    std::memcpy(bytes + wire::kMacLength, table.ports[port].mac, wire::kMacLength);
    return bytes;
  }
};

// To the host behind the port: its addresses are translated, nothing else is ours to change.
[[gnu::noinline]] void translate_only(Packet& p) noexcept {
  if (p.side == nullptr) return;
  if (p.family == 6) return translate6(p, wire::at<wire::Ipv6Header>(p.data + p.l3));
  auto* ip = wire::at<wire::Ipv4Header>(p.data + p.l3);
  const uint16_t delta = translate4(p, ip);
  ip->checksum.set_raw(sum_apply(ip->checksum.raw(), delta));
}

void forward(Packet& p, const Rewrite::Table& table, Macs& macs) noexcept {
  if (__builtin_expect(p.flags & kFlagPassThrough, 0)) return translate_only(p);
  if (p.family == 4) {
    auto* ip = wire::at<wire::Ipv4Header>(p.data + p.l3);
    const uint32_t delta = p.side != nullptr ? translate4(p, ip) : 0;
    ip->ttl--;
    ip->checksum.set_raw(sum_apply(ip->checksum.raw(), sum_fold(delta + kTtlDelta)));
  } else {
    auto* ip = wire::at<wire::Ipv6Header>(p.data + p.l3);
    if (p.side != nullptr) translate6(p, ip);
    ip->hop_limit--;
  }
  if (__builtin_expect(p.vlan_count != 0, 0)) strip_vlan(p);
  std::memcpy(p.data, macs.of(p, table), 2 * wire::kMacLength);
}

// A sum that the way out cannot carry unfinished. Large packets keep theirs: whoever cuts them
// computes every piece's. A UDP sum that the sender left out is not invented.
void finish_sum(Batch& batch, Packet& p, const Rewrite::Table& table) noexcept {
  const bool partial = (p.flags & kFlagPartialChecksum) != 0;
  const bool carried = partial && table.partial_out[p.port_out] &&
                       (p.protocol == kProtocolTcp || p.protocol == kProtocolUdp);
  if (p.gso != Gso::kNone || (carried && !(p.flags & kFlagForceComplete))) return;
  if (!partial && p.protocol == kProtocolUdp && p.l4 != 0 &&
      load16(p.data + p.l4 + wire::kUdpChecksumOffset) == 0)
    return;
  if (!complete_sum(p, *table.arena)) return batch.drop(p, Drop::kBadPartialChecksum);
  p.flags &= static_cast<uint16_t>(~kFlagsSum);
  batch.counters->add(Counter::kChecksumCompleted);
}

}  // namespace

void Rewrite::run(Batch& batch, const Table& table, State&) noexcept {
  Macs macs;
  uint32_t errors = 0;
  for (uint32_t i = 0; i < batch.live_count; ++i) {
    Packet& p = batch.packets[batch.live[i]];
    if (!(p.flags & kFlagsUntouched) && p.family != 0) {
      errors += p.kind == Kind::kIcmpError && p.side != nullptr;
      forward(p, table, macs);
    }
    if (__builtin_expect(p.flags & kFlagsSum, 0)) finish_sum(batch, p, table);
  }
  batch.counters->add(Counter::kIcmpErrorTranslated, errors);
}

}  // namespace nodeplane
