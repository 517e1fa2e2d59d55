#include "path/express.h"

#include <algorithm>
#include <bit>

#include "base/sum.h"
#include "path/express_wide.h"
#include "path/tables.h"
#include "stage/conntrack/meet.h"
#include "wire/tcp.h"
#include "wire/udp.h"

namespace nodeplane {
namespace {

using namespace express_lane;

constexpr uint32_t kDistance = 2;               // steps
constexpr uint32_t kLanes = 2 * kDistance + 1;  // steps under way at once
constexpr uint32_t kMarks = 4096;               // a power of two
constexpr uint32_t kPauseBatches = 15;
constexpr uint32_t kTtlDelta = 0xfffe;  // one off the TTL, as it adds to a one's complement sum
constexpr uint32_t kNeverCalm = 0;      // no generation
constexpr uint32_t kHopEnd = 0xffff;    // what no neighbour, or the very last, has

// Of two 16-bit words.
constexpr uint16_t fold(uint32_t sum) noexcept { return static_cast<uint16_t>(sum + (sum >> 16)); }

// The packets of a batch that must walk, and marks of their connections: who comes behind one of
// them in its connection walks behind it.
struct Walkers {
  uint64_t bits[kBatchRoom / 64 + 1] = {};
  uint32_t count = 0;
  uint64_t marks[kMarks / 64];

  void mark(uint32_t what) noexcept {
    if (count++ == 0) std::memset(marks, 0, sizeof marks);
    what &= kMarks - 1;
    marks[what / 64] |= uint64_t{1} << (what % 64);
  }
  bool marked(uint32_t what) const noexcept {
    what &= kMarks - 1;
    return count != 0 && (marks[what / 64] >> (what % 64) & 1) != 0;
  }
  void add(uint32_t index) noexcept { bits[index / 64] |= uint64_t{1} << (index % 64); }
};

// One packet's whole way out. What it needs of the tables, looked up once per batch.
struct Way {
  Batch& batch;
  const Tables& tables;
  Walkers& walkers;
  uint32_t generation;
  uint32_t all_calm;  // the same while nobody walks: then a look at a record's generation is enough
  uint32_t now_ms;
  uint32_t hop_tag;  // of a next hop found in the routes' generation
  Time reachable;    // what was confirmed before this is old
  Exit* exits;       // by port
  uint32_t least_mtu = ~0u;
  uint32_t wide_steps = 0;
};

[[gnu::always_inline]] inline void put_l4(uint8_t* l4, uint8_t protocol, const void* ports,
                                          uint16_t delta) noexcept {
  std::memcpy(l4, ports, 4);
  if (protocol == kProtocolTcp) {
    uint8_t* const field = l4 + wire::kTcpChecksumOffset;
    store(field, inverted(fold(uint32_t{inverted(load<uint16_t>(field))} + delta)));
    return;
  }
  // Zero means that there is none and stays; one that comes to zero is sent as ones (RFC 768).
  uint8_t* const field = l4 + wire::kUdpChecksumOffset;
  const uint16_t before = load<uint16_t>(field);
  if (before == 0) return;
  const uint16_t after = inverted(fold(uint32_t{inverted(before)} + delta));
  store(field, after == 0 ? uint16_t{0xffff} : after);
}

[[gnu::always_inline]] inline void rewrite_ip(uint8_t* ip, const SideV4& side) noexcept {
  static_assert(offsetof(SideV4, new_dst) == offsetof(SideV4, new_src) + 4);
  std::memcpy(ip + 12, &side.new_src, 8);
  ip[8]--;
  const uint32_t sum = inverted(load<uint16_t>(ip + 10)) + side.l3_delta + kTtlDelta;
  store(ip + 10, inverted(fold((sum & 0xffff) + (sum >> 16))));
}

[[gnu::always_inline]] inline void rewrite_ip(uint8_t* ip, const SideV6& side) noexcept {
  static_assert(offsetof(SideV6, new_dst) == offsetof(SideV6, new_src) + 16);
  std::memcpy(ip + 8, side.new_src, 32);
  ip[7]--;
}

// A packet that walks; who comes behind it in its connection walks behind it.
template <class F>
[[gnu::noinline]] void walk(Way& way, const Lane<F>& lane, uint32_t at, uint32_t entry) noexcept {
  const FlowTable<F>& flows = flows_of<F>(way.tables.conntrack);
  way.walkers.mark(entry == kRecordNone ? lane.hashes[at] : flows.ref_at(entry).record);
  way.walkers.add(static_cast<uint32_t>(lane.who[at] - way.batch.packets));
  way.all_calm = kNeverCalm;
}

template <class F>
[[gnu::noinline]] uint32_t look_again(const FlowTable<F>& flows, const Lane<F>& lane,
                                      uint32_t at) noexcept {
  return flows.settle(lane.guesses[at], lane.keys[at], lane.hashes[at]);
}

[[gnu::noinline]] bool is_confirmed(const Way& way, uint32_t hop) noexcept {
  return way.tables.route.neighbours->is_confirmed(hop, way.reachable);
}

// A direction that was last seen before a publish: whether nothing at its service's or its endpoint's
// address has ended since. Then it is stamped as find would stamp it.
template <class F>
bool restamp(const ConntrackTable& table, typename F::Side& side) noexcept {
  const uint32_t stamp = side.generation.load(std::memory_order_relaxed);
  const uint32_t since = table.route_generation;  // that of the last whole set
  if (stamp - since > table.generation - since) return false;
  const auto bytes = [](const auto& address) { return reinterpret_cast<const uint8_t*>(&address); };
  const bool back = side.direction != 0;
  const uint8_t* const service = back ? bytes(side.new_src) : bytes(side.key.dst);
  const uint8_t* const endpoint = back ? bytes(side.key.src) : bytes(side.new_dst);
  if (!table.services->stands(F::kFamily, service, stamp) ||
      !table.services->stands(F::kFamily, endpoint, stamp))
    return false;
  side.generation.store(table.generation, std::memory_order_relaxed);
  return true;
}

// What is asked of every packet by leave(), once more, and whether it comes behind one that walks; the
// last question stamps a direction anew that is calm but for its age.
template <class F>
[[gnu::noinline]] bool is_calm(const Way& way, const Lane<F>& lane, uint32_t at,
                               uint32_t entry) noexcept {
  const FlowTable<F>& flows = flows_of<F>(way.tables.conntrack);
  typename F::Side& side = flows.side_at(entry);
  const Walkers& walkers = way.walkers;
  return (side.next_hop.load(std::memory_order_relaxed) ^ way.hop_tag) < kHopEnd &&
         (lane.tcp_flags[at] & kTcpStirring) == 0 &&
         (side.state.load(std::memory_order_relaxed) & kSideStirred) == 0 &&
         way.now_ms - side.last_seen.load(std::memory_order_relaxed) < flows.calm_ms() &&
         !walkers.marked(flows.ref_at(entry).record) && !walkers.marked(lane.hashes[at]) &&
         (side.generation.load(std::memory_order_relaxed) == way.generation ||
          restamp<F>(way.tables.conntrack, side));
}

// All of a step that was read at once. False: it must be looked at one by one.
template <class F>
[[gnu::noinline]] bool leave_at_once(const Way& way, Lane<F>& lane) noexcept {
  const FlowTable<F>& flows = flows_of<F>(way.tables.conntrack);
  const NeighbourTable& neighbours = *way.tables.route.neighbours;
  const WideWay wide{&flows.side_at(0), way.exits,       way.generation, way.hop_tag,
                     way.now_ms,        flows.calm_ms(), way.least_mtu};
  if (!is_calm_wide(wide, lane)) return false;
  for (uint32_t i = 0; i < kStep; ++i) {
    const uint32_t hop = lane.wide.hops[i];
    const uint64_t word = lane.wide.ways[i] = neighbours.word(hop);
    if (!NeighbourTable::way_of(word).is_static && !is_confirmed(way, hop)) return false;
  }
  leave_wide(wide, lane);
  lane.count = 0;
  return true;
}

// The packets of a step leave, or walk.
template <class F>
[[gnu::noinline]] void leave(Way& way, Lane<F>& lane) noexcept {
  if (lane.wide.is) {
    lane.wide.is = false;
    if (way.all_calm == way.generation && leave_at_once(way, lane)) {
      way.wide_steps++;
      return;
    }
  }
  const FlowTable<F>& flows = flows_of<F>(way.tables.conntrack);
  const NeighbourTable& neighbours = *way.tables.route.neighbours;
  Exit* const exits = way.exits;
  const uint32_t now_ms = way.now_ms, calm_ms = flows.calm_ms(), hop_tag = way.hop_tag;
  const uint32_t count = lane.count;
  for (uint32_t at = 0; at < count; ++at) {
    const typename F::Key& key = lane.keys[at];
    uint32_t entry = lane.guesses[at];
    if (__builtin_expect(!flows.is(entry, key), 0)) {
      entry = look_again(flows, lane, at);
      if (entry == kRecordNone) {
        walk(way, lane, at, entry);
        continue;
      }
    }
    typename F::Side& side = flows.side_at(entry);
    const uint32_t hop = side.next_hop.load(std::memory_order_relaxed) ^ hop_tag;
    const uint32_t ip_bytes = lane.ip_bytes[at];
    const uint8_t tcp_flags = lane.tcp_flags[at];
    const bool calm = side.generation.load(std::memory_order_relaxed) == way.all_calm &&
                      hop < kHopEnd && (tcp_flags & kTcpStirring) == 0 &&
                      (side.state.load(std::memory_order_relaxed) & kSideStirred) == 0 &&
                      now_ms - side.last_seen.load(std::memory_order_relaxed) < calm_ms;
    if (__builtin_expect(!calm, 0) && !is_calm(way, lane, at, entry)) {
      walk(way, lane, at, entry);
      continue;
    }
    const NeighbourTable::Way out = neighbours.way(hop);
    Exit& exit = exits[out.port];
    if (__builtin_expect((!out.is_static && !is_confirmed(way, hop)) || ip_bytes > exit.mtu, 0)) {
      walk(way, lane, at, entry);
      continue;
    }
    flows.count(side, ip_bytes, tcp_flags, now_ms);
    Packet& p = *lane.who[at];
    uint8_t* const data = p.data;
    store(data, out.mac | exit.mac << 48);
    store(data + 8, static_cast<uint32_t>(exit.mac >> 16));
    rewrite_ip(data + kL3, side);
    static_assert(offsetof(typename F::Side, new_dport) ==
                  offsetof(typename F::Side, new_sport) + 2);
    put_l4(data + kL3 + Header<F>::kBytes, side.key.protocol, &side.new_sport, side.l4_delta);
    p.length = kL3 + ip_bytes;  // what Ethernet padded is cut off
    p.linear = static_cast<uint16_t>(kL3 + ip_bytes);
    p.port_out = out.port;
    p.verdict = Verdict::kSent;
    *exit.next++ = &p;
  }
  lane.count = 0;
}

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
    way.exits[i] = Exit{port.mac, list.packets + list.count, roomy ? port.mtu : 0};
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
uint32_t read_step(bool wide, Batch& batch, const ExpressTable::Port* ports, uint32_t next,
                   uint32_t* end, Lane<V4>& lane4, Lane<V6>& lane6) noexcept {
  const uint32_t stop = next + kStep < *end ? next + kStep : *end;
  if (wide && next + kStep == stop) {
    const Packet* const first = batch.packets + next;
    const bool is4 =
        first->linear >= kL3 && load<uint16_t>(first->data + 12) == Header<V4>::kEthertype;
    if (is4 ? read_wide(first, ports, lane4) : read_wide(first, ports, lane6)) return stop;
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
  for (uint32_t late = 0, lane = 0; late < kLanes; lane = lane + 1 == kLanes ? 0 : lane + 1) {
    next =
        read_step(tables.express.wide, batch, tables.express.ports, next, &end, v4[lane], v6[lane]);
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
