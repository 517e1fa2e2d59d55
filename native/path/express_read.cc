#include "base/sum.h"
#include "kernel/tuple.h"
#include "path/express_lane.h"
#include "wire/tcp.h"
#include "wire/udp.h"

namespace nodeplane::express_lane {
namespace {

// Packets whose bytes are asked for before they are read. Behind a batch stand packets of earlier
// ones: asking for theirs does no harm.
constexpr uint32_t kAhead = 4;
static_assert(kBatchSize + kAhead <= kBatchRoom);
constexpr uint64_t kMacMask = 0xffff'ffff'ffff;
constexpr uint32_t kTcpMin = wire::kTcpHeaderMin;
constexpr uint32_t kUdpMin = wire::kUdpHeaderLength;

constexpr uint32_t host16(uint16_t v) noexcept { return __builtin_bswap16(v); }

// Whether a sum of 16-bit words, carries added back in, is a multiple of 0xffff: then a one's
// complement sum is all ones (RFC 1071). By the inverse modulo 2^64 (Granlund and Montgomery 1994,
// section 9).
constexpr bool is_ones(uint64_t sum) noexcept {
  constexpr uint64_t kInverse = 0xfffe'fffe'fffe'ffff;
  static_assert(kInverse * 0xffff == 1);
  return sum * kInverse <= ~uint64_t{0} / 0xffff;
}

// The IP header as parse wants it, without options or extensions, and a TTL to spare. Gives the IP
// packet's length and the key but for what goes with the ports. A source that cannot be one is not
// looked for: no such packet ever made a record.
[[gnu::always_inline]] inline bool read_header(const uint8_t* ip, uint32_t held, uint16_t network,
                                               KeyV4& key, uint32_t* ip_bytes) noexcept {
  constexpr uint16_t kFragment = 0xff3f;  // as it lies
  const uint32_t bytes = host16(load<uint16_t>(ip + 2));
  if (ip[0] != 0x45 || (load<uint16_t>(ip + 6) & kFragment) != 0 || ip[8] <= 1 || bytes > held)
    return false;
  const uint64_t sum = uint64_t{load<uint32_t>(ip)} + load<uint32_t>(ip + 4) +
                       load<uint32_t>(ip + 8) + load<uint32_t>(ip + 12) + load<uint32_t>(ip + 16);
  if (!is_ones(sum)) return false;
  tuple_v4(ip, network, &key);
  *ip_bytes = bytes;
  return true;
}

[[gnu::always_inline]] inline bool read_header(const uint8_t* ip, uint32_t held, uint16_t network,
                                               KeyV6& key, uint32_t* ip_bytes) noexcept {
  const uint32_t bytes = wire::kIpv6HeaderLength + host16(load<uint16_t>(ip + 4));
  if ((ip[0] & 0xf0) != 0x60 || ip[7] <= 1 || bytes > held) return false;
  std::memcpy(&key, ip + 8, 32);
  const uint64_t tail = load<uint32_t>(ip + wire::kIpv6HeaderLength) | uint64_t{network} << 32 |
                        uint64_t{ip[6]} << 48;
  static_assert(offsetof(KeyV6, sport) + 8 == sizeof(KeyV6) &&
                offsetof(KeyV6, network) == sizeof(KeyV6) - 4);
  std::memcpy(&key.sport, &tail, 8);
  *ip_bytes = bytes;
  return true;
}

// As parse judges it: the field may hold the pseudo-header's sum only.
template <class Key>
bool may_be_partial(const Key& key, uint16_t field, uint32_t length) noexcept {
  if (sizeof key == sizeof(KeyV4) && key.protocol == kProtocolUdp && field == 0) return false;
  return pseudo_sum(key, length) == field;
}

// Reads a packet into its family's lane. False: it has to walk, and nothing is known of its flow.
template <class F>
[[gnu::always_inline]] inline bool read(Packet& p, const uint8_t* data, uint32_t length,
                                        const ExpressTable::Port& port, Lane<F>& lane,
                                        uint32_t at) noexcept {
  typename F::Key& key = lane.keys[at];
  const uint8_t* const l4 = data + kL3 + Header<F>::kBytes;
  uint32_t ip_bytes;
  if (!read_header(data + kL3, length - kL3, port.network, key, &ip_bytes)) return false;
  const auto payload = static_cast<int32_t>(ip_bytes - Header<F>::kBytes);  // or less than none
  const uint8_t protocol = data[kL3 + Header<F>::kProtocol];
  auto covered = static_cast<uint32_t>(payload);
  const uint8_t* field = l4 + wire::kTcpChecksumOffset;
  if (__builtin_expect(protocol == kProtocolTcp, 1)) {
    if (payload < int32_t{kTcpMin}) return false;  // before anything of it is read
    const auto header = static_cast<int32_t>((l4[12] & 0xf0) >> 2);  // of it in 32-bit words
    if (header < int32_t{kTcpMin} || header > payload) return false;
    lane.tcp_flags[at] = l4[13];
  } else if (protocol == kProtocolUdp) {
    covered = host16(load<uint16_t>(l4 + 4));
    if (covered < kUdpMin || static_cast<int32_t>(covered) > payload) return false;
    lane.tcp_flags[at] = 0;
    field = l4 + wire::kUdpChecksumOffset;
  } else {
    return false;
  }
  if (__builtin_expect(port.judge, 0) && may_be_partial(key, load<uint16_t>(field), covered))
    return false;
  lane.who[at] = &p;
  lane.ip_bytes[at] = static_cast<uint16_t>(ip_bytes);
  return true;
}

}  // namespace

// A function for each family: the loop is the tightest of all.
template <class F>
uint32_t read_run(Batch& batch, const ExpressTable::Port* ports, uint32_t next, uint32_t stop,
                  Lane<F>& lane) noexcept {
  constexpr uint32_t kBytesMin = kL3 + Header<F>::kBytes + kUdpMin;  // no TCP header ends before
  Packet* p = batch.packets + next;
  uint32_t at = lane.count, of = kPortMax;
  ExpressTable::Port port;  // `of`
  for (const uint32_t last = at + stop - next; at < last; ++at, ++p) {
    __builtin_prefetch(p[kAhead].data, 1);
    if (__builtin_expect(p->port_in != of, 0)) port = ports[of = p->port_in];
    const uint8_t* const data = p->data;
    const uint32_t length = p->length;
    const bool plain = p->flags == 0 && p->gso == Gso::kNone && p->linear == length &&
                       length >= kBytesMin && (load<uint64_t>(data) & kMacMask) == port.mac_in &&
                       load<uint16_t>(data + 12) == Header<F>::kEthertype;
    if (__builtin_expect(!plain || !read(*p, data, length, port, lane, at), 0)) break;
  }
  next += at - lane.count;
  lane.count = at;
  return next;
}

template uint32_t read_run(Batch&, const ExpressTable::Port*, uint32_t, uint32_t,
                           Lane<V4>&) noexcept;
template uint32_t read_run(Batch&, const ExpressTable::Port*, uint32_t, uint32_t,
                           Lane<V6>&) noexcept;

}  // namespace nodeplane::express_lane
