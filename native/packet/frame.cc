#include "packet/frame.h"

#include <algorithm>
#include <cstring>

#include "base/memory.h"

namespace nodeplane {
namespace {

// A stack head is (tag << 32) | frame. The tag moves on with every change, so that a head that was
// popped and pushed again between a look and its exchange is noticed (the ABA problem).
constexpr uint64_t next_head(uint64_t head, uint32_t frame) noexcept {
  return (((head >> 32) + 1) << 32) | frame;
}
constexpr uint32_t frame_in(uint64_t head) noexcept { return static_cast<uint32_t>(head); }

// `next` words are read by threads that lose the race for a frame: they are atomic for that.
void push(std::atomic<uint64_t>& head, uint32_t* next, uint32_t frame) noexcept {
  uint64_t seen = head.load(std::memory_order_relaxed);
  do {
    std::atomic_ref<uint32_t>(next[frame]).store(frame_in(seen), std::memory_order_relaxed);
  } while (!head.compare_exchange_weak(seen, next_head(seen, frame), std::memory_order_release,
                                       std::memory_order_relaxed));
}

uint32_t pop(std::atomic<uint64_t>& head, uint32_t* next) noexcept {
  uint64_t seen = head.load(std::memory_order_acquire);
  for (;;) {
    const uint32_t frame = frame_in(seen);
    if (frame == kFrameNone) return kFrameNone;
    const uint32_t below = std::atomic_ref<uint32_t>(next[frame]).load(std::memory_order_relaxed);
    if (head.compare_exchange_weak(seen, next_head(seen, below), std::memory_order_acquire,
                                   std::memory_order_acquire))
      return frame;
  }
}

}  // namespace

std::unique_ptr<FrameArena> FrameArena::create(const Options& options, std::string* error) {
  if (options.frame_size != 2048 && options.frame_size != 4096) {
    *error = "frame size must be 2048 or 4096";
    return nullptr;
  }
  if (options.count == 0 || options.count > kFrameCountMax) {
    *error = "frame count must be 1 to " + std::to_string(kFrameCountMax);
    return nullptr;
  }
  std::unique_ptr<FrameArena> arena(new FrameArena);
  const uint32_t count = (options.count + kFrameBundle - 1) / kFrameBundle * kFrameBundle;
  SharedMemory memory;
  if (!shared_memory_create("nodeplane-frames", size_t{count} * options.frame_size, options.huge,
                            &memory, error))
    return nullptr;
  arena->base_ = memory.base;
  arena->bytes_ = memory.bytes;
  arena->fd_ = memory.fd;
  arena->huge_ = memory.huge;
  arena->frame_size_ = options.frame_size;
  arena->count_ = count;
  arena->links_ = new FrameLink[count];
  arena->bundle_next_ = new uint32_t[count];
  arena->head_.store(kFrameNone, std::memory_order_relaxed);
  arena->loose_head_.store(kFrameNone, std::memory_order_relaxed);
  // Last bundle first, so that the first frames are taken first.
  for (uint32_t first = count; first != 0;) {
    first -= kFrameBundle;
    for (uint32_t i = 0; i < kFrameBundle; ++i)
      arena->links_[first + i] = {i + 1 < kFrameBundle ? first + i + 1 : kFrameNone, 0, 0};
    arena->give_bundle(first);
  }
  return arena;
}

FrameArena::~FrameArena() {
  SharedMemory memory{base_, bytes_, fd_, huge_};
  shared_memory_close(memory);
  delete[] links_;
  delete[] bundle_next_;
}

bool FrameArena::reserve(uint32_t frames) noexcept {
  uint32_t seen = reserved_.load(std::memory_order_relaxed);
  do {
    if (uint64_t{seen} + frames > reservable()) return false;
  } while (!reserved_.compare_exchange_weak(seen, seen + frames, std::memory_order_relaxed));
  return true;
}

void FrameArena::unreserve(uint32_t frames) noexcept {
  reserved_.fetch_sub(frames, std::memory_order_relaxed);
}

uint32_t FrameArena::take_bundle() noexcept {
  const uint32_t first = pop(head_, bundle_next_);
  if (first != kFrameNone) free_bundles_.fetch_sub(1, std::memory_order_release);
  return first;
}

// The count moves before the push and after the pop: it never falls below what is in the stack, so
// it never wraps.
void FrameArena::give_bundle(uint32_t first) noexcept {
  free_bundles_.fetch_add(1, std::memory_order_release);
  push(head_, bundle_next_, first);
}

void FrameArena::give_loose(const uint32_t* frames, uint32_t count) noexcept {
  loose_.fetch_add(count, std::memory_order_release);
  for (uint32_t i = 0; i < count; ++i) push(loose_head_, bundle_next_, frames[i]);
}

bool FrameArena::take_loose(uint32_t* frame) noexcept {
  *frame = pop(loose_head_, bundle_next_);
  if (*frame == kFrameNone) return false;
  loose_.fetch_sub(1, std::memory_order_release);
  return true;
}

bool FrameCache::refill() noexcept {
  uint32_t frame = arena_->take_bundle();
  while (frame != kFrameNone) {
    stock_[count_++] = frame;
    frame = arena_->links_[frame].next;
  }
  // The next one taken is the bundle's first.
  std::reverse(stock_, stock_ + count_);
  while (count_ < kFrameBundle && arena_->take_loose(&frame)) stock_[count_++] = frame;
  return count_ != 0;
}

// Half of the stock goes: the older half, the rest is warm.
void FrameCache::spill() noexcept {
  constexpr uint32_t kSpill = kFrameCacheMax / 2;
  static_assert(kSpill % kFrameBundle == 0);
  for (uint32_t i = 0; i < kSpill; i += kFrameBundle) give_bundle_at(i);
  std::memmove(stock_, stock_ + kSpill, (count_ - kSpill) * sizeof stock_[0]);
  count_ -= kSpill;
}

void FrameCache::flush() noexcept {
  uint32_t i = 0;
  for (; i + kFrameBundle <= count_; i += kFrameBundle) give_bundle_at(i);
  arena_->give_loose(stock_ + i, count_ - i);
  count_ = 0;
}

void FrameCache::give_bundle_at(uint32_t at) noexcept {
  for (uint32_t i = 0; i < kFrameBundle; ++i) {
    const bool last = i + 1 == kFrameBundle;
    arena_->links_[stock_[at + i]] = {last ? kFrameNone : stock_[at + i + 1], 0, 0};
  }
  arena_->give_bundle(stock_[at]);
}

}  // namespace nodeplane
