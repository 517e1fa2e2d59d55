#include "table/flow_table.h"

#include <algorithm>
#include <utility>

#include "base/memory.h"
#include "base/sum.h"
#include "table/flow_pool.h"
#include "table/flow_wheel.h"

namespace nodeplane {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr uint32_t kCapacityMax = 1u << 30;     // an entry is record << 1 | direction
constexpr uint32_t kTimeoutMax = 0x7fffffff;    // ages are 31 bits of milliseconds, 24 days
constexpr uint32_t kTimeoutUntilSet = 120'000;  // before control has said anything
constexpr uint32_t kSkewMax = 1000;             // ms by which workers' clocks may differ
constexpr Time kSleepMax = 30 * kSecond;        // a sleeping owner looks at its notices this often

// What a packet with `key` becomes: the mirror of the opposite direction's key.
template <class Side, class Key>
void set_rewrite(Side& s, const Key& key, const Key& opposite) noexcept {
  s.key = key;
  std::memcpy(&s.new_src, &opposite.dst, sizeof s.new_src);
  std::memcpy(&s.new_dst, &opposite.src, sizeof s.new_dst);
  s.new_sport = opposite.dport;
  s.new_dport = opposite.sport;
  if constexpr (sizeof(Key) == sizeof(KeyV4)) s.l3_delta = l3_delta(key, s.new_src, s.new_dst);
  s.l4_delta = l4_delta(key, s.new_src, s.new_dst, s.new_sport, s.new_dport);
}

template <class Side>
void reset_side(Side& s, uint8_t direction, FlowState state, uint32_t generation,
                uint32_t now_ms) noexcept {
  s.next_hop.store(kNextHopNone, kRelaxed);
  s.generation.store(generation, kRelaxed);
  s.last_seen.store(now_ms, kRelaxed);
  s.state.store(static_cast<uint8_t>(state), kRelaxed);
  s.tcp_flags.store(0, kRelaxed);
  s.direction = direction;
  s.source_changed = 0;
  s.packets.store(0, kRelaxed);
  s.bytes.store(0, kRelaxed);
}

// Zeroed private memory, given back with the table.
struct Region {
  void* base = nullptr;
  size_t bytes = 0;
  Region() = default;
  Region(size_t n, bool huge) noexcept : base(memory_map(n, huge, nullptr)), bytes(n) {}
  Region(Region&& o) noexcept : base(std::exchange(o.base, nullptr)), bytes(o.bytes) {}
  Region& operator=(Region&& o) noexcept {
    std::swap(base, o.base);
    std::swap(bytes, o.bytes);
    return *this;
  }
  ~Region() {
    if (base != nullptr) memory_unmap(base, bytes);
  }
};

}  // namespace

template <class F>
struct FlowTable<F>::Impl {
  struct alignas(64) Worker {
    FlowWheel wheel;
    uint32_t pending = kRecordNone;  // notices taken, not yet read
    bool leaping = false;            // time has leapt further than last_seen can tell
    uint32_t leap_ms = 0;
    std::atomic<uint64_t> kept{0}, removed{0};               // by this worker
    alignas(64) std::atomic<uint32_t> notices{kRecordNone};  // pushed by others
  };
  Impl(FlowCold* cold, const Options& o, Epochs& e)
      : epochs(e),
        pool(cold, o.capacity, o.workers, e),
        workers(new Worker[o.workers]),
        worker_count(o.workers) {
    for (uint32_t i = 0; i < o.workers; ++i) workers[i].wheel = FlowWheel(cold);
  }
  Epochs& epochs;
  FlowPool pool;
  std::unique_ptr<Worker[]> workers;
  uint32_t worker_count;
  Region side_memory, cold_memory, index_memory;
};

template <class F>
FlowTable<F>::FlowTable() = default;
template <class F>
FlowTable<F>::~FlowTable() = default;

template <class F>
std::unique_ptr<FlowTable<F>> FlowTable<F>::create(const Options& o, Epochs& epochs,
                                                   std::string* error) {
  if (o.capacity == 0 || o.capacity > kCapacityMax || o.workers == 0 || o.workers > kWorkerMax) {
    *error = "flow table: capacity must be 1 to 2^30, workers 1 to 64";
    return nullptr;
  }
  const uint32_t buckets = FlowIndex::buckets_for(o.capacity);
  Region sides(sizeof(Side) * 2 * o.capacity, o.huge);
  Region cold(sizeof(FlowCold) * o.capacity, o.huge);
  Region index(sizeof(FlowBucket) * buckets, o.huge);
  if (sides.base == nullptr || cold.base == nullptr || index.base == nullptr) {
    *error = "flow table: no memory for " + std::to_string(o.capacity) + " connections";
    return nullptr;
  }
  std::unique_ptr<FlowTable> t(new FlowTable);
  t->sides_ = reinterpret_cast<Side*>(sides.base);
  t->cold_ = reinterpret_cast<FlowCold*>(cold.base);
  t->index_.attach(reinterpret_cast<FlowBucket*>(index.base), buckets, t->cold_);
  t->impl_ = std::make_unique<Impl>(t->cold_, o, epochs);
  t->impl_->side_memory = std::move(sides);
  t->impl_->cold_memory = std::move(cold);
  t->impl_->index_memory = std::move(index);
  for (auto& c : t->timeouts_) {
    for (auto& ms : c) ms.store(kTimeoutUntilSet, kRelaxed);
  }
  return t;
}

template <class F>
void FlowTable<F>::fill(uint32_t worker, uint32_t record, const NewFlow<F>& flow,
                        Time now) noexcept {
  Side* const sides = sides_ + (size_t{record} << 1);
  set_rewrite(sides[0], flow.original, flow.reply);
  set_rewrite(sides[1], flow.reply, flow.original);
  reset_side(sides[0], 0, flow.state, flow.generation, clock_ms(now));
  reset_side(sides[1], 1, flow.state, flow.generation, clock_ms(now));
  // Only towards the endpoint is a source hidden: an ICMP error that travels back keeps its own.
  sides[0].source_changed = flow.snat;
  FlowCold& c = cold_[record];
  c.hash[0] = flow.original_hash;
  c.hash[1] = flow.reply_hash;
  c.service = flow.service;
  c.endpoint = flow.endpoint;
  c.snat_grant = flow.snat_grant;
  c.snat = flow.snat;
  c.zone = 0;
  c.protocol = flow.original.protocol;
  c.owner = static_cast<uint8_t>(worker);
  c.single = flow_key_equal(flow.original, flow.reply);
  c.timer_slot = kTimerSlotNone;
  c.retired = 0;
}

template <class F>
KeepResult FlowTable<F>::keep(uint32_t worker, const NewFlow<F>& flow, Time now,
                              FlowRef* out) noexcept {
  auto& w = impl_->workers[worker];
  const uint32_t record = impl_->pool.take(worker);
  if (record == kRecordNone) {
    *out = find(flow.original, flow.original_hash);
    return out->record == kRecordNone ? KeepResult::kFull : KeepResult::kExisting;
  }
  fill(worker, record, flow, now);
  FlowCold& c = cold_[record];
  FlowBucket* const buckets[] = {index_.first(c.hash[0]), index_.first(c.hash[1]),
                                 index_.second(c.hash[0]), index_.second(c.hash[1])};
  KeepResult result = KeepResult::kFull;
  // Nearly always the two first buckets suffice: whoever adds or removes a key holds its first one.
  for (const bool all : {false, true}) {
    const FlowLocks locks(buckets, all ? 4 : 2);
    if (!all && (buckets[0]->overflowed() | buckets[1]->overflowed()) != 0) continue;
    *out = find(flow.original, flow.original_hash);
    if (out->record != kRecordNone) {
      result = KeepResult::kExisting;
      break;
    }
    *out = find(flow.reply, flow.reply_hash);
    if (out->record != kRecordNone) {
      result = KeepResult::kClash;
      break;
    }
    FlowSpot spots[2];
    if (!index_.reserve(c.hash[0], FlowSpot{}, locks, all, &spots[0])) continue;
    if (!c.single && !index_.reserve(c.hash[1], spots[0], locks, all, &spots[1])) continue;
    c.state.store(static_cast<uint32_t>(flow.state), std::memory_order_release);
    index_.publish(spots[0], c.hash[0], record << 1);
    if (!c.single) index_.publish(spots[1], c.hash[1], record << 1 | 1);
    result = KeepResult::kKept;
    break;
  }
  if (result != KeepResult::kKept) {
    impl_->pool.give(worker, record);
    return result;
  }
  *out = FlowRef{record, 0};
  w.kept.store(w.kept.load(kRelaxed) + 1, kRelaxed);
  w.wheel.start(now);
  const Time due =
      now + Time{timeout_ms(c.protocol, static_cast<uint32_t>(flow.state))} * kMillisecond;
  w.wheel.link(record, FlowWheel::tick_after(due));
  return result;
}

template <class F>
bool FlowTable<F>::forget(uint32_t worker, uint32_t record, Gone* gone) noexcept {
  if (!remove(worker, record, gone)) return false;
  gone->expired = 0;
  return true;
}

// Under the first buckets' locks the record is live and indexed, or neither.
template <class F>
bool FlowTable<F>::remove(uint32_t worker, uint32_t record, Gone* gone) noexcept {
  FlowCold& c = cold_[record];
  FlowBucket* const buckets[] = {index_.first(c.hash[0]), index_.first(c.hash[1]),
                                 index_.second(c.hash[0]), index_.second(c.hash[1])};
  for (const bool all : {false, true}) {
    const FlowLocks locks(buckets, all ? 4 : 2);
    if (c.state.load(std::memory_order_acquire) == static_cast<uint32_t>(FlowState::kNone))
      return false;
    FlowSpot spots[2];
    if (!index_.locate(c.hash[0], record << 1, all, &spots[0])) continue;
    if (!c.single && !index_.locate(c.hash[1], record << 1 | 1, all, &spots[1])) continue;
    // An exchange, so that a state change under way finds its expectation gone.
    c.state.exchange(static_cast<uint32_t>(FlowState::kNone), std::memory_order_seq_cst);
    index_.clear(spots[0]);
    if (!c.single) index_.clear(spots[1]);
    break;
  }
  auto& w = impl_->workers[worker];
  w.removed.store(w.removed.load(kRelaxed) + 1, kRelaxed);
  *gone = Gone{c.snat_grant, c.snat, 1};
  if (c.owner == worker) {
    w.wheel.unlink(record);
    c.retired = 1;
    impl_->pool.retire(worker, record);
  } else {
    post(record);
  }
  return true;
}

// A packet that may change the state. Nobody leaves kNone here: a removed record stays removed.
template <class F>
void FlowTable<F>::stir(uint32_t worker, FlowRef ref, uint8_t flags, uint8_t protocol,
                        Time now) noexcept {
  FlowCold& c = cold_[ref.record];
  const Side& opposite = sides_[ref.record << 1 | (ref.direction ^ 1u)];
  uint32_t before = c.state.load(std::memory_order_acquire);
  uint32_t after;
  do {
    if (before == static_cast<uint32_t>(FlowState::kNone)) return;
    const bool other_fin = (opposite.tcp_flags.load(kRelaxed) & kTcpFin) != 0;
    after = static_cast<uint32_t>(
        next_flow_state(static_cast<FlowState>(before), protocol, ref.direction, flags, other_fin));
    if (after == before) return;
  } while (!c.state.compare_exchange_weak(before, after, std::memory_order_acq_rel,
                                          std::memory_order_acquire));
  copy_state(ref.record);
  const uint32_t left = timeout_ms(protocol, after);
  if (left >= timeout_ms(protocol, before)) return;  // the next visit puts it right
  if (c.owner != worker) return post(ref.record);
  const uint64_t due = FlowWheel::tick_after(now + Time{left} * kMillisecond);
  FlowWheel& wheel = impl_->workers[worker].wheel;
  if (c.timer_slot == kTimerSlotNone || wheel.due_by(ref.record, due)) return;
  wheel.unlink(ref.record);
  wheel.link(ref.record, due);
}

// Both sides carry a copy for the fast path. Two changes at once may write them in either order, so
// whoever wrote last looks whether it still was right.
template <class F>
void FlowTable<F>::copy_state(uint32_t record) noexcept {
  const FlowCold& c = cold_[record];
  for (uint32_t s = c.state.load(std::memory_order_seq_cst);;) {
    if (s == static_cast<uint32_t>(FlowState::kNone)) return;
    sides_[record << 1].state.store(static_cast<uint8_t>(s), std::memory_order_seq_cst);
    sides_[record << 1 | 1].state.store(static_cast<uint8_t>(s), std::memory_order_seq_cst);
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
  FlowWheel& wheel = impl_->workers[worker].wheel;
  c.posted.exchange(0, std::memory_order_acq_rel);  // before the state: a later change posts anew
  if (c.retired) return;
  if (c.state.load(std::memory_order_acquire) == static_cast<uint32_t>(FlowState::kNone)) {
    wheel.unlink(record);
    c.retired = 1;
    impl_->pool.retire(worker, record);
    return;
  }
  const uint64_t due = FlowWheel::tick_after(deadline(record, now));
  if (wheel.due_by(record, due)) return;
  wheel.unlink(record);
  wheel.link(record, due);
}

// The younger direction counts. A side may have been seen a little after `now`, by a worker whose
// batch began later; what seems to lie further ahead lies more than 24 days back.
template <class F>
Time FlowTable<F>::deadline(uint32_t record, Time now) const noexcept {
  const FlowCold& c = cold_[record];
  const uint32_t now_ms = clock_ms(now);
  uint32_t age = ~0u;
  for (uint32_t d = 0; d < 2; ++d) {
    const uint32_t each = now_ms - sides_[record << 1 | d].last_seen.load(kRelaxed);
    age = std::min(age, each > ~kSkewMax ? 0 : each);
  }
  const Time base = now / kMillisecond;
  const Time limit = timeout_ms(c.protocol, c.state.load(kRelaxed));
  return (base - std::min(base, Time{age}) + limit) * kMillisecond;
}

template <class F>
bool FlowTable<F>::visit(uint32_t worker, uint32_t record, Time now, Gone* gone) noexcept {
  auto& w = impl_->workers[worker];
  if (state_of(record) == FlowState::kNone) return false;  // its notice is on the way
  bool over = deadline(record, now) <= now;
  if (w.leaping && !over) {  // ages have gone round: only what was seen since the leap lives
    const uint32_t from = w.leap_ms - kSkewMax;
    const uint32_t until = clock_ms(now) + kSkewMax;
    over = true;
    for (uint32_t d = 0; d < 2; ++d) {
      if (sides_[record << 1 | d].last_seen.load(kRelaxed) - from <= until - from) over = false;
    }
  }
  if (over) return remove(worker, record, gone);
  w.wheel.link(record, FlowWheel::tick_after(deadline(record, now)));
  return false;
}

template <class F>
uint32_t FlowTable<F>::expire(uint32_t worker, Time now, uint32_t budget, Gone* gone,
                              bool* more) noexcept {
  auto& w = impl_->workers[worker];
  impl_->pool.reclaim(worker);
  w.wheel.start(now);
  if (now > w.wheel.time() && (now - w.wheel.time()) / kMillisecond > kTimeoutMax) {
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
  for (; visits < budget; ++visits) {
    const uint32_t record = w.wheel.pop(now);
    if (record == kRecordNone) break;
    if (visit(worker, record, now, &gone[count])) ++count;
  }
  const bool due = w.wheel.has_due(now);
  if (!due) w.leaping = false;
  *more = due || w.pending != kRecordNone || w.notices.load(kRelaxed) != kRecordNone;
  return count;
}

template <class F>
void FlowTable<F>::set_timers(const FlowTimers& timers) noexcept {
  const auto set = [](std::atomic<uint32_t>& word, uint32_t ms) {
    word.store(std::min(ms, kTimeoutMax), kRelaxed);
  };
  for (uint32_t s = 0; s < kFlowStateCount; ++s) {
    const bool replied = s == static_cast<uint32_t>(FlowState::kReplied);
    set(timeouts_[kTimerTcp][s], timers.by_state[s]);
    set(timeouts_[kTimerUdp][s], replied ? timers.udp_replied : timers.udp_unreplied);
    set(timeouts_[kTimerIcmp][s], timers.icmp);
    set(timeouts_[kTimerSctp][s], replied ? timers.sctp : timers.udp_unreplied);
  }
}

template <class F>
Time FlowTable<F>::next_due(uint32_t worker) const noexcept {
  const auto& w = impl_->workers[worker];
  if (w.pending != kRecordNone || w.notices.load(kRelaxed) != kRecordNone) return 0;
  const Time next = w.wheel.next();
  return next == FlowWheel::kNever ? next : std::min(next, w.wheel.time() + kSleepMax);
}

template <class F>
uint32_t FlowTable<F>::live() const noexcept {
  uint64_t removed = 0, kept = 0;
  for (uint32_t i = 0; i < impl_->worker_count; ++i)
    removed += impl_->workers[i].removed.load(kRelaxed);
  for (uint32_t i = 0; i < impl_->worker_count; ++i) kept += impl_->workers[i].kept.load(kRelaxed);
  return kept > removed ? static_cast<uint32_t>(kept - removed) : 0;
}

template <class F>
uint32_t FlowTable<F>::capacity() const noexcept {
  return impl_->pool.capacity();
}

template <class F>
size_t FlowTable<F>::bytes() const noexcept {
  return impl_->side_memory.bytes + impl_->cold_memory.bytes + impl_->index_memory.bytes +
         impl_->worker_count * sizeof(typename Impl::Worker) + sizeof(FlowTable) + sizeof(Impl);
}

template <class F>
uint32_t FlowTable<F>::dump(uint32_t* cursor, FlowRow* rows, uint32_t max,
                            Time now) const noexcept {
  const Epochs::Aside aside(impl_->epochs);  // nothing we see is reused meanwhile
  uint32_t count = 0, record = *cursor;
  const uint32_t end = impl_->pool.used_end();
  for (; record < end && count < max; ++record) {
    const FlowCold& c = cold_[record];
    const uint32_t state = c.state.load(std::memory_order_seq_cst);
    if (state == static_cast<uint32_t>(FlowState::kNone)) continue;
    const Time over = deadline(record, now);
    if (over <= now) continue;  // only its owner's next look at it is missing
    const Side& o = sides_[record << 1];
    const Side& r = sides_[record << 1 | 1];
    FlowRow& row = rows[count++];
    row = FlowRow{};
    std::memcpy(row.original_source, &o.key.src, sizeof o.key.src);
    std::memcpy(row.original_destination, &o.key.dst, sizeof o.key.dst);
    std::memcpy(row.reply_source, &r.key.src, sizeof r.key.src);
    std::memcpy(row.reply_destination, &r.key.dst, sizeof r.key.dst);
    row.packets_forward = o.packets.load(kRelaxed);
    row.packets_backward = r.packets.load(kRelaxed);
    row.bytes_forward = o.bytes.load(kRelaxed);
    row.bytes_backward = r.bytes.load(kRelaxed);
    row.expires_ms = (over - now) / kMillisecond;
    const uint32_t idle = std::min(clock_ms(now) - o.last_seen.load(kRelaxed),
                                   clock_ms(now) - r.last_seen.load(kRelaxed));
    row.last_seen_ms = idle > kTimeoutMax ? 0 : idle;
    row.service = c.service;
    row.endpoint = c.endpoint;
    row.original_source_port = o.key.sport;
    row.original_destination_port = o.key.dport;
    row.reply_source_port = r.key.sport;
    row.reply_destination_port = r.key.dport;
    row.network = o.key.network;
    row.zone = c.zone;
    row.family = F::kFamily;
    row.protocol = c.protocol;
    row.state = static_cast<uint8_t>(state);
    row.tcp_flags_forward = o.tcp_flags.load(kRelaxed);
    row.tcp_flags_backward = r.tcp_flags.load(kRelaxed);
    row.worker = c.owner;
  }
  *cursor = record < end ? record : ~0u;
  return count;
}

template class FlowTable<V4>;
template class FlowTable<V6>;

}  // namespace nodeplane
