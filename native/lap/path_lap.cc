#include "lap/path_lap.h"

#include <chrono>
#include <cstring>

#include "base/memory.h"
#include "peer/lay.h"

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

void PathLap::lay(uint32_t frame, uint32_t flow, uint8_t tcp_flags) noexcept {
  LaySpec spec;
  spec.family = family_;
  spec.tcp_flags = tcp_flags;
  std::memcpy(spec.dst_mac, plane_->tables()->parse.ports[kClientPort].mac, 6);
  spec.flow = flow;
  const Service& service = services_[flow % services_.size()];
  spec.service = service.address;
  spec.be_service_port = service.be_port;
  lay_packet(plane_->arena().at(frame) + kFrameHeadroom, spec);
}

// One batch of laid frames through the corridor; frames stay ours. How many left by `port_out`.
uint32_t PathLap::walk(const uint32_t* frames, uint32_t count, uint16_t port_in,
                       uint16_t port_out) noexcept {
  Batch& batch = *batch_;
  batch.reset(clock_);
  const uint32_t length = static_cast<uint32_t>(lay_bytes(family_));
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
    for (uint32_t i = 0; ok && i < n; ++i)
      lay_answer(plane_->arena().at(frames_[kStep + i]) + kFrameHeadroom, batch_->packets[i].data,
                 plane_->tables()->parse.ports[kEndpointPort].mac, family_, kTcpSyn | kTcpAck);
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
        p.length = p.linear = static_cast<uint16_t>(lay_bytes(family_));
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
