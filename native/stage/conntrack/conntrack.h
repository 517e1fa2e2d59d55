#pragma once
#include "kernel/kernels.h"
#include "packet/batch.h"
#include "stage/zone.h"
#include "table/flow_table.h"
#include "table/port_pool.h"
#include "table/service_table.h"

namespace nodeplane {

struct ConntrackTable {
  FlowTable<V4>* v4 = nullptr;
  FlowTable<V6>* v6 = nullptr;
  PortPool* ports = nullptr;  // to give back what a gone or refused record held
  const ServiceTable* services = nullptr;
  HashSeed seed{};
  HashKind hash = HashKind::kSip13;
  bool pickup = true;
  uint32_t generation = 0;
  ZoneRules zones;
  uint32_t route_generation = 0;  // a direction stamped earlier has no next hop
};

struct ConntrackState {
  uint32_t worker = 0;
  uint32_t kept = 0;  // connections made since the last expiry
  uint64_t told = 0;  // workers whose connections this one ended, a bit each: to be woken
};

// find: have we met?
// reads   kind family key flags     writes  hash record direction side, batch.fresh; the record's counters and state
// table   flow tables, live ids     state   worker
// drops   none (an ICMP error without its flow walks on as plain; service judges it)
// why     design section 3; RFC 5508 section 4 (ICMP errors go by the inner tuple)
struct Find {
  static constexpr const char* kName = "conntrack.find";
  using Table = ConntrackTable;
  using State = ConntrackState;
  static void run(Batch& batch, const Table& table, State& state) noexcept;
};

// keep: remember it. Insert-if-absent, in order of arrival: a packet behind its own flow's first
// packet, in either direction, finds that flow here; the loser takes the winner's decision and gives its port back.
// reads   batch.fresh decisions     writes  record direction side; executes refusals
// evicts  what is worth less, when the table or the connection's zone is full
// drops   flow_table_full flow_zone_full flow_clash, and the decision's refusal; a port that nat did not find is tried for again
struct Keep {
  static constexpr const char* kName = "conntrack.keep";
  using Table = ConntrackTable;
  using State = ConntrackState;
  static void run(Batch& batch, const Table& table, State& state) noexcept;
};

// Bounded expiry, between batches, by the worker that kept the records. True: more is due.
bool conntrack_expire(Batch& batch, const ConntrackTable& table, ConntrackState& state,
                      uint32_t budget) noexcept;

}  // namespace nodeplane
