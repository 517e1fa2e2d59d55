// Receiving: the peer's packets out of its slots, or out of the frames that we lent it.
#include <algorithm>

#include "driver/memif/bytes.h"
#include "driver/memif/memory.h"

namespace nodeplane::memif {
namespace {

constexpr uint32_t kSlotsPerLine = 4;
constexpr char kIndexJumped[] = "its index of the receiving ring moved beyond the ring";
constexpr char kBadSlot[] = "a received slot names memory outside its region, or no bytes";
constexpr char kEndless[] = "a packet fills the whole ring and does not end";

}  // namespace

uint32_t Queue::receive(Packet* packets, uint32_t max, FrameCache& frames,
                        Counters& counters) noexcept {
  if (!is_ready(frames) || in_.slots == nullptr) return 0;
  if (__builtin_expect(!masked_, 0)) {
    __atomic_store_n(in_.flags, kRingMaskInterrupt, __ATOMIC_RELAXED);
    masked_ = true;
  }
  uint32_t n;
  switch (options_.memory) {
    case Memory::kPeers:
      n = copier_in_ ? receive_late<Memory::kPeers>(packets, max, frames, counters)
                     : receive_now<Memory::kPeers>(packets, max, frames, counters);
      break;
    case Memory::kOwn:
      n = copier_in_ ? receive_late<Memory::kOwn>(packets, max, frames, counters)
                     : receive_now<Memory::kOwn>(packets, max, frames, counters);
      break;
    default:
      n = receive_lent(packets, max, frames, counters);
  }
  if (n == 0) return 0;
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < n; ++i) {
    Packet& p = packets[i];
    p.flags = 0;  // they may stand there from a port with a virtio-net header
    p.gso = Gso::kNone;
    bytes += p.length;
  }
  tallies.rx_packets.add(n);
  tallies.rx_bytes.add(bytes);
  return n;
}

// Slots that the peer has filled and we have not dealt with.
uint32_t Queue::incoming() noexcept {
  const uint16_t theirs = load_index(in_.theirs);
  looked_ = theirs;
  const uint32_t count = distance(in_.next, theirs);
  if (__builtin_expect(count <= distance(in_.next, posted_), 1)) return count;
  violate(kIndexJumped);
  return 0;
}

// Packets that stand in one slot and fit into one frame, from `next` on; stops before any other.
template <Memory kMemory>
inline uint32_t Queue::gather_in(uint32_t most, Piece* pieces) const noexcept {
  const Places<kMemory> places = this->places<kMemory>(in_);
  const Slot* const slots = in_.slots;
  const uint32_t mask = in_.mask, room = room_, next = in_.next;
  for (uint32_t i = 0; i < most; i += kSlotsPerLine) __builtin_prefetch(&slots[(next + i) & mask]);
  uint32_t i = 0;
  for (; i < most; ++i) {
    const uint32_t at = (next + i) & mask;
    const SlotCopy slot = read_slot(slots[at]);
    if (slot.goes_on() || slot.length() - 1 >= room) break;
    uint8_t* const bytes = places.locate(at, slot);
    if (bytes == nullptr) break;
    __builtin_prefetch(bytes);
    pieces[i] = {bytes, slot.low};
  }
  return i;
}

// Each piece into its frame; bytes.
inline uint32_t Queue::copy_in(const Piece* pieces, const uint32_t* taken, uint32_t count,
                               Packet* packets) const noexcept {
  uint8_t* const first = arena_.base() + options_.start;
  const uint32_t frame_shift = frame_shift_;
  uint32_t all = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t frame = taken[i], bytes = pieces[i].bytes();
    uint8_t* const to = first + (uint64_t{frame} << frame_shift);
    copy_packet(to, pieces[i].at, bytes);
    Packet& p = packets[i];
    p.data = to;
    p.frame = frame;
    p.length = bytes;
    all += bytes;
    p.linear = static_cast<uint16_t>(bytes);
  }
  return all;
}

// The packet at `next`, whatever it is: how many slots it has, 0 if it is not all there yet or
// breaks a rule. No segments: it is to be passed over.
template <Memory kMemory>
uint32_t Queue::collect(uint32_t left, Segments& segments, Counters& counters) noexcept {
  segments.bytes = segments.count = 0;
  if (skipping_) {
    skipping_ = read_slot(in_.at(in_.next)).goes_on();
    return 1;
  }
  for (uint32_t k = 0; k < left; ++k) {
    const uint32_t index = (in_.next + k) & in_.mask;
    const SlotCopy slot = read_slot(in_.slots[index]);
    uint8_t* const at = slot.length() != 0 ? places<kMemory>(in_).locate(index, slot) : nullptr;
    if (at == nullptr) {
      violate(kBadSlot);
      return 0;
    }
    segments.at[k] = {at, slot.low};
    segments.bytes += slot.length();
    const bool is_too_long =
        segments.bytes > kPacketBytesMax || (slot.goes_on() && k + 1 == kSegmentsMax);
    if (!is_too_long && slot.goes_on()) continue;
    // Old DPDK senders only ever set NEXT and rely on the receiver to clear it, as libmemif does.
    if (kMemory == Memory::kPeers && k != 0)
      for (uint32_t i = 0; i <= k; ++i)
        __atomic_store_n(&in_.at(static_cast<uint16_t>(in_.next + i)).flags, 0, __ATOMIC_RELAXED);
    if (is_too_long) {
      count_lost(counters, Drop::kRxTruncated);
      skipping_ = slot.goes_on();
    } else {
      segments.count = k + 1;
    }
    return k + 1;
  }
  if (left == in_.size) violate(kEndless);
  return 0;
}

// Frames for a packet, and what must be copied into them. False: no frame, nothing taken.
template <class Emit>
bool Queue::lay(const Segments& segments, Packet& p, FrameCache& frames, Emit&& emit) noexcept {
  const auto bytes = static_cast<uint32_t>(segments.bytes);
  const uint32_t frame_size = arena_.frame_size();
  const uint32_t linear = std::min(bytes, room_);
  const uint32_t need = 1 + (bytes - linear + frame_size - 1) / frame_size;
  uint32_t taken[kPacketFramesMax];
  const uint32_t got = frames.take(taken, need);
  if (got < need) {
    for (uint32_t i = 0; i < got; ++i) frames.give(taken[i]);
    return false;
  }
  const Piece* segment = segments.at;
  uint32_t from = 0;  // of the segment's bytes
  uint32_t left = bytes;
  for (uint32_t f = 0; f < need; ++f) {
    uint8_t* to = arena_.at(taken[f]) + (f == 0 ? options_.start : 0);
    const uint32_t here = std::min(left, f == 0 ? room_ : frame_size);
    for (uint32_t done = 0; done < here;) {
      const uint32_t part = std::min(here - done, segment->bytes() - from);
      emit(to + done, segment->at + from, part);
      done += part;
      from += part;
      if (from != segment->bytes()) continue;
      segment++;
      from = 0;
    }
    left -= here;
    if (f == 0) continue;
    arena_.link(taken[f]).length = static_cast<uint16_t>(here);
    arena_.link(taken[f - 1]).next = taken[f];
  }
  p.frame = taken[0];
  p.data = arena_.at(taken[0]) + options_.start;
  p.length = bytes;
  p.linear = static_cast<uint16_t>(linear);
  return true;
}

template <Memory kMemory>
uint32_t Queue::receive_now(Packet* packets, uint32_t max, FrameCache& frames,
                            Counters& counters) noexcept {
  uint32_t left = incoming();
  if (left == 0) return 0;
  Piece pieces[kRun];
  uint32_t taken[kRun];
  Segments segments;
  uint32_t n = 0, bytes = 0;
  while (left != 0 && n < max && bytes < kReceiveBytesMax) {
    uint32_t slots = skipping_ ? 0 : gather_in<kMemory>(std::min({left, max - n, kRun}), pieces);
    if (__builtin_expect(slots != 0, 1)) {
      const uint32_t got = frames.take(taken, slots);
      bytes += copy_in(pieces, taken, got, packets + n);
      n += got;
      if (got < slots) count_lost(counters, Drop::kNoFrame, slots - got);
    } else {
      slots = collect<kMemory>(left, segments, counters);
      if (slots == 0) break;
      if (segments.count != 0) {
        bytes += static_cast<uint32_t>(segments.bytes);
        if (lay(segments, packets[n], frames, copy_packet))
          n++;
        else
          count_lost(counters, Drop::kNoFrame);
      }
    }
    in_.next = static_cast<uint16_t>(in_.next + slots);
    left -= slots;
  }
  if (n == max || bytes >= kReceiveBytesMax) looked_ = in_.next;
  give_slots<kMemory>();
  return n;
}

// The same with copies that an engine makes meanwhile: those begun earlier and finished by now are
// what comes out. Order is kept whatever the engine finishes first.
template <Memory kMemory>
uint32_t Queue::receive_late(Packet* packets, uint32_t max, FrameCache& frames,
                             Counters& counters) noexcept {
  Copier& copier = *copier_in_;
  copier.poll();
  uint32_t n = deliver(packets, max);
  const uint32_t left = incoming();
  if (left != 0 && take_on<kMemory>(left, frames, counters) != 0) {
    copier.submit();
    copier.poll();
    n += deliver(packets + n, max - n);
  }
  give_slots<kMemory>();
  tell_held();
  return n;
}

// Begins the copies of packets in the ring. How many slots that were.
template <Memory kMemory>
uint32_t Queue::take_on(uint32_t left, FrameCache& frames, Counters& counters) noexcept {
  Copier& copier = *copier_in_;
  Piece pieces[kRun];
  uint32_t taken[kRun];
  Segments segments;
  const uint16_t first = in_.next;
  bool is_stuck = false;
  const auto emit = [&copier](uint8_t* to, const uint8_t* from, uint32_t bytes) {
    copier.add(to, from, bytes);
  };
  for (uint32_t packets = 0; left != 0 && packets < kTakenOnMax;) {
    if (copier.free() < kRun || half_ < in_held_ + kPacketFramesMax) break;
    if (!copier.make_room(std::max(kRun, kPacketCopiesMax))) break;
    const uint32_t most = std::min({left, kRun, half_ - in_held_});
    uint32_t slots = skipping_ ? 0 : gather_in<kMemory>(most, pieces);
    if (slots != 0) {
      const uint32_t got = frames.take(taken, slots);
      for (uint32_t i = 0; i < got; ++i) {
        copier.add(arena_.at(taken[i]) + options_.start, pieces[i].at, pieces[i].bytes());
        copier.push(taken[i], pieces[i].bytes(), pieces[i].bytes(), 1, 1);
      }
      in_held_ += got;
      packets += slots;
      if (got < slots) {
        count_lost(counters, Drop::kNoFrame, slots - got);
        pass_over(slots - got);
      }
    } else {
      slots = collect<kMemory>(left, segments, counters);
      is_stuck = slots == 0;
      if (is_stuck) break;
      Packet p;
      if (segments.count == 0) {
        pass_over(slots);
      } else if (lay(segments, p, frames, emit)) {
        const uint32_t count =
            1 + (p.length - p.linear + arena_.frame_size() - 1) / arena_.frame_size();
        copier.push(p.frame, p.length, p.linear, slots, count);
        in_held_ += count;
      } else {
        count_lost(counters, Drop::kNoFrame);
        pass_over(slots);
      }
      packets++;
    }
    in_.next = static_cast<uint16_t>(in_.next + slots);
    left -= slots;
  }
  if (!is_stuck) looked_ = in_.next;
  return distance(first, in_.next);
}

// Slots of which nothing will come: they go back with those before them.
void Queue::pass_over(uint32_t slots) noexcept {
  if (copier_in_->is_empty())
    in_.done = static_cast<uint16_t>(in_.done + slots);
  else
    copier_in_->back().slots = static_cast<uint16_t>(copier_in_->back().slots + slots);
}

uint32_t Queue::deliver(Packet* packets, uint32_t max) noexcept {
  Copier& copier = *copier_in_;
  uint32_t n = 0;
  for (; n < max && copier.front_is_finished(); copier.pop()) {
    const Late& late = copier.front();
    Packet& p = packets[n++];
    p.frame = late.frame;
    p.data = arena_.at(late.frame) + options_.start;
    p.length = late.length;
    p.linear = late.linear;
    in_.done = static_cast<uint16_t>(in_.done + late.slots);
    in_held_ -= late.frames;
  }
  return n;
}

// Everything before `done` is the peer's again.
template <Memory kMemory>
void Queue::give_slots() noexcept {
  if constexpr (kMemory == Memory::kPeers || kMemory == Memory::kOwn) {
    if (copier_in_ == nullptr) in_.done = in_.next;
    const auto upto = static_cast<uint16_t>(in_.done + in_.size);
    if (upto == posted_) return;
    if (kMemory == Memory::kOwn) restore_slots(posted_, upto);
    posted_ = upto;
    store_index(in_.ours, kMemory == Memory::kPeers ? in_.done : upto);
  }
}

// The peer has written its lengths into them, or anything else.
void Queue::restore_slots(uint16_t from, uint16_t upto) noexcept {
  const auto first = static_cast<uint32_t>(in_.buffers - regions_[0].base);
  for (uint16_t i = from; i != upto; ++i)
    write_slot(in_.at(i), 0, 0, buffer_bytes_, first + (i & in_.mask) * buffer_bytes_);
}

// Zero-copy client: fresh frames for the peer to fill, each offered whole.
void Queue::post(FrameCache& frames) noexcept {
  const uint32_t has = distance(in_.next, posted_);
  uint32_t want = std::min(in_.size, half_) - has;
  uint32_t taken[kRun];
  while (want != 0) {
    const uint32_t got = frames.take(taken, std::min(want, kRun));
    for (uint32_t i = 0; i < got; ++i, ++posted_) {
      in_frames_[posted_ & in_.mask] = taken[i];
      write_slot(in_.at(posted_), 0, kLentRegion, arena_.frame_size(),
                 static_cast<uint32_t>(arena_.at(taken[i]) - arena_.base()));
    }
    in_held_ += got;
    want -= got;
    if (got < kRun) break;
  }
  store_index(in_.ours, posted_);
  tell_held();
}

// Zero-copy client. Which frame a slot has is ours to know: of the slot only the length and NEXT
// are believed, within the frame.
uint32_t Queue::receive_lent(Packet* packets, uint32_t max, FrameCache& frames,
                             Counters& counters) noexcept {
  uint32_t left = incoming();
  if (left == 0) return 0;
  for (uint32_t i = 0; i < std::min(left, max); i += kSlotsPerLine)
    __builtin_prefetch(&in_.at(static_cast<uint16_t>(in_.next + i)));
  uint32_t n = 0;
  while (left != 0 && n < max) {
    // Nothing is changed before the packet is known to be whole.
    uint32_t slots = 0, bytes = 0;
    uint16_t lengths[kSegmentsMax];
    bool goes_on = true;
    while (goes_on && slots < std::min(left, kSegmentsMax) && bytes <= kPacketBytesMax) {
      const SlotCopy slot = read_slot(in_.at(static_cast<uint16_t>(in_.next + slots)));
      if (slot.length() - 1 >= arena_.frame_size() && !skipping_) {
        violate(kBadSlot);
        slots = left = 0;
        break;
      }
      lengths[slots++] = static_cast<uint16_t>(slot.length());
      bytes += slot.length();
      goes_on = slot.goes_on();
      if (skipping_) break;
    }
    if (slots == 0) break;
    const bool is_too_long = bytes > kPacketBytesMax || (goes_on && slots == kSegmentsMax);
    if (goes_on && !is_too_long && !skipping_) {
      if (left == in_.size) violate(kEndless);
      break;
    }
    const auto frame_at = [this](uint32_t k) {
      return in_frames_[static_cast<uint16_t>(in_.next + k) & in_.mask];
    };
    if (is_too_long || skipping_) {
      if (!skipping_) count_lost(counters, Drop::kRxTruncated);
      skipping_ = goes_on;
      for (uint32_t k = 0; k < slots; ++k) frames.give(frame_at(k));
    } else {
      Packet& p = packets[n++];
      p.frame = frame_at(0);
      p.data = arena_.at(p.frame);
      p.length = bytes;
      p.linear = lengths[0];
      __builtin_prefetch(p.data);
      for (uint32_t k = 1; k < slots; ++k) {
        arena_.link(frame_at(k)) = {kFrameNone, 0, lengths[k]};
        arena_.link(frame_at(k - 1)).next = frame_at(k);
      }
    }
    in_.next = static_cast<uint16_t>(in_.next + slots);
    in_held_ -= slots;
    left -= slots;
  }
  if (n == max) looked_ = in_.next;
  in_.done = in_.next;
  post(frames);
  return n;
}

}  // namespace nodeplane::memif
