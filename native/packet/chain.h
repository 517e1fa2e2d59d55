#pragma once
#include <algorithm>
#include <cstring>

#include "packet/packet.h"

namespace nodeplane {

// Walks the bytes of a packet that may lie in several frames, from `offset` (counted from data).
class Chain {
 public:
  Chain(const FrameArena& arena, const Packet& p, uint32_t offset) noexcept
      : arena_(&arena), at_(p.data), here_(p.linear), next_(arena.link(p.frame).next) {
    while (offset != 0) {
      const Run run = next(offset);
      if (run.bytes == 0) return;
      offset -= run.bytes;
    }
  }

  struct Run {
    const uint8_t* at;
    uint32_t bytes;  // 0: the chain has ended
  };
  // The next run of at most `most` bytes that lie together.
  Run next(uint32_t most) noexcept {
    while (here_ == 0 && next_ != kFrameNone) {
      const FrameLink& link = arena_->link(next_);
      at_ = arena_->at(next_) + link.offset;
      here_ = link.length;
      next_ = link.next;
    }
    const Run run{at_, std::min(here_, most)};
    at_ += run.bytes;
    here_ -= run.bytes;
    return run;
  }
  // False: the chain ended before.
  bool copy(uint8_t* to, uint32_t bytes) noexcept {
    while (bytes != 0) {
      const Run run = next(bytes);
      if (run.bytes == 0) return false;
      std::memcpy(to, run.at, run.bytes);
      to += run.bytes;
      bytes -= run.bytes;
    }
    return true;
  }

 private:
  const FrameArena* arena_;
  const uint8_t* at_;
  uint32_t here_;
  uint32_t next_;
};

}  // namespace nodeplane
