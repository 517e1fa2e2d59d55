#pragma once
#include "base/ip.h"
#include "support/packets.h"

namespace nodeplane::test {

inline const Bytes kVip4 = {10, 96, 0, 10};
inline const Bytes kVip6 = {0xfd, 0, 0, 0x96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10};

// A packet between two stations, whole and right, as one of them sends it.
struct Talk {
  uint8_t family = 4, protocol = kProtocolTcp, flags = kTcpAck, ttl = 64;
  Bytes src, dst;
  uint16_t sport = 0, dport = 0;
  Bytes payload;

  Bytes frame(const Bytes& mac) const {
    const Bytes l4 =
        protocol == kProtocolTcp ? tcp(sport, dport, flags, payload) : udp(sport, dport, payload);
    if (family == 4) {
      Ip4 ip;
      ip.protocol = protocol;
      ip.src = src;
      ip.dst = dst;
      ip.ttl = ttl;
      return eth(0x0800, ipv4(ip, l4), mac);
    }
    Ip6 ip;
    ip.next = protocol;
    ip.src = src;
    ip.dst = dst;
    ip.hop_limit = ttl;
    return eth(0x86dd, ipv6(ip, l4), mac);
  }
};

inline uint16_t read16(const Bytes& b, size_t at) {
  return static_cast<uint16_t>(b[at] << 8 | b[at + 1]);
}

// What the receiver of a TCP or UDP packet says next.
inline Talk answer(const Bytes& sent, uint8_t flags) {
  Talk talk;
  talk.family = read16(sent, 12) == 0x0800 ? 4 : 6;
  const size_t at = talk.family == 4 ? 26 : 22, length = talk.family == 4 ? 4 : 16;
  const auto from = sent.begin() + static_cast<long>(at);
  const auto bytes = static_cast<long>(length);
  talk.dst = Bytes(from, from + bytes);
  talk.src = Bytes(from + bytes, from + 2 * bytes);
  talk.protocol = sent[talk.family == 4 ? 23 : 20];
  const size_t l4 = talk.family == 4 ? 34 : 54;
  talk.sport = read16(sent, l4 + 2);
  talk.dport = read16(sent, l4);
  talk.flags = flags;
  return talk;
}

}  // namespace nodeplane::test
