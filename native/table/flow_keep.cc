// A flow table's records come and go: fill, keep, forget, remove.
#include "base/cpu.h"
#include "table/flow_check.h"
#include "table/flow_impl.h"

namespace nodeplane {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

template <class Side>
void reset_side(Side& s, uint8_t direction, FlowState state, uint32_t generation,
                uint32_t now_ms) noexcept {
  s.next_hop.store(kNextHopNone, kRelaxed);
  s.generation.store(generation, kRelaxed);
  s.last_seen.store(now_ms, kRelaxed);
  s.state.store(side_state(static_cast<uint32_t>(state), direction), kRelaxed);
  s.tcp_flags.store(0, kRelaxed);
  s.direction = direction;
  s.source_changed = 0;
  s.packets.store(0, kRelaxed);
  s.bytes.store(0, kRelaxed);
}

}  // namespace

template <class F>
void FlowTable<F>::fill(uint32_t worker, uint32_t record, const NewFlow<F>& flow,
                        Time now) noexcept {
  Side& original = sides_[entry_of(record, 0)];
  Side& reply = sides_[entry_of(record, 1)];
  set_rewrite(original, flow.original, flow.reply);
  set_rewrite(reply, flow.reply, flow.original);
  reset_side(original, 0, flow.state, flow.generation, clock_ms(now));
  reset_side(reply, 1, flow.state, flow.generation, clock_ms(now));
  // Only towards the endpoint is a source hidden: an ICMP error that travels back keeps its own.
  original.source_changed = flow.snat;
  FlowCold& c = cold_[record];
  c.hash[0] = flow.original_hash;
  c.hash[1] = flow.reply_hash;
  c.service = flow.service;
  c.endpoint = flow.endpoint;
  c.snat_grant = flow.snat_grant;
  c.snat = flow.snat;
  c.zone = flow.zone;
  c.list = kFlowListNone;
  c.protocol = flow.original.protocol;
  c.owner = static_cast<uint8_t>(worker);
  c.single = flow_key_equal(flow.original, flow.reply);
  c.timer_slot = kTimerSlotNone;
  c.retired = 0;
  c.check =
      flow_check<F>({flow.original, flow.reply, flow.service, flow.endpoint, c.zone, flow.snat});
}

template <class F>
void FlowTable<F>::prefetch_keep(uint32_t worker, uint32_t original_hash, uint32_t reply_hash,
                                 uint32_t ahead) const noexcept {
  prefetch_to_write(index_.first(original_hash));
  prefetch_to_write(index_.first(reply_hash));
  const uint32_t record = impl_->pool.next(worker, ahead);
  if (record == kRecordNone) return;
  for (uint32_t d = 0; d < 2; ++d) {
    const auto* lines = reinterpret_cast<const uint8_t*>(sides_ + entry_of(record, d));
    for (size_t at = 0; at < sizeof(Side); at += 64) prefetch_to_write(lines + at);
  }
  prefetch_to_write(cold_ + record);
}

// With no more than the two keys' first buckets, which nearly always suffice: whoever adds or removes
// a key holds its first one. False: a key may live elsewhere, or there is no room.
template <class F>
bool FlowTable<F>::insert_here(const NewFlow<F>& flow, uint32_t record, KeepResult* result,
                               FlowRef* out) noexcept {
  FlowCold& c = cold_[record];
  FlowBucket* const one = index_.first(flow.original_hash);
  FlowBucket* const two = index_.first(flow.reply_hash);
  const FlowPair held(one, two);
  if (held.overflowed()) return false;
  uint32_t entry = index_.match(one, flow.original_hash, [&](uint32_t e) noexcept {
    return flow_key_equal(sides_[e].key, flow.original);
  });
  *result = KeepResult::kExisting;
  if (__builtin_expect(entry == kRecordNone, 1)) {
    entry = index_.match(two, flow.reply_hash, [&](uint32_t e) noexcept {
      return flow_key_equal(sides_[e].key, flow.reply);
    });
    *result = KeepResult::kClash;
  }
  if (__builtin_expect(entry != kRecordNone, 0)) {
    *out = ref_at(entry);
    return true;
  }
  const uint32_t room = index_.free_slots(one);
  if (__builtin_expect(room == 0, 0)) return false;
  const uint32_t slot = static_cast<uint32_t>(__builtin_ctz(room));
  uint32_t other = index_.free_slots(two);
  if (one == two) other &= other - 1;  // the lowest is the first key's
  if (__builtin_expect(other == 0 && !c.single, 0)) return false;
  c.state.store(static_cast<uint32_t>(flow.state), std::memory_order_release);
  index_.put(one, slot, flow.original_hash, entry_of(record, 0));
  if (!c.single)
    index_.put(two, static_cast<uint32_t>(__builtin_ctz(other)), flow.reply_hash,
               entry_of(record, 1));
  *result = KeepResult::kKept;
  return true;
}

// The same with all four buckets held. kDry: no room in the index, should that ever be.
template <class F>
KeepResult FlowTable<F>::insert_anywhere(const NewFlow<F>& flow, uint32_t record,
                                         FlowRef* out) noexcept {
  FlowCold& c = cold_[record];
  FlowBucket* const buckets[] = {index_.first(c.hash[0]), index_.first(c.hash[1]),
                                 index_.second(c.hash[0]), index_.second(c.hash[1])};
  const FlowLocks locks(buckets, 4);
  *out = find(flow.original, flow.original_hash);
  if (out->record != kRecordNone) return KeepResult::kExisting;
  *out = find(flow.reply, flow.reply_hash);
  if (out->record != kRecordNone) return KeepResult::kClash;
  FlowSpot spots[2];
  if (!index_.reserve(c.hash[0], FlowSpot{}, locks, true, &spots[0])) return KeepResult::kDry;
  if (!c.single && !index_.reserve(c.hash[1], spots[0], locks, true, &spots[1]))
    return KeepResult::kDry;
  c.state.store(static_cast<uint32_t>(flow.state), std::memory_order_release);
  index_.publish(spots[0], c.hash[0], entry_of(record, 0));
  if (!c.single) index_.publish(spots[1], c.hash[1], entry_of(record, 1));
  return KeepResult::kKept;
}

template <class F>
KeepResult FlowTable<F>::keep(uint32_t worker, const NewFlow<F>& flow, Time now,
                              FlowRef* out) noexcept {
  auto& w = impl_->workers[worker];
  const bool room = impl_->zones.take(worker, flow.zone);
  const uint32_t record = room ? impl_->pool.take(worker) : kRecordNone;
  if (__builtin_expect(record == kRecordNone, 0)) {
    if (room) impl_->zones.give(worker, flow.zone);
    *out = find(flow.original, flow.original_hash);
    if (out->record != kRecordNone) return KeepResult::kExisting;
    return room ? KeepResult::kDry : KeepResult::kFull;
  }
  fill(worker, record, flow, now);
  KeepResult result;
  if (__builtin_expect(!insert_here(flow, record, &result, out), 0))
    result = insert_anywhere(flow, record, out);
  if (__builtin_expect(result != KeepResult::kKept, 0)) {
    impl_->pool.give(worker, record);
    impl_->zones.give(worker, flow.zone);
    return result;
  }
  *out = FlowRef{record, 0};
  count_one(w.kept);
  count_one(w.zones[flow.zone].kept);
  w.wheel.start(now);
  const Time due =
      now +
      Time{timeout_ms(flow.original.protocol, static_cast<uint32_t>(flow.state))} * kMillisecond;
  w.wheel.link(record, FlowWheel::tick_after(due));
  w.lists.link(record, flow.state);
  return result;
}

template <class F>
bool FlowTable<F>::forget(uint32_t worker, uint32_t record, Gone* gone) noexcept {
  return remove(worker, record, ~0u, gone);
}

// Ends a record's life under the first buckets' locks. False: it is not live, or no longer of one of
// `classes`. An exchange, so that a state change under way finds its expectation gone.
template <class F>
bool FlowTable<F>::end_life(FlowCold& c, uint32_t classes) noexcept {
  uint32_t state = c.state.load(std::memory_order_acquire);
  do {
    if (state == static_cast<uint32_t>(FlowState::kNone)) return false;
    const auto own = static_cast<uint32_t>(flow_class(static_cast<FlowState>(state)));
    if ((classes >> own & 1) == 0) return false;
  } while (!c.state.compare_exchange_weak(state, static_cast<uint32_t>(FlowState::kNone),
                                          std::memory_order_seq_cst));
  return true;
}

// Both entries stand in their keys' first buckets, as nearly always. False: they do not, and nothing
// has changed.
template <class F>
bool FlowTable<F>::remove_here(uint32_t record, uint32_t classes, bool* done) noexcept {
  FlowCold& c = cold_[record];
  FlowBucket* const one = index_.first(c.hash[0]);
  FlowBucket* const two = index_.first(c.hash[1]);
  const FlowPair held(one, two);
  *done = false;
  if (c.state.load(std::memory_order_acquire) == static_cast<uint32_t>(FlowState::kNone))
    return true;
  const uint32_t slot = FlowIndex::slot_of(one, c.hash[0], entry_of(record, 0));
  const uint32_t other = c.single ? slot : FlowIndex::slot_of(two, c.hash[1], entry_of(record, 1));
  if (__builtin_expect((slot | other) >= FlowIndex::kSlotNone, 0)) return false;
  *done = end_life(c, classes);
  if (!*done) return true;
  FlowIndex::clear(one, slot);
  if (!c.single) FlowIndex::clear(two, other);
  return true;
}

template <class F>
bool FlowTable<F>::remove_anywhere(uint32_t record, uint32_t classes) noexcept {
  FlowCold& c = cold_[record];
  FlowBucket* const buckets[] = {index_.first(c.hash[0]), index_.first(c.hash[1]),
                                 index_.second(c.hash[0]), index_.second(c.hash[1])};
  const FlowLocks locks(buckets, 4);
  FlowSpot spots[2];
  if (!index_.locate(c.hash[0], entry_of(record, 0), &spots[0])) return false;
  if (!c.single && !index_.locate(c.hash[1], entry_of(record, 1), &spots[1])) return false;
  if (!end_life(c, classes)) return false;
  index_.clear(spots[0]);
  if (!c.single) index_.clear(spots[1]);
  return true;
}

// Under the first buckets' locks the record is live and indexed, or neither. False: it is not, or no
// longer of one of `classes`.
template <class F>
bool FlowTable<F>::remove(uint32_t worker, uint32_t record, uint32_t classes, Gone* gone) noexcept {
  bool done;
  if (!remove_here(record, classes, &done)) done = remove_anywhere(record, classes);
  if (!done) return false;
  FlowCold& c = cold_[record];
  auto& w = impl_->workers[worker];
  count_one(w.removed);
  impl_->zones.give(worker, c.zone);
  *gone = Gone{c.snat_grant, c.snat, c.zone};
  if (c.owner == worker) {
    w.wheel.unlink(record);
    w.lists.unlink(record);
    c.retired = 1;
    impl_->pool.retire(worker, record);
  } else {
    post(record);
    w.told |= uint64_t{1} << c.owner;
  }
  return true;
}

template KeepResult FlowTable<V4>::keep(uint32_t, const NewFlow<V4>&, Time, FlowRef*) noexcept;
template KeepResult FlowTable<V6>::keep(uint32_t, const NewFlow<V6>&, Time, FlowRef*) noexcept;
template void FlowTable<V4>::prefetch_keep(uint32_t, uint32_t, uint32_t, uint32_t) const noexcept;
template void FlowTable<V6>::prefetch_keep(uint32_t, uint32_t, uint32_t, uint32_t) const noexcept;
template bool FlowTable<V4>::forget(uint32_t, uint32_t, Gone*) noexcept;
template bool FlowTable<V6>::forget(uint32_t, uint32_t, Gone*) noexcept;
template bool FlowTable<V4>::remove(uint32_t, uint32_t, uint32_t, Gone*) noexcept;
template bool FlowTable<V6>::remove(uint32_t, uint32_t, uint32_t, Gone*) noexcept;

}  // namespace nodeplane
