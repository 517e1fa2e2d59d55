#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "packet/packet.h"

namespace nodeplane {

// A packet's bytes over its frames: the first frame's begin at packet.data (packet.linear of them),
// those of the frames behind it stand in their FrameLink.

// Bytes that fit into the first frame of a fresh packet, behind the headroom.
inline uint32_t first_room(const FrameArena& arena) noexcept {
  return arena.frame_size() - kFrameHeadroom;
}

// Calls visit(bytes, length) for every piece, in order.
template <class Visit>
inline void each_piece(const FrameArena& arena, const Packet& p, Visit&& visit) noexcept {
  visit(p.data, static_cast<uint32_t>(p.linear));
  for (uint32_t f = arena.link(p.frame).next; f != kFrameNone; f = arena.link(f).next) {
    const FrameLink& link = arena.link(f);
    visit(arena.at(f) + link.offset, static_cast<uint32_t>(link.length));
  }
}

// Copies packet.length bytes to `out`.
inline void copy_out(const FrameArena& arena, const Packet& p, uint8_t* out) noexcept {
  each_piece(arena, p, [&out](const uint8_t* bytes, uint32_t length) {
    if (length != 0) std::memcpy(out, bytes, length);
    out += length;
  });
}

// Appends bytes behind the last frame of a packet in fresh frames. False: no frame, and the packet
// is as it was.
inline bool append_bytes(Packet& p, FrameCache& frames, const uint8_t* bytes,
                         uint32_t length) noexcept {
  FrameArena& arena = frames.arena();
  uint32_t last = p.frame;
  while (arena.link(last).next != kFrameNone) last = arena.link(last).next;
  const uint32_t was_last = last;
  for (uint32_t done = 0; done < length;) {
    const uint32_t frame = frames.take();
    if (frame == kFrameNone) {
      frames.give_chain(arena.link(was_last).next);
      arena.link(was_last).next = kFrameNone;
      return false;
    }
    const uint32_t piece = std::min(length - done, arena.frame_size());
    std::memcpy(arena.at(frame), bytes + done, piece);
    arena.link(frame).length = static_cast<uint16_t>(piece);
    arena.link(last).next = frame;
    last = frame;
    done += piece;
  }
  p.length += length;
  return true;
}

// Puts bytes into fresh frames, as many as they need: sets frame, data, length and linear. False:
// no frame, nothing taken.
inline bool place_bytes(Packet& p, FrameCache& frames, const uint8_t* bytes,
                        uint32_t length) noexcept {
  FrameArena& arena = frames.arena();
  p.frame = frames.take();
  if (p.frame == kFrameNone) return false;
  p.data = arena.at(p.frame) + kFrameHeadroom;
  const uint32_t linear = std::min(length, first_room(arena));
  p.linear = static_cast<uint16_t>(linear);
  p.length = linear;
  if (linear != 0) std::memcpy(p.data, bytes, linear);
  if (linear == length || append_bytes(p, frames, bytes + linear, length - linear)) return true;
  frames.give_chain(p.frame);
  return false;
}

}  // namespace nodeplane
