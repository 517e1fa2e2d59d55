#pragma once
#include <cstdint>

#include "base/ip.h"
#include "base/time.h"
#include "gen/counters.h"
#include "gen/drops.h"
#include "packet/packet.h"

namespace nodeplane {

inline constexpr uint32_t kOriginateMax = 64;  // packets that one batch may make
inline constexpr uint32_t kBatchRoom = kBatchSize + kOriginateMax;

// One worker's counters, mapped by JavaScript. Written by that worker only.
struct alignas(64) Counters {
  uint64_t drops[kDropCount];
  uint64_t counts[kCounterCount];
  struct PerPort {
    uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
  } ports[kPortMax];

  void add(Counter c, uint64_t n = 1) noexcept { counts[static_cast<uint32_t>(c)] += n; }
};

// What an ARP or neighbour discovery message said; parse reads it, route learns from it. Of an ICMP
// error only sender and target are set: its outer source and destination, which its key is not.
struct LinkNews {
  enum class What : uint8_t { kRequest, kReply, kOther };
  What what;
  uint8_t family;
  uint8_t mac[6];  // of the sender; has_mac false: not told (NDP without the option)
  uint8_t has_mac;
  uint8_t override_flag;  // NDP: replace a known address (RFC 4861 section 7.2.5)
  uint8_t is_probe;       // sender unspecified: duplicate address detection, nothing to learn
  uint8_t pad[5];
  IpAddress sender;
  IpAddress target;
};

// An answer that originate makes at the batch's end.
struct Owed {
  enum class What : uint8_t {
    kArpRequest,
    kArpReply,
    kSolicitation,
    kAdvertisement,
    kEchoReply,
    kIcmpError,
    kTcpReset
  };
  What what;
  uint8_t icmp_type, icmp_code;
  uint8_t family;
  uint16_t packet;   // index of the packet it answers (kArpRequest, kSolicitation: unused)
  uint16_t port;     // leaves by
  uint32_t mtu;      // of a frag-needed or packet-too-big
  IpAddress target;  // asked for, or answered for
};

// What service and nat decided for a fresh packet; keep makes it true or takes it back.
struct Decision {
  enum class What : uint8_t { kNone, kBalance, kRefuse };
  What what;                   // kNone: plain routing
  Drop refusal;                // kRefuse
  uint8_t answer;              // kRefuse: 0 silent, 1 RST or port unreachable
  uint8_t masquerade;          // 0 no, 1 yes
  Masquerade masquerade_mode;  // of the service; nat makes `masquerade` of it
  uint8_t zone;                // of the flow tables; valid once nat has asked for a port
  uint16_t snat_source;        // index into the nat table's sources
  uint16_t snat_port;          // network order; valid while masquerade
  uint32_t snat_grant;         // the port pool's handle, to give it back
  uint32_t service, endpoint;  // ids
  IpAddress new_src, new_dst;
  uint16_t new_sport, new_dport;  // network order
};

// Up to 256 received packets and the room for those they cause. Lives in the worker, is reused.
struct Batch {
  Time now = 0;
  uint32_t worker = 0;
  uint32_t generation = 0;        // of the tables in use
  uint32_t route_generation = 0;  // of their routes: changes of services leave it
  uint32_t count = 0;             // packets in the array, made ones included
  uint32_t live_count = 0;        // those that still walk
  uint32_t fresh_count = 0;
  uint32_t link_count = 0;
  uint32_t owed_count = 0;
  uint32_t decision_count = 0;
  uint32_t left_count = 0;  // packets that left since the last settle
  uint32_t gone_count = 0;  // dropped and consumed ones, whose frames finish gives back
  FrameCache* frames = nullptr;
  Counters* counters = nullptr;
  uint16_t live[kBatchRoom];   // indices, in order of arrival
  uint16_t fresh[kBatchSize];  // indices of live packets that may become connections, in order
  uint16_t gone[kBatchRoom];   // indices; their bytes stay readable until finish
  Packet packets[kBatchRoom];
  Decision decisions[kBatchSize];
  LinkNews links[kBatchSize];
  Owed owed[kBatchRoom];

  void reset(Time t) noexcept {
    now = t;
    count = live_count = fresh_count = link_count = owed_count = decision_count = 0;
    left_count = gone_count = 0;
  }
  // The four ways off the live list. Nobody else sets a verdict: settle looks for those that left
  // only when somebody said so here.
  void drop(Packet& p, Drop why) noexcept {
    p.drop = why;
    leave(p, Verdict::kDrop);
  }
  void consume(Packet& p) noexcept { leave(p, Verdict::kConsumed); }
  void hold(Packet& p) noexcept { leave(p, Verdict::kHeld); }
  void send(Packet& p) noexcept { leave(p, Verdict::kSent); }

  // False: more is owed than can be carried. Counted here, as an answer made and dropped, so that
  // sums over all packets hold.
  bool owe(const Owed& o) noexcept {
    if (owed_count == kBatchRoom) {
      not_made(Drop::kOriginateFull);
      return false;
    }
    owed[owed_count++] = o;
    return true;
  }
  void not_made(Drop why) noexcept {
    counters->add(Counter::kOriginated);
    counters->drops[static_cast<uint32_t>(why)]++;
  }

 private:
  void leave(Packet& p, Verdict verdict) noexcept {
    p.verdict = verdict;
    left_count++;
  }
};

}  // namespace nodeplane
