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
constexpr uint32_t kFlowsMax = 1u << 26;
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
  if (s.marked && s.stamped) return wrong("payloads have a sequence or a time, not both");
  const size_t own = s.marked ? kMarkBytes : s.stamped ? sizeof(Time) : 0;
  const size_t least = lay_headers(p.family, p.protocol) + own;
  if (lay_bytes(p) < least || lay_bytes(p) < kLayBytesMin || lay_bytes(p) > kLayBytesMax)
    return wrong("such packets have " + std::to_string(std::max<size_t>(least, kLayBytesMin)) +
                 " to " + std::to_string(kLayBytesMax) + " bytes");
  if (s.flows == 0 || s.flows > kFlowsMax || s.first_flow > kFlowsMax)
    return wrong("flows are 1 to " + std::to_string(kFlowsMax));
  if (s.services.empty()) return wrong("a load needs a service to go to");
  return true;
}

}  // namespace

std::unique_ptr<Load> Load::create(LoadSpec spec, const FrameArena& arena, std::string* error) {
  if (!is_sensible(spec, error)) return nullptr;
  return std::unique_ptr<Load>(new Load(std::move(spec), arena));
}

Load::Load(LoadSpec spec, const FrameArena& arena) : arena_(arena), spec_(std::move(spec)) {
  laid_.assign(arena.count(), 0);
  if (!spec_.raw.empty()) return;
  make_model();
  make_faces();
}

void Load::make_model() {
  const LaySpec& packet = spec_.packet;
  v4_ = packet.family == 4;
  tcp_ = packet.protocol == kProtocolTcp;
  bytes_ = static_cast<uint32_t>(lay_bytes(packet));
  linear_ = std::min(bytes_, first_room(arena_));
  headers_ = static_cast<uint32_t>(lay_headers(packet.family, packet.protocol));
  head_ = headers_ <= kLine ? kLine : 2 * kLine;
  model_.assign(bytes_ + kSlack, 0);
  scratch_.assign(bytes_ + kSlack, 0);
  lay_packet(model_.data(), packet);
  uint8_t* l3 = model_.data() + kL3;
  uint8_t* l4 = l3 + (v4_ ? sizeof(wire::Ipv4Header) : sizeof(wire::Ipv6Header));
  if (v4_) {
    std::memset(l3 + 10, 0, 10);  // sum, source, destination
  } else {
    std::memset(l3 + 20, 0, 20);  // the source's last 4 bytes, destination
  }
  std::memset(l4, 0, 4);  // ports
  (tcp_ ? wire::at<wire::TcpHeader>(l4)->checksum : wire::at<wire::UdpHeader>(l4)->checksum)
      .set_raw(0);
}

void Load::make_faces() {
  uint8_t* l3 = model_.data() + kL3;
  uint8_t* l4 = l3 + (v4_ ? sizeof(wire::Ipv4Header) : sizeof(wire::Ipv6Header));
  const auto l4_bytes = static_cast<uint16_t>(model_.data() + bytes_ - l4);
  // The model's addresses count by their constant part alone, its payload is zero.
  const uint64_t l3_sum = v4_ ? kernels().checksum(l3, sizeof(wire::Ipv4Header)) : 0;
  const uint64_t l4_sum = uint32_t{swap16(spec_.packet.protocol)} + swap16(l4_bytes) +
                          kernels().checksum(l4, l4_bytes) +
                          (v4_ ? 0 : kernels().checksum(l3 + 8, 16));
  const auto services = static_cast<uint32_t>(spec_.services.size());
  faces_.resize(spec_.flows);
  for (uint32_t i = 0; i < spec_.flows; ++i) {
    const uint32_t flow = spec_.first_flow + i;
    const LoadSpec::Service& service = spec_.services[i % services];
    Face& face = faces_[i];
    face.service = i % services;
    face.source = swap32((v4_ ? kLayNet4 : 0) + lay_host(flow));
    face.sport = swap16(lay_port(flow));
    const uint64_t addresses =
        uint64_t{face.source} + kernels().checksum(service.address.bytes, v4_ ? 4 : 16);
    face.l3_check = inverted(sum_fold(l3_sum + addresses));
    face.l4_sum = sum_fold(l4_sum + addresses + face.sport + service.be_port);
  }
}

Load::Cursor Load::share(uint32_t index, uint32_t shares) const noexcept {
  if (!spec_.raw.empty()) return {0, index == 0 ? 1u : 0u, 0, 0};
  const auto bound = [&](uint32_t i) {
    return static_cast<uint32_t>(uint64_t{spec_.flows} * i / shares);
  };
  Cursor c;
  c.first = bound(index);
  c.count = bound(index + 1) - c.first;
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

// Addresses, ports and sums. `l4_sum`: of everything, not inverted.
void Load::lay_head(uint8_t* data, const Face& face, uint16_t l4_sum) const noexcept {
  const LoadSpec::Service& service = spec_.services[face.service];
  uint8_t* l3 = data + kL3;
  uint8_t* l4;
  if (v4_) {
    auto* ip = wire::at<wire::Ipv4Header>(l3);
    ip->src.set_raw(face.source);
    ip->dst.set_raw(service.address.v4());
    ip->checksum.set_raw(face.l3_check);
    l4 = l3 + sizeof *ip;
  } else {
    auto* ip = wire::at<wire::Ipv6Header>(l3);
    std::memcpy(ip->src + 12, &face.source, 4);
    std::memcpy(ip->dst, service.address.bytes, 16);
    l4 = l3 + sizeof *ip;
  }
  const uint16_t check = inverted(l4_sum);
  if (tcp_) {
    auto* tcp = wire::at<wire::TcpHeader>(l4);
    tcp->sport.set_raw(face.sport);
    tcp->dport.set_raw(service.be_port);
    tcp->checksum.set_raw(check);
  } else {
    auto* udp = wire::at<wire::UdpHeader>(l4);
    udp->sport.set_raw(face.sport);
    udp->dport.set_raw(service.be_port);
    udp->checksum.set_raw(check == 0 ? 0xffff : check);
  }
}

bool Load::lay_marked(Packet& p, FrameCache& frames, const Face& face, uint64_t mark) noexcept {
  const bool fits = bytes_ + kSlack <= first_room(arena_);
  uint8_t* to = fits ? p.data : scratch_.data();
  std::memcpy(to, model_.data(), kLine);
  if (head_ > kLine) std::memcpy(to + kLine, model_.data() + kLine, kLine);
  const uint64_t payload = mark_lay(to + headers_, bytes_ - headers_, mark);
  lay_head(to, face, sum_fold(face.l4_sum + payload));
  if (fits) return true;
  std::memcpy(p.data, to, linear_);
  return lay_rest(p, frames, to, true);
}

bool Load::lay(Cursor& cursor, Packet& p, FrameCache& frames, Time stamp) noexcept {
  if (__builtin_expect(bytes_ == 0, 0)) return lay_raw(cursor, p, frames);
  p.frame = frames.take();
  if (__builtin_expect(p.frame == kFrameNone, 0)) return false;
  const uint32_t flow = cursor.first + cursor.at;
  const Face& face = faces_[flow];
  uint8_t* data = arena_.at(p.frame) + kFrameHeadroom;
  p.data = data;
  p.length = bytes_;
  p.linear = static_cast<uint16_t>(linear_);
  bool is_laid = true;
  if (spec_.marked) {
    is_laid = lay_marked(p, frames, face, mark_of(spec_.first_flow + flow, cursor.sequence));
  } else {
    if (__builtin_expect(laid_[p.frame] != 1, 0)) {
      std::memcpy(data, model_.data(), linear_);
      laid_[p.frame] = 1;
    }
    std::memcpy(data, model_.data(), kLine);
    if (head_ > kLine) std::memcpy(data + kLine, model_.data() + kLine, kLine);
    uint16_t l4_sum = face.l4_sum;
    if (spec_.stamped) {
      std::memcpy(data + headers_, &stamp, sizeof stamp);
      l4_sum = sum_fold(l4_sum + mark_sum(stamp));
    }
    lay_head(data, face, l4_sum);
    if (linear_ != bytes_) is_laid = lay_rest(p, frames, model_.data(), false);
  }
  if (!is_laid) {
    frames.give_chain(p.frame);
    return false;
  }
  if (++cursor.at == cursor.count) {
    cursor.at = 0;
    cursor.sequence++;
  }
  return true;
}

}  // namespace nodeplane
