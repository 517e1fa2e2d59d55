#include "path/express_words.h"
#include "table/flow_state.h"

namespace nodeplane::express_lane {
namespace {

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
  spill();
  if constexpr (F::kFamily == 4) {
    __m128i other = _mm_setzero_si128();
    for (uint32_t i = 0; i < kStep; ++i)
      other = with_differing(other, read16(&lane.keys[i]), read16(lane.wide.sides[i]));
    return _mm_test_epi32_mask(other, other) == 0;
  } else {
    __m256i other = _mm256_setzero_si256();
    uint64_t tails = 0;
    for (uint32_t i = 0; i < kStep; ++i) {
      const auto* const key = reinterpret_cast<const uint8_t*>(&lane.keys[i]);
      const uint8_t* const side = lane.wide.sides[i];
      other = with_differing(other, read32(key), read32(side));
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
// TTL, protocol and checksum of an IPv4 header: one off the TTL.
inline __m512i new_ip(__m512i before, __m512i delta) noexcept {
  const __m512i sum =
      _mm512_add_epi32(_mm512_add_epi32(inverted(high(before)), all(kTtlDelta)), delta);
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
  spill();
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
  // Others read a side's words at any time, as relaxed atomics: each is stored whole here, and the two
  // counters, 16 aligned bytes, are one store where there is AVX (Intel SDM volume 3, "Guaranteed Atomic
  // Operations"; AMD APM volume 2, "Access Atomicity"). Unrolled, most addresses are constants.
#pragma GCC unroll 16
  for (uint32_t i = 0; i < kStep; ++i) {
    Packet* const p = first + i;
    uint8_t* const data = p->data;
    const uint64_t word = lane.wide.ways[i];
    static_assert(sizeof(Exit) == 32);
    Exit& exit = *reinterpret_cast<Exit*>(exits + (word >> 43 & 0xff << 5));
    static_assert(offsetof(Side, packets) % 16 == 0 &&
                  offsetof(Side, bytes) == offsetof(Side, packets) + 8);
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

bool is_calm_wide(const WideWay& way, Lane<V4>& lane) noexcept { return are_calm(way, lane); }
bool is_calm_wide(const WideWay& way, Lane<V6>& lane) noexcept { return are_calm(way, lane); }
void leave_wide(const WideWay& way, Lane<V4>& lane) noexcept { leave(way, lane); }
void leave_wide(const WideWay& way, Lane<V6>& lane) noexcept { leave(way, lane); }

}  // namespace nodeplane::express_lane
