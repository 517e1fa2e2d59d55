#pragma once
#include <cstdint>

#include "base/flow_key.h"
#include "gen/drops.h"
#include "gen/layout.h"
#include "packet/frame.h"

namespace nodeplane {

// Where a packet stands. Whoever changes it from kGo also says why or whereto.
enum class Verdict : uint8_t {
  kGo,        // walks on
  kDrop,      // leaves by packet.drop
  kConsumed,  // was for us, absorbed
  kHeld,      // waits for a neighbour; its frame is the route stage's now
  kSent,      // given to an outgoing list; its frame is the worker's now
};

enum class Kind : uint8_t {
  kOther,      // Ethernet type we do not know: only ever passed between a port and its host
  kIp,         // a tuple was read (TCP, UDP, SCTP, ICMP echo)
  kIpPlain,    // IP without a tuple: other protocols, fragments, other ICMP: never has a record
  kIcmpError,  // key is the tuple of the flow it belongs to, in the direction the error travels
  kArp,        // link news in batch.links[packet.link]
  kNdp,
};

enum PacketFlag : uint16_t {
  kFlagFragment = 1 << 0,         // any fragment, the first included
  kFlagPartialChecksum = 1 << 1,  // the L4 sum holds only the folded pseudo-header sum
  kFlagDontFragment = 1 << 2,
  kFlagMulticastMac = 1 << 3,  // came to a group MAC (broadcast included)
  kFlagOurs = 1 << 4,          // made by originate: output only
  kFlagPassThrough = 1 << 5,   // from or to the host side of a port: leaves as it came
  kFlagLocal = 1 << 6,         // destination is an address of ours
  kFlagIpOptions = 1 << 7,
  kFlagUntranslated = 1 << 8,   // TTL is not taken, Ethernet is not rewritten
  kFlagForceComplete = 1 << 9,  // rewrite must finish the L4 sum whatever the port can
};

enum class Gso : uint8_t { kNone, kTcp4, kTcp6, kUdp };

// What the corridor knows of one packet. Two cache lines and the key. Offsets are from data; a
// field is valid once parse has named the packet, `side` and later ones once conntrack has.
struct Packet {
  uint8_t* data;    // first byte of the Ethernet header; the headers are in the first frame
  void* side;       // SideV4* or SideV6* of the record's direction, or null: not translated
  uint32_t frame;   // first frame of the chain
  uint32_t length;  // bytes of the whole packet, Ethernet included, over all frames
  uint16_t linear;  // bytes at data in the first frame
  uint16_t port_in;
  uint16_t flags;  // PacketFlag
  Gso gso;
  uint8_t vlan_count;  // 0, 1, 2
  uint16_t port_out;
  Verdict verdict;
  Drop drop;
  uint16_t network;
  Kind kind;
  uint8_t family;    // 4, 6 or 0
  uint8_t protocol;  // of the tuple; for fragments and others as the header chain ends
  uint8_t tcp_flags;
  uint8_t icmp_type;  // ICMP and ICMPv6
  uint8_t icmp_code;
  uint16_t l3;         // offset of the IP header
  uint16_t l4;         // offset of the TCP, UDP, SCTP or ICMP header, 0 if unreachable
  uint16_t inner_l3;   // the packet quoted in an ICMP error, 0 if none
  uint16_t inner_l4;   // 0 if fewer than 8 bytes of it are quoted
  uint16_t link;       // index into batch.links (ARP, NDP, ICMP errors)
  uint16_t ip_length;  // low 16 bits of the IP packet's length (GSO: see length)
  uint8_t ttl;
  uint8_t direction;  // 0 original, 1 reply
  uint8_t inner_protocol;
  uint8_t worker;     // reserved for the hand-over
  uint16_t gso_size;  // payload bytes per segment
  uint16_t vlan;      // outermost TCI, host order
  uint32_t hash;      // of key
  uint32_t record;    // kRecordNone without
  uint32_t next_hop;  // neighbour index chosen by route
  uint32_t decision;  // index into batch.decisions for fresh packets
  // The tuple, network order: KeyV4 or KeyV6 (base/flow_key.h) by family.
  union {
    KeyV4 key4;
    KeyV6 key6;
  };
  uint8_t l4_header;  // bytes of the TCP header with its options, of the UDP header; else 0
  uint8_t spare[7];
};
static_assert(sizeof(Packet) == 128);

}  // namespace nodeplane
