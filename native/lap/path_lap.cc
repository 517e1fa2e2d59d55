#include "lap/path_lap.h"

#include <chrono>
#include <cstring>

#include "base/memory.h"
#include "base/sum.h"
#include "kernel/kernels.h"
#include "wire/eth.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/tcp.h"

namespace nodeplane {

namespace {

constexpr uint16_t kClientPort = 0;
constexpr uint16_t kEndpointPort = 1;
constexpr uint32_t kFloorDistance = 32;  // lines in flight

Time clock_ns() {
  using namespace std::chrono;
  return static_cast<Time>(
      duration_cast<nanoseconds>(steady_clock::now().time_since_epoch()).count());
}

// Sums from scratch; laying packets is not timed.
void finish_sums(uint8_t* l3, uint8_t family, size_t l4_bytes) {
  uint8_t* l4 = l3 + (family == 4 ? 20 : 40);
  uint32_t pseudo = uint32_t{swap16(kProtocolTcp)} + swap16(static_cast<uint16_t>(l4_bytes));
  if (family == 4) {
    auto* ip = wire::at<wire::Ipv4Header>(l3);
    ip->checksum.set_raw(0);
    ip->checksum.set_raw(inverted(kernels().checksum(l3, 20)));
    pseudo += kernels().checksum(l3 + 12, 8);
  } else {
    pseudo += kernels().checksum(l3 + 8, 32);
  }
  auto* tcp = wire::at<wire::TcpHeader>(l4);
  tcp->checksum.set_raw(0);
  tcp->checksum.set_raw(inverted(sum_fold(uint64_t{pseudo} + kernels().checksum(l4, l4_bytes))));
}

size_t l3_bytes(uint8_t family) { return family == 4 ? kLapPacketBytes - 14 : 60; }

}  // namespace

uint64_t PathLap::random() noexcept {  // splitmix64 (Steele, Lea, Flood 2014)
  uint64_t z = (seed_ += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

std::unique_ptr<PathLap> PathLap::create(Plane& plane, uint8_t family, uint32_t flows,
                                         std::vector<Service> services, std::string* error) {
  if (!plane.tables() || plane.running() || plane.port_count() < 2 || services.empty()) {
    *error = "a lap needs two ports, a service, published tables and no running workers";
    return nullptr;
  }
  std::unique_ptr<PathLap> lap(new PathLap);
  lap->plane_ = &plane;
  lap->family_ = family;
  lap->services_ = std::move(services);
  lap->cache_ = std::make_unique<FrameCache>(plane.arena());
  lap->batch_ = std::make_unique<Batch>();
  lap->states_ = std::make_unique<States>();
  lap->counters_ = std::make_unique<Counters>();
  lap->batch_->frames = lap->cache_.get();
  lap->batch_->counters = lap->counters_.get();
  lap->clock_ = time_now();
  for (uint32_t i = 0; i < kLapFrames; ++i) {
    const uint32_t frame = lap->cache_->take();
    if (frame == kFrameNone) {
      *error = "a lap needs " + std::to_string(kLapFrames) + " frames";
      return nullptr;
    }
    lap->frames_.push_back(frame);
  }
  if (!lap->open_flows(flows, error)) return nullptr;
  lap->floor_bytes_ = family == 4 ? plane.flows4().bytes() : plane.flows6().bytes();
  bool huge = false;
  lap->floor_ = static_cast<uint8_t*>(memory_map(lap->floor_bytes_, plane.options().huge, &huge));
  if (lap->floor_) std::memset(lap->floor_, 1, lap->floor_bytes_);
  return lap;
}

PathLap::~PathLap() {
  for (const uint32_t f : frames_) cache_->give(f);
  if (floor_) memory_unmap(floor_, floor_bytes_);
}

// Client side packet of flow number `flow`: its address and port follow from the number.
void PathLap::lay(uint32_t frame, uint32_t flow, uint8_t tcp_flags) noexcept {
  uint8_t* data = plane_->arena().at(frame) + kFrameHeadroom;
  std::memset(data, 0, 14 + l3_bytes(family_));
  auto* eth = wire::at<wire::EthHeader>(data);
  std::memcpy(eth->dst, plane_->tables()->parse.ports[kClientPort].mac, 6);
  eth->src[0] = 0x02;
  eth->type.set(family_ == 4 ? wire::kEthertypeIpv4 : wire::kEthertypeIpv6);
  uint8_t* l3 = data + 14;
  const Service& service = services_[flow % services_.size()];
  const uint32_t host = flow / kLapFlowsPerAddress;
  const size_t l4_bytes = l3_bytes(family_) - (family_ == 4 ? 20 : 40);
  uint8_t* l4;
  if (family_ == 4) {
    auto* ip = wire::at<wire::Ipv4Header>(l3);
    ip->version_ihl = 0x45;
    ip->total_length.set(static_cast<uint16_t>(l3_bytes(4)));
    ip->fragment.set(wire::kIpv4DontFragment);
    ip->ttl = 64;
    ip->protocol = kProtocolTcp;
    ip->src.set(0xac100001 + host);  // 172.16.0.1 and on
    ip->dst.set_raw(service.address.v4());
    l4 = l3 + 20;
  } else {
    auto* ip = wire::at<wire::Ipv6Header>(l3);
    l3[0] = 0x60;
    ip->payload_length.set(static_cast<uint16_t>(l4_bytes));
    ip->next_header = kProtocolTcp;
    ip->hop_limit = 64;
    uint8_t src[16] = {0xfd, 0, 0, 0x0c};  // fd00:c::1 and on
    const uint32_t low = swap32(host + 1);
    std::memcpy(src + 12, &low, 4);
    std::memcpy(l3 + 8, src, 16);
    std::memcpy(l3 + 24, service.address.bytes, 16);
    l4 = l3 + 40;
  }
  auto* tcp = wire::at<wire::TcpHeader>(l4);
  tcp->sport.set(static_cast<uint16_t>(kLapPortFirst + flow % kLapFlowsPerAddress));
  tcp->dport.set_raw(service.be_port);
  tcp->sequence.set(flow);
  tcp->set_data_offset(5);
  tcp->flags = tcp_flags;
  finish_sums(l3, family_, l4_bytes);
}

// The endpoint's SYN-ACK to a packet that left for it.
bool PathLap::answer(const Packet& sent, uint32_t frame) noexcept {
  uint8_t* data = plane_->arena().at(frame) + kFrameHeadroom;
  std::memcpy(data, sent.data, 14 + l3_bytes(family_));
  auto* eth = wire::at<wire::EthHeader>(data);
  std::memcpy(eth->dst, plane_->tables()->parse.ports[kEndpointPort].mac, 6);
  uint8_t* l3 = data + 14;
  const size_t n = family_ == 4 ? 4 : 16;
  uint8_t* src = l3 + (family_ == 4 ? 12 : 8);
  uint8_t* dst = src + n;
  for (size_t i = 0; i < n; ++i) std::swap(src[i], dst[i]);
  uint8_t* l4 = l3 + (family_ == 4 ? 20 : 40);
  auto* tcp = wire::at<wire::TcpHeader>(l4);
  std::swap(tcp->sport, tcp->dport);
  tcp->flags = kTcpSyn | kTcpAck;
  finish_sums(l3, family_, l3_bytes(family_) - (family_ == 4 ? 20 : 40));
  return true;
}

// One batch of laid frames through the corridor; frames stay ours. How many left by `port_out`.
uint32_t PathLap::walk(const uint32_t* frames, uint32_t count, uint16_t port_in,
                       uint16_t port_out) noexcept {
  Batch& batch = *batch_;
  batch.reset(clock_);
  const uint32_t length = static_cast<uint32_t>(14 + l3_bytes(family_));
  for (uint32_t i = 0; i < count; ++i) {
    Packet& p = batch.packets[i];
    p.frame = frames[i];
    p.data = plane_->arena().at(frames[i]) + kFrameHeadroom;
    p.length = length;
    p.linear = static_cast<uint16_t>(length);
    p.port_in = port_in;
    p.flags = 0;
    p.gso = Gso::kNone;
  }
  batch.count = count;
  corridor(batch, *plane_->tables(), *states_);
  const uint32_t left = states_->output.lists[port_out].count;
  for (uint32_t p = 0; p < plane_->port_count(); ++p) states_->output.lists[p].count = 0;
  return left;
}

bool PathLap::open_flows(uint32_t flows, std::string* error) {
  constexpr uint32_t kStep = kBatchSize;
  for (uint32_t done = 0; done < flows;) {
    const uint32_t n = std::min(kStep, flows - done);
    for (uint32_t i = 0; i < n; ++i) lay(frames_[i], done + i, kTcpSyn);
    bool ok = walk(frames_.data(), n, kClientPort, kEndpointPort) == n;
    for (uint32_t i = 0; ok && i < n; ++i) ok = answer(batch_->packets[i], frames_[kStep + i]);
    ok = ok && walk(frames_.data() + kStep, n, kEndpointPort, kClientPort) == n;
    for (uint32_t i = 0; ok && i < n; ++i) lay(frames_[i], done + i, kTcpAck);
    ok = ok && walk(frames_.data(), n, kClientPort, kEndpointPort) == n;
    if (!ok) {
      *error = "a flow could not be opened";
      for (uint32_t d = 1; d < kDropCount; ++d)
        if (counters_->drops[d])
          *error += std::string(", ") + kDropNames[d] + " " + std::to_string(counters_->drops[d]);
      return false;
    }
    done += n;
    clock_ += kMillisecond;
  }
  flows_ = next_flow_ = flows;
  return true;
}

void PathLap::refill() noexcept {
  for (const uint32_t frame : frames_)
    lay(frame, static_cast<uint32_t>(random() % flows_), kTcpAck);
  clock_ += kMillisecond;
}

double PathLap::lap(What what) noexcept {
  strays_ = 0;
  const Time before = clock_ns();
  if (what == What::kCorridor) {
    uint32_t left = 0;
    for (uint32_t i = 0; i < kLapFrames; i += kBatchSize)
      left += walk(&frames_[i], kBatchSize, kClientPort, kEndpointPort);
    strays_ = kLapFrames - left;
  } else if (what == What::kEmpty) {
    for (uint32_t i = 0; i < kLapFrames; i += kBatchSize) {
      Batch& batch = *batch_;
      batch.reset(clock_);
      for (uint32_t k = 0; k < kBatchSize; ++k) {
        Packet& p = batch.packets[k];
        p.frame = frames_[i + k];
        p.data = plane_->arena().at(frames_[i + k]) + kFrameHeadroom;
        p.length = p.linear = kLapPacketBytes;
        p.port_in = kClientPort;
        p.flags = 0;
        p.gso = Gso::kNone;
      }
      batch.count = kBatchSize;
      __asm__ volatile("" ::: "memory");
    }
  } else if (floor_) {
    const size_t lines = floor_bytes_ / 64;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < kLapFrames; i += kFloorDistance) {
      const uint8_t* at[kFloorDistance];
      for (uint32_t k = 0; k < kFloorDistance; ++k) {
        at[k] = floor_ + (random() % lines) * 64;
        __builtin_prefetch(at[k]);
      }
      for (uint32_t k = 0; k < kFloorDistance; ++k) sum += *at[k];
    }
    __asm__ volatile("" ::"r"(sum));
  }
  return static_cast<double>(clock_ns() - before) / kLapFrames;
}

double PathLap::lap_new() noexcept {
  for (uint32_t i = 0; i < kLapFrames; ++i) lay(frames_[i], next_flow_ + i, kTcpSyn);
  next_flow_ += kLapFrames;
  clock_ += kMillisecond;
  const Time before = clock_ns();
  uint32_t left = 0;
  for (uint32_t i = 0; i < kLapFrames; i += kBatchSize)
    left += walk(&frames_[i], kBatchSize, kClientPort, kEndpointPort);
  strays_ = kLapFrames - left;
  return static_cast<double>(clock_ns() - before) / kLapFrames;
}

}  // namespace nodeplane
