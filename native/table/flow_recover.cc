// What an earlier process left in the records' memory, judged record by record. Trusted is what the
// check word covers and a state that there is; everything else immutable is derived from it, the rest
// (index, timers, ports, owners) is made anew. Nothing runs beside it.
#include <algorithm>

#include "kernel/kernels.h"
#include "table/flow_check.h"
#include "table/flow_impl.h"
#include "table/port_pool.h"

namespace nodeplane {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr uint32_t kLot = 64;  // records whose index lines are asked for together

bool is_flow_protocol(uint8_t family, uint8_t protocol) noexcept {
  return protocol == kProtocolTcp || protocol == kProtocolUdp || protocol == kProtocolSctp ||
         protocol == (family == 4 ? kProtocolIcmp : kProtocolIcmp6);
}

bool state_fits(uint32_t state, uint8_t protocol) noexcept {
  if (state == static_cast<uint32_t>(FlowState::kNone) || state >= kFlowStateCount) return false;
  const bool tcp = state != static_cast<uint32_t>(FlowState::kUnreplied) &&
                   state != static_cast<uint32_t>(FlowState::kReplied);
  return tcp == (protocol == kProtocolTcp);
}

// Answers come back to whoever asked, unless it asked as somebody else.
template <class Key>
bool keys_fit(uint8_t family, const Key& original, const Key& reply, uint8_t snat) noexcept {
  if (!is_flow_protocol(family, original.protocol) || reply.protocol != original.protocol ||
      reply.network != original.network || (original.zero | reply.zero) != 0 || snat > 1)
    return false;
  return snat == 1 || (std::memcmp(&reply.dst, &original.src, sizeof reply.dst) == 0 &&
                       reply.dport == original.sport);
}

bool id_holds(const uint32_t* born, uint32_t count, uint32_t id, uint32_t stamp) noexcept {
  return id < count && born[id] != 0 && static_cast<int32_t>(stamp - born[id]) >= 0;
}

}  // namespace

template <class F>
struct FlowTable<F>::Restorer {
  FlowTable& table;
  const FlowRestore& from;
  FlowRestored counts;
  uint32_t lot[kLot];
  uint32_t lot_count = 0;

  Side& side(uint32_t record, uint32_t direction) const noexcept {
    return table.sides_[table.entry_of(record, direction)];
  }
  FlowCold& cold(uint32_t record) const noexcept { return table.cold_[record]; }
  uint32_t run() noexcept;
  uint32_t* reason(uint32_t record) noexcept;
  void settle_lot() noexcept;
  void settle(uint32_t record) noexcept;
  bool make_room(uint32_t record) noexcept;
  bool take_port(uint32_t record) noexcept;
  bool enter(uint32_t record) noexcept;
  void leave(uint32_t record) noexcept;
  void enlist(uint32_t record) noexcept;
  uint32_t age(uint32_t record) const noexcept;
  void reject(uint32_t record, uint32_t* why) noexcept {
    cold(record).state.store(static_cast<uint32_t>(FlowState::kNone), kRelaxed);
    ++*why;
  }
};

// Null, or why the record is none. What memory of another layout or a flipped bit may hold is never
// used as an index before it was judged.
template <class F>
uint32_t* FlowTable<F>::Restorer::reason(uint32_t record) noexcept {
  const Side* const s[2] = {&side(record, 0), &side(record, 1)};
  const FlowCold& c = cold(record);
  const uint32_t state = c.state.load(kRelaxed);
  if (c.check != flow_check<F>({s[0]->key, s[1]->key, c.service, c.endpoint, c.zone, c.snat}) ||
      !keys_fit(F::kFamily, s[0]->key, s[1]->key, c.snat) || c.zone >= kZoneMax ||
      !state_fits(state, s[0]->key.protocol))
    return &counts.damaged;
  for (uint32_t d = 0; d < 2; ++d) {
    const uint32_t stamp = s[d]->generation.load(kRelaxed);
    if (!id_holds(from.service_born, from.service_count, c.service, stamp) ||
        !id_holds(from.endpoint_born, from.endpoint_count, c.endpoint, stamp))
      return &counts.unknown;
  }
  cold(record).protocol = s[0]->key.protocol;  // a deadline asks for it
  return table.deadline(record, from.now) <= from.now ? &counts.expired : nullptr;
}

// The end of what is used. Free records are free in every respect, live ones as if just kept.
template <class F>
uint32_t FlowTable<F>::Restorer::run() noexcept {
  uint32_t end = 0;
  const uint32_t capacity = table.impl_->pool.capacity();
  for (uint32_t r = 0; r < capacity; ++r) {
    FlowCold& c = cold(r);
    if (c.state.load(kRelaxed) == static_cast<uint32_t>(FlowState::kNone)) {
      if (c.posted.load(kRelaxed) != 0) c.posted.store(0, kRelaxed);
      continue;
    }
    c.posted.store(0, kRelaxed);
    if (uint32_t* why = reason(r)) {
      reject(r, why);
      continue;
    }
    end = r + 1;
    lot[lot_count++] = r;
    if (lot_count == kLot) settle_lot();
  }
  settle_lot();
  return end;
}

template <class F>
void FlowTable<F>::Restorer::settle_lot() noexcept {
  Key keys[2 * kLot];
  uint32_t hashes[2 * kLot];
  for (uint32_t i = 0; i < lot_count; ++i) {
    keys[2 * i] = side(lot[i], 0).key;
    keys[2 * i + 1] = side(lot[i], 1).key;
  }
  const Kernels& k = kernels();
  const bool strong = from.hash == HashKind::kSip13;
  if constexpr (F::kFamily == 4)
    (strong ? k.hash_v4 : k.crc_v4)(keys, 2 * lot_count, from.seed, hashes);
  else
    (strong ? k.hash_v6 : k.crc_v6)(keys, 2 * lot_count, from.seed, hashes);
  for (uint32_t i = 0; i < 2 * lot_count; ++i) {
    __builtin_prefetch(table.index_.first(hashes[i]), 1, 3);
    cold(lot[i / 2]).hash[i % 2] = hashes[i];
  }
  for (uint32_t i = 0; i < lot_count; ++i) settle(lot[i]);
  lot_count = 0;
}

template <class F>
void FlowTable<F>::Restorer::settle(uint32_t record) noexcept {
  FlowCold& c = cold(record);
  Side* const s[2] = {&side(record, 0), &side(record, 1)};
  c.single = flow_key_equal(s[0]->key, s[1]->key);
  if (!make_room(record)) return reject(record, &counts.doubled);
  c.snat_grant = kSnatGrantNone;
  if (c.snat != 0 && !take_port(record)) return reject(record, &counts.portless);
  if (!enter(record)) {  // no room in the index: with this capacity only hostile keys manage that
    if (c.snat != 0) from.ports->give(0, c.snat_grant, c.zone);
    return reject(record, &counts.damaged);
  }
  for (uint32_t d = 0; d < 2; ++d) {
    set_rewrite(*s[d], Key(s[d]->key), Key(s[d ^ 1u]->key));
    s[d]->next_hop.store(kNextHopNone, kRelaxed);
    s[d]->generation.store(from.generation, kRelaxed);
    s[d]->state.store(side_state(c.state.load(kRelaxed), d), kRelaxed);
    s[d]->direction = static_cast<uint8_t>(d);
    s[d]->source_changed = d == 0 ? c.snat : 0;
  }
  enlist(record);
  ++counts.recovered;
}

template <class F>
uint32_t FlowTable<F>::Restorer::age(uint32_t record) const noexcept {
  const uint32_t now_ms = clock_ms(from.now);
  return std::min(now_ms - side(record, 0).last_seen.load(kRelaxed),
                  now_ms - side(record, 1).last_seen.load(kRelaxed));
}

// One key has one connection. keep sees to that at every instant, so only damage brings us here: whoever
// was seen last stays. False: another one stays.
template <class F>
bool FlowTable<F>::Restorer::make_room(uint32_t record) noexcept {
  for (uint32_t d = 0; d < 2; ++d) {
    const FlowRef other = table.find(side(record, d).key, cold(record).hash[d]);
    if (other.record == kRecordNone) continue;
    if (age(other.record) <= age(record)) return false;
    leave(other.record);
    --counts.recovered;
    reject(other.record, &counts.doubled);
  }
  return true;
}

// The grant follows from the keys: its number is another one in this process.
template <class F>
bool FlowTable<F>::Restorer::take_port(uint32_t record) noexcept {
  const Key& reply = side(record, 1).key;
  const uint32_t destination = PortPool::destination_hash(F::kFamily, key_src(reply), reply.sport);
  return from.ports != nullptr &&
         from.ports->retake(F::kFamily, key_dst(reply), reply.protocol, destination,
                            cold(record).zone, reply.dport, &cold(record).snat_grant);
}

// Nearly always into the two first buckets, which were asked for; the others are two misses more.
template <class F>
bool FlowTable<F>::Restorer::enter(uint32_t record) noexcept {
  FlowIndex& index = table.index_;
  const FlowCold& c = cold(record);
  FlowBucket* const buckets[] = {index.first(c.hash[0]), index.first(c.hash[1]),
                                 index.second(c.hash[0]), index.second(c.hash[1])};
  for (const bool all : {false, true}) {
    const FlowLocks locks(buckets, all ? 4 : 2);
    FlowSpot spots[2];
    if (!index.reserve(c.hash[0], FlowSpot{}, locks, all, &spots[0])) continue;
    if (!c.single && !index.reserve(c.hash[1], spots[0], locks, all, &spots[1])) continue;
    index.publish(spots[0], c.hash[0], table.entry_of(record, 0));
    if (!c.single) index.publish(spots[1], c.hash[1], table.entry_of(record, 1));
    return true;
  }
  return false;
}

// Of a record that had entered.
template <class F>
void FlowTable<F>::Restorer::leave(uint32_t record) noexcept {
  FlowIndex& index = table.index_;
  const FlowCold& c = cold(record);
  for (uint32_t d = 0; d < (c.single ? 1u : 2u); ++d) {
    FlowSpot spot;
    if (index.locate(c.hash[d], table.entry_of(record, d), &spot)) index.clear(spot);
  }
  auto& w = table.impl_->workers[c.owner];
  w.wheel.unlink(record);
  w.lists.unlink(record);
  table.impl_->zones.give(c.owner, c.zone);
  w.kept.store(w.kept.load(kRelaxed) - 1, kRelaxed);
  if (c.snat != 0) from.ports->give(0, c.snat_grant, c.zone);
}

// Dealt to the workers in turn; their number may be another one now.
template <class F>
void FlowTable<F>::Restorer::enlist(uint32_t record) noexcept {
  FlowCold& c = cold(record);
  c.owner = static_cast<uint8_t>(record % table.impl_->worker_count);
  c.retired = 0;
  c.timer_slot = kTimerSlotNone;
  auto& w = table.impl_->workers[c.owner];
  w.kept.store(w.kept.load(kRelaxed) + 1, kRelaxed);
  table.impl_->zones.count_in(c.zone);
  w.wheel.start(from.now);
  w.wheel.link(record, FlowWheel::tick_after(table.deadline(record, from.now)));
  w.lists.link(record, table.state_of(record));
}

template <class F>
FlowRestored FlowTable<F>::restore(const FlowRestore& from) noexcept {
  Restorer restorer{*this, from, {}, {}};
  const uint32_t end = restorer.run();
  FlowPool& pool = impl_->pool;
  pool.begin_at(end);
  for (uint32_t r = end; r-- > 0;) {
    if (cold_[r].state.load(kRelaxed) == static_cast<uint32_t>(FlowState::kNone)) pool.give(0, r);
  }
  return restorer.counts;
}

template FlowRestored FlowTable<V4>::restore(const FlowRestore&) noexcept;
template FlowRestored FlowTable<V6>::restore(const FlowRestore&) noexcept;

}  // namespace nodeplane
