#pragma once
#include <cstdint>
#include <cstring>
#include <random>

#include "support/bytes.h"

// Packets as plain bytes, written and judged without the product's code: a second opinion on sums.
namespace nodeplane::test {

inline uint16_t get16(const Bytes& b, size_t at) {
  return static_cast<uint16_t>(b.at(at) << 8 | b.at(at + 1));
}
inline uint32_t get32(const Bytes& b, size_t at) {
  return static_cast<uint32_t>(get16(b, at)) << 16 | get16(b, at + 2);
}
inline void put32(Bytes& b, size_t at, uint32_t v) {
  put16(b, at, v >> 16);
  put16(b, at + 2, v & 0xffff);
}
inline Bytes slice(const Bytes& b, size_t from, size_t count = ~size_t{0}) {
  const size_t end = count > b.size() - from ? b.size() : from + count;
  return Bytes(b.begin() + static_cast<long>(from), b.begin() + static_cast<long>(end));
}
inline void append(Bytes& to, const Bytes& more) { to.insert(to.end(), more.begin(), more.end()); }

// RFC 1071, word by word.
inline uint16_t plain_sum(const Bytes& b, size_t from, size_t to, uint32_t sum = 0) {
  for (size_t i = from; i < to; i += 2) {
    sum += static_cast<uint32_t>(b.at(i) << 8) + (i + 1 < to ? b.at(i + 1) : 0);
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<uint16_t>(sum);
}
// RFC 9260 appendix A, bit by bit.
inline uint32_t plain_crc(const Bytes& b, size_t from, size_t to) {
  uint32_t crc = 0xffffffff;
  for (size_t i = from; i < to; ++i) {
    crc ^= b.at(i);
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? (crc >> 1) ^ 0x82f63b78 : crc >> 1;
  }
  return ~crc;
}

struct Spec {
  uint8_t family = 4;
  uint8_t protocol = 6;
  Bytes src, dst;  // 4 or 16
  uint16_t sport = 1000, dport = 80;
  Bytes payload;
  uint8_t ttl = 64;
  uint16_t id = 0x1234;
  uint8_t tcp_flags = 0x10;
  uint32_t seq = 1, ack = 2;
  uint8_t icmp_type = 8, icmp_code = 0;
  uint32_t icmp_rest = 0;  // echo: sport is the identifier
  bool udp_sum = true;
  bool partial = false;  // only the pseudo-header's sum
  size_t options = 0;    // bytes of IPv4 options
  Bytes tags;            // VLAN tags, each TPID and TCI
  Bytes dst_mac{2, 0, 0, 0, 0, 1}, src_mac{2, 0, 0, 0, 0, 0x99};
};

inline bool is_icmp(uint8_t protocol) { return protocol == 1 || protocol == 58; }

inline size_t sum_at(uint8_t protocol) {
  return protocol == 6 ? 16 : protocol == 17 ? 6 : protocol == 132 ? 8 : 2;
}

inline uint32_t pseudo(const Bytes& src, const Bytes& dst, uint8_t protocol, size_t length) {
  Bytes p = src;
  append(p, dst);
  const size_t at = p.size();
  p.resize(at + 8);
  put32(p, at, static_cast<uint32_t>(length));
  p[at + 7] = protocol;
  return plain_sum(p, 0, p.size());
}

inline Bytes l4_of(const Spec& s) {
  Bytes l4;
  if (is_icmp(s.protocol)) {
    l4.assign(8, 0);
    l4[0] = s.icmp_type;
    l4[1] = s.icmp_code;
    put32(l4, 4, s.icmp_rest);
  } else {
    l4.assign(s.protocol == 6 ? 20 : s.protocol == 17 ? 8 : 12, 0);
    put16(l4, 0, s.sport);
    put16(l4, 2, s.dport);
  }
  if (s.protocol == 6) {
    put32(l4, 4, s.seq);
    put32(l4, 8, s.ack);
    l4[12] = 0x50;
    l4[13] = s.tcp_flags;
    put16(l4, 14, 500);
  }
  append(l4, s.payload);
  if (s.protocol == 17) put16(l4, 4, static_cast<uint32_t>(l4.size()));
  if (s.protocol == 132) {
    const uint32_t crc = s.partial ? 0 : plain_crc(l4, 0, l4.size());
    std::memcpy(&l4[8], &crc, 4);
    return l4;
  }
  if (s.protocol == 17 && !s.udp_sum) return l4;
  const uint32_t head = s.protocol == 1 ? 0 : pseudo(s.src, s.dst, s.protocol, l4.size());
  const uint16_t sum = s.partial ? static_cast<uint16_t>(head)
                                 : static_cast<uint16_t>(~plain_sum(l4, 0, l4.size(), head));
  put16(l4, sum_at(s.protocol), s.protocol == 17 && sum == 0 ? 0xffff : sum);
  return l4;
}

// The IP packet.
inline Bytes ip_of(const Spec& s) {
  const Bytes l4 = l4_of(s);
  Bytes ip;
  if (s.family == 4) {
    const size_t header = 20 + s.options;
    ip.assign(header, 1);  // options are NOPs
    std::fill(ip.begin(), ip.begin() + 20, 0);
    ip[0] = static_cast<uint8_t>(0x40 | header / 4);
    put16(ip, 2, static_cast<uint32_t>(header + l4.size()));
    put16(ip, 4, s.id);
    put16(ip, 6, 0x4000);
    ip[8] = s.ttl;
    ip[9] = s.protocol;
    std::copy(s.src.begin(), s.src.end(), ip.begin() + 12);
    std::copy(s.dst.begin(), s.dst.end(), ip.begin() + 16);
    put16(ip, 10, static_cast<uint16_t>(~plain_sum(ip, 0, header)));
  } else {
    ip.assign(40, 0);
    ip[0] = 0x60;
    put16(ip, 4, static_cast<uint32_t>(l4.size()));
    ip[6] = s.protocol;
    ip[7] = s.ttl;
    std::copy(s.src.begin(), s.src.end(), ip.begin() + 8);
    std::copy(s.dst.begin(), s.dst.end(), ip.begin() + 24);
  }
  append(ip, l4);
  return ip;
}

inline Bytes ethernet(const Spec& s, uint16_t type) {
  Bytes b = s.dst_mac;
  append(b, s.src_mac);
  append(b, s.tags);
  b.resize(b.size() + 2);
  put16(b, b.size() - 2, type);
  return b;
}
inline Bytes frame_of(const Spec& s) {
  Bytes b = ethernet(s, s.family == 4 ? 0x0800 : 0x86dd);
  append(b, ip_of(s));
  return b;
}

// Whether every sum of an untagged IP packet without IPv6 extension headers is right.
inline bool sums_right(const Bytes& frame, size_t l3 = 14) {
  const bool v4 = frame.at(l3) >> 4 == 4;
  const size_t header = v4 ? size_t{4} * (frame.at(l3) & 15) : 40;
  const size_t end = v4 ? l3 + get16(frame, l3 + 2) : l3 + 40 + get16(frame, l3 + 4);
  if (end > frame.size()) return false;
  if (v4 && plain_sum(frame, l3, l3 + header) != 0xffff) return false;
  const uint8_t protocol = frame.at(l3 + (v4 ? 9 : 6));
  const size_t l4 = l3 + header;
  if (protocol == 132) {
    Bytes copy = slice(frame, l4, end - l4);
    uint32_t stands;
    std::memcpy(&stands, &copy.at(8), 4);
    std::memset(&copy.at(8), 0, 4);
    return stands == plain_crc(copy, 0, copy.size());
  }
  if (protocol == 17 && v4 && get16(frame, l4 + 6) == 0) return true;
  const size_t n = v4 ? 4 : 16, at = l3 + (v4 ? 12 : 8);
  const uint32_t head =
      protocol == 1 ? 0 : pseudo(slice(frame, at, n), slice(frame, at + n, n), protocol, end - l4);
  if (protocol == 17 && get16(frame, l4 + 6) == 0) return false;
  return plain_sum(frame, l4, end, head) == 0xffff;
}

struct Random {
  std::mt19937 engine;
  explicit Random(uint32_t seed) : engine(seed) {}
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(engine() % n); }
  uint16_t port() { return static_cast<uint16_t>(1 + below(65535)); }
  Bytes bytes(size_t n) {
    Bytes b(n);
    for (auto& x : b) x = static_cast<uint8_t>(engine());
    return b;
  }
  // A unicast address.
  Bytes address(uint8_t family) {
    Bytes b = bytes(family == 4 ? 4 : 16);
    b[0] = family == 4 ? static_cast<uint8_t>(1 + below(100)) : 0x20;
    return b;
  }
};

}  // namespace nodeplane::test
