#include "peer/load.h"

#include <cstring>

#include "base/sum.h"
#include "kernel/kernels.h"
#include "packet/place.h"
#include "peer/mark.h"
#include "wire/eth.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/tcp.h"
#include "wire/udp.h"

namespace nodeplane {

namespace {

constexpr uint32_t kLine = 64;
constexpr uint32_t kSlack = 2 * kLine;  // whole lines are copied, marks write 7 bytes further
constexpr uint32_t kL3 = sizeof(wire::EthHeader);
constexpr uint32_t kFlowsMax = 1u << 30;
constexpr uint32_t kRawBytesMax = 65536 + 256;

bool is_sensible(const LoadSpec& s, std::string* error) {
  const auto wrong = [error](std::string why) {
    *error = std::move(why);
    return false;
  };
  if (!s.raw.empty()) {
    for (const auto& packet : s.raw)
      if (packet.empty() || packet.size() > kRawBytesMax)
        return wrong("packets have 1 to " + std::to_string(kRawBytesMax) + " bytes");
    return true;
  }
  const LaySpec& p = s.packet;
  if (p.family != 4 && p.family != 6) return wrong("family is 4 or 6");
  if (p.protocol != kProtocolTcp && p.protocol != kProtocolUdp)
    return wrong("protocol is 6 (TCP) or 17 (UDP)");
  const size_t least = lay_headers(p.family, p.protocol) + (s.marked ? kMarkBytes : 0);
  if (lay_bytes(p) < least || lay_bytes(p) < kLayBytesMin || lay_bytes(p) > kLayBytesMax)
    return wrong("such packets have " + std::to_string(std::max<size_t>(least, kLayBytesMin)) +
                 " to " + std::to_string(kLayBytesMax) + " bytes");
  if (s.flows == 0 || s.flows > kFlowsMax || s.first_flow > kFlowsMax)
    return wrong("flows are 1 to " + std::to_string(kFlowsMax));
  if (s.services.empty()) return wrong("a load needs a service to go to");
  return true;
}

uint32_t address_sum(const IpAddress& a, uint8_t family) {
  return kernels().checksum(a.bytes, family == 4 ? 4 : 16);
}

}  // namespace

std::unique_ptr<Load> Load::create(LoadSpec spec, const FrameArena& arena, std::string* error) {
  if (!is_sensible(spec, error)) return nullptr;
  return std::unique_ptr<Load>(new Load(std::move(spec), arena));
}

Load::Load(LoadSpec spec, const FrameArena& arena) : arena_(arena), spec_(std::move(spec)) {
  laid_.assign(arena.count(), 0);
  if (!spec_.raw.empty()) return;
  const LaySpec& packet = spec_.packet;
  const bool v4 = packet.family == 4;
  const bool tcp = packet.protocol == kProtocolTcp;
  bytes_ = static_cast<uint32_t>(lay_bytes(packet));
  linear_ = std::min(bytes_, first_room(arena));
  headers_ = static_cast<uint32_t>(lay_headers(packet.family, packet.protocol));
  head_ = headers_ <= kLine ? kLine : 2 * kLine;
  model_.assign(bytes_ + kSlack, 0);
  scratch_.assign(bytes_ + kSlack, 0);
  lay_packet(model_.data(), packet);
  uint8_t* l3 = model_.data() + kL3;
  uint8_t* l4 = l3 + (v4 ? sizeof(wire::Ipv4Header) : sizeof(wire::Ipv6Header));
  if (v4) {
    auto* ip = wire::at<wire::Ipv4Header>(l3);
    ip->checksum.set_raw(0);
    ip->src.set_raw(0);
    ip->dst.set_raw(0);
    l3_sum_ = kernels().checksum(l3, sizeof *ip);
  } else {
    std::memset(wire::at<wire::Ipv6Header>(l3)->dst, 0, 16);
    std::memset(wire::at<wire::Ipv6Header>(l3)->src + 12, 0, 4);
    l4_sum_ = kernels().checksum(wire::at<wire::Ipv6Header>(l3)->src, 16);
  }
  std::memset(l4, 0, 4);  // both ports
  (tcp ? wire::at<wire::TcpHeader>(l4)->checksum : wire::at<wire::UdpHeader>(l4)->checksum)
      .set_raw(0);
  const auto l4_bytes = static_cast<uint32_t>(model_.data() + bytes_ - l4);
  l4_sum_ += uint32_t{swap16(packet.protocol)} + swap16(static_cast<uint16_t>(l4_bytes)) +
             kernels().checksum(l4, l4_bytes);
  for (const LoadSpec::Service& s : spec_.services) {
    const uint32_t sum = address_sum(s.address, packet.family);
    services_.push_back({s.address, s.be_port, sum, sum + s.be_port});
  }
}

Load::Cursor Load::share(uint32_t index, uint32_t shares) const noexcept {
  if (!spec_.raw.empty()) return {0, index == 0 ? 1u : 0u, 0, 0, 0};
  const auto bound = [&](uint32_t i) {
    return static_cast<uint32_t>(uint64_t{spec_.flows} * i / shares);
  };
  Cursor c;
  c.first = bound(index);
  c.count = bound(index + 1) - c.first;
  c.service = c.first % static_cast<uint32_t>(services_.size());
  return c;
}

bool Load::lay_raw(Cursor& cursor, Packet& p, FrameCache& frames) noexcept {
  const std::vector<uint8_t>& bytes = spec_.raw[cursor.at];
  if (!place_bytes(p, frames, bytes.data(), static_cast<uint32_t>(bytes.size()))) return false;
  if (++cursor.at == spec_.raw.size()) cursor.at = 0;
  return true;
}

// The frames behind the first.
bool Load::lay_rest(Packet& p, FrameCache& frames, const uint8_t* from, bool always) noexcept {
  uint32_t last = p.frame;
  uint8_t piece = 1;
  for (uint32_t done = linear_; done < bytes_; ++piece) {
    const uint32_t frame = frames.take();
    if (frame == kFrameNone) return false;
    const uint32_t n = std::min(bytes_ - done, arena_.frame_size());
    const auto tag = static_cast<uint8_t>(piece + 1);
    if (always || laid_[frame] != tag) std::memcpy(arena_.at(frame), from + done, n);
    laid_[frame] = always ? 0 : tag;
    arena_.link(frame).length = static_cast<uint16_t>(n);
    arena_.link(last).next = frame;
    last = frame;
    done += n;
  }
  return true;
}

// Addresses, ports and sums. `sum`: what the payload adds to the model's.
void Load::lay_head(uint8_t* data, uint32_t flow, const Service& service, uint64_t sum) noexcept {
  const uint16_t sport = swap16(lay_port(flow));
  uint8_t* l3 = data + kL3;
  uint8_t* l4;
  sum += l4_sum_ + service.l4_sum + sport;
  if (spec_.packet.family == 4) {
    auto* ip = wire::at<wire::Ipv4Header>(l3);
    const uint32_t source = swap32(kLayNet4 + lay_host(flow));
    ip->src.set_raw(source);
    ip->dst.set_raw(service.address.v4());
    ip->checksum.set_raw(inverted(sum_fold(l3_sum_ + service.l3_sum + source)));
    sum += source;
    l4 = l3 + sizeof *ip;
  } else {
    auto* ip = wire::at<wire::Ipv6Header>(l3);
    const uint32_t host = swap32(lay_host(flow));
    std::memcpy(ip->src + 12, &host, 4);
    std::memcpy(ip->dst, service.address.bytes, 16);
    sum += host;
    l4 = l3 + sizeof *ip;
  }
  const uint16_t check = inverted(sum_fold(sum));
  if (spec_.packet.protocol == kProtocolTcp) {
    auto* tcp = wire::at<wire::TcpHeader>(l4);
    tcp->sport.set_raw(sport);
    tcp->dport.set_raw(service.be_port);
    tcp->checksum.set_raw(check);
  } else {
    auto* udp = wire::at<wire::UdpHeader>(l4);
    udp->sport.set_raw(sport);
    udp->dport.set_raw(service.be_port);
    udp->checksum.set_raw(check == 0 ? 0xffff : check);
  }
}

bool Load::lay(Cursor& cursor, Packet& p, FrameCache& frames) noexcept {
  if (!spec_.raw.empty()) return lay_raw(cursor, p, frames);
  p.frame = frames.take();
  if (p.frame == kFrameNone) return false;
  const uint32_t flow = spec_.first_flow + cursor.first + cursor.at;
  const Service& service = services_[cursor.service];
  uint8_t* data = arena_.at(p.frame) + kFrameHeadroom;
  p.data = data;
  p.length = bytes_;
  p.linear = static_cast<uint16_t>(linear_);
  if (!spec_.marked) {
    if (__builtin_expect(laid_[p.frame] != 1, 0)) {
      std::memcpy(data, model_.data(), linear_);
      laid_[p.frame] = 1;
    }
    std::memcpy(data, model_.data(), kLine);
    if (head_ > kLine) std::memcpy(data + kLine, model_.data() + kLine, kLine);
    lay_head(data, flow, service, 0);
    if (linear_ != bytes_ && !lay_rest(p, frames, model_.data(), false)) {
      frames.give_chain(p.frame);
      return false;
    }
  } else {
    const uint64_t mark = mark_of(flow, cursor.sequence);
    const bool fits = bytes_ + kSlack <= first_room(arena_);
    uint8_t* to = fits ? data : scratch_.data();
    std::memcpy(to, model_.data(), kLine);
    if (head_ > kLine) std::memcpy(to + kLine, model_.data() + kLine, kLine);
    lay_head(to, flow, service, mark_lay(to + headers_, bytes_ - headers_, mark));
    if (!fits) {
      std::memcpy(data, to, linear_);
      if (!lay_rest(p, frames, to, true)) {
        frames.give_chain(p.frame);
        return false;
      }
    }
  }
  if (++cursor.service == services_.size()) cursor.service = 0;
  if (++cursor.at == cursor.count) {
    cursor.at = 0;
    cursor.sequence++;
    cursor.service = cursor.first % static_cast<uint32_t>(services_.size());
  }
  return true;
}

}  // namespace nodeplane
