#pragma once
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/be.h"
#include "control/load.h"
#include "path/corridor.h"
#include "support/packets.h"

namespace nodeplane::test {

// Carries nothing: the corridor's tests put packets into the batch and read the outgoing lists.
class NullPort : public Port {
 public:
  explicit NullPort(PortCaps caps) : caps_(std::move(caps)) {}
  const PortCaps& caps() const noexcept override { return caps_; }
  uint32_t receive(uint32_t, Packet*, uint32_t, FrameCache&, Counters&) noexcept override {
    return 0;
  }
  uint32_t transmit(uint32_t, Packet* const*, uint32_t, FrameCache&) noexcept override { return 0; }
  void release(uint32_t, FrameCache&) noexcept override {}

 private:
  PortCaps caps_;
};

// A small node: port 0 the clients' (192.0.2.1/24, 2001:db8::1/64, behind a gateway everything
// else), port 1 the pods' (10.1.0.1/24, fd00:1::1/64), port 2 a tap behind which port 0's host lives
// when `host` is set. Services 10.96.0.10 and fd00:96::10: TCP 80, UDP 53, SCTP 38412, echo; TCP 81
// has no endpoint. Endpoints .11 to .13. All bytes through control's load, as in the product.
struct CorridorKit {
  static constexpr uint32_t kFrames = 2048;
  static constexpr uint32_t kCapacity = 4096;
  static constexpr uint32_t kServices = 10;  // their ids are below

  Epochs epochs;
  std::unique_ptr<FrameArena> arena;
  std::unique_ptr<FlowTable<V4>> flows4;
  std::unique_ptr<FlowTable<V6>> flows6;
  NeighbourTable neighbours;
  PortPool snat;
  std::vector<std::unique_ptr<Port>> ports;
  std::unique_ptr<FrameCache> frames;
  std::unique_ptr<Counters> counters = std::make_unique<Counters>();
  std::unique_ptr<Batch> batch = std::make_unique<Batch>();
  std::unique_ptr<States> states = std::make_unique<States>();
  std::unique_ptr<Tables> tables, before;  // published, and what was until then
  Time now = 1000 * kSecond;
  uint32_t generation = 0;
  bool pods_masquerade = true;
  std::vector<ZoneRow> zones;
  std::vector<Bytes> sent[kPortMax];  // of the last run, by port

  explicit CorridorKit(bool host = false, bool pods_masquerade = true,
                       uint32_t capacity = kCapacity, uint32_t workers = 1)
      : snat(workers, 1024, 1279) {
    std::string error;
    arena = FrameArena::create({2048, kFrames, false}, &error);
    flows4 = FlowTable<V4>::create({capacity, workers, false}, epochs, &error);
    flows6 = FlowTable<V6>::create({capacity, workers, false}, epochs, &error);
    frames = std::make_unique<FrameCache>(*arena);
    std::memset(static_cast<void*>(counters.get()), 0, sizeof *counters);
    PortCaps caps;
    caps.unknown_partial = true;
    caps.chains = true;
    for (int i = 0; i < 3; ++i) ports.push_back(std::make_unique<NullPort>(caps));
    batch->frames = frames.get();
    batch->counters = counters.get();
    publish(host, pods_masquerade, 3);
  }
  ~CorridorKit() {
    tables.reset();
    before.reset();
    frames->flush();
    if (arena->free_count() != arena->count()) die("frames were lost");
  }

  static void die(const char* what) {
    std::fprintf(stderr, "corridor: %s\n", what);
    std::abort();
  }

  // Rows of the services whose numbers are bits of `told`.
  struct Wishes {
    std::vector<ServiceRow> services;
    std::vector<EndpointRow> endpoints;
  };
  void wish(Wishes& wishes, uint32_t told, uint32_t endpoint_count, uint32_t shift) const {
    uint32_t id = 0;
    auto service = [&](uint8_t family, uint8_t protocol, uint16_t port, uint16_t to,
                       uint32_t count) {
      ServiceRow s{};
      parse_address(family == 4 ? "10.96.0.10" : "fd00:96::10", s.address);
      s.seed = 1 + id;
      s.id = id++;
      s.endpoint_first = static_cast<uint32_t>(wishes.endpoints.size());
      s.endpoint_count = count;
      s.be_port = swap16(port);
      s.family = family;
      s.protocol = protocol;
      s.masquerade =
          static_cast<uint8_t>(pods_masquerade ? Masquerade::kNotFromPods : Masquerade::kNever);
      s.verdict = static_cast<uint8_t>(count ? ServiceVerdict::kBalance : ServiceVerdict::kReject);
      if ((told >> s.id & 1) == 0) return;
      for (uint32_t i = 0; i < count; ++i) {
        EndpointRow e{};
        const std::string text =
            (family == 4 ? "10.1.0.1" : "fd00:1::1") + std::to_string(1 + (i + shift) % 3);
        parse_address(text.c_str(), e.address);
        e.id = s.id * 8 + i;
        e.be_port = swap16(to);
        e.weight = 1;
        e.family = family;
        e.flags = 1;
        wishes.endpoints.push_back(e);
      }
      wishes.services.push_back(s);
    };
    for (const uint8_t family : {uint8_t{4}, uint8_t{6}}) {
      service(family, kProtocolTcp, 80, 8080, endpoint_count);
      service(family, kProtocolUdp, 53, 5353, endpoint_count);
      service(family, kProtocolSctp, 38412, 38412, endpoint_count);
      service(family, family == 4 ? kProtocolIcmp : kProtocolIcmp6, 0, 0, endpoint_count);
      service(family, kProtocolTcp, 81, 8081, 0);
    }
  }
  void take(const TableSet& set) {
    Port* drivers[] = {ports[0].get(), ports[1].get(), ports[2].get()};
    LoadContext context{flows4.get(),     flows6.get(), &snat,       &neighbours,
                        arena.get(),      drivers,      3,           HashSeed{1, 2},
                        HashKind::kSip13, ++generation, tables.get()};
    std::string error;
    auto next = load(set, context, &error);
    if (!next) die(error.c_str());
    load_apply(set, context, *next);
    before = std::move(tables);
    tables = std::move(next);
  }

  // The tables of the node with the first `endpoint_count` endpoints.
  void publish(bool host, bool masquerade, uint32_t endpoint_count) {
    pods_masquerade = masquerade;
    SettingsRow settings{};
    settings.tcp_syn_sent_ms = settings.tcp_syn_received_ms = settings.tcp_fin_wait_ms = 60000;
    settings.tcp_last_ack_ms = settings.tcp_time_wait_ms = settings.tcp_picked_up_ms = 30000;
    settings.tcp_established_ms = 3600000;
    settings.tcp_closed_ms = 10000;
    settings.udp_unreplied_ms = settings.icmp_ms = 30000;
    settings.udp_replied_ms = settings.sctp_ms = 120000;
    settings.neighbour_reachable_ms = 30000;
    settings.neighbour_retry_ms = 1000;
    settings.neighbour_tries = 3;
    settings.icmp_errors_per_second = 1000;
    settings.snat_port_low = 1024;
    settings.snat_port_high = 1279;
    settings.tcp_pickup = 1;
    std::vector<PortRow> port_rows(3);
    for (uint16_t i = 0; i < 3; ++i) {
      PortRow& p = port_rows[i];
      p.id = i;
      p.mtu = 1500;
      p.host_port = host && i == 0 ? 2 : kPortNone;
      p.host_of = host && i == 2 ? 0 : kPortNone;
      const uint8_t mac[6] = {0x02, 0, 0, 0, 0, static_cast<uint8_t>(1 + i)};
      std::memcpy(p.mac, mac, 6);
    }
    auto address = [](const char* text, uint8_t* out) { parse_address(text, out); };
    std::vector<AddressRow> addresses;
    auto own = [&](const char* text, uint8_t family, uint8_t length, uint16_t port) {
      AddressRow a{};
      address(text, a.address);
      a.family = family;
      a.prefix_length = length;
      a.port = port;
      addresses.push_back(a);
    };
    own("192.0.2.1", 4, 24, 0);
    own("2001:db8::1", 6, 64, 0);
    own("10.1.0.1", 4, 24, 1);
    own("fd00:1::1", 6, 64, 1);
    std::vector<RouteRow> routes;
    auto route = [&](const char* prefix, uint8_t family, uint8_t length, uint16_t port,
                     const char* via) {
      RouteRow r{};
      address(prefix, r.prefix);
      r.family = family;
      r.prefix_length = length;
      r.port = port;
      if (via) {
        address(via, r.via);
        r.flags = 1;
      }
      routes.push_back(r);
    };
    route("192.0.2.0", 4, 24, 0, nullptr);
    route("10.1.0.0", 4, 24, 1, nullptr);
    route("0.0.0.0", 4, 0, 0, "192.0.2.254");
    route("2001:db8::", 6, 64, 0, nullptr);
    route("fd00:1::", 6, 64, 1, nullptr);
    route("::", 6, 0, 0, "2001:db8::fe");
    std::vector<NeighbourRow> statics;
    auto neighbour = [&](const char* text, uint8_t family, uint16_t port) {
      NeighbourRow n{};
      address(text, n.address);
      n.family = family;
      n.port = port;
      n.mac[0] = 2;
      n.mac[5] = static_cast<uint8_t>(0x10 + statics.size());
      statics.push_back(n);
    };
    neighbour("192.0.2.254", 4, 0);
    neighbour("2001:db8::fe", 6, 0);
    neighbour("10.1.0.11", 4, 1);
    neighbour("10.1.0.12", 4, 1);
    neighbour("fd00:1::11", 6, 1);
    neighbour("fd00:1::12", 6, 1);  // .13 is not known: packets to it wait
    Wishes wishes;
    wish(wishes, ~0u, endpoint_count, 0);
    PodRangeRow pods{};
    address("10.1.0.0", pods.prefix);
    pods.family = 4;
    pods.prefix_length = 24;
    std::vector<SnatSourceRow> sources(2);
    address("10.1.0.1", sources[0].address);
    sources[0].family = 4;
    address("fd00:1::1", sources[1].address);
    sources[1].family = 6;
    sources[0].port = sources[1].port = 1;

    TableSet set{};
    set.settings = &settings;
    set.ports = port_rows.data();
    set.addresses = addresses.data();
    set.routes = routes.data();
    set.neighbours = statics.data();
    set.services = wishes.services.data();
    set.endpoints = wishes.endpoints.data();
    set.pod_ranges = &pods;
    set.snat_sources = sources.data();
    set.zones = zones.data();
    const size_t counts[kSectionCount] = {1,
                                          3,
                                          addresses.size(),
                                          routes.size(),
                                          statics.size(),
                                          wishes.services.size(),
                                          wishes.endpoints.size(),
                                          1,
                                          sources.size(),
                                          zones.size()};
    for (uint32_t i = 0; i < kSectionCount; ++i) set.count[i] = static_cast<uint32_t>(counts[i]);
    take(set);
  }

  // A change of the services whose numbers are bits of `told`: with so many endpoints, the first of
  // them `shift` places on, so that their ids stand for other places. Those of `removed` go.
  void change(uint32_t told, uint32_t removed, uint32_t endpoint_count, uint32_t shift) {
    Wishes wishes;
    wish(wishes, told, endpoint_count, shift);
    change(wishes, removed & ~told);
  }
  void change(const Wishes& wishes, uint32_t removed) {
    std::vector<RemovedServiceRow> gone;
    for (uint32_t id = 0; id < kServices; ++id)
      if ((removed >> id & 1) != 0 && tables->services->service(id)) gone.push_back({id});
    TableSet set{};
    set.base_generation = generation;
    set.services = wishes.services.data();
    set.endpoints = wishes.endpoints.data();
    set.removed_services = gone.data();
    const auto count = [&](Section s, size_t n) {
      set.count[static_cast<uint32_t>(s)] = static_cast<uint32_t>(n);
    };
    count(Section::kServices, wishes.services.size());
    count(Section::kEndpoints, wishes.endpoints.size());
    count(Section::kRemovedServices, gone.size());
    take(set);
  }

  // Text -> 16 bytes: dotted IPv4, or IPv6 of hexadecimal groups with one "::".
  static void parse_address(const char* text, uint8_t* out) {
    std::memset(out, 0, 16);
    unsigned a, b, c, d;
    if (std::sscanf(text, "%u.%u.%u.%u", &a, &b, &c, &d) == 4) {
      const unsigned parts[] = {a, b, c, d};
      for (int i = 0; i < 4; ++i) out[i] = static_cast<uint8_t>(parts[i]);
      return;
    }
    const std::string s = text;
    const size_t gap = s.find("::");
    auto groups = [](const std::string& part) {
      std::vector<unsigned> g;
      for (size_t at = 0; at < part.size();) {
        size_t end = part.find(':', at);
        if (end == std::string::npos) end = part.size();
        g.push_back(static_cast<unsigned>(std::stoul(part.substr(at, end - at), nullptr, 16)));
        at = end + 1;
      }
      return g;
    };
    const auto head = groups(s.substr(0, gap));
    const auto tail = groups(s.substr(gap + 2));
    for (size_t i = 0; i < head.size(); ++i) {
      out[2 * i] = static_cast<uint8_t>(head[i] >> 8);
      out[2 * i + 1] = static_cast<uint8_t>(head[i]);
    }
    for (size_t i = 0; i < tail.size(); ++i) {
      const size_t at = 8 - tail.size() + i;
      out[2 * at] = static_cast<uint8_t>(tail[i] >> 8);
      out[2 * at + 1] = static_cast<uint8_t>(tail[i]);
    }
  }

  struct In {
    uint16_t port;
    Bytes bytes;
    uint16_t flags = 0;
  };
  // One batch of packets through the whole corridor; what left is in `sent`, and the books are right.
  void run(const std::vector<In>& in) {
    epochs.quiescent(0);
    batch->reset(now);
    uint32_t n = 0;
    for (const In& one : in) {
      if (n == kBatchSize || one.bytes.size() > arena->frame_size() - kFrameHeadroom) continue;
      const uint32_t frame = frames->take();
      if (frame == kFrameNone) die("no frame");
      Packet& p = batch->packets[n];
      p = Packet{};
      p.frame = frame;
      // At the frame's end: what is read past it is another frame's, or past the arena.
      p.data = arena->at(frame) + arena->frame_size() - one.bytes.size();
      if (!one.bytes.empty()) std::memcpy(p.data, one.bytes.data(), one.bytes.size());
      p.length = static_cast<uint32_t>(one.bytes.size());
      p.linear = static_cast<uint16_t>(one.bytes.size());
      p.port_in = one.port;
      p.flags = one.flags;
      ++n;
    }
    batch->count = n;
    counters->add(Counter::kPacketsIn, n);
    corridor(*batch, *tables, *states);
    collect();
  }
  void advance(Time by) {
    now += by;
    epochs.quiescent(0);
    batch->reset(now);
    while (conntrack_expire(*batch, tables->conntrack, states->conntrack, kExpireBatchMax)) {
      epochs.quiescent(0);
    }
    batch->reset(now);
    route_wake(*batch, tables->route, states->route, false);
    corridor_resume(*batch, *tables, *states);
    collect();
  }
  // Everything that waits leaves.
  void finish_waiting() {
    batch->reset(now);
    route_wake(*batch, tables->route, states->route, true);
    corridor_resume(*batch, *tables, *states);
    collect();
  }
  void collect() {
    for (uint32_t port = 0; port < 3; ++port) {
      sent[port].clear();
      auto& list = states->output.lists[port];
      for (uint32_t i = 0; i < list.count; ++i) {
        const Packet& p = *list.packets[i];
        Bytes bytes(p.data, p.data + p.linear);
        for (uint32_t f = arena->link(p.frame).next; f != kFrameNone; f = arena->link(f).next) {
          const FrameLink& link = arena->link(f);
          bytes.insert(bytes.end(), arena->at(f) + link.offset,
                       arena->at(f) + link.offset + link.length);
        }
        if (bytes.size() != p.length) die("a packet's length is not that of its frames");
        sent[port].push_back(std::move(bytes));
        frames->give_chain(p.frame);
      }
      counters->add(Counter::kPacketsOut, list.count);
      list.count = 0;
    }
    states->output.segment_count = 0;
    if (imbalance() != 0) die("the books do not balance");
  }
  uint64_t count(Counter c) const { return counters->counts[static_cast<uint32_t>(c)]; }
  uint64_t drops(Drop d) const { return counters->drops[static_cast<uint32_t>(d)]; }
  int64_t imbalance() const {
    uint64_t out = count(Counter::kPacketsOut) + count(Counter::kConsumed) + count(Counter::kHeld);
    for (const uint64_t d : counters->drops) out += d;
    return static_cast<int64_t>(count(Counter::kPacketsIn) + count(Counter::kOriginated) - out);
  }
};

}  // namespace nodeplane::test
