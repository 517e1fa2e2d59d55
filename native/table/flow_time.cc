// A flow table's time: state changes, deadlines, visits, notices between workers.
#include <algorithm>

#include "table/flow_impl.h"

namespace nodeplane {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr uint32_t kVisitsAhead = 16;
constexpr uint32_t kSkewMax = 1000;       // ms by which workers' clocks may differ
constexpr Time kSleepMax = 30 * kSecond;  // a sleeping owner looks at its notices this often

}  // namespace

// A packet that may change the state. Nobody leaves kNone here: a removed record stays removed.
template <class F>
void FlowTable<F>::stir(uint32_t worker, FlowRef ref, uint8_t flags, uint8_t protocol,
                        Time now) noexcept {
  FlowCold& c = cold_[ref.record];
  const Side& opposite = sides_[entry_of(ref.record, ref.direction ^ 1u)];
  uint32_t before = c.state.load(std::memory_order_acquire);
  uint32_t after;
  do {
    if (before == static_cast<uint32_t>(FlowState::kNone)) return;
    const bool other_fin = (opposite.tcp_flags.load(kRelaxed) & kTcpFin) != 0;
    after = static_cast<uint32_t>(
        next_flow_state(static_cast<FlowState>(before), protocol, ref.direction, flags, other_fin));
    if (after == before) return;
  } while (!c.state.compare_exchange_weak(before, after, std::memory_order_seq_cst,
                                          std::memory_order_acquire));
  copy_state(ref.record);
  auto& w = impl_->workers[worker];
  if (c.owner == worker) w.lists.move(ref.record, static_cast<FlowState>(after));
  const uint32_t left = timeout_ms(protocol, after);
  if (left >= timeout_ms(protocol, before)) return;  // the next visit puts it right
  if (c.owner != worker) return post(ref.record);
  const uint64_t due = FlowWheel::tick_after(now + Time{left} * kMillisecond);
  FlowWheel& wheel = w.wheel;
  if (c.timer_slot == kTimerSlotNone || w.wheel.due_by(ref.record, due)) return;
  wheel.unlink(ref.record);
  wheel.link(ref.record, due);
}

// Both sides carry a copy for the fast path. Two changes at once may write them in either order, so
// whoever wrote last looks whether it still was right: all of it, the change too, is of one order.
template <class F>
void FlowTable<F>::copy_state(uint32_t record) noexcept {
  const FlowCold& c = cold_[record];
  for (uint32_t s = c.state.load(std::memory_order_seq_cst);;) {
    if (s == static_cast<uint32_t>(FlowState::kNone)) return;
    sides_[entry_of(record, 0)].state.store(side_state(s, 0), std::memory_order_seq_cst);
    sides_[entry_of(record, 1)].state.store(side_state(s, 1), std::memory_order_seq_cst);
    const uint32_t now = c.state.load(std::memory_order_seq_cst);
    if (now == s) return;
    s = now;
  }
}

// Tells the owner to look at a record: at most once in its stack, so the stack is never full.
template <class F>
void FlowTable<F>::post(uint32_t record) noexcept {
  FlowCold& c = cold_[record];
  if (c.posted.exchange(1, std::memory_order_acq_rel) != 0) return;
  auto& stack = impl_->workers[c.owner].notices;
  uint32_t head = stack.load(kRelaxed);
  do {
    c.notice_next.store(head, kRelaxed);
  } while (!stack.compare_exchange_weak(head, record, std::memory_order_release, kRelaxed));
}

template <class F>
void FlowTable<F>::read_notice(uint32_t worker, uint32_t record, Time now) noexcept {
  FlowCold& c = cold_[record];
  auto& w = impl_->workers[worker];
  c.posted.exchange(0, std::memory_order_acq_rel);  // before the state: a later change posts anew
  if (c.retired) return;
  const FlowState state = state_of(record);
  if (state == FlowState::kNone) {
    w.wheel.unlink(record);
    w.lists.unlink(record);
    c.retired = 1;
    impl_->pool.retire(worker, record);
    return;
  }
  w.lists.move(record, state);
  const uint64_t due = FlowWheel::tick_after(deadline(record, now));
  if (w.wheel.due_by(record, due)) return;
  w.wheel.unlink(record);
  w.wheel.link(record, due);
}

// The younger direction counts. A side may have been seen a little after `now`, by a worker whose
// batch began later; what seems to lie further ahead lies more than 24 days back.
template <class F>
Time FlowTable<F>::deadline(uint32_t record, Time now) const noexcept {
  const FlowCold& c = cold_[record];
  const uint32_t now_ms = clock_ms(now);
  uint32_t age = ~0u;
  for (uint32_t d = 0; d < 2; ++d) {
    const uint32_t each = now_ms - sides_[entry_of(record, d)].last_seen.load(kRelaxed);
    age = std::min(age, each > ~kSkewMax ? 0 : each);
  }
  const Time base = now / kMillisecond;
  const Time limit = timeout_ms(c.protocol, c.state.load(kRelaxed));
  return (base - std::min(base, Time{age}) + limit) * kMillisecond;
}

// The lines that a visit reads, and a removal writes: sides, index lines, neighbours in the list.
template <class F>
void FlowTable<F>::prefetch_visit(uint32_t record) const noexcept {
  const FlowCold& c = cold_[record];
  for (uint32_t d = 0; d < 2; ++d) {
    __builtin_prefetch(&sides_[entry_of(record, d)].last_seen);
    __builtin_prefetch(index_.first(c.hash[d]), 1);
  }
  for (const uint32_t neighbour : {c.next.load(kRelaxed), c.back.load(kRelaxed)})
    if (neighbour != kRecordNone) __builtin_prefetch(cold_ + neighbour, 1);
}

template <class F>
bool FlowTable<F>::visit(uint32_t worker, uint32_t record, Time now, Gone* gone) noexcept {
  auto& w = impl_->workers[worker];
  const FlowState state = state_of(record);
  if (state == FlowState::kNone) return false;  // its notice is on the way
  bool over = deadline(record, now) <= now;
  if (w.leaping && !over) {  // ages have gone round: only what was seen since the leap lives
    const uint32_t from = w.leap_ms - kSkewMax;
    const uint32_t until = clock_ms(now) + kSkewMax;
    over = true;
    for (uint32_t d = 0; d < 2; ++d) {
      if (sides_[entry_of(record, d)].last_seen.load(kRelaxed) - from <= until - from) over = false;
    }
  }
  if (over) return remove(worker, record, ~0u, gone);
  w.lists.move(record, state);
  w.wheel.link(record, FlowWheel::tick_after(deadline(record, now)));
  return false;
}

template <class F>
uint32_t FlowTable<F>::expire(uint32_t worker, Time now, uint32_t budget, Gone* gone,
                              bool* more) noexcept {
  auto& w = impl_->workers[worker];
  impl_->pool.reclaim(worker);
  w.wheel.start(now);
  if (now > w.wheel.time() && (now - w.wheel.time()) / kMillisecond > kFlowTimeoutMax) {
    w.leaping = true;
    w.leap_ms = clock_ms(now);
  }
  uint32_t visits = 0, count = 0;
  if (w.pending == kRecordNone && w.notices.load(kRelaxed) != kRecordNone) {
    w.pending = w.notices.exchange(kRecordNone, std::memory_order_acquire);
  }
  for (; w.pending != kRecordNone && visits < budget; ++visits) {
    const uint32_t record = w.pending;
    w.pending = cold_[record].notice_next.load(kRelaxed);
    read_notice(worker, record, now);
  }
  while (visits < budget) {
    uint32_t due[kVisitsAhead], found = 0;
    while (found < kVisitsAhead && visits + found < budget) {
      const uint32_t record = w.wheel.pop(now);
      if (record == kRecordNone) break;
      prefetch_visit(record);
      due[found++] = record;
    }
    for (uint32_t i = 0; i < found; ++i)
      if (visit(worker, due[i], now, &gone[count])) ++count;
    if (found == 0) break;
    visits += found;
  }
  const bool due = w.wheel.has_due(now);
  if (!due) w.leaping = false;
  *more = due || w.pending != kRecordNone || w.notices.load(kRelaxed) != kRecordNone;
  return count;
}

template <class F>
void FlowTable<F>::set_timers(const FlowTimers& timers) noexcept {
  const auto set = [](std::atomic<uint32_t>& word, uint32_t ms) {
    word.store(std::min(ms, kFlowTimeoutMax), kRelaxed);
  };
  uint32_t calm = std::min(
      {timers.udp_unreplied, timers.udp_replied, timers.icmp, timers.sctp, kFlowTimeoutMax});
  for (uint32_t s = 0; s < kFlowStateCount; ++s) {
    const auto state = static_cast<FlowState>(s);
    const bool replied = state == FlowState::kReplied;
    set(timeouts_[kTimerTcp][s], timers.by_state[s]);
    set(timeouts_[kTimerUdp][s], replied ? timers.udp_replied : timers.udp_unreplied);
    set(timeouts_[kTimerIcmp][s], timers.icmp);
    set(timeouts_[kTimerSctp][s], replied ? timers.sctp : timers.udp_unreplied);
    const bool of_tcp = state != FlowState::kNone && state != FlowState::kUnreplied && !replied;
    if (of_tcp) calm = std::min(calm, timers.by_state[s]);
  }
  calm_ms_.store(calm, kRelaxed);
}

template <class F>
Time FlowTable<F>::next_due(uint32_t worker) const noexcept {
  const auto& w = impl_->workers[worker];
  if (w.pending != kRecordNone || w.notices.load(kRelaxed) != kRecordNone) return 0;
  const Time next = w.wheel.next();
  return next == FlowWheel::kNever ? next : std::min(next, w.wheel.time() + kSleepMax);
}

template <class F>
uint64_t FlowTable<F>::take_told(uint32_t worker) noexcept {
  static_assert(kWorkerMax <= 64);
  return std::exchange(impl_->workers[worker].told, 0);
}

template void FlowTable<V4>::stir(uint32_t, FlowRef, uint8_t, uint8_t, Time) noexcept;
template void FlowTable<V6>::stir(uint32_t, FlowRef, uint8_t, uint8_t, Time) noexcept;
template void FlowTable<V4>::post(uint32_t) noexcept;
template void FlowTable<V6>::post(uint32_t) noexcept;
template Time FlowTable<V4>::deadline(uint32_t, Time) const noexcept;
template Time FlowTable<V6>::deadline(uint32_t, Time) const noexcept;
template uint32_t FlowTable<V4>::expire(uint32_t, Time, uint32_t, Gone*, bool*) noexcept;
template uint32_t FlowTable<V6>::expire(uint32_t, Time, uint32_t, Gone*, bool*) noexcept;
template void FlowTable<V4>::set_timers(const FlowTimers&) noexcept;
template void FlowTable<V6>::set_timers(const FlowTimers&) noexcept;
template Time FlowTable<V4>::next_due(uint32_t) const noexcept;
template Time FlowTable<V6>::next_due(uint32_t) const noexcept;
template uint64_t FlowTable<V4>::take_told(uint32_t) noexcept;
template uint64_t FlowTable<V6>::take_told(uint32_t) noexcept;

}  // namespace nodeplane
