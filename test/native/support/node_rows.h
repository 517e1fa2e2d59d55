#pragma once
#include <arpa/inet.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/be.h"
#include "control/load.h"

namespace nodeplane::test {

// Text -> 16 bytes.
inline void parse_address(const char* text, uint8_t* out) {
  std::memset(out, 0, 16);
  if (inet_pton(std::strchr(text, ':') != nullptr ? AF_INET6 : AF_INET, text, out) != 1)
    std::abort();
}

// The rows of a small node's services 10.96.0.10 and fd00:96::10: TCP 80, UDP 53, SCTP 38412, echo; TCP 81
// has no endpoint. Only of those whose numbers are bits of `told`. Endpoints are the first `count` of
// .11 to .13, the first of them `shift` places on.
struct NodeServices {
  static constexpr uint32_t kCount = 10;  // their ids are below

  std::vector<ServiceRow> services;
  std::vector<EndpointRow> endpoints;

  NodeServices(bool pods_masquerade, uint32_t told, uint32_t count, uint32_t shift) {
    uint32_t id = 0;
    const auto add = [&](uint8_t family, uint8_t protocol, uint16_t port, uint16_t to,
                         uint32_t endpoint_count) {
      ServiceRow s{};
      parse_address(family == 4 ? "10.96.0.10" : "fd00:96::10", s.address);
      s.seed = 1 + id;
      s.id = id++;
      s.endpoint_first = static_cast<uint32_t>(endpoints.size());
      s.endpoint_count = endpoint_count;
      s.be_port = swap16(port);
      s.family = family;
      s.protocol = protocol;
      s.masquerade =
          static_cast<uint8_t>(pods_masquerade ? Masquerade::kNotFromPods : Masquerade::kNever);
      s.verdict =
          static_cast<uint8_t>(endpoint_count ? ServiceVerdict::kBalance : ServiceVerdict::kReject);
      if ((told >> s.id & 1) == 0) return;
      for (uint32_t i = 0; i < endpoint_count; ++i) {
        EndpointRow e{};
        const std::string text =
            (family == 4 ? "10.1.0.1" : "fd00:1::1") + std::to_string(1 + (i + shift) % 3);
        parse_address(text.c_str(), e.address);
        e.id = s.id * 8 + i;
        e.be_port = swap16(to);
        e.weight = 1;
        e.family = family;
        e.flags = 1;
        endpoints.push_back(e);
      }
      services.push_back(s);
    };
    for (const uint8_t family : {uint8_t{4}, uint8_t{6}}) {
      add(family, kProtocolTcp, 80, 8080, count);
      add(family, kProtocolUdp, 53, 5353, count);
      add(family, kProtocolSctp, 38412, 38412, count);
      add(family, family == 4 ? kProtocolIcmp : kProtocolIcmp6, 0, 0, count);
      add(family, kProtocolTcp, 81, 8081, 0);
    }
  }
  // As a change of a generation, which must not outlive them.
  TableSet change(uint32_t base, const std::vector<RemovedServiceRow>& removed) const {
    TableSet set{};
    set.base_generation = base;
    set.services = services.data();
    set.endpoints = endpoints.data();
    set.removed_services = removed.data();
    set.count[static_cast<uint32_t>(Section::kServices)] = static_cast<uint32_t>(services.size());
    set.count[static_cast<uint32_t>(Section::kEndpoints)] = static_cast<uint32_t>(endpoints.size());
    set.count[static_cast<uint32_t>(Section::kRemovedServices)] =
        static_cast<uint32_t>(removed.size());
    return set;
  }
};

// A small node's tables, row by row: port 0 the clients' (192.0.2.1/24, 2001:db8::1/64, behind a gateway
// everything else), port 1 the pods' (10.1.0.1/24, fd00:1::1/64), port 2 a tap behind which port 0's
// host lives when `host` is set. All of NodeServices; nobody knows the MAC of endpoint .13.
struct NodeRows : NodeServices {
  static constexpr uint32_t kPorts = 3;
  static constexpr uint16_t kSnatLow = 1024, kSnatHigh = 1279;

  SettingsRow settings{};
  std::vector<PortRow> ports;
  std::vector<AddressRow> addresses;
  std::vector<RouteRow> routes;
  std::vector<NeighbourRow> neighbours;
  std::vector<PodRangeRow> pod_ranges;
  std::vector<SnatSourceRow> snat_sources;
  std::vector<ZoneRow> zones;

  NodeRows(bool host, bool pods_masquerade, uint32_t count)
      : NodeServices(pods_masquerade, ~0u, count, 0) {
    set_timers();
    for (uint16_t i = 0; i < kPorts; ++i) port(i, host);
    own("192.0.2.1", 4, 24, 0);
    own("2001:db8::1", 6, 64, 0);
    own("10.1.0.1", 4, 24, 1);
    own("fd00:1::1", 6, 64, 1);
    route("192.0.2.0", 4, 24, 0);
    route("10.1.0.0", 4, 24, 1);
    route("0.0.0.0", 4, 0, 0, "192.0.2.254");
    route("2001:db8::", 6, 64, 0);
    route("fd00:1::", 6, 64, 1);
    route("::", 6, 0, 0, "2001:db8::fe");
    neighbour("192.0.2.254", 4, 0);
    neighbour("2001:db8::fe", 6, 0);
    neighbour("10.1.0.11", 4, 1);
    neighbour("10.1.0.12", 4, 1);
    neighbour("fd00:1::11", 6, 1);
    neighbour("fd00:1::12", 6, 1);
    pod_ranges.resize(1);
    parse_address("10.1.0.0", pod_ranges[0].prefix);
    pod_ranges[0].family = 4;
    pod_ranges[0].prefix_length = 24;
    snat_source("10.1.0.1", 4);
    snat_source("fd00:1::1", 6);
  }

  // As control reads them; they must outlive it.
  TableSet set() const {
    TableSet set{};
    set.settings = &settings;
    set.count[static_cast<uint32_t>(Section::kSettings)] = 1;
    const auto give = [&](Section s, const auto& rows, auto* to) {
      *to = rows.data();
      set.count[static_cast<uint32_t>(s)] = static_cast<uint32_t>(rows.size());
    };
    give(Section::kPorts, ports, &set.ports);
    give(Section::kAddresses, addresses, &set.addresses);
    give(Section::kRoutes, routes, &set.routes);
    give(Section::kNeighbours, neighbours, &set.neighbours);
    give(Section::kServices, services, &set.services);
    give(Section::kEndpoints, endpoints, &set.endpoints);
    give(Section::kPodRanges, pod_ranges, &set.pod_ranges);
    give(Section::kSnatSources, snat_sources, &set.snat_sources);
    give(Section::kZones, zones, &set.zones);
    return set;
  }

 private:
  void set_timers() {
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
    settings.snat_port_low = kSnatLow;
    settings.snat_port_high = kSnatHigh;
    settings.tcp_pickup = 1;
  }
  void port(uint16_t id, bool host) {
    PortRow p{};
    p.id = id;
    p.mtu = 1500;
    p.host_port = host && id == 0 ? 2 : kPortNone;
    p.host_of = host && id == 2 ? 0 : kPortNone;
    const uint8_t mac[6] = {0x02, 0, 0, 0, 0, static_cast<uint8_t>(1 + id)};
    std::memcpy(p.mac, mac, 6);
    ports.push_back(p);
  }
  void own(const char* text, uint8_t family, uint8_t length, uint16_t port) {
    AddressRow a{};
    parse_address(text, a.address);
    a.family = family;
    a.prefix_length = length;
    a.port = port;
    addresses.push_back(a);
  }
  void route(const char* prefix, uint8_t family, uint8_t length, uint16_t port,
             const char* via = nullptr) {
    RouteRow r{};
    parse_address(prefix, r.prefix);
    r.family = family;
    r.prefix_length = length;
    r.port = port;
    if (via) {
      parse_address(via, r.via);
      r.flags = 1;
    }
    routes.push_back(r);
  }
  void neighbour(const char* text, uint8_t family, uint16_t port) {
    NeighbourRow n{};
    parse_address(text, n.address);
    n.family = family;
    n.port = port;
    n.mac[0] = 2;
    n.mac[5] = static_cast<uint8_t>(0x10 + neighbours.size());
    neighbours.push_back(n);
  }
  void snat_source(const char* text, uint8_t family) {
    SnatSourceRow s{};
    parse_address(text, s.address);
    s.family = family;
    s.port = 1;
    snat_sources.push_back(s);
  }
};

}  // namespace nodeplane::test
