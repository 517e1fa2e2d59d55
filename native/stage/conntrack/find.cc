#include "stage/conntrack/meet.h"

namespace nodeplane {
namespace {

// Lines asked for at once: 16 index lines and 16 records. More only evict each other.
constexpr uint32_t kAhead = 16;

// The batch's packets of one family: their keys side by side for the hash kernel.
template <class F>
struct Wanted {
  uint32_t count = 0;
  uint16_t packets[kBatchSize];
  uint32_t hashes[kBatchSize];
  typename F::Key keys[kBatchSize];

  void add(uint16_t index, Packet& p) noexcept {
    packets[count] = index;
    keys[count++] = key_of<F>(p);
  }
};

// A pipeline of three steps: each key's index line is asked for two strides before it is read, its
// record one stride before.
template <class F>
uint32_t look_up(Batch& batch, const ConntrackTable& table, uint32_t worker,
                 Wanted<F>& wanted) noexcept {
  const uint32_t count = wanted.count;
  if (count == 0) return 0;
  FlowTable<F>& flows = flows_of<F>(table);
  hash_keys<F>(table, wanted.keys, count, wanted.hashes);
  uint32_t hits = 0;
  for (uint32_t step = 0; step < count + 2 * kAhead; ++step) {
    if (step < count) flows.prefetch_index(wanted.hashes[step]);
    const uint32_t near = step - kAhead, now = step - 2 * kAhead;  // wrap below zero
    if (near < count) flows.guess(wanted.hashes[near]);            // asks for its lines
    if (now >= count) continue;
    Packet& p = batch.packets[wanted.packets[now]];
    p.hash = wanted.hashes[now];
    const FlowRef ref = flows.find(wanted.keys[now], wanted.hashes[now]);
    if (ref.record != kRecordNone) hits += meet<F>(batch, p, table, worker, ref);
  }
  return hits;
}

void list_fresh(Batch& batch) noexcept {
  for (uint32_t i = 0; i < batch.live_count; ++i) {
    const uint16_t index = batch.live[i];
    const Packet& p = batch.packets[index];
    if (p.record != kRecordNone || (p.flags & kFlagPassThrough) != 0) continue;
    if (p.kind == Kind::kIp || p.kind == Kind::kIcmpError || p.kind == Kind::kIpPlain) {
      batch.fresh[batch.fresh_count++] = index;
    }
  }
}

}  // namespace

void Find::run(Batch& batch, const Table& table, State& state) noexcept {
  Wanted<V4> v4;
  Wanted<V6> v6;
  batch.fresh_count = 0;
  for (uint32_t i = 0; i < batch.live_count; ++i) {
    const uint16_t index = batch.live[i];
    Packet& p = batch.packets[index];
    p.record = kRecordNone;
    p.decision = kIdNone;
    p.side = nullptr;
    if (!has_tuple(p)) continue;
    if (p.family == 4)
      v4.add(index, p);
    else
      v6.add(index, p);
  }
  const uint32_t hits =
      look_up<V4>(batch, table, state.worker, v4) + look_up<V6>(batch, table, state.worker, v6);
  batch.counters->add(Counter::kFlowHit, hits);
  if (hits != batch.live_count) list_fresh(batch);
}

}  // namespace nodeplane
