#pragma once
#include <atomic>
#include <cstdint>

#include "base/flow_key.h"
#include "gen/layout.h"

namespace nodeplane {

inline constexpr uint32_t kRecordNone = 0xffffffff;
inline constexpr uint32_t kNextHopNone = 0xffffffff;

// What a direction's packets become, and what is known of that direction. One line (IPv4) or two
// (IPv6). `key` and the rewrite are immutable from commit to retirement; the rest are relaxed
// single words, valid in any mixture.
struct alignas(64) SideV4 {
  KeyV4 key;  // as the packet arrives
  uint32_t new_src, new_dst;
  uint16_t new_sport, new_dport;
  uint16_t l3_delta;  // RFC 1624: added to ~sum of the IPv4 header, one's complement, raw order
  uint16_t l4_delta;  // addresses and ports together, for ~sum of TCP/UDP (SCTP has a CRC: unused)
  std::atomic<uint32_t> next_hop;    // route's: neighbour and generation, or kNextHopNone
  std::atomic<uint32_t> generation;  // of the tables it was last validated with
  std::atomic<uint32_t> last_seen;   // milliseconds on the table's clock
  std::atomic<uint8_t> state;        // side_state(): the record's, for the fast path
  std::atomic<uint8_t> tcp_flags;    // all seen in this direction
  uint8_t direction;                 // 0 original, 1 reply
  uint8_t source_changed;  // side 0 of a masqueraded one: an ICMP error's outer source too
  std::atomic<uint64_t> packets;
  std::atomic<uint64_t> bytes;
};
static_assert(sizeof(SideV4) == 64);

struct alignas(64) SideV6 {
  KeyV6 key;
  uint8_t new_src[16], new_dst[16];
  uint16_t new_sport, new_dport;
  uint16_t pad0;
  uint16_t l4_delta;
  std::atomic<uint32_t> next_hop;
  std::atomic<uint32_t> generation;
  std::atomic<uint32_t> last_seen;
  std::atomic<uint8_t> state;
  std::atomic<uint8_t> tcp_flags;
  uint8_t direction;
  uint8_t source_changed;
  std::atomic<uint64_t> packets;
  std::atomic<uint64_t> bytes;
  uint8_t pad1[16];
};
static_assert(sizeof(SideV6) == 128);

// The two families, one code shape.
struct V4 {
  using Key = KeyV4;
  using Side = SideV4;
  static constexpr uint8_t kFamily = 4;
};
struct V6 {
  using Key = KeyV6;
  using Side = SideV6;
  static constexpr uint8_t kFamily = 6;
};

}  // namespace nodeplane
