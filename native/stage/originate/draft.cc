#include "base/sum.h"
#include "kernel/kernels.h"
#include "stage/originate/parts.h"
#include "table/flow.h"
#include "wire/vlan.h"

namespace nodeplane::originating {

Draft::Draft(Context& context, uint16_t port) noexcept : context_(context) {
  Batch& batch = context.batch;
  if (batch.count == kBatchRoom) {
    batch.not_made(Drop::kOriginateFull);
    return;
  }
  const uint32_t frame = batch.frames->take();
  if (frame == kFrameNone) {
    batch.not_made(Drop::kNoFrame);
    return;
  }
  Packet& p = batch.packets[batch.count];
  p = Packet{};
  p.frame = last_ = frame;
  p.data = context.table.arena->at(frame) + kFrameHeadroom;
  p.flags = kFlagOurs;
  p.port_in = kPortNone;
  p.port_out = port;
  p.network = context.table.ports[port].network;
  p.record = kRecordNone;
  p.next_hop = kNextHopNone;
  room_ = context.table.arena->frame_size() - kFrameHeadroom;
  packet_ = &p;
}

Draft::~Draft() {
  if (packet_ != nullptr && !sent_) context_.batch.frames->give_chain(packet_->frame);
}

uint8_t* Draft::add(uint32_t bytes) noexcept {
  uint8_t* const at = packet_->data + packet_->linear;
  std::memset(at, 0, bytes);
  packet_->linear += static_cast<uint16_t>(bytes);
  packet_->length += bytes;
  room_ -= bytes;
  return at;
}

bool Draft::extend() noexcept {
  const uint32_t frame = context_.batch.frames->take();
  if (frame == kFrameNone) {
    context_.batch.not_made(Drop::kNoFrame);
    return false;
  }
  context_.table.arena->link(last_).next = frame;
  last_ = frame;
  return true;
}

bool Draft::copy(Chain from, uint32_t bytes) noexcept {
  FrameArena& arena = *context_.table.arena;
  while (bytes != 0) {
    const bool first = last_ == packet_->frame;
    FrameLink& link = arena.link(last_);
    const uint32_t room = first ? room_ : arena.frame_size() - link.length;
    if (room == 0) {
      if (!extend()) return false;
      continue;
    }
    uint8_t* const to = first ? packet_->data + packet_->linear : arena.at(last_) + link.length;
    const uint32_t part = bytes < room ? bytes : room;
    if (!from.copy(to, part)) return false;
    packet_->length += part;
    bytes -= part;
    if (first) {
      packet_->linear += static_cast<uint16_t>(part);
      room_ -= part;
    } else {
      link.length += static_cast<uint16_t>(part);
    }
  }
  return true;
}

uint16_t Draft::sum_from(const uint8_t* at) const noexcept {
  return kernels().checksum(at, static_cast<size_t>(packet_->data + packet_->linear - at));
}

void Draft::send() noexcept {
  Batch& batch = context_.batch;
  batch.live[batch.live_count++] = static_cast<uint16_t>(batch.count++);
  batch.counters->add(Counter::kOriginated);
  sent_ = true;
}

void add_ethernet(Draft& draft, const uint8_t* dst, const uint8_t* src, uint16_t type) noexcept {
  auto* eth = wire::at<wire::EthHeader>(draft.add(sizeof(wire::EthHeader)));
  std::memcpy(eth->dst, dst, wire::kMacLength);
  std::memcpy(eth->src, src, wire::kMacLength);
  eth->type.set(type);
}

wire::EthHeader* add_ethernet_back(Draft& draft, const Packet& asked,
                                   const uint8_t* own_mac) noexcept {
  const auto* came = wire::at<wire::EthHeader>(static_cast<const uint8_t*>(asked.data));
  const auto bytes =
      static_cast<uint32_t>(sizeof(wire::EthHeader) + asked.vlan_count * sizeof(wire::VlanTag));
  auto* eth = wire::at<wire::EthHeader>(draft.add(bytes));
  std::memcpy(eth, came, bytes);
  std::memcpy(eth->dst, came->src, wire::kMacLength);
  std::memcpy(eth->src, own_mac, wire::kMacLength);
  return eth;
}

// Never fragmented, so its identification need not be unique (RFC 6864 section 4.1).
wire::Ipv4Header* add_ipv4(Draft& draft, uint32_t src, uint32_t dst, uint8_t protocol,
                           uint32_t payload, uint8_t tos) noexcept {
  auto* ip = wire::at<wire::Ipv4Header>(draft.add(sizeof(wire::Ipv4Header)));
  ip->version_ihl = 0x45;
  ip->tos = tos;
  ip->total_length.set(static_cast<uint16_t>(sizeof *ip + payload));
  ip->fragment.set(wire::kIpv4DontFragment);
  ip->ttl = kTtl;
  ip->protocol = protocol;
  ip->src.set_raw(src);
  ip->dst.set_raw(dst);
  ip->checksum.set_raw(inverted(draft.sum_from(reinterpret_cast<const uint8_t*>(ip))));
  return ip;
}

wire::Ipv6Header* add_ipv6(Draft& draft, const uint8_t* src, const uint8_t* dst, uint8_t protocol,
                           uint32_t payload, uint8_t hop_limit) noexcept {
  auto* ip = wire::at<wire::Ipv6Header>(draft.add(sizeof(wire::Ipv6Header)));
  ip->set_version();
  ip->payload_length.set(static_cast<uint16_t>(payload));
  ip->next_header = protocol;
  ip->hop_limit = hop_limit;
  std::memcpy(ip->src, src, 16);
  std::memcpy(ip->dst, dst, 16);
  return ip;
}

uint32_t pseudo_sum4(uint32_t src, uint32_t dst, uint8_t protocol, uint32_t bytes) noexcept {
  return sum_words(src) + sum_words(dst) + swap16(protocol) + sum_words(swap32(bytes));
}
uint32_t pseudo_sum6(const wire::Ipv6Header& ip, uint8_t protocol, uint32_t bytes) noexcept {
  return sum_words(ip.src) + sum_words(ip.dst) + swap16(protocol) + sum_words(swap32(bytes));
}

}  // namespace nodeplane::originating
