#pragma once
#include <memory>
#include <utility>

#include "driver/driver.h"

namespace nodeplane {

// A port that holds a port and hands every call on; what holds one changes what it is there for.
class Holder : public Port {
 public:
  explicit Holder(std::unique_ptr<Port> inner) : inner_(std::move(inner)), caps_(inner_->caps()) {}
  const PortCaps& caps() const noexcept override { return caps_; }
  uint32_t receive(uint32_t queue, Packet* packets, uint32_t max, FrameCache& frames,
                   Counters& counters) noexcept override {
    return inner_->receive(queue, packets, max, frames, counters);
  }
  uint32_t transmit(uint32_t queue, Packet* const* packets, uint32_t count,
                    FrameCache& frames) noexcept override {
    return inner_->transmit(queue, packets, count, frames);
  }
  uint32_t refused(uint32_t queue) const noexcept override { return inner_->refused(queue); }
  Drop refused_as(uint32_t queue) const noexcept override { return inner_->refused_as(queue); }
  void release(uint32_t queue, FrameCache& frames) noexcept override {
    inner_->release(queue, frames);
  }
  int wait_fd(uint32_t queue) const noexcept override { return inner_->wait_fd(queue); }
  bool arm(uint32_t queue) noexcept override { return inner_->arm(queue); }
  std::optional<Time> next_time() noexcept override { return inner_->next_time(); }
  void set_time(Time now) noexcept override { inner_->set_time(now); }
  std::string failure() noexcept override { return inner_->failure(); }
  bool take(std::span<const TakeRow> rows, std::string* error) noexcept override {
    return inner_->take(rows, error);
  }
  bool take_change(std::span<const TakeRow> come, std::span<const TakeRow> gone,
                   std::string* error) noexcept override {
    return inner_->take_change(come, gone, error);
  }
  std::string stats_json() const override { return inner_->stats_json(); }
  std::vector<std::string> news() override { return inner_->news(); }

 protected:
  std::unique_ptr<Port> inner_;
  PortCaps caps_;
};

}  // namespace nodeplane
