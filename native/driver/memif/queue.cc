// A queue and its connection: taking it into use, leaving it, sleeping.
#include "driver/memif/queue.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace nodeplane::memif {

Queue::Queue(Seat& seat, FrameArena& arena, const QueueOptions& options)
    : seat_(seat),
      arena_(arena),
      options_(options),
      frame_shift_(static_cast<uint32_t>(std::countr_zero(arena.frame_size()))),
      room_(arena.frame_size() - options.start),
      half_(std::max(options.quota, kQuotaMin) / 2) {
  if (options.memory != Memory::kLent) return;
  in_frames_.reset(new uint32_t[options.ring_size]);
  out_frames_.reset(new uint32_t[options.ring_size]);
}

bool Queue::open(CopyEngine* copy, std::string* error) {
  if (copy == nullptr || copy->is_immediate() || options_.memory == Memory::kLent) return true;
  for (auto* copier : {&copier_in_, &copier_out_}) {
    auto channel = copy->channel(error);
    if (channel == nullptr) return false;
    *copier = std::make_unique<Copier>(std::move(channel), std::min(half_, kCopyPendingMax));
  }
  return true;
}

// Those who must know look at `wanted` again with every call, so nothing is missed when the hub
// was faster than we are.
void Queue::change(Link* wanted, FrameCache& frames) noexcept {
  if (link_ != nullptr) {
    detach(frames);
    link_ = nullptr;
    seat_.leave(options_.index);
  }
  if (wanted == nullptr || !seat_.take(options_.index, wanted)) return;
  link_ = wanted;
  attach(frames);
}

Queue::Way Queue::way(const Ring& ring, bool sends) const noexcept {
  Way way;
  const bool is_server = link_->role == Role::kServer;
  way.slots = ring.slots;
  way.ours = is_server ? &ring.head->tail : &ring.head->head;
  way.theirs = is_server ? &ring.head->head : &ring.head->tail;
  way.flags = &ring.head->flags;
  way.size = ring.size;
  way.mask = ring.size - 1;
  way.fd = ring.fd;
  if (options_.memory == Memory::kOwn) {
    const uint64_t first = sends ? link_->sending_first : link_->receiving_first;
    way.buffers =
        link_->regions[0].base + first + uint64_t{options_.index} * ring.size * link_->buffer_bytes;
  }
  return way;
}

void Queue::attach(FrameCache& frames) noexcept {
  const uint32_t q = options_.index;
  check((link_->role == Role::kServer) == (options_.memory == Memory::kPeers) &&
            (link_->buffer_bytes != 0) == (options_.memory == Memory::kOwn),
        "memif: a connection of another kind");
  regions_ = link_->regions.data();
  region_count_ = static_cast<uint32_t>(link_->regions.size());
  buffer_bytes_ = link_->buffer_bytes;
  // A peer may have made fewer rings than we have queues.
  in_ = q < link_->receiving.size() ? way(link_->receiving[q], false) : Way{};
  out_ = q < link_->sending.size() ? way(link_->sending[q], true) : Way{};
  if (options_.memory == Memory::kLent)
    check(std::max(in_.size, out_.size) <= options_.ring_size, "memif: a ring larger than wished");
  skipping_ = masked_ = false;
  sending_ = options_.memory != Memory::kPeers;
  looked_ = freed_ = 0;
  posted_ = static_cast<uint16_t>(in_.size);
  tallies.ring_in.set(in_.size);
  tallies.ring_out.set(out_.size);
  if (in_.slots == nullptr) return;
  if (options_.memory == Memory::kOwn) {
    restore_slots(0, posted_);
    store_index(in_.ours, posted_);
  } else if (options_.memory == Memory::kLent) {
    posted_ = 0;
    post(frames);
  }
}

// The peer is gone or will be. What it was to have is lost, as on a cable that is pulled.
void Queue::detach(FrameCache& frames) noexcept {
  for (Copier* copier : {copier_in_.get(), copier_out_.get()}) {
    if (copier == nullptr) continue;
    copier->drain();
    for (; !copier->is_empty(); copier->pop()) {
      if (copier->front().frame == kFrameNone) continue;
      frames.give_chain(copier->front().frame);
      tallies.cut.add(1);
    }
  }
  if (options_.memory == Memory::kLent) {
    for (uint16_t i = in_.next; i != posted_; ++i) frames.give(in_frames_[i & in_.mask]);
    for (uint16_t i = freed_; i != out_.next; ++i) frames.give(out_frames_[i & out_.mask]);
  }
  in_ = out_ = Way{};
  in_held_ = out_held_ = 0;
  posted_ = freed_ = 0;
  tell_held();
}

void Queue::tell_held() noexcept { tallies.frames_held.set(in_held_ + out_held_); }

void Queue::release(FrameCache& frames) noexcept {
  if (!is_ready(frames)) return;
  if (copier_out_ != nullptr) {
    if (!copier_out_->is_empty()) finish_out(frames);
  } else if (options_.memory == Memory::kLent) {
    reclaim(frames);
    if (in_.slots != nullptr && distance(in_.next, posted_) < in_.size) post(frames);
  }
}

// First quiet, then the peer may ring, then the look: a bell rung after the look is heard, and an
// index published before the peer read our flag is seen, by the fence here and the sender's.
bool Queue::arm() noexcept {
  seat_.hush(options_.index);
  if (seat_.wanted() != link_) return false;
  if (link_ == nullptr || is_broken()) return true;
  for (Copier* copier : {copier_in_.get(), copier_out_.get()})
    if (copier != nullptr && !copier->is_empty()) return false;
  if (in_.slots == nullptr) return true;
  masked_ = false;
  __atomic_store_n(in_.flags, 0, __ATOMIC_RELAXED);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return load_index(in_.theirs) == looked_;
}

}  // namespace nodeplane::memif
