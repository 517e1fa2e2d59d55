#pragma once
#include <cstdint>

#include "support/bytes.h"

// Packets built byte by byte, in network order, with none of the product's own headers: a second
// opinion on what they should look like.
namespace nodeplane::test {

inline Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
inline Bytes be16(uint32_t v) { return {static_cast<uint8_t>(v >> 8), static_cast<uint8_t>(v)}; }
inline Bytes be32(uint32_t v) { return be16(v >> 16) + be16(v & 0xffff); }
inline Bytes zeros(size_t n) { return Bytes(n, 0); }

// One's complement sum of big-endian words, folded, not inverted (RFC 1071).
inline uint16_t sum_of(const Bytes& bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); i += 2) {
    sum += static_cast<uint32_t>(bytes[i] << 8 | (i + 1 < bytes.size() ? bytes[i + 1] : 0));
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<uint16_t>(sum);
}

inline const Bytes kMacOurs = {0x02, 0, 0, 0, 0, 0x01};
inline const Bytes kMacPeer = {0x02, 0, 0, 0, 0, 0x02};
inline const Bytes kMacGroup = {0x33, 0x33, 0, 0, 0, 0x01};
inline const Bytes kMacAll = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

inline Bytes eth(uint16_t type, const Bytes& payload, const Bytes& dst = kMacOurs) {
  return dst + kMacPeer + be16(type) + payload;
}
// What stands behind a VLAN type: the tag, and the next type.
inline Bytes tag(uint16_t tci, uint16_t type, const Bytes& payload) {
  return be16(tci) + be16(type) + payload;
}

inline const Bytes kClient4 = {198, 51, 100, 7};
inline const Bytes kServer4 = {10, 96, 0, 10};
inline const Bytes kClient6 = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7};
inline const Bytes kServer6 = {0xfd, 0, 0, 0x96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0a};

struct Ip4 {
  uint8_t protocol = 6;
  Bytes src = kClient4, dst = kServer4;
  uint16_t fragment = 0;  // flags and offset
  Bytes options = {};
  uint8_t ttl = 64;
  int total_length = -1;  // -1: the right one
  int version_ihl = -1;
  bool right_sum = true;
};
inline Bytes ipv4(const Ip4& h, const Bytes& payload) {
  const size_t header = 20 + h.options.size();
  const auto first = static_cast<uint8_t>(h.version_ihl < 0 ? 0x40 | header / 4 : h.version_ihl);
  const auto total =
      static_cast<uint32_t>(h.total_length < 0 ? header + payload.size() : h.total_length);
  Bytes b = Bytes{first, 0} + be16(total) + be16(0x1234) + be16(h.fragment) +
            Bytes{h.ttl, h.protocol, 0, 0} + h.src + h.dst + h.options;
  put16(b, 10, static_cast<uint16_t>(~sum_of(b)) ^ (h.right_sum ? 0 : 1));
  return b + payload;
}

struct Ip6 {
  uint8_t next = 6;
  Bytes src = kClient6, dst = kServer6;
  uint8_t hop_limit = 64;
  int payload_length = -1;
  uint8_t version = 6;
};
inline Bytes ipv6(const Ip6& h, const Bytes& payload) {
  const auto length =
      static_cast<uint32_t>(h.payload_length < 0 ? payload.size() : h.payload_length);
  return Bytes{static_cast<uint8_t>(h.version << 4), 0, 0, 0} + be16(length) +
         Bytes{h.next, h.hop_limit} + h.src + h.dst + payload;
}
// Hop-by-hop, routing and destination options: 8 * (1 + units) bytes, padded with PadN.
inline Bytes extension(uint8_t next, uint8_t units, const Bytes& payload) {
  const size_t rest = 6 + 8u * units;
  return Bytes{next, units, 1, static_cast<uint8_t>(rest - 2)} + zeros(rest - 2) + payload;
}
inline Bytes fragment6(uint8_t next, uint16_t offset_more, const Bytes& payload) {
  return Bytes{next, 0} + be16(offset_more) + be32(0xabcdef01) + payload;
}
inline Bytes authentication(uint8_t next, const Bytes& payload) {  // 24 bytes
  return Bytes{next, 4, 0, 0} + be32(1) + be32(2) + zeros(12) + payload;
}

inline Bytes tcp(uint16_t sport, uint16_t dport, uint8_t flags = 0x02, const Bytes& payload = {},
                 const Bytes& options = {}, uint16_t checksum = 0xbeef) {
  const auto offset = static_cast<uint8_t>((20 + options.size()) / 4 << 4);
  return be16(sport) + be16(dport) + be32(1) + be32(2) + Bytes{offset, flags} + be16(0xffff) +
         be16(checksum) + be16(0) + options + payload;
}
inline Bytes udp(uint16_t sport, uint16_t dport, const Bytes& payload = {}, int length = -1,
                 uint16_t checksum = 0xbeef) {
  const auto l = static_cast<uint32_t>(length < 0 ? 8 + payload.size() : length);
  return be16(sport) + be16(dport) + be16(l) + be16(checksum) + payload;
}
inline Bytes sctp(uint16_t sport, uint16_t dport, const Bytes& payload = {}) {
  return be16(sport) + be16(dport) + be32(0x01020304) + be32(0x05060708) + payload;
}
// `id` and `sequence` are the second word, whatever the type makes of it.
inline Bytes icmp(uint8_t type, uint8_t code, uint16_t id, uint16_t sequence,
                  const Bytes& payload = {}) {
  return Bytes{type, code, 0xbe, 0xef} + be16(id) + be16(sequence) + payload;
}

inline Bytes pseudo4(const Ip4& h, size_t length) {
  return h.src + h.dst + Bytes{0, h.protocol} + be16(static_cast<uint32_t>(length));
}
inline Bytes pseudo6(const Bytes& src, const Bytes& dst, uint8_t protocol, size_t length) {
  return src + dst + be32(static_cast<uint32_t>(length)) + Bytes{0, 0, 0, protocol};
}

inline Bytes arp(uint16_t operation, const Bytes& sender_mac, const Bytes& sender,
                 const Bytes& target_mac, const Bytes& target) {
  return be16(1) + be16(0x0800) + Bytes{6, 4} + be16(operation) + sender_mac + sender + target_mac +
         target;
}

// A neighbour solicitation (135) or advertisement (136), with the right sum for ip.
inline Bytes ndp(const Ip6& ip, uint8_t type, uint32_t flags, const Bytes& target,
                 const Bytes& options = {}, uint8_t code = 0) {
  Bytes b = Bytes{type, code, 0, 0} + be32(flags) + target + options;
  put16(b, 2, static_cast<uint16_t>(~sum_of(pseudo6(ip.src, ip.dst, 58, b.size()) + b)));
  return b;
}

}  // namespace nodeplane::test
