#include "path/express_words.h"

namespace nodeplane::express_lane {
namespace {

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
  for (uint32_t i = 0; i < kStep; ++i) other = with_differing(other, wanted, read16(data[i]));
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
[[gnu::always_inline]] inline bool read(Packet* p, const ExpressTable::Port* ports,
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
  const Words last = words(data, kBytes - 16);  // the same, or of TCP: length, flags, checksum
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
    ip.sound = _mm512_test_epi32_mask(first.b, all(0xfe00'0000));  // a hop limit to spare
    addresses = port.judge ? sum_of_addresses(data, first) : all(0);
    udp_word = last.a;
    alignas(64) uint32_t tails[kStep];
    _mm512_store_si512(tails, _mm512_or_si512(_mm512_slli_epi32(ip.protocol, 16), network));
    spill();
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
  for (uint32_t i = 0; i < kStep; ++i) lane.who[i] = p + i;
  lane.count = kStep;
  return lane.wide.is = true;
}

}  // namespace

bool read_wide(Packet* p, const ExpressTable::Port* ports, Lane<V4>& lane) noexcept {
  return read(p, ports, lane);
}
bool read_wide(Packet* p, const ExpressTable::Port* ports, Lane<V6>& lane) noexcept {
  return read(p, ports, lane);
}

}  // namespace nodeplane::express_lane
