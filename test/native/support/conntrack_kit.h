#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "path/stage.h"
#include "stage/conntrack/conntrack.h"
#include "stage/nat/nat.h"
#include "stage/service/service.h"
#include "support/flows.h"
#include "support/services.h"

namespace nodeplane::test {

// Two services (96.0.0.1:80 and 96.0.0.2:80 by number) over the same endpoints (20.0.0.n:8080), of
// both families, TCP and UDP, and what the stages from find to keep share.
class ConntrackWorld {
 public:
  static constexpr uint32_t kServices = 2;
  explicit ConntrackWorld(uint32_t capacity, uint32_t workers, uint32_t endpoints = 3,
                          Masquerade masquerade = Masquerade::kNever)
      : ports(workers, 1024, 65535) {
    v4 = make_table<V4>(epochs, capacity, workers);
    v6 = make_table<V6>(epochs, capacity, workers);
    masquerade_ = masquerade;
    publish(endpoints);
  }
  // A new generation with endpoints 1 to `endpoints`.
  void publish(uint32_t endpoints) {
    std::vector<ServiceRow> services;
    std::vector<EndpointRow> rows;
    for (const uint8_t family : {uint8_t{4}, uint8_t{6}}) {
      const auto first = static_cast<uint32_t>(rows.size());
      for (uint32_t i = 1; i <= endpoints; ++i) {
        EndpointRow e{};
        put_address(e.address, family, 20, i);
        e.id = i + (family == 6 ? 1000 : 0);
        e.be_port = swap16(kServerPort);
        e.weight = 1;
        e.family = family;
        e.flags = 1;
        rows.push_back(e);
      }
      for (uint32_t s = 1; s <= kServices; ++s) {
        for (const uint8_t protocol : {kProtocolTcp, kProtocolUdp}) {
          ServiceRow row{};
          put_address(row.address, family, 96, s);
          row.seed = 11;
          row.id = static_cast<uint32_t>(services.size()) + 1;
          row.endpoint_first = first;
          row.endpoint_count = endpoints;
          row.be_port = swap16(kVirtualPort);
          row.family = family;
          row.protocol = protocol;
          row.masquerade = static_cast<uint8_t>(masquerade_);
          row.verdict = static_cast<uint8_t>(ServiceVerdict::kBalance);
          services.push_back(row);
        }
      }
    }
    std::string error;
    ++generation;
    const auto source = [&](uint8_t family) {
      IpAddress a{};
      put_address(a.bytes, family, 30, 1);
      return ports.source(family, a);
    };
    const EverySource every(source(4), source(6));
    const ServiceRows all{services.data(),
                          rows.data(),
                          nullptr,
                          static_cast<uint32_t>(services.size()),
                          static_cast<uint32_t>(rows.size()),
                          0};
    auto next = ServiceTable::build(all, generation, tables.get(), every.sources, &error);
    ASSERT_NE(next, nullptr) << error;
    tables = std::move(next);
    conntrack.v4 = v4.get();
    conntrack.v6 = v6.get();
    conntrack.ports = &ports;
    conntrack.services = tables.get();
    conntrack.seed = kTestSeed;
    conntrack.generation = conntrack.route_generation = generation;
    service.services = tables.get();
    nat.ports = &ports;
  }
  uint32_t live() const { return v4->live() + v6->live(); }

  Epochs epochs;
  PortPool ports;
  std::unique_ptr<FlowTable<V4>> v4;
  std::unique_ptr<FlowTable<V6>> v6;
  std::unique_ptr<ServiceTable> tables;
  ConntrackTable conntrack;
  Service::Table service;
  Nat::Table nat;
  uint32_t generation = 0;

 private:
  static void put_address(uint8_t (&to)[16], uint8_t family, uint8_t net, uint32_t n) {
    std::memset(to, 0, 16);
    uint32_t v4_address;
    set_address(v4_address, net, n);
    if (family == 4)
      std::memcpy(to, &v4_address, 4);
    else
      set_address(to, net, n);
  }
  Masquerade masquerade_;
};

// One worker's way through find, service, nat and keep. Packets are names only, without bytes.
class ConntrackWorker {
 public:
  ConntrackWorker(ConntrackWorld& world, uint32_t id) : world_(world) {
    conntrack.worker = nat.worker = batch->worker = id;
    batch->counters = counters.get();
    begin(kTestStart);
  }
  void begin(Time now) { batch->reset(now); }
  // A packet with this key; keys are those of make_key.
  template <class F>
  Packet& put(const typename F::Key& key, uint8_t flags = 0, uint32_t ip_length = 100) {
    const uint32_t index = batch->count++;
    batch->live[batch->live_count++] = static_cast<uint16_t>(index);
    Packet& p = batch->packets[index];
    p = Packet{};
    p.kind = Kind::kIp;
    p.family = F::kFamily;
    p.protocol = key.protocol;
    p.tcp_flags = flags;
    p.network = key.network;
    p.l3 = 14;
    p.length = 14 + ip_length;
    p.ip_length = static_cast<uint16_t>(ip_length);
    p.port_in = 1;
    if constexpr (F::kFamily == 4)
      p.key4 = key;
    else
      p.key6 = key;
    return p;
  }
  void run() {
    pass<Find>(*batch, world_.conntrack, conntrack);
    fresh<Service>(*batch, world_.service, service);
    fresh<Nat>(*batch, world_.nat, nat);
    fresh<Keep>(*batch, world_.conntrack, conntrack);
  }
  bool expire() { return conntrack_expire(*batch, world_.conntrack, conntrack, kExpireBatchMax); }
  uint64_t count(Counter c) const { return counters->counts[static_cast<uint32_t>(c)]; }
  uint64_t drops(Drop d) const { return counters->drops[static_cast<uint32_t>(d)]; }

  std::unique_ptr<Batch> batch = std::make_unique<Batch>();
  std::unique_ptr<Counters> counters = std::make_unique<Counters>();
  ConntrackState conntrack;
  Service::State service;
  Nat::State nat;

 private:
  ConntrackWorld& world_;
};

// Client n to service s.
template <class F>
typename F::Key client_key(uint32_t n, uint32_t s = 1, uint8_t protocol = kProtocolTcp) {
  return make_key<F>(10, 1 + n / 60000, static_cast<uint16_t>(1024 + n % 60000), 96, s,
                     kVirtualPort, protocol);
}

// The key that an answer to this translated packet wears.
template <class F>
typename F::Key answer_key(const Packet& p) {
  const auto& side = *static_cast<typename F::Side*>(p.side);
  typename F::Key key = side.key;
  std::memcpy(&key.src, &side.new_dst, sizeof key.src);
  std::memcpy(&key.dst, &side.new_src, sizeof key.dst);
  key.sport = side.new_dport;
  key.dport = side.new_sport;
  return key;
}

}  // namespace nodeplane::test
