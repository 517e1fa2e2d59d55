#pragma once
#include "table/service_table.h"

namespace nodeplane {

inline bool has_ports(uint8_t protocol) noexcept {
  return protocol == kProtocolTcp || protocol == kProtocolUdp || protocol == kProtocolSctp;
}

// Rows -> a table: first everything leaves that is removed or replaced, then what the rows say comes.
class ServiceBuilder {
 public:
  ServiceBuilder(ServiceTable& table, const ServiceRows& rows, uint32_t generation,
                 const ServiceTable* before, const SnatSources& sources, std::string* error)
      : t_(table),
        rows_(rows),
        generation_(generation),
        // The first tables' ids are as old as can be: they are the ones that flows of an earlier process
        // carry, if they carry any (docs/survival.md).
        born_(before == nullptr ? 1 : generation),
        before_(before),
        sources_(sources),
        error_(error),
        set_by_row_(rows.endpoint_count) {}

  bool limits_ok() const;
  void reserve();
  bool take_out();
  bool take_in();
  void mark_ended();

 private:
  bool wrong(const char* what, uint32_t row, const char* why) const {
    *error_ = std::string(what) + " row " + std::to_string(row) + ": " + why;
    return false;
  }
  void prefetch(const ServiceRow& row) const;
  bool row_ok(const ServiceRow& row, uint32_t index) const;
  bool leave(uint32_t id);
  void forget_sets();
  bool come(const ServiceRow& row, uint32_t index);
  // service_sets.cc
  EndpointSet* set_of(const ServiceRow& row, uint32_t index);
  EndpointSet* make_set(const ServiceRow& row);
  bool endpoint_ok(const EndpointRow& row, const ServiceRow& service, uint32_t index) const;
  auto hashes() const;  // of services by id

  ServiceTable& t_;
  const ServiceRows& rows_;
  const uint32_t generation_;
  const uint32_t born_;  // since when what is new stands
  const ServiceTable* const before_;
  const SnatSources& sources_;
  std::string* const error_;
  std::vector<EndpointSet*> set_by_row_;  // by its first row
};

}  // namespace nodeplane
