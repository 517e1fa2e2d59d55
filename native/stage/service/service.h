#pragma once
#include <vector>

#include "packet/batch.h"
#include "table/service_table.h"

namespace nodeplane {

// service: who answers? Decides only; keep makes it true or finds that the packet is known after all.
// reads   batch.fresh key flags tcp_flags kind links   writes  packet.decision, batch.decisions
// table   compile/services.ts                          state   none
// refuses no_endpoint no_local_endpoint service_port_unknown fragment icmp_error_without_flow
//         rst_without_flow not_syn bad_tcp_flags (as Decision.refusal, executed by keep)
// why     Eisenbud et al., Maglev, NSDI 2016; kube-proxy's REJECT rules
struct Service {
  static constexpr const char* kName = "service";
  // An address of the node itself. Where a service has one of these (a node port), what no service
  // claims is the node's own business and not refused.
  struct Own {
    IpAddress address;
    uint16_t network;
    uint8_t family;
    bool operator<(const Own& o) const noexcept {
      if (network != o.network) return network < o.network;
      if (family != o.family) return family < o.family;
      return std::memcmp(address.bytes, o.address.bytes, 16) < 0;
    }
  };
  struct Table {
    const ServiceTable* services = nullptr;
    bool pickup = true;
    std::vector<Own> own;  // sorted
  };
  struct State {};
  static void run(Batch& batch, const Table& table, State& state) noexcept;
};

}  // namespace nodeplane
