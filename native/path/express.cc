#include "path/express.h"

#include <algorithm>
#include <bit>

#include "path/express_leave.h"
#include "path/express_wide.h"
#include "stage/conntrack/meet.h"

namespace nodeplane {
namespace {

using namespace express_lane;

constexpr uint32_t kDistance = 2;               // steps
constexpr uint32_t kLanes = 2 * kDistance + 1;  // steps under way at once
constexpr uint32_t kPauseBatches = 15;
// Steps behind one that could not be read at once: trying costs an eighth of a step's time, and who
// comes from several ports or in both families does so for longer.
constexpr uint32_t kSinglySteps = 7;
constexpr uint32_t kSinglyAll = ~uint32_t{0};

template <class F>
void hash(const ConntrackTable& table, Lane<F>& lane) noexcept {
  hash_keys<F>(table, lane.keys, lane.count, lane.hashes);
  for (uint32_t i = 0; i < lane.count; ++i) flows_of<F>(table).prefetch_index(lane.hashes[i]);
}

template <class F>
void ask(const ConntrackTable& table, Lane<F>& lane) noexcept {
  flows_of<F>(table).guess(lane.hashes, lane.count, lane.guesses);
}

void walk_all(Batch& batch) noexcept {
  batch.live_count = batch.count;
  for (uint32_t i = 0; i < batch.count; ++i) batch.live[i] = static_cast<uint16_t>(i);
}

void open_exits(Way& way, const Tables& tables, Output::State& output) noexcept {
  for (uint32_t i = 0; i < tables.output.port_count; ++i) {
    const ExpressTable::Port& port = tables.express.ports[i];
    Output::List& list = output.lists[i];
    // A list without room for all of the batch takes nothing here.
    const bool roomy = list.count + way.batch.count <= Output::kListRoom;
    way.exits[i] = Exit{port.mac << 48, static_cast<uint32_t>(port.mac >> 16), roomy ? port.mtu : 0,
                        list.packets + list.count, port.mac};
    way.least_mtu = std::min(way.least_mtu, way.exits[i].mtu);
  }
}

// How many left.
uint32_t close_exits(const Way& way, const Tables& tables, Output::State& output) noexcept {
  uint32_t left = 0;
  for (uint32_t i = 0; i < tables.output.port_count; ++i) {
    Output::List& list = output.lists[i];
    const auto count = static_cast<uint32_t>(way.exits[i].next - list.packets);
    left += count - list.count;
    list.count = count;
  }
  return left;
}

// Reads the next packets of the batch. Where it ends, and in `*end` where all ends.
// `singly`: so many steps are not tried at once.
uint32_t read_step(Batch& batch, const ExpressTable::Port* ports, uint32_t next, uint32_t* end,
                   uint32_t* singly, Lane<V4>& lane4, Lane<V6>& lane6) noexcept {
  const uint32_t stop = next + kStep < *end ? next + kStep : *end;
  if (*singly != 0) {
    --*singly;
  } else if (next + kStep == stop) {
    Packet* const first = batch.packets + next;
    const bool is4 =
        first->linear >= kL3 && load<uint16_t>(first->data + 12) == Header<V4>::kEthertype;
    if (is4 ? read_wide(first, ports, lane4) : read_wide(first, ports, lane6)) return stop;
    *singly = kSinglySteps;
  }
  while (next < stop) {
    const uint32_t before = next;
    next = read_run(batch, ports, next, stop, lane4);
    if (next < stop) next = read_run(batch, ports, next, stop, lane6);
    if (next == before) return *end = next;
  }
  return next;
}

// Who is left, in order.
void list_walkers(Batch& batch, const Walkers& walkers, uint32_t end) noexcept {
  uint32_t count = 0;
  for (uint32_t base = 0; base < end; base += 64)
    for (uint64_t bits = walkers.bits[base / 64]; bits != 0; bits &= bits - 1)
      batch.live[count++] = static_cast<uint16_t>(base + std::countr_zero(bits));
  for (uint32_t i = end; i < batch.count; ++i) batch.live[count++] = static_cast<uint16_t>(i);
  batch.live_count = count;
}

}  // namespace

// ThreadSanitizer takes a vector load for one that is not atomic.
bool express_is_wide() noexcept {
#if defined(NODEPLANE_PROBE_PORTABLE)
  return false;
#else
  return std::strcmp(kernels().name, "avx512") == 0;
#endif
}

void express(Batch& batch, const Tables& tables, States& states) noexcept {
  if (states.express.pause != 0) {
    states.express.pause--;
    return walk_all(batch);
  }
  Walkers walkers;
  Exit exits[kPortMax];
  const Time trusted = tables.route.reachable_ms * kMillisecond;
  Way way{batch,
          tables,
          walkers,
          tables.generation,
          tables.generation,
          FlowTable<V4>::clock_ms(batch.now),
          tables.route_generation << 16,
          batch.now > trusted ? batch.now - trusted : 0,
          exits};
  open_exits(way, tables, states.output);
  const ConntrackTable& conntrack = tables.conntrack;
  Lane<V4> v4[kLanes];
  Lane<V6> v6[kLanes];
  // The first packet of which nothing can be told ends it: who comes behind may belong to it.
  uint32_t end = batch.count, next = 0;
  uint32_t singly = tables.express.wide ? 0 : kSinglyAll;
  for (uint32_t late = 0, lane = 0; late < kLanes; lane = lane + 1 == kLanes ? 0 : lane + 1) {
    next = read_step(batch, tables.express.ports, next, &end, &singly, v4[lane], v6[lane]);
    if (next >= end) late++;  // what is under way still has its steps to go
    if (v4[lane].count != 0) hash(conntrack, v4[lane]);
    if (v6[lane].count != 0) hash(conntrack, v6[lane]);
    const uint32_t asks = (lane + kLanes - kDistance) % kLanes;
    if (v4[asks].count != 0) ask(conntrack, v4[asks]);
    if (v6[asks].count != 0) ask(conntrack, v6[asks]);
    const uint32_t leaves = (lane + 1) % kLanes;  // the oldest
    if (v4[leaves].count != 0) leave(way, v4[leaves]);
    if (v6[leaves].count != 0) leave(way, v6[leaves]);
  }
  const uint32_t hits = close_exits(way, tables, states.output);
  batch.counters->add(Counter::kFlowHit, hits);
  states.express.wide_steps += way.wide_steps;
  if (hits == batch.count) {
    batch.live_count = 0;
    return;
  }
  if (batch.count >= kStep && hits < batch.count / 2) states.express.pause = kPauseBatches;
  list_walkers(batch, walkers, end);
}

}  // namespace nodeplane
