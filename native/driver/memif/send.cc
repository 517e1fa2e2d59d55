// Sending: our packets into the peer's buffers, into our own, or as frames that we lend.
#include <algorithm>

#include "base/check.h"
#include "driver/memif/bytes.h"
#include "driver/memif/memory.h"
#include "packet/chain.h"

namespace nodeplane::memif {
namespace {

constexpr uint32_t kSlotsPerLine = 4;

constexpr char kIndexJumped[] = "its index of the sending ring moved beyond the ring";
constexpr char kBadPosted[] = "a posted slot names memory outside its region, or too little";

bool is_sendable(const Packet& p) noexcept { return p.length - 1 < kPacketBytesMax; }

}  // namespace

uint32_t Queue::transmit(Packet* const* packets, uint32_t count, FrameCache& frames) noexcept {
  refused_ = 0;
  uint32_t slots = 0;
  if (!is_ready(frames) || out_.slots == nullptr || !room(&slots)) {
    for (uint32_t i = 0; i < count; ++i) refuse(*packets[i], Drop::kNoPeer, frames);
    return count;
  }
  uint32_t taken;
  switch (options_.memory) {
    case Memory::kPeers:
      taken = copier_out_ ? transmit_late<Memory::kPeers>(packets, count, slots, frames)
                          : transmit_now<Memory::kPeers>(packets, count, slots, frames);
      break;
    case Memory::kOwn:
      taken = copier_out_ ? transmit_late<Memory::kOwn>(packets, count, slots, frames)
                          : transmit_now<Memory::kOwn>(packets, count, slots, frames);
      break;
    default:
      taken = transmit_lent(packets, count, frames);
  }
  tallies.tx_packets.add(taken - refused_);
  return taken;
}

// The first reason names all that one call refuses; reasons hardly ever mix.
void Queue::refuse(Packet& p, Drop why, FrameCache& frames) noexcept {
  if (refused_++ == 0) refused_as_ = why;
  frames.give_chain(p.frame);
}

// 0: one of them is empty, which nobody here makes and no peer takes.
uint32_t Queue::frames_of(const Packet& p) const noexcept {
  if (p.linear == 0) return 0;
  uint32_t count = 1;
  for (uint32_t f = arena_.link(p.frame).next; f != kFrameNone; f = arena_.link(f).next, ++count)
    if (arena_.link(f).length == 0) return 0;
  return count;
}

// Nor would it if the peer had read all.
bool Queue::never_fits(uint32_t slots) const noexcept {
  return slots >= std::min(out_.size, kSegmentsMax) && !is_broken();
}

// Slots that may be filled. False: there is nobody to send to yet, or no longer.
bool Queue::room(uint32_t* slots) noexcept {
  const uint16_t theirs = load_index(out_.theirs);
  if (options_.memory == Memory::kPeers) {
    // A client may reset both indexes until it has seen CONNECTED; it posts only then.
    if (__builtin_expect(!sending_, 0)) {
      if (theirs == 0) return false;
      sending_ = true;
      out_.next = out_.done = load_index(out_.ours);
    }
    *slots = distance(out_.next, theirs);
    if (__builtin_expect(*slots <= out_.size - distance(out_.done, out_.next), 1)) return true;
  } else {
    *slots = out_.size - distance(theirs, out_.next);
    if (__builtin_expect(distance(freed_, theirs) <= distance(freed_, out_.done), 1)) {
      if (options_.memory == Memory::kOwn) freed_ = theirs;
      return true;
    }
  }
  violate(kIndexJumped);
  return false;
}

// Packets of one frame that fit into one slot each, from `next` on; stops before any other.
template <Memory kMemory>
inline uint32_t Queue::gather_out(Packet* const* packets, uint32_t most,
                                  Piece* pieces) const noexcept {
  const Places<kMemory> places = this->places<kMemory>(out_);
  Slot* const slots = out_.slots;
  const uint32_t mask = out_.mask, next = out_.next;
  for (uint32_t i = 0; i < most; i += kSlotsPerLine) prefetch_to_write(&slots[(next + i) & mask]);
  uint32_t i = 0;
  for (; i < most; ++i) {
    const Packet& p = *packets[i];
    const uint32_t at = (next + i) & mask;
    const uint32_t length = p.length;
    if (p.linear != length || length == 0) break;
    SlotCopy slot{slot_low(0, 0, length), 0};
    if (kMemory == Memory::kPeers) {
      slot = read_slot(slots[at]);
      if (slot.length() < std::max(length, kPostedBytesMin)) break;
    }
    uint8_t* const bytes = places.locate(at, slot);
    if (bytes == nullptr) break;
    prefetch_to_write(bytes);
    pieces[i] = {bytes, slot_low(0, slot.region(), length)};
  }
  return i;
}

// Slots that one packet needs, at most `slots`; 0: more than that, or a rule is broken.
template <Memory kMemory>
uint32_t Queue::find_room(const Packet& p, uint32_t slots, Segments& segments) noexcept {
  segments.bytes = segments.count = 0;
  for (uint32_t k = 0; k < std::min(slots, kSegmentsMax); ++k) {
    const uint32_t index = (out_.next + k) & out_.mask;
    SlotCopy slot{slot_low(0, 0, buffer_bytes_), 0};
    if (kMemory == Memory::kPeers) slot = read_slot(out_.slots[index]);
    uint8_t* const at =
        slot.length() >= kPostedBytesMin ? places<kMemory>(out_).locate(index, slot) : nullptr;
    if (at == nullptr) {
      violate(kBadPosted);
      return 0;
    }
    segments.at[k] = {at, slot.low};
    segments.bytes += slot.length();
    if (segments.bytes >= p.length) return segments.count = k + 1;
  }
  return 0;
}

template <Memory kMemory>
inline void Queue::write_out(uint32_t index, const uint8_t* at, uint64_t low) noexcept {
  Slot& slot = out_.slots[index & out_.mask];
  write_low(slot, low);
  if (kMemory == Memory::kOwn) write_high(slot, static_cast<uint32_t>(at - regions_[0].base));
}

// A run of packets, one slot each: its bytes.
template <Memory kMemory>
inline uint64_t Queue::copy_run(Packet* const* packets, const Piece* pieces, uint32_t count,
                                FrameCache& frames) noexcept {
  Slot* const slots = out_.slots;
  const uint32_t mask = out_.mask, next = out_.next;
  const uint8_t* const base = regions_[0].base;
  const FrameArena& arena = arena_;
  uint32_t done[kRun];
  uint64_t sent = 0;
  for (uint32_t k = 0; k < count; ++k) {
    const Packet& p = *packets[k];
    const Piece piece = pieces[k];
    copy_packet(piece.at, p.data, piece.bytes());
    Slot& slot = slots[(next + k) & mask];
    write_low(slot, piece.low);
    if (kMemory == Memory::kOwn) write_high(slot, static_cast<uint32_t>(piece.at - base));
    sent += piece.bytes();
    done[k] = p.frame;
    // An empty frame behind it, which nobody makes.
    if (arena.link(p.frame).next != kFrameNone) frames.give_chain(arena.link(p.frame).next);
  }
  frames.give(done, count);
  return sent;
}

// One packet into the slots that find_room found.
template <Memory kMemory, class Emit>
void Queue::fill(const Packet& p, const Segments& segments, Emit&& emit) noexcept {
  Chain from(arena_, p, 0);
  uint32_t left = p.length;
  for (uint32_t k = 0; k < segments.count; ++k) {
    const Piece& piece = segments.at[k];
    const uint32_t bytes = std::min(left, piece.bytes());
    for (uint32_t done = 0; done < bytes;) {
      const Chain::Run run = from.next(bytes - done);
      check(run.bytes != 0, "memif: a packet's frames hold less than it says");
      emit(piece.at + done, run.at, run.bytes);
      done += run.bytes;
    }
    left -= bytes;
    const auto region = static_cast<uint16_t>(piece.low >> 16);
    write_out<kMemory>(out_.next + k, piece.at, slot_low(left != 0 ? kSlotNext : 0, region, bytes));
  }
}

template <Memory kMemory>
uint32_t Queue::transmit_now(Packet* const* packets, uint32_t count, uint32_t slots,
                             FrameCache& frames) noexcept {
  Piece pieces[kRun];
  Segments segments;
  uint64_t sent = 0;
  uint32_t i = 0;
  while (i < count) {
    const uint32_t run =
        gather_out<kMemory>(packets + i, std::min({count - i, slots, kRun}), pieces);
    if (__builtin_expect(run != 0, 1)) {
      sent += copy_run<kMemory>(packets + i, pieces, run, frames);
      out_.next = static_cast<uint16_t>(out_.next + run);
      slots -= run;
      i += run;
      continue;
    }
    Packet& p = *packets[i];
    const uint32_t need = is_sendable(p) ? find_room<kMemory>(p, slots, segments) : 0;
    if (need != 0) {
      fill<kMemory>(p, segments, copy_packet);
      out_.next = static_cast<uint16_t>(out_.next + need);
      slots -= need;
      sent += p.length;
      frames.give_chain(p.frame);
    } else if (!is_sendable(p) || never_fits(slots)) {
      refuse(p, Drop::kNotTransmittable, frames);
    } else {
      break;
    }
    i++;
  }
  publish_out(out_.next);
  tallies.tx_bytes.add(sent);
  return i;
}

// The same with copies that an engine makes meanwhile; slots are published as far as all is there.
template <Memory kMemory>
uint32_t Queue::transmit_late(Packet* const* packets, uint32_t count, uint32_t slots,
                              FrameCache& frames) noexcept {
  Copier& copier = *copier_out_;
  Piece pieces[kRun];
  Segments segments;
  uint64_t sent = 0;
  uint32_t i = 0;
  const auto emit = [&copier](uint8_t* to, const uint8_t* from, uint32_t bytes) {
    copier.add(to, from, bytes);
  };
  if (!copier.is_empty()) finish_out(frames);
  while (i < count) {
    if (!copier.make_room(kSegmentsMax + kPacketFramesMax)) break;
    // Each packet of a run is one frame and one entry.
    const uint32_t run = gather_out<kMemory>(
        packets + i, std::min({count - i, slots, kRun, copier.free(), half_ - out_held_}), pieces);
    if (run != 0) {
      for (uint32_t k = 0; k < run; ++k) {
        const Packet& p = *packets[i + k];
        copier.add(pieces[k].at, p.data, pieces[k].bytes());
        copier.push(p.frame, p.length, p.linear, 1, 1);
        write_out<kMemory>(out_.next + k, pieces[k].at, pieces[k].low);
        sent += pieces[k].bytes();
      }
      out_.next = static_cast<uint16_t>(out_.next + run);
      out_held_ += run;
      slots -= run;
      i += run;
      continue;
    }
    Packet& p = *packets[i];
    const uint32_t held = is_sendable(p) ? frames_of(p) : 0;
    const uint32_t need = held != 0 ? find_room<kMemory>(p, slots, segments) : 0;
    if (need == 0) {
      if (held != 0 && !never_fits(slots)) break;
      refuse(p, Drop::kNotTransmittable, frames);
    } else if (copier.free() == 0 || out_held_ + held > half_) {
      refuse(p, Drop::kPeerQuota, frames);
    } else {
      fill<kMemory>(p, segments, emit);
      copier.push(p.frame, p.length, p.linear, need, held);
      out_.next = static_cast<uint16_t>(out_.next + need);
      out_held_ += held;
      slots -= need;
      sent += p.length;
    }
    i++;
  }
  copier.submit();
  finish_out(frames);
  tallies.tx_bytes.add(sent);
  return i;
}

// What is copied is the peer's; its frames are free.
void Queue::finish_out(FrameCache& frames) noexcept {
  Copier& copier = *copier_out_;
  copier.poll();
  uint16_t upto = out_.done;
  for (; copier.front_is_finished(); copier.pop()) {
    const Late& late = copier.front();
    frames.give_chain(late.frame);
    upto = static_cast<uint16_t>(upto + late.slots);
    out_held_ -= late.frames;
  }
  publish_out(upto);
  tell_held();
}

// Zero-copy client: frames whose slots the peer has read come back.
void Queue::reclaim(FrameCache& frames) noexcept {
  if (out_.slots == nullptr) return;
  const uint16_t tail = load_index(out_.theirs);
  if (freed_ == tail) return;
  if (distance(freed_, tail) > distance(freed_, out_.done)) return violate(kIndexJumped);
  for (; freed_ != tail; ++freed_, --out_held_) frames.give(out_frames_[freed_ & out_.mask]);
  tell_held();
}

uint32_t Queue::transmit_lent(Packet* const* packets, uint32_t count, FrameCache& frames) noexcept {
  reclaim(frames);
  uint32_t slots = out_.size - distance(freed_, out_.next);
  uint64_t sent = 0;
  uint32_t i = 0;
  for (; i < count; ++i) {
    Packet& p = *packets[i];
    const uint32_t need = is_sendable(p) ? frames_of(p) : 0;
    if (need == 0 || need > kSegmentsMax || need > out_.size) {
      refuse(p, Drop::kNotTransmittable, frames);
    } else if (need > slots) {
      break;
    } else if (out_held_ + need > half_) {
      refuse(p, Drop::kPeerQuota, frames);
    } else {
      sent += p.length;
      lend(p, need);
      slots -= need;
    }
  }
  publish_out(out_.next);
  tallies.tx_bytes.add(sent);
  tell_held();
  return i;
}

// A frame is the peer's from here until its tail passes; each is on its own.
void Queue::lend(const Packet& p, uint32_t count) noexcept {
  const uint8_t* at = p.data;
  uint32_t bytes = p.linear;
  uint32_t frame = p.frame;
  for (uint32_t k = 0; k < count; ++k) {
    out_frames_[out_.next & out_.mask] = frame;
    write_slot(out_.at(out_.next), k + 1 < count ? kSlotNext : 0, kLentRegion, bytes,
               static_cast<uint32_t>(at - arena_.base()));
    out_.next = static_cast<uint16_t>(out_.next + 1);
    const FrameLink& link = arena_.link(frame);
    if (link.next == kFrameNone) break;
    frame = link.next;
    at = arena_.at(frame) + arena_.link(frame).offset;
    bytes = arena_.link(frame).length;
  }
  out_held_ += count;
}

// Published first, then the look whether the peer sleeps: the fence pairs with the one in arm.
void Queue::publish_out(uint16_t upto) noexcept {
  if (upto == out_.done) return;
  out_.done = upto;
  store_index(out_.ours, upto);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (__atomic_load_n(out_.flags, __ATOMIC_RELAXED) & kRingMaskInterrupt) return;
  ring_bell();
}

void Queue::ring_bell() noexcept {
  if (out_.fd < 0) return;
  tallies.rings.add(1);
  bell_.ring(out_.fd);
}

}  // namespace nodeplane::memif
