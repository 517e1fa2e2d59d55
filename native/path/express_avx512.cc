#include <immintrin.h>

#include "path/express_wide.h"
#include "table/flow_state.h"
#include "wire/tcp.h"
#include "wire/udp.h"

namespace nodeplane::express_lane {
namespace {

// Everything here is internal to this file, or a builtin: no function that another file could share
// may carry AVX-512 code. A register holds one 32-bit word of each of the step's 16 packets, in order.

constexpr __mmask16 kWhole = 0xffff;
constexpr uint32_t kLow = 0xffff;     // the lower half of a word
constexpr uint32_t kHopEnd = 0xffff;  // what no neighbour, or the very last, has
constexpr uint32_t kUdpSumAt = wire::kUdpChecksumOffset, kTcpSumAt = wire::kTcpChecksumOffset;
template <class F>
constexpr uint32_t kL4 = kL3 + Header<F>::kBytes;

// Stores among which GCC shall not look for the registers they came from, to take words out of these one
// by one.
inline void settle() noexcept { __asm__ volatile("" ::: "memory"); }

inline __m128i read16(const void* p) noexcept {
  return _mm_loadu_si128(static_cast<const __m128i*>(p));
}
inline __m256i read32(const void* p) noexcept {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
template <class T>
inline void put(uint8_t* p, T v) noexcept {
  __builtin_memcpy(p, &v, sizeof v);
}

inline __m512i all(uint32_t v) noexcept { return _mm512_set1_epi32(static_cast<int>(v)); }
inline __m512i low(__m512i v) noexcept { return _mm512_and_si512(v, all(kLow)); }
inline __m512i high(__m512i v) noexcept { return _mm512_srli_epi32(v, 16); }
inline __m512i halves(__m512i v) noexcept { return _mm512_add_epi32(low(v), high(v)); }
// Of the one's complement sum of two numbers of 16 bits, in the lower halves.
inline __m512i fold(__m512i sum) noexcept { return _mm512_add_epi32(sum, high(sum)); }
inline __m512i inverted(__m512i v) noexcept { return _mm512_andnot_si512(v, all(kLow)); }
// A number of 16 bits in network order, from the lower halves.
inline __m512i host16(__m512i v) noexcept {
  return low(_mm512_or_si512(_mm512_slli_epi32(v, 8), _mm512_srli_epi32(low(v), 8)));
}
template <class T>
inline __m512i widened(const T* values) noexcept {
  if constexpr (sizeof(T) == 1) return _mm512_cvtepu8_epi32(read16(values));
  return _mm512_cvtepu16_epi32(read32(values));
}

struct Words {
  __m512i a, b, c, d;
};
// 16 bytes at `offset` of packets r, r + 4, r + 8 and r + 12.
template <class T>
[[gnu::always_inline]] inline __m512i row(const T* const* p, uint32_t r, size_t offset) noexcept {
  const __m512i one = _mm512_castsi128_si512(read16(p[r] + offset));
  const __m512i two = _mm512_inserti32x4(one, read16(p[r + 4] + offset), 1);
  const __m512i three = _mm512_inserti32x4(two, read16(p[r + 8] + offset), 2);
  return _mm512_inserti32x4(three, read16(p[r + 12] + offset), 3);
}
// Four rows to words or back: it is its own inverse.
[[gnu::always_inline]] inline Words turned(const Words& r) noexcept {
  const __m512i low01 = _mm512_unpacklo_epi32(r.a, r.b), low23 = _mm512_unpacklo_epi32(r.c, r.d);
  const __m512i high01 = _mm512_unpackhi_epi32(r.a, r.b), high23 = _mm512_unpackhi_epi32(r.c, r.d);
  return Words{_mm512_unpacklo_epi64(low01, low23), _mm512_unpackhi_epi64(low01, low23),
               _mm512_unpacklo_epi64(high01, high23), _mm512_unpackhi_epi64(high01, high23)};
}
// The four words at `offset`, each of all packets. Those not used cost nothing.
template <class T>
[[gnu::always_inline]] inline Words words(const T* const* p, size_t offset) noexcept {
  return turned(Words{row(p, 0, offset), row(p, 1, offset), row(p, 2, offset), row(p, 3, offset)});
}
// Back: 16 bytes of each packet, one behind the other.
[[gnu::always_inline]] inline void lay_out(const Words& w, void* out) noexcept {
  const Words r = turned(w);
  const __m512i left01 = _mm512_shuffle_i32x4(r.a, r.b, 0x44);  // packets 0 4 1 5
  const __m512i left23 = _mm512_shuffle_i32x4(r.c, r.d, 0x44);
  const __m512i right01 = _mm512_shuffle_i32x4(r.a, r.b, 0xee);  // 8 12 9 13
  const __m512i right23 = _mm512_shuffle_i32x4(r.c, r.d, 0xee);
  auto* const to = static_cast<__m512i*>(out);
  _mm512_storeu_si512(to, _mm512_shuffle_i32x4(left01, left23, 0x88));
  _mm512_storeu_si512(to + 1, _mm512_shuffle_i32x4(left01, left23, 0xdd));
  _mm512_storeu_si512(to + 2, _mm512_shuffle_i32x4(right01, right23, 0x88));
  _mm512_storeu_si512(to + 3, _mm512_shuffle_i32x4(right01, right23, 0xdd));
}

// In one frame with room for the headers, from one port, nothing to know about it.
[[gnu::always_inline]] inline bool are_plain(const Packet* p, uint32_t bytes_min,
                                             __m512i* length) noexcept {
  static_assert(offsetof(Packet, length) == offsetof(Packet, frame) + 4 &&
                offsetof(Packet, linear) == offsetof(Packet, frame) + 8 &&
                offsetof(Packet, port_in) == offsetof(Packet, frame) + 10 &&
                offsetof(Packet, flags) == offsetof(Packet, frame) + 12 &&
                offsetof(Packet, gso) == offsetof(Packet, frame) + 14);
  const uint8_t* at[kStep];
  for (uint32_t i = 0; i < kStep; ++i) at[i] = reinterpret_cast<const uint8_t*>(p + i);
  const Words meta = words(at, offsetof(Packet, frame));
  *length = meta.b;
  const __m512i as_one = _mm512_add_epi32(meta.b, all(uint32_t{p->port_in} << 16));
  const __m512i room = _mm512_sub_epi32(meta.b, all(bytes_min));
  return (_mm512_cmple_epu32_mask(room, all(kLow - bytes_min)) &
          _mm512_cmpeq_epi32_mask(meta.c, as_one) &
          _mm512_testn_epi32_mask(meta.d, all(0xff'ffff))) == kWhole;
}

// To this port, and of the family.
template <class F>
[[gnu::always_inline]] inline bool are_for_us(const uint8_t* const* data, uint64_t mac) noexcept {
  constexpr int64_t kVersion = F::kFamily == 4 ? 0x45 : 0x60;
  constexpr int64_t kVersionMask = F::kFamily == 4 ? 0xff : 0xf0;
  const __m128i wanted = _mm_set_epi64x(kVersion << 48 | int64_t{Header<F>::kEthertype} << 32,
                                        static_cast<int64_t>(mac));
  const __m128i mask = _mm_set_epi64x(kVersionMask << 48 | int64_t{0xffff} << 32, 0xffff'ffff'ffff);
  __m128i other = _mm_setzero_si128();
  for (uint32_t i = 0; i < kStep; ++i)
    other = _mm_ternarylogic_epi32(other, wanted, read16(data[i]), 0xf6);  // other | wanted ^ read
  return _mm_test_epi32_mask(other, mask) == 0;
}

// Of IPv6, in halves; `first`: the words from the header on.
[[gnu::always_inline]] inline __m512i sum_of_addresses(const uint8_t* const* data,
                                                       const Words& first) noexcept {
  const auto sum = [](const Words& w) {
    return _mm512_add_epi32(_mm512_add_epi32(halves(w.a), halves(w.b)),
                            _mm512_add_epi32(halves(w.c), halves(w.d)));
  };
  const Words rest = words(data, kL4<V6> - 8);  // the destination's last two words
  return _mm512_add_epi32(_mm512_add_epi32(_mm512_add_epi32(halves(first.c), halves(first.d)),
                                           sum(words(data, kL3 + 16))),
                          _mm512_add_epi32(halves(rest.a), halves(rest.b)));
}

// What the IP headers say.
struct Ip {
  __mmask16 sound;
  __m512i bytes, protocol;
};

template <class F>
[[gnu::always_inline]] inline bool read(const Packet* p, const ExpressTable::Port* ports,
                                        Lane<F>& lane) noexcept {
  constexpr uint32_t kBytes = kL4<F> + wire::kTcpHeaderMin;  // read of each packet
  const ExpressTable::Port& port = ports[p->port_in];
  if (port.mac_in >> 48 != 0) return false;  // closed
  __m512i length;
  // The next step's bytes. Behind a batch stand packets of earlier ones: asking for theirs does no harm.
  static_assert(kBatchSize + kStep <= kBatchRoom);
  for (uint32_t i = 0; i < kStep; ++i) __builtin_prefetch(p[kStep + i].data, 1);
  if (!are_plain(p, kBytes, &length)) return false;
  const uint8_t* data[kStep];
  for (uint32_t i = 0; i < kStep; ++i) data[i] = p[i].data;
  if (!are_for_us<F>(data, port.mac_in)) return false;

  Ip ip;
  __m512i addresses;                            // their sum
  __m512i udp_word;                             // length and checksum
  const Words last = words(data, kBytes - 16);  // … and, of TCP: length, flags, checksum
  const __m512i network = all(port.network);
  if constexpr (F::kFamily == 4) {
    const Words first = words(data, kL3), second = words(data, kL3 + 16);
    ip.bytes = host16(high(first.a));
    ip.protocol = _mm512_and_si512(_mm512_srli_epi32(first.c, 8), all(0xff));
    const __m512i sum =
        _mm512_add_epi32(_mm512_add_epi32(_mm512_add_epi32(halves(first.a), halves(first.b)),
                                          _mm512_add_epi32(halves(first.c), halves(first.d))),
                         halves(second.a));
    // No fragment, a TTL to spare, a right sum.
    ip.sound = _mm512_testn_epi32_mask(first.b, all(0xff3f'0000)) &
               _mm512_test_epi32_mask(first.c, all(0xfe)) &
               _mm512_cmpeq_epi32_mask(halves(sum), all(kLow));
    addresses = _mm512_add_epi32(halves(first.d), halves(second.a));
    udp_word = second.c;
    const __m512i tail = _mm512_or_si512(_mm512_slli_epi32(ip.protocol, 16), network);
    lay_out(Words{first.d, second.a, second.b, tail}, lane.keys);
    _mm512_store_si512(lane.wide.ip, first.c);
  } else {
    const Words first = words(data, kL3);
    ip.bytes = _mm512_add_epi32(host16(first.b), all(wire::kIpv6HeaderLength));
    ip.protocol = _mm512_and_si512(high(first.b), all(0xff));
    ip.sound = _mm512_test_epi32_mask(first.b, all(0xfe00'0000));
    addresses = port.judge ? sum_of_addresses(data, first) : all(0);
    udp_word = last.a;
    alignas(64) uint32_t tails[kStep];
    _mm512_store_si512(tails, _mm512_or_si512(_mm512_slli_epi32(ip.protocol, 16), network));
    settle();
    for (uint32_t i = 0; i < kStep; ++i) {
      auto* const key = reinterpret_cast<uint8_t*>(&lane.keys[i]);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(key), read32(data[i] + kL3 + 8));
      __builtin_memcpy(key + 32, data[i] + kL4<F>, 4);
      put(key + 36, tails[i]);
    }
  }
  const __mmask16 tcp = _mm512_cmpeq_epi32_mask(ip.protocol, all(kProtocolTcp));
  const __mmask16 udp = _mm512_cmpeq_epi32_mask(ip.protocol, all(kProtocolUdp));
  const __m512i payload = _mm512_sub_epi32(ip.bytes, all(Header<F>::kBytes));  // or less than none
  // What the transport says of its length: no less than its least, and no more than there is.
  const __m512i header = _mm512_srli_epi32(_mm512_and_si512(last.c, all(0xf0)), 2);
  const __m512i says = _mm512_mask_blend_epi32(tcp, host16(udp_word), header);
  const __m512i least =
      _mm512_mask_blend_epi32(tcp, all(wire::kUdpHeaderLength), all(wire::kTcpHeaderMin));
  const __mmask16 sound = (tcp | udp) & ip.sound &
                          _mm512_cmple_epu32_mask(ip.bytes, _mm512_sub_epi32(length, all(kL3))) &
                          _mm512_cmpge_epu32_mask(says, least) &
                          _mm512_cmple_epi32_mask(says, payload);
  if (sound != kWhole) return false;
  const __m512i sums = _mm512_mask_blend_epi32(tcp, high(udp_word), low(last.d));
  if (__builtin_expect(port.judge, 0)) {
    // As parse judges it: the field may hold the pseudo-header's sum only.
    const __m512i covered = _mm512_mask_blend_epi32(tcp, says, payload);
    const __m512i rest = _mm512_add_epi32(host16(covered), _mm512_slli_epi32(ip.protocol, 8));
    const __m512i pseudo = halves(halves(_mm512_add_epi32(addresses, rest)));
    __mmask16 partial = _mm512_cmpeq_epi32_mask(pseudo, sums);
    if (F::kFamily == 4) partial &= tcp | _mm512_test_epi32_mask(sums, sums);
    if (partial != 0) return false;
  }

  _mm256_storeu_si256(reinterpret_cast<__m256i*>(lane.ip_bytes), _mm512_cvtepi32_epi16(ip.bytes));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(lane.tcp_flags),
                   _mm512_cvtepi32_epi8(_mm512_maskz_srli_epi32(tcp, last.c, 8)));
  _mm512_store_si512(lane.wide.sums, sums);
  _mm512_store_si512(lane.wide.sum_at, _mm512_mask_blend_epi32(tcp, all(kL4<F> + kUdpSumAt),
                                                               all(kL4<F> + kTcpSumAt)));
  lane.wide.padded = _mm512_cmpneq_epi32_mask(length, _mm512_add_epi32(ip.bytes, all(kL3)));
  for (uint32_t i = 0; i < kStep; ++i) lane.who[i] = const_cast<Packet*>(p + i);
  lane.count = kStep;
  return lane.wide.is = true;
}

// The guesses' lines, and whether they hold the packets' keys.
template <class F>
[[gnu::always_inline]] inline bool are_known(const WideWay& way, Lane<F>& lane) noexcept {
  using Side = typename F::Side;
  constexpr int kShift = sizeof(Side) == 64 ? 6 : 7;
  static_assert(sizeof(Side) == 1 << kShift);
  const __m512i guesses = _mm512_loadu_si512(lane.guesses);
  if (_mm512_cmpeq_epi32_mask(guesses, all(kRecordNone)) != 0) return false;
  const __m512i base = _mm512_set1_epi64(reinterpret_cast<int64_t>(way.sides));
  const auto line = [&](__m256i entries) {
    return _mm512_add_epi64(base, _mm512_slli_epi64(_mm512_cvtepu32_epi64(entries), kShift));
  };
  _mm512_store_si512(lane.wide.sides, line(_mm512_castsi512_si256(guesses)));
  _mm512_store_si512(lane.wide.sides + 8, line(_mm512_extracti64x4_epi64(guesses, 1)));
  settle();
  if constexpr (F::kFamily == 4) {
    __m128i other = _mm_setzero_si128();
    for (uint32_t i = 0; i < kStep; ++i)
      other =
          _mm_ternarylogic_epi32(other, read16(&lane.keys[i]), read16(lane.wide.sides[i]), 0xf6);
    return _mm_test_epi32_mask(other, other) == 0;
  } else {
    __m256i other = _mm256_setzero_si256();
    uint64_t tails = 0;
    for (uint32_t i = 0; i < kStep; ++i) {
      const auto* const key = reinterpret_cast<const uint8_t*>(&lane.keys[i]);
      const uint8_t* const side = lane.wide.sides[i];
      other = _mm256_ternarylogic_epi32(other, read32(key), read32(side), 0xf6);
      uint64_t a, b;
      __builtin_memcpy(&a, key + 32, 8);
      __builtin_memcpy(&b, side + 32, 8);
      tails |= a ^ b;
    }
    return _mm256_test_epi32_mask(other, other) == 0 && tails == 0;
  }
}

template <class F>
[[gnu::always_inline]] inline bool are_calm(const WideWay& way, Lane<F>& lane) noexcept {
  using Side = typename F::Side;
  static_assert(offsetof(Side, generation) == offsetof(Side, next_hop) + 4 &&
                offsetof(Side, last_seen) == offsetof(Side, next_hop) + 8 &&
                offsetof(Side, state) == offsetof(Side, next_hop) + 12 &&
                offsetof(Side, tcp_flags) == offsetof(Side, next_hop) + 13);
  if (!are_known(way, lane)) return false;
  const Words side = words(lane.wide.sides, offsetof(Side, next_hop));
  const __m512i hops = _mm512_xor_si512(side.a, all(way.hop_tag));
  const __m512i age = _mm512_sub_epi32(all(way.now_ms), side.c);
  const __m512i flags = widened(lane.tcp_flags);
  const __mmask16 calm = _mm512_cmplt_epu32_mask(hops, all(kHopEnd)) &
                         _mm512_cmpeq_epi32_mask(side.b, all(way.generation)) &
                         _mm512_cmplt_epu32_mask(age, all(way.calm_ms)) &
                         _mm512_testn_epi32_mask(side.d, all(kSideStirred)) &
                         _mm512_testn_epi32_mask(flags, all(kTcpStirring)) &
                         _mm512_cmple_epu32_mask(widened(lane.ip_bytes), all(way.least_mtu));
  if (calm != kWhole) return false;
  _mm512_store_si512(lane.wide.hops, hops);
  const __m512i seen = _mm512_srli_epi32(side.d, 8);
  lane.wide.fresh = _mm512_test_epi32_mask(_mm512_andnot_si512(seen, flags), all(0xff));
  return true;
}

// The checksum field of TCP or UDP after the change by `delta` (RFC 1624). UDP: zero means that there
// is none and stays; one that comes to zero is sent as ones (RFC 768).
inline __m512i new_sums(__m512i before, __mmask16 udp, __m512i delta) noexcept {
  const __m512i sum = inverted(fold(_mm512_add_epi32(inverted(before), delta)));
  const __mmask16 none = udp & _mm512_testn_epi32_mask(before, before);
  const __mmask16 zero = udp & _mm512_testn_epi32_mask(sum, sum);
  return _mm512_mask_mov_epi32(_mm512_mask_mov_epi32(sum, zero, all(kLow)), none, before);
}
// TTL, protocol and checksum of an IPv4 header: one off the TTL is 0xfffe to a one's complement sum.
inline __m512i new_ip(__m512i before, __m512i delta) noexcept {
  const __m512i sum =
      _mm512_add_epi32(_mm512_add_epi32(inverted(high(before)), all(0xfffe)), delta);
  const __m512i field = inverted(fold(halves(sum)));
  return _mm512_or_si512(_mm512_sub_epi32(low(before), all(1)), _mm512_slli_epi32(field, 16));
}

// What is stored to each packet, and to its direction of the record.
struct alignas(64) Laid {
  uint8_t ip[4][64];      // IPv4: TTL, protocol, checksum, addresses, ports; in rows
  uint32_t sums[kStep];   // in the lower halves
  uint64_t counts[4][8];  // one, and the bytes: of packets 0 2 4 6, 1 3 5 7, 8 …, 9 …
};

template <class F>
[[gnu::always_inline]] inline void lay(const Lane<F>& lane, Laid& laid) noexcept {
  using Side = typename F::Side;
  static_assert(offsetof(Side, l4_delta) % 4 == 2);
  constexpr size_t kRow = offsetof(Side, l4_delta) - 14;
  uint8_t* const* const sides = lane.wide.sides;
  const Words rows{row(sides, 0, kRow), row(sides, 1, kRow), row(sides, 2, kRow),
                   row(sides, 3, kRow)};
  const __m512i deltas = turned(rows).d;
  if constexpr (F::kFamily == 4) {
    static_assert(kRow == offsetof(Side, new_src) && offsetof(Side, l3_delta) == kRow + 12);
    const __m512i ip = new_ip(_mm512_load_si512(lane.wide.ip), low(deltas));
    // Each row's last word gives way to the packet's new one, in front.
    const auto put_row = [&](uint32_t r, __m512i row, __m512i words) {
      const __m512i moved = _mm512_shuffle_epi32(row, _MM_PERM_CBAD);
      _mm512_store_si512(laid.ip[r], _mm512_mask_mov_epi32(moved, 0x1111, words));
    };
    put_row(0, rows.a, ip);
    put_row(1, rows.b, _mm512_shuffle_epi32(ip, _MM_PERM_BBBB));
    put_row(2, rows.c, _mm512_shuffle_epi32(ip, _MM_PERM_CCCC));
    put_row(3, rows.d, _mm512_shuffle_epi32(ip, _MM_PERM_DDDD));
  }
  const __mmask16 udp =
      _mm512_cmpeq_epi32_mask(_mm512_load_si512(lane.wide.sum_at), all(kL4<F> + kUdpSumAt));
  _mm512_store_si512(laid.sums, new_sums(_mm512_load_si512(lane.wide.sums), udp, high(deltas)));
  const __m256i bytes = read32(lane.ip_bytes);
  const __m512i one = _mm512_set1_epi64(1);
  const __m512i left = _mm512_cvtepu16_epi64(_mm256_castsi256_si128(bytes));
  const __m512i right = _mm512_cvtepu16_epi64(_mm256_extracti128_si256(bytes, 1));
  _mm512_store_si512(laid.counts[0], _mm512_unpacklo_epi64(one, left));
  _mm512_store_si512(laid.counts[1], _mm512_unpackhi_epi64(one, left));
  _mm512_store_si512(laid.counts[2], _mm512_unpacklo_epi64(one, right));
  _mm512_store_si512(laid.counts[3], _mm512_unpackhi_epi64(one, right));
  settle();
}

// The IP header and the ports.
template <class F>
[[gnu::always_inline]] inline void rewrite(uint8_t* data, const uint8_t* side, const Laid& laid,
                                           uint32_t i) noexcept {
  using Side = typename F::Side;
  if constexpr (F::kFamily == 4) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(data + kL3 + 8),
                     read16(laid.ip[i % 4] + i / 4 * 16));
  } else {
    static_assert(offsetof(Side, new_dst) == offsetof(Side, new_src) + 16);
    data[kL3 + 7]--;
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(data + kL3 + 8),
                        read32(side + offsetof(Side, new_src)));
    __builtin_memcpy(data + kL4<F>, side + offsetof(Side, new_sport), 4);
  }
}

template <class F>
[[gnu::always_inline]] inline void leave(const WideWay& way, Lane<F>& lane) noexcept {
  using Side = typename F::Side;
  Laid laid;
  lay(lane, laid);
  uint8_t* const* const sides = lane.wide.sides;
  Packet* const first = lane.who[0];
  auto* const exits = reinterpret_cast<uint8_t*>(way.exits);
  const uint32_t now_ms = way.now_ms;
  // Unrolled, most addresses are constants.
#pragma GCC unroll 16
  for (uint32_t i = 0; i < kStep; ++i) {
    Packet* const p = first + i;
    uint8_t* const data = p->data;
    const uint64_t word = lane.wide.ways[i];
    static_assert(sizeof(Exit) == 32);
    Exit& exit = *reinterpret_cast<Exit*>(exits + (word >> 43 & 0xff << 5));
    static_assert(offsetof(Side, bytes) == offsetof(Side, packets) + 8);
    auto* const count = reinterpret_cast<__m128i*>(sides[i] + offsetof(Side, packets));
    _mm_store_si128(count, _mm_add_epi64(_mm_load_si128(count),
                                         read16(&laid.counts[i / 8 * 2 + i % 2][i % 8 / 2 * 2])));
    put(sides[i] + offsetof(Side, last_seen), now_ms);
    put(data, word);  // six bytes of it
    put(data + 6, exit.mac | uint64_t{Header<F>::kEthertype} << 48);
    rewrite<F>(data, sides[i], laid, i);
    put(data + lane.wide.sum_at[i], static_cast<uint16_t>(laid.sums[i]));
    p->port_out = static_cast<uint8_t>(word >> 48);
    p->verdict = Verdict::kSent;
    *exit.next++ = p;
  }
  for (uint32_t bits = lane.wide.padded; bits != 0; bits &= bits - 1) {
    const auto i = static_cast<uint32_t>(__builtin_ctz(bits));
    first[i].length = kL3 + lane.ip_bytes[i];  // what Ethernet padded is cut off
    first[i].linear = static_cast<uint16_t>(kL3 + lane.ip_bytes[i]);
  }
  for (uint32_t bits = lane.wide.fresh; bits != 0; bits &= bits - 1) {
    const auto i = static_cast<uint32_t>(__builtin_ctz(bits));
    sides[i][offsetof(Side, tcp_flags)] |= lane.tcp_flags[i];
  }
}

}  // namespace

bool read_wide(const Packet* p, const ExpressTable::Port* ports, Lane<V4>& lane) noexcept {
  return read(p, ports, lane);
}
bool read_wide(const Packet* p, const ExpressTable::Port* ports, Lane<V6>& lane) noexcept {
  return read(p, ports, lane);
}
bool is_calm_wide(const WideWay& way, Lane<V4>& lane) noexcept { return are_calm(way, lane); }
bool is_calm_wide(const WideWay& way, Lane<V6>& lane) noexcept { return are_calm(way, lane); }
void leave_wide(const WideWay& way, Lane<V4>& lane) noexcept { leave(way, lane); }
void leave_wide(const WideWay& way, Lane<V6>& lane) noexcept { leave(way, lane); }

}  // namespace nodeplane::express_lane
