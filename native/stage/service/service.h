#pragma once
#include "packet/batch.h"
#include "table/service_table.h"

namespace nodeplane {

// service: who answers? Decides only; keep makes it true or finds that the packet is known after all.
// reads   batch.fresh key flags tcp_flags kind      writes  packet.decision, batch.decisions
// table   compile/services.ts                       state   none
// refuses no_endpoint no_local_endpoint service_port_unknown fragment icmp_error_without_flow
//         rst_without_flow not_syn bad_tcp_flags (as Decision.refusal, executed by keep)
// why     Eisenbud et al., Maglev, NSDI 2016; kube-proxy's REJECT rules
struct Service {
  static constexpr const char* kName = "service";
  struct Table {
    const ServiceTable* services = nullptr;
    bool pickup = true;
  };
  struct State {};
  static void run(Batch& batch, const Table& table, State& state) noexcept;
};

}  // namespace nodeplane
