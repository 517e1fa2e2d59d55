#pragma once
#include <memory>
#include <string>
#include <vector>

#include "control/plane.h"

namespace nodeplane {

inline constexpr uint32_t kLapFrames = 8192;  // packets of one lap, each in its own frame

// One worker's means for laps: frames, batch, states, counters and a clock of its own, and what a
// worker does around a batch. Used by one thread at a time.
class LapHand {
 public:
  // Null with a reason.
  static std::unique_ptr<LapHand> create(Plane& plane, uint8_t family, uint32_t worker,
                                         std::string* error);
  ~LapHand();

  // One batch of laid frames through the corridor; frames stay ours. How many left by `port_out`.
  uint32_t walk(const uint32_t* frames, uint32_t count, uint16_t port_in,
                uint16_t port_out) noexcept;
  // A batch that is set up, and walks nowhere.
  void stand(const uint32_t* frames, uint32_t count) noexcept;
  // What a worker does beside a batch: passes a quiescent point, and expires. True: more is due.
  bool expire() noexcept;
  void close_express() noexcept { states_->express.pause = UINT32_MAX; }
  // Holds nothing any more: others need not wait for it.
  void offline() noexcept;

  uint64_t random() noexcept;
  uint8_t* bytes(uint32_t frame) const noexcept;
  const Packet& packet(uint32_t i) const noexcept { return batch_->packets[i]; }
  const uint32_t* frames() const noexcept { return frames_.data(); }
  // Names and counts of drops so far, for an error's text.
  std::string drops() const;

  Time clock = 0;
  uint32_t strays = 0;       // packets of the last lap that did not leave as they should
  uint32_t opened_from = 0;  // first number of the flows that the last lap of churn opened
  uint32_t opened_count = 0;
  std::vector<uint32_t> lines;  // of the floor, that the next lap reads

 private:
  LapHand() = default;
  void fill(const uint32_t* frames, uint32_t count, uint16_t port_in) noexcept;

  Plane* plane_ = nullptr;
  uint32_t worker_ = 0;
  uint32_t length_ = 0;
  uint64_t seed_ = 0;
  std::vector<uint32_t> frames_;
  std::unique_ptr<FrameCache> cache_;
  std::unique_ptr<Batch> batch_;
  std::unique_ptr<States> states_;
  std::unique_ptr<Counters> counters_;
};

}  // namespace nodeplane
