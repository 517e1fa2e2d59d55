#include "stage/output/segment.h"

#include <cstring>

#include "base/sum.h"
#include "kernel/kernels.h"
#include "packet/chain.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/tcp.h"
#include "wire/udp.h"

namespace nodeplane {
namespace {

constexpr uint8_t kTcpCwr = 0x80;  // RFC 3168 section 6.1.2

// How a large packet falls apart.
struct Cut {
  uint32_t headers;  // Ethernet, IP and transport
  uint32_t payload;
  uint32_t pieces;
};

bool plan(const Output::Table& table, const Output::State& state, const Packet& p,
          Cut* cut) noexcept {
  const bool tcp = p.gso != Gso::kUdp;
  const size_t least = tcp ? wire::kTcpHeaderMin : wire::kUdpHeaderLength;
  if (p.gso_size == 0 || p.l4 <= p.l3 || p.l4 + least > p.linear) return false;
  if (p.protocol != (tcp ? kProtocolTcp : kProtocolUdp)) return false;
  cut->headers =
      p.l4 + static_cast<uint32_t>(tcp ? wire::at<wire::TcpHeader>(p.data + p.l4)->header_length()
                                       : least);
  if (cut->headers < p.l4 + least || cut->headers > p.linear) return false;
  cut->payload = p.length - cut->headers;
  cut->pieces = cut->payload == 0 ? 1 : (cut->payload + p.gso_size - 1) / p.gso_size;
  return cut->headers + p.gso_size + kFrameHeadroom <= table.arena->frame_size() &&
         cut->pieces <= kSegmentsMax && state.segment_count + cut->pieces <= kSegmentsBatchMax;
}

// The network header of piece `i`; gives the pseudo-header's address sum.
uint32_t mend_network(const Packet& piece, uint32_t i) noexcept {
  uint8_t* const l3 = piece.data + piece.l3;
  const uint32_t bytes = piece.length - piece.l3;
  if (piece.family == 6) {
    auto* ip = wire::at<wire::Ipv6Header>(l3);
    ip->payload_length.set(static_cast<uint16_t>(bytes - sizeof *ip));
    return sum_words(ip->src) + sum_words(ip->dst);
  }
  auto* ip = wire::at<wire::Ipv4Header>(l3);
  ip->total_length.set(static_cast<uint16_t>(bytes));
  ip->id.set(static_cast<uint16_t>(ip->id.host() + i));
  ip->checksum.set_raw(0);
  ip->checksum.set_raw(inverted(kernels().checksum(l3, ip->header_length())));
  return sum_words(ip->src.raw()) + sum_words(ip->dst.raw());
}

// FIN and PSH belong to the last byte, CWR to the first.
void mend_tcp(wire::TcpHeader* tcp, uint32_t offset, bool first, bool last) noexcept {
  tcp->sequence.set(tcp->sequence.host() + offset);
  if (!last) tcp->flags &= static_cast<uint8_t>(~(kTcpFin | kTcpPsh));
  if (!first) tcp->flags &= static_cast<uint8_t>(~kTcpCwr);
}

// The transport sum from scratch. `addresses` is the pseudo-header's share.
uint16_t transport_sum(const Packet& piece, uint32_t addresses) noexcept {
  const uint32_t bytes = piece.length - piece.l4;
  const uint64_t sum = uint64_t{addresses} + swap16(piece.protocol) + sum_words(swap32(bytes)) +
                       kernels().checksum(piece.data + piece.l4, bytes);
  return inverted(sum_fold(sum));
}

void mend(const Packet& whole, const Packet& piece, const Cut& cut, uint32_t i) noexcept {
  const uint32_t addresses = mend_network(piece, i);
  uint8_t* const l4 = piece.data + piece.l4;
  if (whole.gso != Gso::kUdp) {
    auto* tcp = wire::at<wire::TcpHeader>(l4);
    mend_tcp(tcp, i * whole.gso_size, i == 0, i + 1 == cut.pieces);
    tcp->checksum.set_raw(0);
    tcp->checksum.set_raw(transport_sum(piece, addresses));
    return;
  }
  auto* udp = wire::at<wire::UdpHeader>(l4);
  const bool none = udp->checksum.raw() == 0 && !(whole.flags & kFlagPartialChecksum);
  udp->length.set(static_cast<uint16_t>(piece.length - piece.l4));
  udp->checksum.set_raw(0);
  if (none) return;
  const uint16_t sum = transport_sum(piece, addresses);
  udp->checksum.set_raw(sum == 0 ? 0xffff : sum);
}

Drop fill(Batch& batch, const Output::Table& table, const Packet& whole, const Cut& cut, uint32_t i,
          Chain& payload, Packet& piece) noexcept {
  const uint32_t frame = batch.frames->take();
  if (frame == kFrameNone) return Drop::kNoFrame;
  const uint32_t offset = i * whole.gso_size;
  const uint32_t bytes = std::min<uint32_t>(whole.gso_size, cut.payload - offset);
  piece = whole;
  piece.frame = frame;
  piece.data = table.arena->at(frame) + kFrameHeadroom;
  piece.length = cut.headers + bytes;
  piece.linear = static_cast<uint16_t>(piece.length);
  piece.ip_length = static_cast<uint16_t>(piece.length - piece.l3);
  piece.gso = Gso::kNone;
  piece.gso_size = 0;
  piece.flags &= static_cast<uint16_t>(~(kFlagPartialChecksum | kFlagForceComplete));
  piece.verdict = Verdict::kSent;
  std::memcpy(piece.data, whole.data, cut.headers);
  if (!payload.copy(piece.data + cut.headers, bytes)) {
    batch.frames->give(frame);
    return Drop::kSegmentFailed;
  }
  mend(whole, piece, cut, i);
  return Drop::kNone;
}

}  // namespace

Drop segment(Batch& batch, const Output::Table& table, Output::State& state, Packet& p) noexcept {
  Cut cut;
  if (!plan(table, state, p, &cut)) return Drop::kSegmentFailed;
  Output::List& list = state.lists[p.port_out];
  if (list.count + cut.pieces > Output::kListRoom) return Drop::kSegmentFailed;
  Packet* const pieces = state.segments + state.segment_count;
  Chain payload(*table.arena, p, cut.headers);
  for (uint32_t i = 0; i < cut.pieces; ++i) {
    const Drop why = fill(batch, table, p, cut, i, payload, pieces[i]);
    if (why == Drop::kNone) continue;
    while (i-- > 0) batch.frames->give(pieces[i].frame);
    return why;
  }
  for (uint32_t i = 0; i < cut.pieces; ++i) list.packets[list.count++] = &pieces[i];
  state.segment_count += cut.pieces;
  batch.counters->add(Counter::kOriginated, cut.pieces);
  batch.counters->add(Counter::kSegmented, cut.pieces);
  return Drop::kNone;
}

}  // namespace nodeplane
