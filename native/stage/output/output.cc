#include "stage/output/output.h"

#include "base/check.h"
#include "packet/chain.h"
#include "stage/output/segment.h"

namespace nodeplane {
namespace {

// One frame instead of several. False: too long for one, or none is free; nothing changed then.
Drop linearise(Batch& batch, const Output::Table& table, Packet& p) noexcept {
  if (p.length + kFrameHeadroom > table.arena->frame_size()) return Drop::kNotTransmittable;
  const uint32_t frame = batch.frames->take();
  if (frame == kFrameNone) return Drop::kNoFrame;
  uint8_t* const data = table.arena->at(frame) + kFrameHeadroom;
  if (!Chain(*table.arena, p, 0).copy(data, p.length)) {
    batch.frames->give(frame);
    return Drop::kNotTransmittable;
  }
  batch.frames->give_chain(p.frame);
  p.frame = frame;
  p.data = data;
  p.linear = static_cast<uint16_t>(p.length);
  return Drop::kNone;
}

// What this port cannot take as it is. Several frames, or more than the port's MTU at once.
[[gnu::noinline]] void adapt(Batch& batch, const Output::Table& table, Output::State& state,
                             Packet& p) noexcept {
  const bool large = p.gso != Gso::kNone;
  const Drop why = large ? segment(batch, table, state, p) : linearise(batch, table, p);
  if (why != Drop::kNone) return batch.drop(p, why);
  if (large) batch.consume(p);  // its segments go instead
}

}  // namespace

void Output::run(Batch& batch, const Table& table, State& state) noexcept {
  for (uint32_t i = 0; i < batch.live_count; ++i) {
    Packet& p = batch.packets[batch.live[i]];
    check(p.verdict == Verdict::kGo, "a packet left without batch.drop, consume, hold or send");
    const uint32_t port = p.port_out;
    if (__builtin_expect(port >= table.port_count || !table.open[port], 0)) {
      batch.drop(p, Drop::kNotTransmittable);
      continue;
    }
    const bool chained = p.linear != p.length && !table.chains[port];
    if (__builtin_expect(chained || (p.gso != Gso::kNone && !table.gso[port]), 0)) {
      adapt(batch, table, state, p);
      if (p.verdict != Verdict::kGo) continue;
    }
    List& list = state.lists[port];
    if (__builtin_expect(list.count == kListRoom, 0)) {
      batch.drop(p, Drop::kNotTransmittable);
      continue;
    }
    p.verdict = Verdict::kSent;
    list.packets[list.count++] = &p;
  }
  // Nothing walks on from here; those that did not go are still to be counted.
  if (batch.left_count == 0) batch.live_count = 0;
}

}  // namespace nodeplane
