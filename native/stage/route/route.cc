#include "stage/route/route.h"

#include "stage/route/parts.h"

namespace nodeplane {
namespace {

using namespace routing;

constexpr uint8_t kEchoRequest4 = 8;    // RFC 792
constexpr uint8_t kEchoRequest6 = 128;  // RFC 4443 section 4.1
constexpr uint32_t kIpLengthMax = 0xffff;

// What an error says, by family.
struct Reason {
  Drop drop;
  uint8_t type4, code4, type6, code6;
};
constexpr Reason kNoRoute{Drop::kNoRoute, 3, 0, 1, 0};
constexpr Reason kTtl{Drop::kTtlExceeded, 11, 0, 3, 0};
constexpr Reason kTooBig{Drop::kTooBig, 3, 4, 2, 0};
constexpr Reason kNeedsFragmenting{Drop::kNeedsFragmenting, 3, 4, 2, 0};
constexpr Reason kUnresolved{Drop::kNeighbourUnresolved, 3, 1, 1, 3};

// Dropped, and its sender told (by the port it came in by); originate knows what must not be
// answered, here only what certainly must not.
void refuse(Context& c, uint16_t index, Packet& p, const Reason& why, uint32_t mtu = 0) noexcept {
  c.batch.drop(p, why.drop);
  if (p.kind == Kind::kIcmpError || (p.flags & kFlagMulticastMac)) return;
  Owed owed{};
  owed.what = Owed::What::kIcmpError;
  owed.icmp_type = p.family == 4 ? why.type4 : why.type6;
  owed.icmp_code = p.family == 4 ? why.code4 : why.code6;
  owed.family = p.family;
  owed.packet = index;
  owed.port = p.port_in;
  owed.mtu = mtu;
  c.batch.owe(owed);
}

// The destination the packet will wear.
IpAddress destination_of(const Batch& batch, const Packet& p) noexcept {
  if (p.side != nullptr)
    return p.family == 4 ? IpAddress::from_v4(static_cast<const SideV4*>(p.side)->new_dst)
                         : IpAddress::from_bytes(static_cast<const SideV6*>(p.side)->new_dst, 6);
  if (p.kind == Kind::kIcmpError) return batch.links[p.link].target;
  return p.family == 4 ? key_dst(p.key4) : key_dst(p.key6);
}

// Destinations that no router passes on: RFC 1812 section 5.3, RFC 3927 section 2.7, RFC 4291.
bool stays_here(uint8_t family, const uint8_t* dst) noexcept {
  if (family == 4) {
    const bool broadcast = (dst[0] & dst[1] & dst[2] & dst[3]) == 0xff;
    const bool link_local = dst[0] == 169 && dst[1] == 254;
    return dst[0] == 0 || dst[0] == 127 || (dst[0] & 0xf0) == 0xe0 || link_local || broadcast;
  }
  static constexpr uint8_t kZero[15] = {};
  const bool nobody_or_loopback = std::memcmp(dst, kZero, 15) == 0 && dst[15] <= 1;
  return dst[0] == 0xff || is_link_local6(dst) || nobody_or_loopback;
}

// The last address of a connected IPv4 prefix is everyone's there (RFC 1812 section 5.3.5.2; a /31
// has none, RFC 3021).
bool is_directed_broadcast(const RouteEntry& route, uint8_t family, const IpAddress& dst) noexcept {
  if (family != 4 || route.has_via || route.prefix_length >= 31) return false;
  const uint32_t host = ~uint32_t{0} >> route.prefix_length;
  return (__builtin_bswap32(dst.v4()) & host) == host;
}

// IP bytes of what will be sent: of one segment if the packet is a large one.
uint32_t longest(const Packet& p) noexcept {
  const uint32_t held = p.length - p.l3;
  if (p.gso == Gso::kNone) return held > kIpLengthMax ? held : p.ip_length;
  if (p.l4 == 0) return held;
  const uint32_t segment = uint32_t{p.l4} - p.l3 + p.l4_header + p.gso_size;
  return segment < held ? segment : held;
}

// TTL and MTU. False: it left.
bool may_leave(Context& c, uint16_t index, Packet& p, uint16_t port_out) noexcept {
  if (__builtin_expect(p.ttl <= 1, 0)) {
    refuse(c, index, p, kTtl);
    return false;
  }
  const uint32_t mtu = c.table.port_mtu[port_out];
  if (__builtin_expect(longest(p) <= mtu, 1)) return true;
  const bool whole = p.family == 6 || (p.flags & kFlagDontFragment);
  refuse(c, index, p, whole ? kTooBig : kNeedsFragmenting, mtu);
  return false;
}

void send_to(Packet& p, uint32_t neighbour, uint16_t port) noexcept {
  p.next_hop = neighbour;
  p.port_out = port;
}

// A record's next_hop is a neighbour's index and the low half of the routes' generation it was found in:
// one word, so that a worker that is a generation behind cannot pass its answer off as new.
static_assert(kNeighbourMax <= 0x10000);
uint32_t tagged(const Batch& batch, uint32_t neighbour) noexcept {
  return batch.route_generation << 16 | neighbour;
}

std::atomic<uint32_t>& hop_word(const Packet& p) noexcept {
  return p.family == 4 ? static_cast<SideV4*>(p.side)->next_hop
                       : static_cast<SideV6*>(p.side)->next_hop;
}

uint32_t cached_hop(const Batch& batch, const Packet& p) noexcept {
  if (p.side == nullptr) return kNextHopNone;
  const uint32_t word = hop_word(p).load(std::memory_order_relaxed);
  const uint32_t neighbour = word & 0xffff;
  return word != kNextHopNone && word == tagged(batch, neighbour) ? neighbour : kNextHopNone;
}

void cache_hop(const Batch& batch, const Packet& p, uint32_t neighbour) noexcept {
  if (p.side != nullptr) hop_word(p).store(tagged(batch, neighbour), std::memory_order_relaxed);
}

// By the low end of the address, in which endpoints differ.
Route::Known& known_place(Route::State& state, uint8_t family, const IpAddress& to) noexcept {
  uint32_t low;
  std::memcpy(&low, to.bytes + (family == 4 ? 0 : 12), 4);
  return state.known[(low * 0x9e3779b1u) >> (32 - kKnownBits)];  // Knuth: multiplicative
}

// Towards an endpoint (its clients are too many to be remembered), unless somebody waits: then order
// matters. What a flow's packet becomes is all that its way hangs on.
bool may_remember(const Context& c, const Packet& p) noexcept {
  return p.side != nullptr && p.direction == 0 && c.state.waiting_count == 0 &&
         !(p.flags & kFlagMulticastMac);
}

uint32_t recall(Context& c, const Packet& p) noexcept {
  if (!may_remember(c, p)) return kNextHopNone;
  const IpAddress to = destination_of(c.batch, p);
  const Route::Known& k = known_place(c.state, p.family, to);
  const bool same = (k.generation == c.batch.route_generation) & (k.network == p.network) &
                    (k.family == p.family) & (k.to == to);
  return same ? k.neighbour : kNextHopNone;
}

void remember(Context& c, const Packet& p, const IpAddress& to) noexcept {
  if (p.verdict != Verdict::kGo || !may_remember(c, p)) return;
  const uint32_t neighbour = cached_hop(c.batch, p);
  if (neighbour == kNextHopNone) return;
  known_place(c.state, p.family, to) =
      Route::Known{to, c.batch.route_generation, neighbour, p.network, p.family};
}

// The way to a neighbour that may have to be asked first.
void resolve(Context& c, uint16_t index, Packet& p, uint32_t neighbour, uint16_t port,
             const IpAddress& target) noexcept {
  NeighbourTable& neighbours = *c.table.neighbours;
  NextHop hop = neighbours.read(neighbour);
  const bool quiet = hop.answers() && (c.port(port).flags & kPortFlagQuiet);
  if (!quiet) {
    ask(c.batch, c.table, neighbour, port, p.family, target);
    hop = neighbours.read(neighbour);
  }
  if (hop.state == NeighbourState::kFailed) return refuse(c, index, p, kUnresolved);
  const bool behind = hop.answers() && is_behind(c.state, neighbour);
  const auto is_kept = [&] {  // for good where a record will name it
    return p.side != nullptr ? neighbours.pin(neighbour, port, p.family, target)
                             : neighbours.hold(neighbour, port, p.family, target, c.batch.now);
  };
  if (behind || !hop.answers() || !is_kept()) return hold(c, p, neighbour, port, target, behind);
  send_to(p, neighbour, port);
  cache_hop(c.batch, p, neighbour);
}

bool is_echo_request(const Packet& p) noexcept {
  if (p.kind != Kind::kIp) return false;
  return p.family == 4 ? p.protocol == kProtocolIcmp && p.icmp_type == kEchoRequest4
                       : p.protocol == kProtocolIcmp6 && p.icmp_type == kEchoRequest6;
}

// For an address of ours: to the host behind the port, or what we answer ourselves.
void deliver(Context& c, uint16_t index, Packet& p, const IpAddress& dst) noexcept {
  p.flags |= kFlagLocal;
  const uint16_t host = c.port(p.port_in).host_port;
  if (host != kPortNone) return pass_through(p, host);
  if (p.side != nullptr || !is_echo_request(p)) return c.batch.drop(p, Drop::kLocalUnclaimed);
  Owed owed{};
  owed.what = Owed::What::kEchoReply;
  owed.family = p.family;
  owed.packet = index;
  owed.port = p.port_in;
  owed.target = dst;
  c.batch.owe(owed);
  c.batch.consume(p);
}

void not_forwarded(Context& c, Packet& p) noexcept {
  const uint16_t host = c.port(p.port_in).host_port;
  if (host != kPortNone && p.side == nullptr) return pass_through(p, host);
  c.batch.drop(p, Drop::kNotForwardable);
}

// A link-local source means nothing on another link (RFC 4291 section 2.5.6).
bool from_link_local(const Packet& p) noexcept {
  return p.family == 6 && p.side == nullptr && p.kind != Kind::kIcmpError &&
         is_link_local6(p.key6.src);
}

void route_ip(Context& c, uint16_t index, Packet& p) noexcept {
  const PortRow& in = c.port(p.port_in);
  const IpAddress dst = destination_of(c.batch, p);
  if (is_local(c.table, p.network, p.family, dst)) return deliver(c, index, p, dst);
  if (p.side == nullptr && in.host_port != kPortNone && (in.flags & kPortFlagServicesOnly))
    return pass_through(p, in.host_port);
  if ((p.flags & kFlagMulticastMac) || stays_here(p.family, dst.bytes) || from_link_local(p))
    return not_forwarded(c, p);
  const RouteEntry* route = c.table.lpm->find(p.network, p.family, dst);
  if (route == nullptr) return refuse(c, index, p, kNoRoute);
  if (is_directed_broadcast(*route, p.family, dst)) return not_forwarded(c, p);
  if (!may_leave(c, index, p, route->port)) return;
  const IpAddress& target = route->has_via ? route->via : dst;
  const uint32_t neighbour =
      c.table.neighbours->find_or_add(route->port, p.family, target, c.batch.now);
  if (neighbour == kNextHopNone) return c.batch.drop(p, Drop::kNeighbourTableFull);
  resolve(c, index, p, neighbour, route->port, target);
  remember(c, p, dst);
}

// Everything but a known flow whose next hop is cached and well.
[[gnu::noinline]] void route_slowly(Context& c, uint16_t index, Packet& p) noexcept {
  const PortRow& in = c.port(p.port_in);
  if (in.host_of != kPortNone && p.side == nullptr) return pass_through(p, in.host_of);
  if (p.kind == Kind::kArp || p.kind == Kind::kNdp) return hear(c, index, p);
  if (p.kind != Kind::kOther) return route_ip(c, index, p);
  if (in.host_port != kPortNone) return pass_through(p, in.host_port);
  c.batch.drop(p, Drop::kBadEthertype);
}

// The last next hop looked at; neighbouring packets mostly share one.
struct Memo {
  uint32_t neighbour = kNextHopNone;
  uint16_t port = 0;
  bool usable = false;  // without asking or waiting

  bool look(const Context& c, uint32_t wanted) noexcept {
    if (wanted == neighbour) return usable;
    const NeighbourTable& neighbours = *c.table.neighbours;
    const NextHop hop = neighbours.read(wanted);
    neighbour = wanted;
    port = hop.port;
    usable = hop.answers() && !neighbours.is_old(wanted, c.batch.now, c.table.reachable_ms);
    return usable;
  }
};

// A cached neighbour that has grown old, or fell silent. Cached ones are pinned, so its address
// is still the next hop's.
[[gnu::noinline]] void route_to_cached(Context& c, uint16_t index, Packet& p,
                                       uint32_t neighbour) noexcept {
  const uint16_t port = c.table.neighbours->read(neighbour).port;
  uint8_t family;
  const IpAddress target = c.table.neighbours->address(neighbour, &family);
  if (may_leave(c, index, p, port)) resolve(c, index, p, neighbour, port, target);
}

}  // namespace

void Route::run(Batch& batch, const Table& table, State& state) noexcept {
  Context c{batch, table, state};
  Memo memo;
  for (uint32_t i = 0; i < batch.live_count; ++i) {
    const uint16_t index = batch.live[i];
    Packet& p = batch.packets[index];
    if (p.verdict != Verdict::kGo || (p.flags & kFlagOurs)) continue;
    uint32_t neighbour = cached_hop(batch, p);
    const bool fresh = neighbour == kNextHopNone;
    if (fresh) neighbour = recall(c, p);
    if (neighbour == kNextHopNone || (p.flags & kFlagMulticastMac)) {
      route_slowly(c, index, p);
    } else if (__builtin_expect(!memo.look(c, neighbour), 0)) {
      route_to_cached(c, index, p, neighbour);
    } else if (may_leave(c, index, p, memo.port)) {
      send_to(p, neighbour, memo.port);
      if (fresh) cache_hop(batch, p, neighbour);
    }
  }
}

}  // namespace nodeplane
