#include "stage/conntrack/meet.h"

#include <algorithm>

namespace nodeplane {

void give_back(Batch& batch, const ConntrackTable& table, uint32_t worker,
               const Gone& gone) noexcept {
  if (!gone.snat) return;
  table.ports->give(worker, gone.snat_grant, gone.zone);
  batch.counters->add(Counter::kSnatPortGivenBack);
}

template <class F>
void forget_record(Batch& batch, const ConntrackTable& table, uint32_t worker, uint32_t record,
                   Counter why) noexcept {
  Gone gone;
  if (!flows_of<F>(table).forget(worker, record, &gone)) return;  // another worker was faster
  give_back(batch, table, worker, gone);
  batch.counters->add(why);
}

template <class F>
bool revalidate(Batch& batch, const ConntrackTable& table, uint32_t worker, const Packet& p,
                FlowRef ref) noexcept {
  FlowTable<F>& flows = flows_of<F>(table);
  typename F::Side& side = flows.side(ref);
  const uint32_t stamp = side.generation.load(std::memory_order_relaxed);
  const uint32_t service = flows.service_of(ref.record), endpoint = flows.endpoint_of(ref.record);
  // A worker that is still a generation behind must not judge by tables older than the record.
  if (static_cast<int32_t>(stamp - table.generation) > 0) return true;
  if (table.services->still_holds(service, endpoint, stamp)) {
    // A change of services leaves next hops as they are.
    if (static_cast<int32_t>(stamp - table.route_generation) < 0)
      side.next_hop.store(kNextHopNone, std::memory_order_relaxed);
    side.generation.store(table.generation, std::memory_order_relaxed);
    return true;
  }
  // An ICMP error decides nothing about a connection.
  if (p.kind != Kind::kIcmpError) {
    forget_record<F>(batch, table, worker, ref.record, Counter::kFlowForgotten);
  }
  return false;
}

template void forget_record<V4>(Batch&, const ConntrackTable&, uint32_t, uint32_t,
                                Counter) noexcept;
template void forget_record<V6>(Batch&, const ConntrackTable&, uint32_t, uint32_t,
                                Counter) noexcept;
template bool revalidate<V4>(Batch&, const ConntrackTable&, uint32_t, const Packet&,
                             FlowRef) noexcept;
template bool revalidate<V6>(Batch&, const ConntrackTable&, uint32_t, const Packet&,
                             FlowRef) noexcept;

namespace {

constexpr uint32_t kExpireVisits = 64;

template <class F>
void expire_family(Batch& batch, const ConntrackTable& table, uint32_t worker, uint32_t budget,
                   bool* more) noexcept {
  Gone gone[kExpireBatchMax];
  const uint32_t count =
      flows_of<F>(table).expire(worker, batch.now, std::min(budget, kExpireBatchMax), gone, more);
  for (uint32_t i = 0; i < count; ++i) give_back(batch, table, worker, gone[i]);
  batch.counters->add(Counter::kFlowExpired, count);
}

}  // namespace

// Every call pays for some visits, and for one more per connection kept since: expiry never falls
// behind, however many are kept. Each family has half, so that a flood over one does not keep the
// other's records; what one does not need goes to the other.
bool conntrack_expire(Batch& batch, const ConntrackTable& table, ConntrackState& state,
                      uint32_t budget) noexcept {
  budget = std::min(budget, kExpireVisits + state.kept);
  state.kept = 0;
  const uint32_t half = (budget + 1) / 2;
  bool more4 = false, more6 = false;
  expire_family<V4>(batch, table, state.worker, half, &more4);
  expire_family<V6>(batch, table, state.worker, half, &more6);
  if (more4 && !more6) expire_family<V4>(batch, table, state.worker, half, &more4);
  if (more6 && !more4) expire_family<V6>(batch, table, state.worker, half, &more6);
  state.told |= table.v4->take_told(state.worker) | table.v6->take_told(state.worker);
  return more4 || more6;
}

}  // namespace nodeplane
