#include "stage/conntrack/meet.h"

namespace nodeplane {
namespace {

// A record in the way may turn out to be over, or lose a race, only so often.
constexpr uint32_t kTriesMax = 4;
// Connections whose lines are asked for before their turn; each has five (IPv4) or seven of its own.
constexpr uint32_t kAhead = 8;

Decision& decision_of(Batch& batch, const Packet& p, Decision& none) noexcept {
  return p.decision < batch.decision_count ? batch.decisions[p.decision] : none;
}

bool is_echo(uint8_t protocol) noexcept {
  return protocol == kProtocolIcmp || protocol == kProtocolIcmp6;
}

// The key that answers will wear: the mirror of what the packet becomes.
template <class Key>
Key reply_key(const Key& key, const Decision& d) noexcept {
  Key reply = key;
  std::memcpy(&reply.src, d.new_dst.bytes, sizeof reply.src);
  if (d.masquerade)
    std::memcpy(&reply.dst, d.new_src.bytes, sizeof reply.dst);
  else
    std::memcpy(&reply.dst, &key.src, sizeof reply.dst);
  reply.sport = is_echo(key.protocol) ? key.dport : d.new_dport;
  reply.dport = d.masquerade ? d.snat_port : key.sport;
  return reply;
}

// The reply keys of one family's balanced packets, in order, hashed together; beside each the hash of
// the packet's own key.
template <class F>
struct Replies {
  uint32_t count = 0, next = 0;
  typename F::Key keys[kBatchSize];
  uint32_t hashes[kBatchSize], originals[kBatchSize];

  void hash(const ConntrackTable& table, uint32_t worker) noexcept {
    if (count == 0) return;
    hash_keys<F>(table, keys, count, hashes);
    for (uint32_t i = 0; i < kAhead; ++i) ask(table, worker, i, i);
  }
  // For the lines that number i will write, `ahead` connections from now.
  void ask(const ConntrackTable& table, uint32_t worker, uint32_t i, uint32_t ahead) noexcept {
    if (i < count) flows_of<F>(table).prefetch_keep(worker, originals[i], hashes[i], ahead);
  }
};

// One run's means, and what it did so far.
struct Keeper {
  Batch& batch;
  const ConntrackTable& table;
  const uint32_t worker;
  uint32_t made = 0;   // connections that this batch has made
  uint32_t known = 0;  // those, and others it found made since find
  uint32_t picked_up = 0;

  // The port that nat took for a packet that makes no connection after all.
  void take_back(const Decision& d) noexcept {
    if (d.what != Decision::What::kBalance || !d.masquerade) return;
    give_back(batch, table, worker, Gone{d.snat_grant, 1, d.zone});
  }
  bool take_late(const Packet& p, Decision& d) noexcept;
  void refuse(uint16_t index, Packet& p, const Decision& d) noexcept;
  template <class F>
  bool met(Packet& p, const Decision& d) noexcept;
  template <class F>
  void settle_kept(Packet& p, FlowRef ref) noexcept;
  template <class F>
  void keep(Packet& p, const Decision& d, const typename F::Key& reply, uint32_t hash) noexcept;
  template <class F>
  bool clear_way(const Packet& p, FlowRef ref) noexcept;
  template <class F>
  bool make_room(uint8_t zone) noexcept;
  template <class F>
  void run(uint16_t index, Packet& p, Replies<F>& replies) noexcept;
};

// Nat found no port for it.
bool wants_port(const Decision& d) noexcept {
  return d.what == Decision::What::kRefuse &&
         (d.refusal == Drop::kSnatPortExhausted || d.refusal == Drop::kSnatZoneFull);
}

// Nat found no port; since then earlier packets of this batch may have turned out to need none.
bool Keeper::take_late(const Packet& p, Decision& d) noexcept {
  if (!wants_port(d)) return false;
  const uint32_t destination = PortPool::destination_hash(p.family, d.new_dst, d.new_dport);
  if (!table.ports->take(worker, d.snat_source, p.protocol, destination, d.zone, d.new_sport,
                         &d.snat_port, &d.snat_grant))
    return false;
  d.what = Decision::What::kBalance;
  d.masquerade = 1;
  d.new_src = table.ports->address(d.snat_source);
  d.new_sport = d.snat_port;
  batch.counters->add(Counter::kSnatPortTaken);
  return true;
}

void Keeper::refuse(uint16_t index, Packet& p, const Decision& d) noexcept {
  if (d.answer != 0) {
    Owed owed{};
    const bool reset = p.protocol == kProtocolTcp;
    owed.what = reset ? Owed::What::kTcpReset : Owed::What::kIcmpError;
    owed.icmp_type = p.family == 4 ? 3 : 1;  // destination unreachable: port (RFC 792, RFC 4443)
    owed.icmp_code = p.family == 4 ? 3 : 4;
    owed.family = p.family;
    owed.packet = index;
    owed.port = p.port_in;
    batch.owe(owed);
  }
  batch.drop(p, d.refusal);
}

// Whether an earlier packet of this batch has made the connection that this one belongs to.
template <class F>
bool Keeper::met(Packet& p, const Decision& d) noexcept {
  const FlowRef ref = flows_of<F>(table).find(key_of<F>(p), p.hash);
  if (ref.record == kRecordNone || !meet<F>(batch, p, table, worker, ref)) return false;
  batch.counters->add(Counter::kFlowHit);
  take_back(d);
  return true;
}

template <class F>
void Keeper::settle_kept(Packet& p, FlowRef ref) noexcept {
  FlowTable<F>& flows = flows_of<F>(table);
  typename F::Side& side = flows.side(ref);
  flows.count(side, ip_bytes(p), p.tcp_flags, flows.clock_ms(batch.now));
  p.record = ref.record;
  p.direction = ref.direction;
  p.side = &side;
  made++;
  known++;
  picked_up += p.protocol == kProtocolTcp && !opens_tcp(p);
}

// The record whose reply tuple this packet's connection would need gives way when it is over.
template <class F>
bool Keeper::clear_way(const Packet& p, FlowRef ref) noexcept {
  FlowTable<F>& flows = flows_of<F>(table);
  Counter why = Counter::kFlowExpired;
  if (!flows.expired(ref, p.protocol, batch.now)) {
    if (!opens_tcp(p) || !flow_finished(flows.state_of(ref.record))) return false;
    why = Counter::kFlowForgotten;
  }
  forget_record<F>(batch, table, worker, ref.record, why);
  return true;
}

template <class F>
bool Keeper::make_room(uint8_t zone) noexcept {
  Gone gone;
  if (!flows_of<F>(table).evict(worker, zone, &gone)) return false;
  give_back(batch, table, worker, gone);
  batch.counters->add(Counter::kFlowEvicted);
  return true;
}

// A FIN of a stream that is not known is let through, and remembered for as long as its answer takes.
FlowState first_state(const Packet& p) noexcept {
  if (p.protocol != kProtocolTcp) return FlowState::kUnreplied;
  if ((p.tcp_flags & kTcpFin) != 0) return FlowState::kLastAck;
  return opens_tcp(p) ? FlowState::kSynSent : FlowState::kPickedUp;
}

template <class F>
void Keeper::keep(Packet& p, const Decision& d, const typename F::Key& reply,
                  uint32_t hash) noexcept {
  NewFlow<F> flow{};
  flow.original = key_of<F>(p);
  flow.original_hash = p.hash;
  flow.reply = reply;
  flow.reply_hash = hash;
  flow.service = d.service;
  flow.endpoint = d.endpoint;
  flow.generation = table.generation;
  flow.snat_grant = d.masquerade ? d.snat_grant : kSnatGrantNone;
  flow.snat = d.masquerade;
  flow.zone = d.masquerade ? d.zone : zone_of(p, table.zones);
  flow.state = first_state(p);
  Drop why = Drop::kFlowClash;
  for (uint32_t tries = 0; tries < kTriesMax; ++tries) {
    FlowRef ref;
    const KeepResult result = flows_of<F>(table).keep(worker, flow, batch.now, &ref);
    if (result == KeepResult::kKept) return settle_kept<F>(p, ref);
    if (result == KeepResult::kExisting && meet<F>(batch, p, table, worker, ref)) {
      // Made by an earlier packet of this batch, or by another worker since find.
      batch.counters->add(known != 0 ? Counter::kFlowHit : Counter::kFlowLostRace);
      known++;
      return take_back(d);
    }
    if (result == KeepResult::kClash && !clear_way<F>(p, ref)) break;
    if (result == KeepResult::kFull && make_room<F>(flow.zone)) continue;
    if (result == KeepResult::kFull || result == KeepResult::kDry) {
      const bool zone = flows_of<F>(table).refuse(worker, flow.zone);
      why = zone ? Drop::kFlowZoneFull : Drop::kFlowTableFull;
      break;
    }
  }
  take_back(d);
  batch.drop(p, why);
}

template <class F>
void Keeper::run(uint16_t index, Packet& p, Replies<F>& replies) noexcept {
  Decision none{};
  Decision& d = decision_of(batch, p, none);
  const bool balance = d.what == Decision::What::kBalance;
  if (balance) {  // keep itself sees whether the connection has been made meanwhile
    replies.ask(table, worker, replies.next + kAhead, kAhead);
    keep<F>(p, d, replies.keys[replies.next], replies.hashes[replies.next]);
  } else if (known != 0 && has_tuple(p) && met<F>(p, d)) {
    // as if it had come in a later batch
  } else if (take_late(p, d)) {
    const typename F::Key reply = reply_key(key_of<F>(p), d);
    uint32_t hash;
    hash_keys<F>(table, &reply, 1, &hash);
    keep<F>(p, d, reply, hash);
  } else if (d.what == Decision::What::kRefuse) {
    if (wants_port(d)) flows_of<F>(table).refuse(worker, d.zone);
    refuse(index, p, d);
  } else {
    batch.counters->add(Counter::kRoutedPlain);
  }
  replies.next += balance;
}

template <class F>
void prepare(Batch& batch, Packet& p, Replies<F>& replies) noexcept {
  Decision none{};
  const Decision& d = decision_of(batch, p, none);
  if (p.verdict == Verdict::kGo && d.what == Decision::What::kBalance) {
    replies.originals[replies.count] = p.hash;
    replies.keys[replies.count++] = reply_key(key_of<F>(p), d);
  }
}

}  // namespace

void Keep::run(Batch& batch, const Table& table, State& state) noexcept {
  Replies<V4> v4;
  Replies<V6> v6;
  for (uint32_t i = 0; i < batch.fresh_count; ++i) {
    Packet& p = batch.packets[batch.fresh[i]];
    if (p.family == 4)
      prepare(batch, p, v4);
    else
      prepare(batch, p, v6);
  }
  v4.hash(table, state.worker);
  v6.hash(table, state.worker);
  Keeper keeper{batch, table, state.worker};
  for (uint32_t i = 0; i < batch.fresh_count; ++i) {
    const uint16_t index = batch.fresh[i];
    Packet& p = batch.packets[index];
    if (p.verdict != Verdict::kGo) continue;
    if (p.family == 4)
      keeper.run<V4>(index, p, v4);
    else
      keeper.run<V6>(index, p, v6);
  }
  state.kept += keeper.made;
  batch.counters->add(Counter::kFlowNew, keeper.made);
  batch.counters->add(Counter::kServiceNewFlow, keeper.made);
  batch.counters->add(Counter::kServicePickedUp, keeper.picked_up);
}

}  // namespace nodeplane
