#include "path/stage.h"

namespace nodeplane {
namespace {

// Keeps those that still walk, in order.
uint32_t still_walking(const Batch& batch, uint16_t* list, uint32_t count) noexcept {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const uint16_t index = list[i];
    list[kept] = index;
    kept += batch.packets[index].verdict == Verdict::kGo;
  }
  return kept;
}

void count_gone(Batch& batch, uint16_t index) noexcept {
  const Packet& p = batch.packets[index];
  if (p.verdict == Verdict::kDrop) {
    batch.counters->drops[static_cast<uint32_t>(p.drop)]++;
  } else if (p.verdict == Verdict::kConsumed) {
    batch.counters->add(Counter::kConsumed);
  } else {
    return;
  }
  batch.gone[batch.gone_count++] = index;
}

}  // namespace

void settle(Batch& batch) noexcept {
  if (__builtin_expect(batch.left_count == 0, 1)) return;
  batch.left_count = 0;
  for (uint32_t i = 0; i < batch.live_count; ++i) count_gone(batch, batch.live[i]);
  batch.live_count = still_walking(batch, batch.live, batch.live_count);
  batch.fresh_count = still_walking(batch, batch.fresh, batch.fresh_count);
}

void finish(Batch& batch) noexcept {
  for (uint32_t i = 0; i < batch.gone_count; ++i)
    batch.frames->give_chain(batch.packets[batch.gone[i]].frame);
  batch.gone_count = 0;
}

}  // namespace nodeplane
