#include "control/take.h"

#include <algorithm>
#include <cstring>

#include "base/be.h"

namespace nodeplane {
namespace {

TakeRow take_row(uint8_t family, uint8_t protocol, uint8_t source, uint16_t low, uint16_t high,
                 const IpAddress& address) {
  TakeRow row{};
  row.family = family;
  row.protocol = protocol;
  row.source = source;
  row.prefix_length = family == 4 ? 32 : 128;
  row.port_low = low;
  row.port_high = high;
  std::memcpy(row.address, address.bytes, sizeof row.address);
  return row;
}

// A virtual address is taken whole, for echo, unknown ports and who asks for it by ARP or
// solicitation, unless it is the node's own.
void take_service(const ServiceEntry& s, const std::vector<Service::Own>& own,
                  std::vector<TakeRow>& rows) {
  const uint16_t port = swap16(s.be_port);
  rows.push_back(take_row(s.family, s.protocol, 0, port, port, s.address));
  if (!std::binary_search(own.begin(), own.end(), Service::Own{s.address, s.network, s.family}))
    rows.push_back(take_row(s.family, 0, 0, 0, 0, s.address));
  for (uint32_t i = 0; i < s.endpoint_count; ++i) {
    const EndpointEntry& e = s.set->endpoints()[i];
    // An echo shares its service's endpoints, whose ports say nothing of it.
    const uint16_t from = port == 0 ? 0 : swap16(e.be_port);
    rows.push_back(take_row(e.family, s.protocol, 1, from, from, e.address));
  }
}

}  // namespace

std::vector<TakeRow> take_all(const Tables& tables, const PortPool& ports, TakeSnat snat) {
  std::vector<TakeRow> rows;
  const ServiceTable& services = *tables.services;
  for (uint32_t id = 0; id < services.service_end(); ++id)
    if (const ServiceEntry* s = services.service(id)) take_service(*s, tables.service.own, rows);
  for (const auto& by_family : tables.snat_sources.by_port) {
    for (const uint8_t family : {4, 6}) {
      const uint16_t source = by_family[family == 6];
      if (source == kSnatSourceNone) continue;
      const uint8_t echo = family == 4 ? kProtocolIcmp : kProtocolIcmp6;
      for (const uint8_t protocol : {kProtocolTcp, kProtocolUdp, kProtocolSctp, echo})
        rows.push_back(take_row(family, protocol, 0, snat.low, snat.high, ports.address(source)));
    }
  }
  return rows;
}

TakeRows take_difference(const TableSet& change, const Tables& before, const Tables& next) {
  std::vector<uint32_t> ids;
  for (uint32_t i = 0; i < change.size(Section::kServices); ++i)
    ids.push_back(change.services[i].id);
  for (uint32_t i = 0; i < change.size(Section::kRemovedServices); ++i)
    ids.push_back(change.removed_services[i].id);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  TakeRows rows;
  for (const uint32_t id : ids) {
    const ServiceEntry* const was = before.services->service(id);
    const ServiceEntry* const now = next.services->service(id);
    if (was != nullptr) take_service(*was, before.service.own, rows.gone);
    if (now != nullptr) take_service(*now, next.service.own, rows.come);
  }
  return rows;
}

}  // namespace nodeplane
