#include "stage/nat/nat.h"

namespace nodeplane {
namespace {

// Whether the client is known to be no pod. Without a range of its network and family nobody is
// known to be one or not, and kube-proxy then masquerades nobody.
bool from_outside(const Packet& p, const IpAddress& source, const Nat::Table& table) noexcept {
  bool known = false;
  for (const auto& r : table.pod_ranges) {
    if (r.network != p.network || r.family != p.family) continue;
    if (prefix_matches(r.prefix, source.bytes, r.prefix_length)) return false;
    known = true;
  }
  return known;
}

// kube-proxy's rules: as the service says, and always when a pod is its own endpoint, whose answer
// would otherwise never come past here (RFC 4787 REQ-9).
bool wants_masquerade(const Packet& p, const Decision& d, const Nat::Table& table) noexcept {
  if (d.masquerade_mode == Masquerade::kAlways || d.new_src == d.new_dst) return true;
  return d.masquerade_mode == Masquerade::kNotFromPods && from_outside(p, d.new_src, table);
}

void refuse(Decision& d, Drop why) noexcept {
  d.what = Decision::What::kRefuse;
  d.refusal = why;
  d.answer = 0;
}

void masquerade(Batch& batch, const Packet& p, Decision& d, const Nat::Table& table,
                uint32_t worker) noexcept {
  const uint16_t source = d.snat_source;
  if (source == kSnatSourceNone) return refuse(d, Drop::kNoSnatAddress);
  const uint32_t destination = PortPool::destination_hash(p.family, d.new_dst, d.new_dport);
  d.zone = zone_of(p, table.zones);
  PortPool& ports = *table.ports;
  if (!ports.take(worker, source, p.protocol, destination, d.zone, d.new_sport, &d.snat_port,
                  &d.snat_grant)) {
    const bool others = ports.zone_full(worker, source, p.protocol, destination, d.zone);
    return refuse(d, others ? Drop::kSnatZoneFull : Drop::kSnatPortExhausted);
  }
  d.masquerade = 1;
  d.snat_source = source;
  d.new_src = ports.address(source);
  d.new_sport = d.snat_port;
  batch.counters->add(Counter::kSnatPortTaken);
}

}  // namespace

void Nat::run(Batch& batch, const Table& table, State& state) noexcept {
  for (uint32_t i = 0; i < batch.fresh_count; ++i) {
    const Packet& p = batch.packets[batch.fresh[i]];
    if (p.decision >= batch.decision_count) continue;
    Decision& d = batch.decisions[p.decision];
    if (d.what == Decision::What::kBalance && wants_masquerade(p, d, table))
      masquerade(batch, p, d, table, state.worker);
  }
}

}  // namespace nodeplane
