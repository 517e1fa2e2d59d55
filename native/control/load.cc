#include "control/load.h"

#include <algorithm>
#include <cstring>

namespace nodeplane {

namespace {

template <class Row>
bool section(const uint8_t* bytes, size_t size, const SectionRow& s, const Row** out) {
  if (s.row_size != sizeof(Row) || s.offset % 8 != 0) return false;
  const uint64_t end = uint64_t{s.offset} + uint64_t{s.count} * sizeof(Row);
  if (end > size) return false;
  *out = reinterpret_cast<const Row*>(bytes + s.offset);
  return true;
}

bool family_ok(uint8_t family) { return family == 4 || family == 6; }
bool prefix_ok(uint8_t family, uint8_t length) { return length <= (family == 4 ? 32 : 128); }

bool fail(std::string* error, const char* what) {
  *error = std::string("table set: ") + what;
  return false;
}

// Every index and enum that the path trusts is checked here, once.
bool rows_ok(const TableSet& t, uint32_t drivers, std::string* error) {
  if (t.size(Section::kSettings) != 1) return fail(error, "exactly one settings row is needed");
  if (t.size(Section::kRemovedServices) != 0) return fail(error, "only a change removes services");
  const uint32_t ports = t.size(Section::kPorts);
  if (ports != drivers) return fail(error, "its ports are not the opened ports");
  auto port_ok = [&](uint16_t p) { return p < ports; };
  auto maybe_port = [&](uint16_t p) { return p == kPortNone || p < ports; };
  for (uint32_t i = 0; i < ports; ++i) {
    const auto& p = t.ports[i];
    if (p.id != i || !maybe_port(p.host_port) || !maybe_port(p.host_of) || p.mtu < 68 ||
        p.checksum_mode >= kChecksumModeCount)
      return fail(error, "a port row is wrong");
  }
  for (uint32_t i = 0; i < t.size(Section::kAddresses); ++i) {
    const auto& a = t.addresses[i];
    if (!family_ok(a.family) || !prefix_ok(a.family, a.prefix_length) || !maybe_port(a.port))
      return fail(error, "an address row is wrong");
  }
  if (t.size(Section::kRoutes) > kRouteMax) return fail(error, "too many routes");
  for (uint32_t i = 0; i < t.size(Section::kRoutes); ++i) {
    const auto& r = t.routes[i];
    if (!family_ok(r.family) || !prefix_ok(r.family, r.prefix_length) || !port_ok(r.port))
      return fail(error, "a route row is wrong");
  }
  for (uint32_t i = 0; i < t.size(Section::kNeighbours); ++i)
    if (!family_ok(t.neighbours[i].family) || !port_ok(t.neighbours[i].port))
      return fail(error, "a neighbour row is wrong");
  for (uint32_t i = 0; i < t.size(Section::kPodRanges); ++i)
    if (!family_ok(t.pod_ranges[i].family) ||
        !prefix_ok(t.pod_ranges[i].family, t.pod_ranges[i].prefix_length))
      return fail(error, "a pod range row is wrong");
  for (uint32_t i = 0; i < t.size(Section::kSnatSources); ++i)
    if (!family_ok(t.snat_sources[i].family) || !port_ok(t.snat_sources[i].port))
      return fail(error, "a SNAT source row is wrong");
  for (uint32_t i = 0; i < t.size(Section::kZones); ++i) {
    const auto& z = t.zones[i];
    if (z.id >= kZoneMax || z.source >= kZoneSourceCount || z.guaranteed > z.maximum ||
        z.snat_guaranteed > z.maximum || z.maximum > 100)
      return fail(error, "a zone row is wrong");
  }
  return true;
}

void load_route(const TableSet& set, const LoadContext& c, Tables& t) {
  auto& r = t.route;
  r.lpm = t.lpm.get();
  r.neighbours = c.neighbours;
  r.port_count = set.size(Section::kPorts);
  std::memcpy(r.ports, set.ports, r.port_count * sizeof(PortRow));
  for (uint32_t i = 0; i < r.port_count; ++i) {
    const auto& caps = c.drivers[i]->caps();
    r.port_mtu[i] = std::min(set.ports[i].mtu, caps.mtu);
  }
  for (uint32_t i = 0; i < set.size(Section::kAddresses); ++i) {
    const auto& a = set.addresses[i];
    r.locals.push_back(
        {IpAddress::from_bytes(a.address, a.family), a.network, a.port, a.family, a.prefix_length});
  }
  std::sort(r.locals.begin(), r.locals.end(), [](const Route::Local& a, const Route::Local& b) {
    if (a.network != b.network) return a.network < b.network;
    if (a.family != b.family) return a.family < b.family;
    return std::memcmp(a.address.bytes, b.address.bytes, 16) < 0;
  });
  r.retry_ms = set.settings->neighbour_retry_ms;
  r.tries = set.settings->neighbour_tries;
  r.reachable_ms = set.settings->neighbour_reachable_ms;
}

void load_own(const TableSet& set, Tables& t) {
  for (uint32_t i = 0; i < set.size(Section::kAddresses); ++i) {
    const auto& a = set.addresses[i];
    t.service.own.push_back({IpAddress::from_bytes(a.address, a.family), a.network, a.family});
  }
  std::sort(t.service.own.begin(), t.service.own.end());
}

void load_ends(const TableSet& set, const LoadContext& c, Tables& t) {
  const uint32_t n = set.size(Section::kPorts);
  t.parse.port_count = t.rewrite.port_count = t.originate.port_count = t.output.port_count = n;
  std::memcpy(t.parse.ports, set.ports, n * sizeof(PortRow));
  std::memcpy(t.rewrite.ports, set.ports, n * sizeof(PortRow));
  std::memcpy(t.originate.ports, set.ports, n * sizeof(PortRow));
  for (uint32_t i = 0; i < n; ++i) {
    const auto& caps = c.drivers[i]->caps();
    t.parse.unknown_partial[i] = caps.unknown_partial;
    t.rewrite.partial_out[i] = caps.partial_checksum_out;
    t.output.open[i] = true;
    t.output.gso[i] = caps.gso;
    t.output.chains[i] = caps.chains;
    t.output.mtu[i] = t.route.port_mtu[i];
    const PortRow& row = set.ports[i];
    ExpressTable::Port& express = t.express.ports[i];
    std::memcpy(&express.mac, row.mac, sizeof row.mac);
    express.network = row.network;
    express.mtu = t.route.port_mtu[i];
    express.judge =
        caps.unknown_partial && row.checksum_mode == static_cast<uint8_t>(ChecksumMode::kAuto);
    const bool open = express.mac != 0 && row.host_of == kPortNone &&
                      row.checksum_mode != static_cast<uint8_t>(ChecksumMode::kCompute);
    if (open) express.mac_in = express.mac;
  }
  t.express.wide = express_is_wide();
  t.rewrite.neighbours = c.neighbours;
  t.rewrite.arena = t.originate.arena = t.output.arena = c.arena;
  t.originate.errors_per_second = set.settings->icmp_errors_per_second;
  for (uint32_t i = 0; i < set.size(Section::kAddresses); ++i) {
    const auto& a = set.addresses[i];
    t.originate.addresses.push_back({IpAddress::from_bytes(a.address, a.family), a.port, a.family});
  }
}

bool load_sources(const TableSet& set, const LoadContext& c, Tables& t, std::string* error) {
  t.snat_sources.lpm = t.lpm.get();
  for (uint32_t i = 0; i < set.size(Section::kSnatSources); ++i) {
    const auto& s = set.snat_sources[i];
    auto& slot = t.snat_sources.by_port[s.port][s.family == 6];
    slot = c.ports->source(s.family, IpAddress::from_bytes(s.address, s.family));
    if (slot == kSnatSourceNone) return fail(error, "too many SNAT source addresses");
  }
  return true;
}

ServiceRows service_rows(const TableSet& set) {
  return {set.services,
          set.endpoints,
          set.removed_services,
          set.size(Section::kServices),
          set.size(Section::kEndpoints),
          set.size(Section::kRemovedServices)};
}

void set_services(Tables& t, std::shared_ptr<ServiceTable> services) {
  t.conntrack.services = services.get();
  t.service.services = services.get();
  t.route.services = services.get();
  t.services = std::move(services);
}

// Whether a change has rows of nothing else.
bool only_services(const TableSet& set) {
  for (uint32_t i = 0; i < kSectionCount; ++i) {
    const auto s = static_cast<Section>(i);
    const bool may =
        s == Section::kServices || s == Section::kEndpoints || s == Section::kRemovedServices;
    if (!may && set.count[i] != 0) return false;
  }
  return true;
}

std::unique_ptr<Tables> load_change(const TableSet& set, const LoadContext& c, std::string* error) {
  if (c.before == nullptr || set.base_generation != c.before->generation) {
    fail(error, "a change of another generation than the last");
    return nullptr;
  }
  if (!only_services(set)) {
    fail(error, "a change of more than services");
    return nullptr;
  }
  auto services = ServiceTable::change(service_rows(set), c.generation, *c.before->services,
                                       c.before->snat_sources, error);
  if (!services) return nullptr;
  auto t = std::make_unique<Tables>(*c.before);
  t->generation = t->conntrack.generation = c.generation;
  set_services(*t, std::move(services));
  return t;
}

}  // namespace

bool table_set_check(const uint8_t* bytes, size_t size, TableSet* out, std::string* error) {
  *out = {};
  if (size < sizeof(TablesHeader)) return fail(error, "shorter than its header");
  const auto* header = reinterpret_cast<const TablesHeader*>(bytes);
  if (header->magic != kTablesMagic || header->version != kTablesVersion)
    return fail(error, "another magic or version: rebuild the addon and the TypeScript together");
  if (header->byte_length != size || header->section_count != kSectionCount ||
      size < sizeof(TablesHeader) + kSectionCount * sizeof(SectionRow))
    return fail(error, "its length or section count is wrong");
  out->base_generation = header->base_generation;
  const auto* rows = reinterpret_cast<const SectionRow*>(bytes + sizeof(TablesHeader));
  for (uint32_t i = 0; i < kSectionCount; ++i) {
    const auto& s = rows[i];
    if (s.kind != i) return fail(error, "sections are out of order");
    bool ok = false;
    switch (static_cast<Section>(i)) {
      case Section::kSettings:
        ok = section(bytes, size, s, &out->settings);
        break;
      case Section::kPorts:
        ok = section(bytes, size, s, &out->ports) && s.count <= kPortMax;
        break;
      case Section::kAddresses:
        ok = section(bytes, size, s, &out->addresses);
        break;
      case Section::kRoutes:
        ok = section(bytes, size, s, &out->routes);
        break;
      case Section::kNeighbours:
        ok = section(bytes, size, s, &out->neighbours);
        break;
      case Section::kServices:
        ok = section(bytes, size, s, &out->services);
        break;
      case Section::kEndpoints:
        ok = section(bytes, size, s, &out->endpoints);
        break;
      case Section::kPodRanges:
        ok = section(bytes, size, s, &out->pod_ranges);
        break;
      case Section::kSnatSources:
        ok = section(bytes, size, s, &out->snat_sources);
        break;
      case Section::kZones:
        ok = section(bytes, size, s, &out->zones) && s.count <= kZoneMax;
        break;
      case Section::kRemovedServices:
        ok = section(bytes, size, s, &out->removed_services);
        break;
    }
    if (!ok) {
      *error = std::string("table set: section ") + kSectionNames[i] + " is out of bounds";
      return false;
    }
    out->count[i] = s.count;
  }
  return true;
}

std::unique_ptr<Tables> load(const TableSet& set, const LoadContext& c, std::string* error) {
  if (set.base_generation != 0) return load_change(set, c, error);
  if (!rows_ok(set, c.driver_count, error)) return nullptr;
  auto t = std::make_unique<Tables>();
  t->generation = t->route_generation = c.generation;
  t->lpm = Lpm::build(set.routes, set.size(Section::kRoutes));
  if (!load_sources(set, c, *t, error)) return nullptr;
  auto services =
      ServiceTable::build(service_rows(set), c.generation,
                          c.before ? c.before->services.get() : nullptr, t->snat_sources, error);
  if (!services) return nullptr;

  const bool pickup = set.settings->tcp_pickup != 0;
  t->conntrack = {c.flows4, c.flows6, c.ports, nullptr, c.seed, c.hash, pickup, c.generation};
  t->conntrack.route_generation = c.generation;
  if (set.size(Section::kZones) != 0) {
    t->conntrack.zones = {{set.zones, set.zones + set.size(Section::kZones)},
                          {set.pod_ranges, set.pod_ranges + set.size(Section::kPodRanges)}};
  }
  t->service.pickup = pickup;
  t->nat.ports = c.ports;
  t->nat.zones = t->conntrack.zones;
  t->nat.pod_ranges.assign(set.pod_ranges, set.pod_ranges + set.size(Section::kPodRanges));
  set_services(*t, std::move(services));
  load_own(set, *t);
  load_route(set, c, *t);
  load_ends(set, c, *t);
  return t;
}

void load_apply(const TableSet& set, const LoadContext& c, Tables& next) {
  if (set.base_generation != 0) return next.services->commit(*c.before->services);
  const auto& s = *set.settings;
  FlowTimers timers{};
  auto by = [&](FlowState state) -> uint32_t& {
    return timers.by_state[static_cast<uint32_t>(state)];
  };
  by(FlowState::kSynSent) = s.tcp_syn_sent_ms;
  by(FlowState::kSynReceived) = s.tcp_syn_received_ms;
  by(FlowState::kEstablished) = s.tcp_established_ms;
  by(FlowState::kFinWait) = s.tcp_fin_wait_ms;
  by(FlowState::kLastAck) = s.tcp_last_ack_ms;
  by(FlowState::kTimeWait) = s.tcp_time_wait_ms;
  by(FlowState::kClosed) = s.tcp_closed_ms;
  by(FlowState::kPickedUp) = s.tcp_picked_up_ms;
  timers.udp_unreplied = s.udp_unreplied_ms;
  timers.udp_replied = s.udp_replied_ms;
  timers.icmp = s.icmp_ms;
  timers.sctp = s.sctp_ms;
  c.flows4->set_timers(timers);
  c.flows6->set_timers(timers);
  ZoneShare shares[kZoneMax], of_ports[kZoneMax];
  uint32_t zones = 1;
  for (uint32_t i = 0; i < set.size(Section::kZones); ++i) {
    const ZoneRow& z = set.zones[i];
    shares[z.id] = {z.guaranteed, z.maximum};
    of_ports[z.id] = {z.snat_guaranteed, z.maximum};
    zones = std::max(zones, z.id + 1u);
  }
  c.flows4->set_zones(shares, zones);
  c.flows6->set_zones(shares, zones);
  c.ports->set_zones(of_ports, zones);
  c.neighbours->begin_statics();
  for (uint32_t i = 0; i < set.size(Section::kNeighbours); ++i) {
    const auto& n = set.neighbours[i];
    c.neighbours->set_static(n.port, n.family, IpAddress::from_bytes(n.address, n.family), n.mac);
  }
  c.neighbours->end_statics();
}

}  // namespace nodeplane
