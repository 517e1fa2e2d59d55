#include <new>

#include "stage/route/parts.h"

namespace nodeplane {
namespace routing {
namespace {

// What a record decided, without what it goes on to count.
template <class Side>
Side* copy_side(const void* from, uint8_t* to) noexcept {
  const Side& s = *static_cast<const Side*>(from);
  Side* copy = new (to) Side{};
  copy->key = s.key;
  std::memcpy(&copy->new_src, &s.new_src, sizeof s.new_src);
  std::memcpy(&copy->new_dst, &s.new_dst, sizeof s.new_dst);
  copy->new_sport = s.new_sport;
  copy->new_dport = s.new_dport;
  copy->l4_delta = s.l4_delta;
  copy->direction = s.direction;
  copy->source_changed = s.source_changed;
  copy->next_hop.store(kNextHopNone, std::memory_order_relaxed);
  if constexpr (requires { s.l3_delta; }) copy->l3_delta = s.l3_delta;
  return copy;
}

uint32_t waiting_for(const Route::State& state, uint32_t neighbour) noexcept {
  uint32_t count = 0;
  for (uint32_t i = 0; i < state.waiting_count; ++i)
    count += state.waiting[state.order[i]].packet.next_hop == neighbour;
  return count;
}

uint64_t& gauge(Batch& batch) noexcept {
  return batch.counters->counts[static_cast<uint32_t>(Counter::kHeld)];
}

// Back into a batch. Its side, if it has one, stays in the slot until the next wake.
Packet& wake(Batch& batch, Route::State& state, uint16_t slot) noexcept {
  Route::Waiting& w = state.waiting[slot];
  Packet& p = batch.packets[batch.count++];
  p = w.packet;
  p.verdict = Verdict::kGo;
  if (p.kind == Kind::kIcmpError) {
    p.link = static_cast<uint16_t>(batch.link_count);
    batch.links[batch.link_count++] = w.link;
  }
  state.woken[state.woken_count++] = slot;
  gauge(batch)--;
  return p;
}

}  // namespace

void ask(Batch& batch, const Route::Table& table, uint32_t neighbour, uint16_t port, uint8_t family,
         const IpAddress& target) noexcept {
  if (!table.neighbours->ask(neighbour, batch.now, table.retry_ms, table.tries, table.reachable_ms))
    return;
  Owed owed{};
  owed.what = family == 4 ? Owed::What::kArpRequest : Owed::What::kSolicitation;
  owed.family = family;
  owed.port = port;
  owed.target = target;
  batch.owe(owed);
}

bool is_behind(const Route::State& state, uint32_t neighbour) noexcept {
  if (state.waiting_count == 0 || state.waiting_count == kWaitingMax || state.closing) return false;
  return waiting_for(state, neighbour) != 0;
}

void hold(Context& c, Packet& p, uint32_t neighbour, uint16_t port, const IpAddress& target,
          bool behind) noexcept {
  Route::State& state = c.state;
  if (state.closing) return c.batch.drop(p, Drop::kNeighbourUnresolved);
  const bool few = behind || waiting_for(state, neighbour) < kWaitingPerNeighbour;
  if (state.waiting_count == kWaitingMax || !few) return c.batch.drop(p, Drop::kNeighbourQueueFull);
  const uint16_t slot = state.free[--state.free_count];
  Route::Waiting& w = state.waiting[slot];
  w.packet = p;
  w.packet.next_hop = neighbour;
  w.packet.port_out = port;
  w.target = target;
  if (p.kind == Kind::kIcmpError) w.link = c.batch.links[p.link];
  if (p.side != nullptr)
    w.packet.side = p.family == 4 ? static_cast<void*>(copy_side<SideV4>(p.side, w.side))
                                  : static_cast<void*>(copy_side<SideV6>(p.side, w.side));
  state.order[state.waiting_count++] = slot;
  c.batch.hold(p);
  gauge(c.batch)++;
}

}  // namespace routing

using namespace routing;

void route_wake(Batch& batch, const Route::Table& table, Route::State& state, bool all) noexcept {
  while (state.woken_count > 0) state.free[state.free_count++] = state.woken[--state.woken_count];
  state.closing = all;
  if (state.waiting_count == 0) return;
  const NeighbourTable& neighbours = *table.neighbours;
  const uint64_t changes = neighbours.changes();
  if (!all && changes == state.seen_changes && batch.now < state.look_at) return;
  state.seen_changes = changes;
  state.look_at = batch.now + kWaitingLookMs * kMillisecond;
  uint32_t still = 0;
  for (uint32_t i = 0; i < state.waiting_count; ++i) {
    const uint16_t slot = state.order[i];
    const Route::Waiting& w = state.waiting[slot];
    const uint32_t neighbour = w.packet.next_hop;
    // Its entry made room for another: nobody asks for it any more.
    const bool lost = !neighbours.names(neighbour, w.packet.port_out, w.packet.family, w.target);
    if (!all && !lost && neighbours.read(neighbour).state == NeighbourState::kIncomplete)
      ask(batch, table, neighbour, w.packet.port_out, w.packet.family, w.target);
    const NextHop hop = neighbours.read(neighbour);
    if (!all && !lost && hop.state == NeighbourState::kIncomplete) {
      state.order[still++] = slot;
      continue;
    }
    Packet& p = wake(batch, state, slot);
    if (lost || (all && !hop.answers())) batch.drop(p, Drop::kNeighbourUnresolved);
  }
  state.waiting_count = still;
}

}  // namespace nodeplane
