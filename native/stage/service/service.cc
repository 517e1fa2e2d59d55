#include "stage/service/service.h"

#include <algorithm>

#include "base/check.h"
#include "table/port_pool.h"

namespace nodeplane {
namespace {

constexpr uint8_t kTcpUrg = 0x20;
constexpr uint8_t kTcpAny = kTcpFin | kTcpSyn | kTcpRst | kTcpPsh | kTcpAck | kTcpUrg;
constexpr uint8_t kEchoReply4 = 0;    // RFC 792
constexpr uint8_t kEchoReply6 = 129;  // RFC 4443 section 4.2
constexpr bool kAnswered = true, kSilent = false;

// What was found for a packet with a tuple, between the passes.
struct Found {
  const ServiceEntry* service;
  uint32_t place;  // on its ring
};

template <class Key>
Found look_up(const Key& key, uint64_t place_of_service, const Service::Table& table) noexcept {
  const ServiceEntry* s = table.services->find(key, place_of_service);
  if (s == nullptr || s->ring_size == 0) return {s, 0};
  // Fixed-point instead of a division; every node reduces alike.
  const uint64_t hash = __builtin_expect(s->hash_fields == HashFields::kTuple, 1)
                            ? maglev_hash(key, s->seed)
                            : maglev_hash_client(key, s->seed);
  const uint32_t place = static_cast<uint32_t>((hash * s->ring_size) >> 32);
  __builtin_prefetch(s->ring_at(place));
  return {s, place};
}

IpAddress source_of(const Packet& p) noexcept {
  return p.family == 4 ? key_src(p.key4) : key_src(p.key6);
}
IpAddress destination_of(const Packet& p) noexcept {
  return p.family == 4 ? key_dst(p.key4) : key_dst(p.key6);
}

void refuse(Decision& d, Drop why, bool answered) noexcept {
  d.what = Decision::What::kRefuse;
  d.refusal = why;
  d.answer = answered;
}

// A virtual address that is only that: whatever no service claims there is refused.
bool only_virtual(const Packet& p, const Service::Table& table, const IpAddress& address) noexcept {
  if (!table.services->is_virtual(p.network, p.family, address)) return false;
  return !std::binary_search(table.own.begin(), table.own.end(),
                             Service::Own{address, p.network, p.family});
}

bool is_echo_reply(const Packet& p) noexcept {
  return p.family == 4 ? p.protocol == kProtocolIcmp && p.icmp_type == kEchoReply4
                       : p.protocol == kProtocolIcmp6 && p.icmp_type == kEchoReply6;
}

// IP without a tuple never has a record, so an endpoint's or a service's cannot be translated.
void judge_plain(const Packet& p, const Service::Table& table, Decision& d) noexcept {
  const IpAddress dst = destination_of(p);
  if (p.flags & kFlagFragment) {
    if (table.services->is_virtual(p.network, p.family, dst) ||
        table.services->is_endpoint(p.network, p.family, source_of(p)))
      refuse(d, Drop::kFragment, kSilent);
  } else if (only_virtual(p, table, dst)) {
    refuse(d, Drop::kServicePortUnknown, kSilent);
  }
}

// Its key is its flow's, which find did not know; link has its own addresses.
void judge_error(const Batch& batch, const Packet& p, const Service::Table& table,
                 Decision& d) noexcept {
  if (only_virtual(p, table, batch.links[p.link].target))
    refuse(d, Drop::kIcmpErrorWithoutFlow, kSilent);
}

void judge_unclaimed(const Packet& p, const Service::Table& table, Decision& d) noexcept {
  if (!only_virtual(p, table, destination_of(p))) return;
  const bool reset = p.protocol == kProtocolTcp && (p.tcp_flags & kTcpRst);
  refuse(d, Drop::kServicePortUnknown, !reset && !is_echo_reply(p));
}

// Whether a TCP packet may begin a connection here. A reset is never answered by one.
bool tcp_may_begin(const Packet& p, bool pickup, Decision& d) noexcept {
  const uint8_t flags = p.tcp_flags & kTcpAny;
  const bool syn = flags & kTcpSyn;
  if (flags == 0 || (syn && (flags & (kTcpFin | kTcpRst)))) {
    refuse(d, Drop::kBadTcpFlags, kSilent);
  } else if (flags & kTcpRst) {
    refuse(d, Drop::kRstWithoutFlow, kSilent);
  } else if (!pickup && (!syn || (flags & kTcpAck))) {
    refuse(d, Drop::kNotSyn, kAnswered);
  } else {
    return true;
  }
  return false;
}

void balance(const Packet& p, const Found& found, Decision& d) noexcept {
  const ServiceEntry& s = *found.service;
  const EndpointEntry& e = s.chosen(found.place);
  const uint16_t sport = p.family == 4 ? p.key4.sport : p.key6.sport;
  d.what = Decision::What::kBalance;
  d.masquerade = 0;
  d.masquerade_mode = s.masquerade;
  d.snat_source = e.snat_source;
  d.snat_grant = kSnatGrantNone;
  d.service = s.id;
  d.endpoint = e.id;
  d.new_src = source_of(p);
  d.new_dst = e.address;
  d.new_sport = sport;
  d.new_dport = s.be_port == 0 ? uint16_t{0} : e.be_port;  // echo has no destination port
}

void judge(const Packet& p, const Found& found, const Service::Table& table, Decision& d) noexcept {
  if (found.service == nullptr || is_echo_reply(p)) return judge_unclaimed(p, table, d);
  if (p.protocol == kProtocolTcp && !tcp_may_begin(p, table.pickup, d)) return;
  if (found.service->verdict == ServiceVerdict::kDrop)
    return refuse(d, Drop::kNoLocalEndpoint, kSilent);
  if (found.service->verdict == ServiceVerdict::kReject || found.service->ring_size == 0)
    return refuse(d, Drop::kNoEndpoint, kAnswered);
  balance(p, found, d);
}

}  // namespace

// Each pass asks for the lines that the next one reads: the index's, the service's, the ring's.
void Service::run(Batch& batch, const Table& table, State&) noexcept {
  Found found[kBatchSize];
  uint64_t places[kBatchSize];
  for (uint32_t i = 0; i < batch.fresh_count; ++i) {
    const Packet& p = batch.packets[batch.fresh[i]];
    if (p.kind != Kind::kIp) continue;
    places[i] = p.family == 4 ? ServiceTable::place_of(p.key4) : ServiceTable::place_of(p.key6);
    table.services->prefetch(places[i]);
  }
  for (uint32_t i = 0; i < batch.fresh_count; ++i)
    if (batch.packets[batch.fresh[i]].kind == Kind::kIp) table.services->prefetch_entry(places[i]);
  for (uint32_t i = 0; i < batch.fresh_count; ++i) {
    const Packet& p = batch.packets[batch.fresh[i]];
    if (p.kind != Kind::kIp) continue;
    found[i] =
        p.family == 4 ? look_up(p.key4, places[i], table) : look_up(p.key6, places[i], table);
  }
  check(batch.decision_count + batch.fresh_count <= kBatchSize, "a decision per fresh packet");
  for (uint32_t i = 0; i < batch.fresh_count; ++i) {
    Packet& p = batch.packets[batch.fresh[i]];
    p.decision = batch.decision_count;
    Decision& d = batch.decisions[batch.decision_count++];
    d.what = Decision::What::kNone;
    d.answer = 0;
    if (p.kind == Kind::kIp)
      judge(p, found[i], table, d);
    else if (p.kind == Kind::kIcmpError)
      judge_error(batch, p, table, d);
    else
      judge_plain(p, table, d);
  }
}

}  // namespace nodeplane
