#include "lap/path_lap.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/memory.h"
#include "peer/lay.h"

namespace nodeplane {
namespace {

constexpr uint32_t kFloorDistance = 32;  // lines in flight
constexpr size_t kLaidMax = 128;
constexpr Time kMeetAgain = 5 * kSecond;  // half of the shortest timer
constexpr Time kSilence = 11 * kSecond;   // longer than it

Time clock_ns() {
  using namespace std::chrono;
  return static_cast<Time>(
      duration_cast<nanoseconds>(steady_clock::now().time_since_epoch()).count());
}

// Batches of a lap that answers travel in.
bool is_backward(const PathLap::Draw& draw, uint32_t batch) noexcept {
  return draw.way == PathLap::Way::kBackward || (draw.way == PathLap::Way::kBoth && batch % 2 != 0);
}

// Of a laid packet after its walk: where it was sent.
PathLap::Service destination_of(const uint8_t* packet, uint8_t family) noexcept {
  PathLap::Service to{};
  const uint8_t* const l4 = packet + lay_headers(family, kProtocolTcp) - 20;
  const uint32_t bytes = family == 4 ? 4 : 16;
  std::memcpy(to.address.bytes, l4 - bytes, bytes);
  std::memcpy(&to.be_port, l4 + 2, 2);
  return to;
}

}  // namespace

std::unique_ptr<PathLap> PathLap::create(Plane& plane, Options options, std::string* error) {
  if (!plane.tables() || plane.running() || plane.port_count() < 2 || options.services.empty()) {
    *error = "a lap needs two ports, a service, published tables and no running workers";
    return nullptr;
  }
  std::unique_ptr<PathLap> lap(new PathLap);
  lap->plane_ = &plane;
  lap->options_ = std::move(options);
  lap->clock_ = time_now();
  for (uint32_t w = 0; w < plane.options().workers; ++w) {
    lap->hands_.push_back(LapHand::create(plane, lap->options_.family, w, error));
    if (!lap->hands_.back()) return nullptr;
  }
  if (!lap->open_flows(error)) return nullptr;
  lap->floor_bytes_ = lap->options_.family == 4 ? plane.flows4().bytes() : plane.flows6().bytes();
  bool huge = false;
  lap->floor_ = static_cast<uint8_t*>(memory_map(lap->floor_bytes_, plane.options().huge, &huge));
  if (lap->floor_) std::memset(lap->floor_, 1, lap->floor_bytes_);
  return lap;
}

PathLap::~PathLap() {
  end_turns();
  if (floor_) memory_unmap(floor_, floor_bytes_);
}

void PathLap::lay(const LapHand& hand, uint32_t frame, uint32_t flow,
                  uint8_t tcp_flags) const noexcept {
  LaySpec spec;
  spec.family = options_.family;
  spec.tcp_flags = tcp_flags;
  std::memcpy(spec.dst_mac, plane_->tables()->parse.ports[kClientPort].mac, 6);
  spec.flow = flow;
  const Service& service = options_.services[flow % options_.services.size()];
  spec.service = service.address;
  spec.be_service_port = service.be_port;
  lay_packet(hand.bytes(frame), spec);
}

// What an endpoint sends back.
void PathLap::lay_back(const LapHand& hand, uint32_t frame, uint32_t flow) const noexcept {
  LaySpec spec;
  spec.family = options_.family;
  spec.flow = flow;
  spec.service = endpoints_[flow].address;
  spec.be_service_port = endpoints_[flow].be_port;
  uint8_t sent[kLaidMax];
  lay_packet(sent, spec);
  lay_answer(hand.bytes(frame), sent, plane_->tables()->parse.ports[kEndpointPort].mac,
             options_.family, kTcpAck);
}

bool PathLap::open_flows(std::string* error) {
  constexpr uint32_t kStep = kBatchSize;
  LapHand& hand = *hands_[0];
  hand.clock = clock_;
  if (options_.backward) endpoints_.resize(options_.flows);
  const uint32_t* const frames = hand.frames();
  for (uint32_t done = 0; done < options_.flows;) {
    const uint32_t n = std::min(kStep, options_.flows - done);
    for (uint32_t i = 0; i < n; ++i) lay(hand, frames[i], done + i, kTcpSyn);
    bool ok = hand.walk(frames, n, kClientPort, kEndpointPort) == n;
    for (uint32_t i = 0; ok && i < n; ++i) {
      const uint8_t* const sent = hand.packet(i).data;
      if (options_.backward) endpoints_[done + i] = destination_of(sent, options_.family);
      lay_answer(hand.bytes(frames[kStep + i]), sent,
                 plane_->tables()->parse.ports[kEndpointPort].mac, options_.family,
                 kTcpSyn | kTcpAck);
    }
    ok = ok && hand.walk(frames + kStep, n, kEndpointPort, kClientPort) == n;
    for (uint32_t i = 0; ok && i < n; ++i) lay(hand, frames[i], done + i, kTcpAck);
    ok = ok && hand.walk(frames, n, kClientPort, kEndpointPort) == n;
    if (!ok) {
      *error = "a flow could not be opened" + hand.drops();
      return false;
    }
    done += n;
    hand.clock += kMillisecond;
  }
  meet_all(hand);  // those opened first may have waited for longer than a node at work lets them
  clock_ = hand.clock;
  next_flow_ = options_.flows;
  return true;
}

// One packet of each known flow, and its answer if answers are asked for: who was not seen for the
// shortest of all timers, or not since a publish, walks the stages once.
void PathLap::meet_all(LapHand& hand) noexcept {
  for (uint32_t done = 0; done < options_.flows; done += kBatchSize) {
    const uint32_t n = std::min(kBatchSize, options_.flows - done);
    for (uint32_t i = 0; i < n; ++i) lay(hand, hand.frames()[i], done + i, kTcpAck);
    hand.strays += n - hand.walk(hand.frames(), n, kClientPort, kEndpointPort);
    if (!options_.backward) continue;
    for (uint32_t i = 0; i < n; ++i) lay_back(hand, hand.frames()[i], done + i);
    hand.strays += n - hand.walk(hand.frames(), n, kEndpointPort, kClientPort);
  }
  met_at_ = hand.clock;
}

// Laps of new flows take the clock far ahead; those of known ones are of a node that saw them of late.
void PathLap::stay_met(LapHand& hand, What what) noexcept {
  if (what >= What::kEmpty || what == What::kSilent) return;
  if (hand.clock - met_at_ > kMeetAgain) meet_all(hand);
}

void PathLap::lay_known(LapHand& hand, const Draw& draw) noexcept {
  const uint32_t flows = (options_.flows - draw.first + draw.stride - 1) / draw.stride;
  for (uint32_t i = 0; i < kLapFrames; ++i) {
    const uint32_t flow = draw.first + draw.stride * static_cast<uint32_t>(hand.random() % flows);
    if (is_backward(draw, i / kBatchSize))
      lay_back(hand, hand.frames()[i], flow);
    else
      lay(hand, hand.frames()[i], flow, kTcpAck);
  }
  hand.clock += kMillisecond;
}

void PathLap::walk_known(LapHand& hand, const Draw& draw) noexcept {
  uint32_t left = 0;
  for (uint32_t i = 0; i < kLapFrames; i += kBatchSize) {
    const bool back = is_backward(draw, i / kBatchSize);
    left += hand.walk(hand.frames() + i, kBatchSize, back ? kEndpointPort : kClientPort,
                      back ? kClientPort : kEndpointPort);
  }
  hand.strays += kLapFrames - left;
}

// Which lines are read is drawn before.
void PathLap::draw_lines(LapHand& hand) const noexcept {
  hand.lines.resize(kLapFrames);
  for (uint32_t& line : hand.lines)
    line = static_cast<uint32_t>(hand.random() % (floor_bytes_ / 64));
}

void PathLap::read_floor(const LapHand& hand) const noexcept {
  uint64_t sum = 0;
  for (uint32_t i = 0; floor_ && i < kLapFrames; i += kFloorDistance) {
    const uint32_t* const lines = &hand.lines[i];
    for (uint32_t k = 0; k < kFloorDistance; ++k)
      __builtin_prefetch(floor_ + size_t{lines[k]} * 64);
    for (uint32_t k = 0; k < kFloorDistance; ++k) sum += floor_[size_t{lines[k]} * 64];
  }
  __asm__ volatile("" ::"r"(sum));
}

void PathLap::prepare(LapHand& hand, What what, const Draw& draw) noexcept {
  if (what == What::kFloor) return draw_lines(hand);
  if (what == What::kSilent) hand.clock += kSilence;
  if (what < What::kFloor) return lay_known(hand, draw);
  cool();
  lay_new(hand, what);
}

double PathLap::run(LapHand& hand, What what, const Draw& draw) noexcept {
  const Time before = clock_ns();
  switch (what) {
    case What::kCorridor:
    case What::kBoth:
    case What::kSilent:
      walk_known(hand, draw);
      break;
    case What::kEmpty:
      for (uint32_t i = 0; i < kLapFrames; i += kBatchSize)
        hand.stand(hand.frames() + i, kBatchSize);
      break;
    case What::kFloor:
      read_floor(hand);
      break;
    default:
      walk_new(hand, what);
  }
  const double ns = static_cast<double>(clock_ns() - before);
  return ns / (what == What::kReset ? kLapFrames / 2 : kLapFrames);
}

double PathLap::lap(What what) noexcept {
  LapHand& hand = *hands_[0];
  Draw draw;
  if (what == What::kBoth) draw.way = Way::kBoth;
  hand.clock = clock_;
  hand.strays = 0;
  stay_met(hand, what);
  prepare(hand, what, draw);
  const double ns = run(hand, what, draw);
  clear_away(hand, what);
  hand.offline();
  clock_ = hand.clock;
  return ns;
}

std::string PathLap::drops() const {
  std::string text;
  for (const auto& hand : hands_) text += hand->drops();
  return text;
}

uint32_t PathLap::strays() const noexcept {
  uint32_t sum = 0;
  for (const auto& hand : hands_) sum += hand->strays;
  return sum;
}

}  // namespace nodeplane
