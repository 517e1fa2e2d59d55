#pragma once
#include <bit>
#include <cstdint>
#include <memory>

#include "copy/engine.h"

namespace nodeplane::memif {

// A packet whose copies are under way.
struct Late {
  uint64_t end;  // finished when all copies below this number are
  uint32_t frame;
  uint32_t length;
  uint16_t linear;
  uint16_t slots;   // of the ring that are done with it
  uint16_t frames;  // that it holds
};

// One way's packets under copy, in the order of the ring. Sized once.
class Copier {
 public:
  // At most that many packets at a time.
  Copier(std::unique_ptr<CopyChannel> channel, uint32_t packets)
      : entries_(new Late[std::bit_ceil(packets)]),
        mask_(std::bit_ceil(packets) - 1),
        channel_(std::move(channel)) {}

  bool is_empty() const noexcept { return first_ == end_; }
  uint32_t free() const noexcept { return mask_ + 1 - (end_ - first_); }
  Late& front() noexcept { return entries_[first_ & mask_]; }
  Late& back() noexcept { return entries_[(end_ - 1) & mask_]; }
  void pop() noexcept { first_++; }
  // Behind its copies.
  void push(uint32_t frame, uint32_t length, uint32_t linear, uint32_t slots,
            uint32_t frames) noexcept {
    entries_[end_++ & mask_] = {made_,
                                frame,
                                length,
                                static_cast<uint16_t>(linear),
                                static_cast<uint16_t>(slots),
                                static_cast<uint16_t>(frames)};
  }

  // Room for so many copies; asked for before they are added.
  bool make_room(uint32_t copies) noexcept {
    if (count_ + copies > kCopyBatchMax) submit();
    return made_ - finished_ + copies <= kCopyPendingMax;
  }
  void add(void* to, const void* from, uint32_t bytes) noexcept {
    list_[count_++] = {to, from, bytes};
    made_++;
  }
  void submit() noexcept {
    if (count_ != 0) channel_->submit(list_, count_);
    count_ = 0;
  }
  void poll() noexcept {
    if (!is_empty()) finished_ = channel_->poll();
  }
  bool front_is_finished() noexcept { return !is_empty() && front().end <= finished_; }
  // Waits for all of them.
  void drain() noexcept {
    submit();
    channel_->drain();
    finished_ = made_;
  }

 private:
  std::unique_ptr<Late[]> entries_;
  uint32_t mask_, first_ = 0, end_ = 0;
  std::unique_ptr<CopyChannel> channel_;
  uint64_t made_ = 0;      // copies ever added
  uint64_t finished_ = 0;  // all below are
  uint32_t count_ = 0;     // in the list
  Copy list_[kCopyBatchMax];
};

}  // namespace nodeplane::memif
