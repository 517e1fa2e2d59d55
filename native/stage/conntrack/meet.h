#pragma once
#include "stage/conntrack/conntrack.h"

namespace nodeplane {

// What find and keep share: how a packet meets a record.

template <class F>
FlowTable<F>& flows_of(const ConntrackTable& table) noexcept {
  if constexpr (F::kFamily == 4)
    return *table.v4;
  else
    return *table.v6;
}

template <class F>
typename F::Key& key_of(Packet& p) noexcept {
  if constexpr (F::kFamily == 4)
    return p.key4;
  else
    return p.key6;
}

template <class F>
void hash_keys(const ConntrackTable& table, const typename F::Key* keys, uint32_t count,
               uint32_t* out) noexcept {
  const Kernels& k = kernels();
  const bool strong = table.hash == HashKind::kSip13;
  if constexpr (F::kFamily == 4)
    (strong ? k.hash_v4 : k.crc_v4)(keys, count, table.seed, out);
  else
    (strong ? k.hash_v6 : k.crc_v6)(keys, count, table.seed, out);
}

// Whether the packet may have a connection: it has a tuple, and is not the host's business.
inline bool has_tuple(const Packet& p) noexcept {
  const bool tuple = p.kind == Kind::kIp || p.kind == Kind::kIcmpError;
  return tuple && (p.flags & kFlagPassThrough) == 0;
}

inline bool opens_tcp(const Packet& p) noexcept {
  return p.protocol == kProtocolTcp && (p.tcp_flags & (kTcpSyn | kTcpAck | kTcpRst)) == kTcpSyn;
}

// Padding behind a short packet is not the connection's; a large one's length is more than 16 bits.
inline uint32_t ip_bytes(const Packet& p) noexcept {
  return p.gso == Gso::kNone && p.ip_length != 0 ? p.ip_length : p.length - p.l3;
}

void give_back(Batch& batch, const ConntrackTable& table, uint32_t worker,
               const Gone& gone) noexcept;

// Removes a record that the packet must not use, and gives its port back.
template <class F>
void forget_record(Batch& batch, const ConntrackTable& table, uint32_t worker, uint32_t record,
                   Counter why) noexcept;

// The tables have moved on since this direction was last seen: whether its endpoint still stands.
// Then the direction is stamped anew, and route looks for its next hop again.
template <class F>
bool revalidate(Batch& batch, const ConntrackTable& table, uint32_t worker, const Packet& p,
                FlowRef ref) noexcept;

// Joins the packet with the record it was found to belong to. False: the record is of a
// connection that is over, and is gone now; the packet is a fresh one.
template <class F>
inline bool meet(Batch& batch, Packet& p, const ConntrackTable& table, uint32_t worker,
                 FlowRef ref) noexcept {
  FlowTable<F>& flows = flows_of<F>(table);
  typename F::Side& side = flows.side(ref);
  if (__builtin_expect(side.generation.load(std::memory_order_relaxed) != table.generation, 0) &&
      !revalidate<F>(batch, table, worker, p, ref)) {
    return false;
  }
  if (__builtin_expect(p.kind == Kind::kIp, 1)) {
    if (__builtin_expect(flows.expired(ref, p.protocol, batch.now), 0)) {
      forget_record<F>(batch, table, worker, ref.record, Counter::kFlowExpired);
      return false;
    }
    if (__builtin_expect(opens_tcp(p), 0) && ref.direction == 0 &&
        flow_finished(flows.state_of(ref.record))) {
      forget_record<F>(batch, table, worker, ref.record, Counter::kFlowForgotten);
      return false;
    }
    flows.touch(worker, ref, ip_bytes(p), p.tcp_flags, p.protocol, batch.now);
  }
  p.record = ref.record;
  p.direction = ref.direction;
  p.side = &side;
  return true;
}

}  // namespace nodeplane
