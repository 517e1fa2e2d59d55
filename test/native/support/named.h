#pragma once
#include <memory>
#include <string>

#include "packet/batch.h"
#include "path/stage.h"
#include "support/services.h"
#include "table/flow.h"

namespace nodeplane::test {

// A batch of packets as parse would have named them, for stages that never look at bytes. They
// have no frames.
struct Named {
  std::unique_ptr<Counters> counters = std::make_unique<Counters>();
  std::unique_ptr<Batch> batch = std::make_unique<Batch>();

  Named() {
    batch->counters = counters.get();
    begin();
  }
  void begin(Time now = kSecond, uint32_t generation = 1) {
    batch->reset(now);
    batch->generation = batch->route_generation = generation;
  }
  Packet& put(Kind kind, uint8_t family, uint16_t port_in = 0) {
    const uint16_t index = static_cast<uint16_t>(batch->count++);
    Packet& p = batch->packets[index];
    p = Packet{};
    p.kind = kind;
    p.family = family;
    p.port_in = port_in;
    p.port_out = kPortNone;
    p.ttl = 64;
    p.l3 = 14;
    p.record = kRecordNone;
    p.next_hop = kNextHopNone;
    p.decision = kIdNone;
    size(p, 60);
    batch->live[batch->live_count++] = index;
    if (kind == Kind::kIp || kind == Kind::kIpPlain || kind == Kind::kIcmpError)
      batch->fresh[batch->fresh_count++] = index;
    return p;
  }
  // An IP packet of that many bytes.
  static void size(Packet& p, uint32_t ip_bytes) {
    p.ip_length = static_cast<uint16_t>(ip_bytes);
    p.length = p.l3 + ip_bytes;
  }
  Packet& ip(const std::string& src, uint16_t sport, const std::string& dst, uint16_t dport,
             uint8_t protocol = kProtocolTcp, uint8_t tcp_flags = kTcpSyn) {
    Packet& p = put(Kind::kIp, family_of(dst));
    if (p.family == 4)
      p.key4 = key4(src, sport, dst, dport, protocol);
    else
      p.key6 = key6(src, sport, dst, dport, protocol);
    p.protocol = protocol;
    p.l4 = p.family == 4 ? 34 : 54;
    if (protocol == kProtocolTcp) p.tcp_flags = tcp_flags;
    return p;
  }
  Packet& echo(const std::string& src, const std::string& dst, uint16_t id, bool request = true) {
    const bool v4 = family_of(dst) == 4;
    Packet& p =
        ip(src, request ? id : 0, dst, request ? 0 : id, v4 ? kProtocolIcmp : kProtocolIcmp6);
    p.icmp_type = v4 ? (request ? 8 : 0) : (request ? 128 : 129);
    return p;
  }
  Packet& plain(const std::string& src, const std::string& dst, uint8_t protocol = 47) {
    Packet& p = ip(src, 0, dst, 0, protocol);
    p.kind = Kind::kIpPlain;
    p.tcp_flags = 0;
    return p;
  }
  // An error from `from` to `to` about a packet `src` > `dst`.
  Packet& error(const std::string& from, const std::string& to, const std::string& src,
                uint16_t sport, const std::string& dst, uint16_t dport) {
    Packet& p = ip(dst, dport, src, sport);
    p.kind = Kind::kIcmpError;
    p.tcp_flags = 0;
    news(p, LinkNews::What::kOther, from, to);
    return p;
  }
  LinkNews& news(Packet& p, LinkNews::What what, const std::string& sender,
                 const std::string& target) {
    p.link = static_cast<uint16_t>(batch->link_count);
    LinkNews& n = batch->links[batch->link_count++];
    n = LinkNews{};
    n.what = what;
    n.family = family_of(target);
    n.sender = test::ip(sender);
    n.target = test::ip(target);
    return n;
  }
  const Decision& decision(const Packet& p) const { return batch->decisions[p.decision]; }
  uint64_t drops(Drop d) const { return counters->drops[static_cast<uint32_t>(d)]; }
  uint64_t count(Counter c) const { return counters->counts[static_cast<uint32_t>(c)]; }
};

}  // namespace nodeplane::test
