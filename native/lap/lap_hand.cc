#include "lap/lap_hand.h"

#include "peer/lay.h"

namespace nodeplane {

std::unique_ptr<LapHand> LapHand::create(Plane& plane, uint8_t family, uint32_t worker,
                                         std::string* error) {
  std::unique_ptr<LapHand> hand(new LapHand);
  hand->plane_ = &plane;
  hand->worker_ = worker;
  hand->length_ = static_cast<uint32_t>(lay_bytes(family));
  hand->seed_ = 0x9e3779b97f4a7c15 + worker;
  hand->cache_ = std::make_unique<FrameCache>(plane.arena());
  hand->batch_ = std::make_unique<Batch>();
  hand->states_ = std::make_unique<States>();
  hand->counters_ = std::make_unique<Counters>();
  hand->batch_->worker = worker;
  hand->batch_->frames = hand->cache_.get();
  hand->batch_->counters = hand->counters_.get();
  hand->states_->conntrack.worker = worker;
  hand->states_->nat.worker = worker;
  for (uint32_t i = 0; i < kLapFrames; ++i) {
    const uint32_t frame = hand->cache_->take();
    if (frame == kFrameNone) {
      *error = "a lap needs " + std::to_string(kLapFrames) + " frames per worker";
      return nullptr;
    }
    hand->frames_.push_back(frame);
  }
  return hand;
}

LapHand::~LapHand() {
  for (const uint32_t f : frames_) cache_->give(f);
}

uint64_t LapHand::random() noexcept {  // splitmix64 (Steele, Lea, Flood 2014)
  uint64_t z = (seed_ += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

uint8_t* LapHand::bytes(uint32_t frame) const noexcept {
  return plane_->arena().at(frame) + kFrameHeadroom;
}

void LapHand::fill(const uint32_t* frames, uint32_t count, uint16_t port_in) noexcept {
  Batch& batch = *batch_;
  batch.reset(clock);
  // As drivers do: what is the same for all is read once.
  uint8_t* const base = plane_->arena().base() + kFrameHeadroom;
  const size_t frame_size = plane_->arena().frame_size();
  const uint32_t length = length_;
  for (uint32_t i = 0; i < count; ++i) {
    Packet& p = batch.packets[i];
    p.frame = frames[i];
    p.data = base + frames[i] * frame_size;
    p.length = length;
    p.linear = static_cast<uint16_t>(length);
    p.port_in = port_in;
    p.flags = 0;
    p.gso = Gso::kNone;
  }
  batch.count = count;
}

uint32_t LapHand::walk(const uint32_t* frames, uint32_t count, uint16_t port_in,
                       uint16_t port_out) noexcept {
  fill(frames, count, port_in);
  corridor(*batch_, *plane_->tables(), *states_);
  const uint32_t left = states_->output.lists[port_out].count;
  for (uint32_t p = 0; p < plane_->port_count(); ++p) states_->output.lists[p].count = 0;
  return left;
}

void LapHand::stand(const uint32_t* frames, uint32_t count) noexcept {
  fill(frames, count, 0);
  __asm__ volatile("" ::: "memory");
}

bool LapHand::expire() noexcept {
  plane_->epochs().quiescent(worker_);
  batch_->reset(clock);
  return conntrack_expire(*batch_, plane_->tables()->conntrack, states_->conntrack,
                          kExpireBatchMax);
}

void LapHand::offline() noexcept { plane_->epochs().offline(worker_); }

std::string LapHand::drops() const {
  std::string text;
  for (uint32_t d = 1; d < kDropCount; ++d)
    if (counters_->drops[d])
      text += std::string(", ") + kDropNames[d] + " " + std::to_string(counters_->drops[d]);
  return text;
}

}  // namespace nodeplane
