#include "driver/loop/loop.h"

#include "driver/loop/cable.h"
#include "packet/place.h"

namespace nodeplane {

namespace {

constexpr uint32_t kMtuDefault = 1500;

class LoopPort final : public Port {
 public:
  LoopPort(const PortSpec& spec, std::unique_ptr<LoopEnd> end)
      : end_(std::move(end)), queues_(end_->queues()) {
    caps_.queues = static_cast<uint16_t>(end_->queues());
    caps_.mtu = spec.mtu != 0 ? spec.mtu : kMtuDefault;
    caps_.chains = true;
    caps_.description = "loop cable " + spec.interface + ", " + std::to_string(caps_.queues) +
                        (caps_.queues == 1 ? " queue" : " queues");
  }

  const PortCaps& caps() const noexcept override { return caps_; }
  uint32_t receive(uint32_t queue, Packet* packets, uint32_t max, FrameCache& frames,
                   Counters& counters) noexcept override;
  uint32_t transmit(uint32_t queue, Packet* const* packets, uint32_t count,
                    FrameCache& frames) noexcept override;
  uint32_t refused(uint32_t queue) const noexcept override { return queues_[queue].refused; }
  void release(uint32_t, FrameCache&) noexcept override {}
  int wait_fd(uint32_t queue) const noexcept override { return end_->wait_fd(queue); }
  bool arm(uint32_t queue) noexcept override { return end_->arm(queue); }

 private:
  struct alignas(64) Queue {
    uint32_t refused = 0;
  };
  PortCaps caps_;
  std::unique_ptr<LoopEnd> end_;
  std::vector<Queue> queues_;
};

uint32_t LoopPort::receive(uint32_t queue, Packet* packets, uint32_t max, FrameCache& frames,
                           Counters& counters) noexcept {
  uint32_t n = 0;
  while (n < max) {
    LoopRing* ring = end_->receiving(queue);
    if (ring == nullptr) break;
    uint32_t length;
    const uint8_t* bytes = ring->front(&length);
    Packet& p = packets[n];
    const bool placed = place_bytes(p, frames, bytes, length);
    ring->pop();
    if (!placed) {
      count_lost(counters, Drop::kNoFrame);
      break;
    }
    p.flags = 0;
    p.gso = Gso::kNone;
    n++;
  }
  return n;
}

uint32_t LoopPort::transmit(uint32_t queue, Packet* const* packets, uint32_t count,
                            FrameCache& frames) noexcept {
  LoopRing& ring = end_->sending(queue);
  queues_[queue].refused = 0;
  uint32_t n = 0;
  for (; n < count; ++n) {
    const Packet& p = *packets[n];
    if (p.length <= kLoopPacketMax) {
      uint8_t* room = ring.room(p.length);
      if (room == nullptr) break;
      copy_out(frames.arena(), p, room);
      ring.push(p.length);
    } else {
      queues_[queue].refused++;
    }
    frames.give_chain(p.frame);
  }
  if (n != 0) end_->wake(queue);
  return n;
}

}  // namespace

std::unique_ptr<Port> open_loop(const PortSpec& spec, FrameArena&, std::string* error) {
  std::unique_ptr<LoopEnd> end =
      LoopEnd::open(loop_cable(spec.interface), spec.queues == 0 ? 1 : spec.queues, error);
  if (end == nullptr) return nullptr;
  return std::make_unique<LoopPort>(spec, std::move(end));
}

}  // namespace nodeplane
