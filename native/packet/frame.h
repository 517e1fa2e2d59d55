#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "gen/layout.h"

namespace nodeplane {

inline constexpr uint32_t kFrameNone = 0xffffffff;
inline constexpr uint32_t kFrameBundle = 64;  // frames that move between cache and pool at once
inline constexpr uint32_t kFrameCountMax = 4u << 20;  // 16 GiB of 4 KiB frames
inline constexpr uint32_t kFrameCacheMax = 512;       // frames a worker keeps at most
inline constexpr uint32_t kFrameShareReserved = 75;   // percent that may be reserved for holders

// How a frame is joined to the next one of its packet. `offset` and `length` are the bytes used in
// frames behind the first (the first one's are the Packet's data and linear).
struct FrameLink {
  uint32_t next;
  uint16_t offset;
  uint16_t length;
};

// One arena of frames in a memfd, on 2 MiB pages where there are any. A frame is an index. The pool
// of free frames is a lock-free stack of bundles; workers own caches in front of it.
class FrameArena {
 public:
  struct Options {
    uint32_t frame_size = 2048;  // 2048 or 4096
    uint32_t count = 16384;      // rounded up to whole bundles
    bool huge = true;            // try 2 MiB pages
  };
  // Null with a reason in `error` when memory cannot be had.
  static std::unique_ptr<FrameArena> create(const Options& options, std::string* error);
  ~FrameArena();
  FrameArena(const FrameArena&) = delete;
  FrameArena& operator=(const FrameArena&) = delete;

  uint8_t* base() const noexcept { return base_; }
  size_t bytes() const noexcept { return bytes_; }
  int fd() const noexcept { return fd_; }
  bool huge() const noexcept { return huge_; }
  uint32_t frame_size() const noexcept { return frame_size_; }
  uint32_t count() const noexcept { return count_; }
  uint8_t* at(uint32_t frame) const noexcept {
    return base_ + static_cast<size_t>(frame) * frame_size_;
  }
  uint32_t frame_of(const uint8_t* p) const noexcept {
    return static_cast<uint32_t>(static_cast<size_t>(p - base_) / frame_size_);
  }
  FrameLink& link(uint32_t frame) const noexcept { return links_[frame]; }

  // Frames in the pool now; equals count() when everything was given back.
  uint32_t free_count() const noexcept {
    return free_bundles_.load(std::memory_order_acquire) * kFrameBundle +
           loose_.load(std::memory_order_acquire);
  }

  // A holder's promise never to hold more frames than that at once (a memif peer's quota). False:
  // all such promises together would leave too little for everybody else; nothing is reserved.
  bool reserve(uint32_t frames) noexcept;
  void unreserve(uint32_t frames) noexcept;
  uint32_t reserved() const noexcept { return reserved_.load(std::memory_order_relaxed); }
  uint32_t reservable() const noexcept {
    return static_cast<uint32_t>(uint64_t{count_} * kFrameShareReserved / 100);
  }

 private:
  friend class FrameCache;
  FrameArena() = default;
  uint32_t take_bundle() noexcept;  // first frame of a chain of kFrameBundle, or kFrameNone
  void give_bundle(uint32_t first) noexcept;
  void give_loose(const uint32_t* frames, uint32_t count) noexcept;  // a closing cache's rest
  bool take_loose(uint32_t* frame) noexcept;

  uint8_t* base_ = nullptr;
  size_t bytes_ = 0;
  int fd_ = -1;
  bool huge_ = false;
  uint32_t frame_size_ = 0;
  uint32_t count_ = 0;
  FrameLink* links_ = nullptr;
  uint32_t* bundle_next_ = nullptr;
  alignas(64) std::atomic<uint64_t> head_{0};        // (tag << 32) | first frame of the top bundle
  alignas(64) std::atomic<uint64_t> loose_head_{0};  // single frames
  std::atomic<uint32_t> free_bundles_{0};
  std::atomic<uint32_t> loose_{0};
  std::atomic<uint32_t> reserved_{0};
};

// One worker's stock of free frames. Not shared, no atomics but when a bundle moves.
class FrameCache {
 public:
  explicit FrameCache(FrameArena& arena) noexcept : arena_(&arena) {}
  ~FrameCache() { flush(); }
  FrameCache(const FrameCache&) = delete;
  FrameCache& operator=(const FrameCache&) = delete;

  FrameArena& arena() const noexcept { return *arena_; }
  // kFrameNone when cache and pool are empty. The frame's link is reset.
  uint32_t take() noexcept {
    if (__builtin_expect(count_ == 0, 0) && !refill()) return kFrameNone;
    const uint32_t frame = stock_[--count_];
    arena_->links_[frame] = FrameLink{kFrameNone, 0, 0};
    taken_++;
    return frame;
  }
  // As many of `count` as there are: how many.
  uint32_t take(uint32_t* frames, uint32_t count) noexcept {
    uint32_t n = 0;
    while (n < count && (count_ != 0 || refill())) {
      const uint32_t part = count - n < count_ ? count - n : count_;
      const uint32_t* const stock = stock_ + (count_ -= part);
      FrameLink* const links = arena_->links_;
      for (uint32_t i = part; i-- != 0;) {
        links[stock[i]] = FrameLink{kFrameNone, 0, 0};
        frames[n++] = stock[i];
      }
    }
    taken_ += n;
    return n;
  }
  // One frame; the caller walks chains with give_chain.
  void give(uint32_t frame) noexcept {
    if (__builtin_expect(count_ == kFrameCacheMax, 0)) spill();
    stock_[count_++] = frame;
    given_++;
  }
  // Single frames, many at once.
  void give(const uint32_t* frames, uint32_t count) noexcept {
    given_ += count;
    while (count != 0) {
      if (count_ == kFrameCacheMax) spill();
      const uint32_t room = kFrameCacheMax - count_;
      const uint32_t part = count < room ? count : room;
      for (uint32_t i = 0; i < part; ++i) stock_[count_ + i] = frames[i];
      count_ += part;
      frames += part;
      count -= part;
    }
  }
  void give_chain(uint32_t first) noexcept {
    while (first != kFrameNone) {
      const uint32_t next = arena_->links_[first].next;
      give(first);
      first = next;
    }
  }
  void flush() noexcept;  // everything back to the pool
  uint64_t taken() const noexcept { return taken_; }
  uint64_t given() const noexcept { return given_; }

 private:
  bool refill() noexcept;
  void spill() noexcept;
  void give_bundle_at(uint32_t at) noexcept;
  FrameArena* arena_;
  uint32_t count_ = 0;
  uint64_t taken_ = 0;
  uint64_t given_ = 0;
  uint32_t stock_[kFrameCacheMax];
};

}  // namespace nodeplane
