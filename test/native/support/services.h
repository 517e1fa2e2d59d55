#pragma once
#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/be.h"
#include "table/service_table.h"

// Addresses in words, and rows of services as control would publish them.
namespace nodeplane::test {

inline uint8_t family_of(const std::string& text) {
  return text.find(':') == std::string::npos ? 4 : 6;
}
inline IpAddress ip(const std::string& text) {
  IpAddress a{};
  const int family = family_of(text) == 4 ? AF_INET : AF_INET6;
  EXPECT_EQ(inet_pton(family, text.c_str(), a.bytes), 1) << text;
  return a;
}

// Everything is reached by port 0, whose addresses are these of the port pool.
struct EverySource {
  std::unique_ptr<Lpm> lpm;
  SnatSources sources;
  EverySource(uint16_t v4, uint16_t v6) {
    RouteRow rows[2]{};
    rows[0].family = 4;
    rows[1].family = 6;
    lpm = Lpm::build(rows, 2);
    sources.lpm = lpm.get();
    sources.by_port[0][0] = v4;
    sources.by_port[0][1] = v6;
  }
};

struct Rows {
  std::vector<ServiceRow> services;
  std::vector<EndpointRow> endpoints;
  std::vector<RemovedServiceRow> removed;  // of a change
  SnatSources sources;

  EndpointRow& endpoint(const std::string& address, uint16_t port, uint16_t weight = 1) {
    EndpointRow r{};
    std::memcpy(r.address, ip(address).bytes, 16);
    r.family = family_of(address);
    r.id = static_cast<uint32_t>(endpoints.size());
    r.be_port = swap16(port);
    r.weight = weight;
    r.flags = 1;
    endpoints.push_back(r);
    return endpoints.back();
  }
  // Takes the endpoints added since the service before it.
  ServiceRow& service(const std::string& address, uint16_t port, uint8_t protocol = kProtocolTcp) {
    ServiceRow r{};
    std::memcpy(r.address, ip(address).bytes, 16);
    r.family = family_of(address);
    r.id = static_cast<uint32_t>(services.size());
    r.seed = 0x1234 + r.id;
    for (const auto& s : services)
      if (s.endpoint_first + s.endpoint_count > r.endpoint_first)
        r.endpoint_first = s.endpoint_first + s.endpoint_count;
    r.endpoint_count = static_cast<uint32_t>(endpoints.size()) - r.endpoint_first;
    r.be_port = swap16(port);
    r.protocol = protocol;
    services.push_back(r);
    return services.back();
  }
  std::unique_ptr<ServiceTable> build(uint32_t generation = 1, const ServiceTable* before = nullptr,
                                      std::string* error = nullptr) const {
    std::string why;
    auto table = ServiceTable::build(view(), generation, before, sources, error ? error : &why);
    EXPECT_TRUE(table || error) << why;
    return table;
  }
  // A change, committed.
  std::unique_ptr<ServiceTable> change(uint32_t generation, ServiceTable& before,
                                       std::string* error = nullptr) const {
    std::string why;
    auto table = ServiceTable::change(view(), generation, before, sources, error ? error : &why);
    EXPECT_TRUE(table || error) << why;
    if (table) table->commit(before);
    return table;
  }
  ServiceRows view() const {
    return {services.data(),
            endpoints.data(),
            removed.data(),
            static_cast<uint32_t>(services.size()),
            static_cast<uint32_t>(endpoints.size()),
            static_cast<uint32_t>(removed.size())};
  }
};

inline KeyV4 key4(const std::string& src, uint16_t sport, const std::string& dst, uint16_t dport,
                  uint8_t protocol = kProtocolTcp) {
  return {ip(src).v4(), ip(dst).v4(), swap16(sport), swap16(dport), 0, protocol, 0};
}
inline KeyV6 key6(const std::string& src, uint16_t sport, const std::string& dst, uint16_t dport,
                  uint8_t protocol = kProtocolTcp) {
  KeyV6 k{};
  std::memcpy(k.src, ip(src).bytes, 16);
  std::memcpy(k.dst, ip(dst).bytes, 16);
  k.sport = swap16(sport);
  k.dport = swap16(dport);
  k.protocol = protocol;
  return k;
}

}  // namespace nodeplane::test
