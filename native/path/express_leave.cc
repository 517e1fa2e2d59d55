#include "path/express_leave.h"

#include "base/sum.h"
#include "path/express_wide.h"
#include "stage/conntrack/meet.h"
#include "wire/tcp.h"
#include "wire/udp.h"

namespace nodeplane::express_lane {
namespace {

constexpr uint32_t kNeverCalm = 0;  // no generation

// Of two 16-bit words.
constexpr uint16_t fold(uint32_t sum) noexcept { return static_cast<uint16_t>(sum + (sum >> 16)); }

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

// What is asked of every packet by leave(), once more: who was silent for longer than the shortest timer
// is judged by its own. And whether it comes behind one that walks. The last question stamps a direction
// anew that was last seen before a publish.
template <class F>
[[gnu::noinline]] bool is_calm(const Way& way, const Lane<F>& lane, uint32_t at,
                               uint32_t entry) noexcept {
  const FlowTable<F>& flows = flows_of<F>(way.tables.conntrack);
  typename F::Side& side = flows.side_at(entry);
  const Walkers& walkers = way.walkers;
  return (side.next_hop.load(std::memory_order_relaxed) ^ way.hop_tag) < kHopEnd &&
         (lane.tcp_flags[at] & kTcpStirring) == 0 &&
         (side.state.load(std::memory_order_relaxed) & kSideStirred) == 0 &&
         flows.is_young(side, side.key.protocol, way.now_ms) &&
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

}  // namespace

template <class F>
void leave(Way& way, Lane<F>& lane) noexcept {
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
    store(data, out.mac | exit.mac_first);
    store(data + 8, exit.mac_rest);
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

template void leave(Way&, Lane<V4>&) noexcept;
template void leave(Way&, Lane<V6>&) noexcept;

}  // namespace nodeplane::express_lane
