#include "peer/check.h"

#include <cstring>

#include "base/sum.h"
#include "kernel/kernels.h"
#include "packet/chain.h"
#include "peer/mark.h"
#include "wire/eth.h"
#include "wire/icmp.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/tcp.h"
#include "wire/udp.h"

namespace nodeplane {

namespace {

constexpr uint32_t kL3 = sizeof(wire::EthHeader);
constexpr uint16_t kRight = 0xffff;

// Of a header: n is a multiple of 4, and small.
uint64_t header_sum(const uint8_t* p, uint32_t n) noexcept {
  uint64_t sum = 0;
  for (uint32_t at = 0; at < n; at += 4) {
    uint32_t word;
    std::memcpy(&word, p + at, 4);
    sum += word;
  }
  return sum;
}

uint32_t l4_header_least(uint8_t protocol) noexcept {
  switch (protocol) {
    case kProtocolTcp:
      return sizeof(wire::TcpHeader);
    case kProtocolUdp:
      return sizeof(wire::UdpHeader);
    case kProtocolIcmp:
    case kProtocolIcmp6:
      return sizeof(wire::IcmpHeader);
    default:
      return 0;
  }
}

uint64_t pseudo_sum(const uint8_t* l3, const Sums& s) noexcept {
  if (s.protocol == kProtocolIcmp) return 0;
  const uint64_t sum = uint32_t{swap16(s.protocol)} + swap16(static_cast<uint16_t>(s.l4_bytes));
  return sum + (s.family == 4 ? header_sum(l3 + 12, 8) : header_sum(l3 + 8, 32));
}

}  // namespace

Sums read_headers(const Packet& p) noexcept {
  Sums s{};
  const auto* eth = wire::check_eth(p.data, p.linear);
  if (eth == nullptr) return s;
  const uint8_t* l3 = p.data + kL3;
  const uint32_t linear = p.linear - kL3, length = p.length - kL3;
  s.l3 = kL3;
  uint32_t ip_bytes = 0, header = 0;
  if (eth->type.host() == wire::kEthertypeIpv4) {
    const auto* ip = wire::check_ipv4(l3, linear);
    if (ip == nullptr || ip->version() != 4) return s;
    header = static_cast<uint32_t>(ip->header_length());
    if (ip->ihl() < 5 || header > linear || ip->is_fragment()) return s;
    ip_bytes = ip->total_length.host();
    s.family = 4;
    s.protocol = ip->protocol;
    s.is_whole = sum_fold(header_sum(l3, header)) == kRight;
  } else if (eth->type.host() == wire::kEthertypeIpv6) {
    const auto* ip = wire::check_ipv6(l3, linear);
    if (ip == nullptr || ip->version() != 6) return s;
    header = sizeof *ip;
    ip_bytes = header + ip->payload_length.host();
    s.family = 6;
    s.protocol = ip->next_header;
    s.is_whole = true;
  } else {
    return s;
  }
  const uint32_t least = l4_header_least(s.protocol);
  if (least == 0) s.protocol = 0;
  s.l4 = static_cast<uint16_t>(kL3 + header);
  s.is_whole =
      s.is_whole && ip_bytes <= length && ip_bytes >= header + least && linear >= header + least;
  if (s.is_whole) s.l4_bytes = ip_bytes - header;
  return s;
}

uint16_t l4_sum(const FrameArena& arena, const Packet& p, const Sums& s) noexcept {
  uint64_t sum = pseudo_sum(p.data + s.l3, s);
  if (s.l4 + s.l4_bytes <= p.linear)
    return sum_fold(sum + kernels().checksum(p.data + s.l4, s.l4_bytes));
  Chain bytes(arena, p, s.l4);
  // A piece that begins at an odd byte adds its sum with the bytes swapped (RFC 1071 section 2 B).
  for (uint32_t done = 0; done < s.l4_bytes;) {
    const Chain::Run run = bytes.next(s.l4_bytes - done);
    if (run.bytes == 0) return 0;  // wrong, whatever it is
    const uint16_t part = kernels().checksum(run.at, run.bytes);
    sum += done % 2 == 0 ? part : swap16(part);
    done += run.bytes;
  }
  return sum_fold(sum);
}

Finding Check::see(const FrameArena& arena, const Packet& p, uint64_t* missing) noexcept {
  *missing = 0;
  const Sums s = read_headers(p);
  if (s.family == 0) return Finding::kStrange;
  const bool is_load = s.protocol == kProtocolTcp || s.protocol == kProtocolUdp;
  if (!s.is_whole) return Finding::kCorrupt;
  if (!is_load) return Finding::kStrange;
  const uint8_t* l4 = p.data + s.l4;
  uint32_t header = sizeof(wire::UdpHeader);
  if (s.protocol == kProtocolTcp) {
    header = static_cast<uint32_t>(wire::at<wire::TcpHeader>(l4)->header_length());
    if (header < sizeof(wire::TcpHeader)) return Finding::kCorrupt;
  } else if (wire::at<wire::UdpHeader>(l4)->length.host() != s.l4_bytes) {
    return Finding::kCorrupt;
  }
  if (header + kMarkBytes > s.l4_bytes) return Finding::kStrange;
  const uint8_t* payload = l4 + header;
  const uint32_t n = s.l4_bytes - header;
  const bool is_linear = s.l4 + s.l4_bytes <= p.linear;
  if (s.l4 + header > p.linear) return Finding::kStrange;
  if (!is_linear) {
    Chain(arena, p, s.l4 + header).copy(scratch_, n);
    payload = scratch_;
  }
  uint64_t mark, sum;
  if (!mark_check(payload, n, &mark, &sum)) return Finding::kCorrupt;
  // The payload's sum is known; the headers' are read where they lie.
  sum += pseudo_sum(p.data + s.l3, s) + header_sum(l4, header);
  if (sum_fold(sum) != kRight) return Finding::kCorrupt;
  const uint32_t flow = mark_flow(mark) - first_;
  if (flow >= seen_.size()) return Finding::kStrange;
  return note(seen_[flow], mark_sequence(mark), missing);
}

Finding Check::note(Seen& seen, uint32_t sequence, uint64_t* missing) noexcept {
  const auto ahead = static_cast<int32_t>(sequence - seen.next);
  if (ahead >= 0) {
    *missing = static_cast<uint64_t>(ahead);
    const uint32_t by = static_cast<uint32_t>(ahead) + 1;
    seen.window = by >= kCheckWindow ? 1 : seen.window << by | 1;
    seen.next = sequence + 1;
    return Finding::kGood;
  }
  const uint32_t back = seen.next - 1 - sequence;
  if (back >= kCheckWindow || (seen.window >> back & 1) != 0) return Finding::kDuplicate;
  seen.window |= uint64_t{1} << back;
  return Finding::kLate;
}

}  // namespace nodeplane
