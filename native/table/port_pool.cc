#include "table/port_pool.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>

#include "base/be.h"
#include "base/check.h"
#include "base/memory.h"
#include "gen/layout.h"
#include "table/mix.h"

namespace nodeplane {
namespace {

constexpr uint32_t kProtocols = 4;  // TCP, UDP, SCTP, and the family's ICMP
constexpr uint32_t kProtocolNone = kProtocols;
constexpr uint32_t kWordBits = 64;
constexpr uint32_t kLineWords = 8;
static_assert((kSnatGroups & (kSnatGroups - 1)) == 0 && kSnatGroups <= 64);

uint32_t protocol_code(uint8_t protocol) noexcept {
  switch (protocol) {
    case kProtocolTcp:
      return 0;
    case kProtocolUdp:
      return 1;
    case kProtocolSctp:
      return 2;
    case kProtocolIcmp:
    case kProtocolIcmp6:
      return 3;
    default:
      return kProtocolNone;
  }
}

// source 8 bits, protocol 2, group 6, port 16. All ones is never given: there is no source 255.
struct Grant {
  uint32_t source, code, group;
  uint16_t port;
  uint32_t pack() const noexcept { return source << 24 | code << 22 | group << 16 | port; }
  static Grant of(uint32_t v) noexcept {
    return {v >> 24, (v >> 22) & 3, (v >> 16) & 63, static_cast<uint16_t>(v)};
  }
};
static_assert(kSnatSourceMax <= 255);

// One worker's slice of one bitmap. Only its worker sets bits; any may clear one.
struct Slice {
  std::atomic<uint16_t> used[kZoneMax];
  std::atomic<uint32_t> hint;  // bit behind the last one taken
  std::atomic<uint64_t> words[];
};
constexpr uint32_t kSliceHeadWords = offsetof(Slice, words) / sizeof(uint64_t);
static_assert(kSliceHeadWords < kLineWords);

struct Share {
  std::atomic<uint8_t> guaranteed{0}, maximum{100};  // percent of a slice
};

}  // namespace

struct PortPool::Impl {
  struct alignas(64) Tally {
    std::atomic<uint64_t> taken{0}, given{0};
  };
  uint32_t workers, low, ports, slice_ports, slice_bytes;
  IpAddress addresses[kSnatSourceMax];
  uint8_t families[kSnatSourceMax];
  uint8_t* maps[kSnatSourceMax];
  std::atomic<uint32_t> sources{0};  // grows only; what lies below it does not change
  Share shares[kZoneMax];
  std::atomic<uint32_t> zones{1};  // no zone at or above ever had a port; grows only
  Tally tallies[kWorkerMax];

  size_t map_bytes() const noexcept {
    return size_t{kProtocols} * kSnatGroups * workers * slice_bytes;
  }
  Slice& slice(const Grant& g, uint32_t worker) const noexcept {
    const size_t at = (size_t{g.code} * kSnatGroups + g.group) * workers + worker;
    return *reinterpret_cast<Slice*>(maps[g.source] + at * slice_bytes);
  }
  bool has(const Grant& g, uint32_t worker) const noexcept {
    return g.source < sources.load(std::memory_order_acquire) && g.code != kProtocolNone &&
           worker < workers;
  }
  void know_zones(uint32_t count) noexcept {
    if (count > zones.load(std::memory_order_relaxed))
      zones.store(count, std::memory_order_relaxed);
  }
  uint32_t slice_size(uint32_t worker) const noexcept {  // the last ones may be short
    const uint32_t first = worker * slice_ports;
    return first >= ports ? 0 : std::min(slice_ports, ports - first);
  }
  bool take_bit(Slice& s, uint32_t bit) noexcept {
    const uint64_t mask = uint64_t{1} << (bit % kWordBits);
    return (s.words[bit / kWordBits].fetch_or(mask, std::memory_order_acquire) & mask) == 0;
  }
  uint32_t find_free(const Slice& s, uint32_t size) const noexcept;
  enum class Room : uint8_t { kFree, kNone, kOthers };
  Room room_for(uint8_t zone, const Slice& s, uint32_t size) const noexcept;
};

PortPool::PortPool(uint32_t workers, uint16_t low, uint16_t high) : impl_(new Impl) {
  check(workers > 0 && workers <= kWorkerMax && low > 0 && low <= high, "port pool's range");
  auto& p = *impl_;
  p.workers = workers;
  p.low = low;
  p.ports = uint32_t{high} - low + 1;
  p.slice_ports = (p.ports + workers - 1) / workers;
  // Whole lines, so that two workers never write one.
  const uint32_t words = (p.slice_ports + kWordBits - 1) / kWordBits + kSliceHeadWords;
  p.slice_bytes = (words + kLineWords - 1) / kLineWords * kLineWords * sizeof(uint64_t);
}

PortPool::~PortPool() {
  for (uint32_t i = 0; i < impl_->sources.load(); ++i)
    memory_unmap(impl_->maps[i], impl_->map_bytes());
}

uint16_t PortPool::source(uint8_t family, const IpAddress& address) {
  auto& p = *impl_;
  const uint32_t known = p.sources.load(std::memory_order_relaxed);
  for (uint32_t i = 0; i < known; ++i)
    if (p.families[i] == family && p.addresses[i] == address) return static_cast<uint16_t>(i);
  if (known == kSnatSourceMax) return kSnatSourceNone;
  void* map = memory_map(p.map_bytes(), false, nullptr);
  if (!map) return kSnatSourceNone;
  p.maps[known] = static_cast<uint8_t*>(map);
  p.families[known] = family;
  p.addresses[known] = address;
  p.sources.store(known + 1, std::memory_order_release);
  return static_cast<uint16_t>(known);
}

uint32_t PortPool::destination_hash(uint8_t family, const IpAddress& address,
                                    uint16_t port_be) noexcept {
  return static_cast<uint32_t>(mix_address(mix_in(0, port_be), family, address.bytes));
}

const IpAddress& PortPool::address(uint16_t source) const noexcept {
  return impl_->addresses[source];
}

// The first free bit from the hint on, around the slice once. The caller knows that one is free, or
// that another worker has just given one back; size if none was seen.
uint32_t PortPool::Impl::find_free(const Slice& s, uint32_t size) const noexcept {
  const uint32_t words = (size + kWordBits - 1) / kWordBits;
  const uint32_t start = s.hint.load(std::memory_order_relaxed) % size;
  for (uint32_t i = 0; i <= words; ++i) {
    const uint32_t w = (start / kWordBits + i) % words;
    uint64_t free = ~s.words[w].load(std::memory_order_relaxed);
    if (i == 0) free &= ~uint64_t{0} << (start % kWordBits);
    if (w == words - 1 && size % kWordBits != 0) free &= (uint64_t{1} << (size % kWordBits)) - 1;
    if (free != 0) return w * kWordBits + static_cast<uint32_t>(std::countr_zero(free));
  }
  return size;
}

// Whose the free ports of a slice are. Guarantees are counted anew each time, so that they may change,
// and what an earlier process left may be more than its share.
PortPool::Impl::Room PortPool::Impl::room_for(uint8_t zone, const Slice& s,
                                              uint32_t size) const noexcept {
  const auto part = [size](const std::atomic<uint8_t>& percent) {
    return size * percent.load(std::memory_order_relaxed) / 100;
  };
  const uint32_t count = zones.load(std::memory_order_relaxed);
  uint32_t used = 0, set_aside = 0;
  for (uint32_t z = 0; z < count; ++z) {
    const uint32_t mine = s.used[z].load(std::memory_order_relaxed);
    const uint32_t guaranteed = part(shares[z].guaranteed);
    used += mine;
    if (z != zone && guaranteed > mine) set_aside += guaranteed - mine;
  }
  if (used >= size) return Room::kNone;
  const uint32_t mine = s.used[zone].load(std::memory_order_relaxed);
  const bool over = mine >= std::max(part(shares[zone].maximum), 1u);
  return over || used + set_aside >= size ? Room::kOthers : Room::kFree;
}

void PortPool::set_zones(const ZoneShare* zones, uint32_t count) noexcept {
  for (uint32_t z = 0; z < kZoneMax; ++z) {
    const ZoneShare share = z < count ? zones[z] : ZoneShare{};
    impl_->shares[z].guaranteed.store(share.guaranteed, std::memory_order_relaxed);
    impl_->shares[z].maximum.store(share.maximum, std::memory_order_relaxed);
  }
  impl_->know_zones(count);
}

bool PortPool::zone_full(uint32_t worker, uint16_t source, uint8_t protocol,
                         uint32_t destination_hash, uint8_t zone) const noexcept {
  const auto& p = *impl_;
  const Grant g{source, protocol_code(protocol), destination_hash % kSnatGroups, 0};
  return p.has(g, worker) &&
         p.room_for(zone, p.slice(g, worker), p.slice_size(worker)) == Impl::Room::kOthers;
}

bool PortPool::take(uint32_t worker, uint16_t source, uint8_t protocol, uint32_t destination_hash,
                    uint8_t zone, uint16_t wanted_be, uint16_t* port_be, uint32_t* grant) noexcept {
  auto& p = *impl_;
  Grant g{source, protocol_code(protocol), destination_hash % kSnatGroups, 0};
  if (!p.has(g, worker)) return false;
  Slice& s = p.slice(g, worker);
  const uint32_t size = p.slice_size(worker);
  if (p.room_for(zone, s, size) != Impl::Room::kFree) return false;
  const uint32_t first = p.low + worker * p.slice_ports;
  uint32_t bit = uint32_t{swap16(wanted_be)} - first;  // wraps to far beyond size when below
  if (bit >= size || !p.take_bit(s, bit)) {
    bit = p.find_free(s, size);
    if (bit == size) return false;
    check(p.take_bit(s, bit), "a free port's bit was set by another worker");
    s.hint.store(bit + 1, std::memory_order_relaxed);
  }
  s.used[zone].fetch_add(1, std::memory_order_relaxed);
  p.tallies[worker].taken.fetch_add(1, std::memory_order_relaxed);
  g.port = static_cast<uint16_t>(first + bit);
  *port_be = swap16(g.port);
  *grant = g.pack();
  return true;
}

bool PortPool::retake(uint8_t family, const IpAddress& address, uint8_t protocol,
                      uint32_t destination_hash, uint8_t zone, uint16_t port_be,
                      uint32_t* grant) noexcept {
  auto& p = *impl_;
  const Grant g{source(family, address), protocol_code(protocol), destination_hash % kSnatGroups,
                swap16(port_be)};
  const uint32_t place = uint32_t{g.port} - p.low;
  if (g.source == kSnatSourceNone || g.code == kProtocolNone || place >= p.ports) return false;
  Slice& s = p.slice(g, place / p.slice_ports);
  if (!p.take_bit(s, place % p.slice_ports)) return false;
  p.know_zones(zone + 1u);
  s.used[zone].fetch_add(1, std::memory_order_relaxed);
  p.tallies[0].taken.fetch_add(1, std::memory_order_relaxed);
  *grant = g.pack();
  return true;
}

void PortPool::give(uint32_t worker, uint32_t grant, uint8_t zone) noexcept {
  auto& p = *impl_;
  const Grant g = Grant::of(grant);
  const uint32_t place = uint32_t{g.port} - p.low;
  check(
      g.source < p.sources.load(std::memory_order_acquire) && place < p.ports && worker < p.workers,
      "a port grant of this pool");
  Slice& s = p.slice(g, place / p.slice_ports);
  const uint32_t bit = place % p.slice_ports;
  const uint64_t mask = uint64_t{1} << (bit % kWordBits);
  const uint64_t before = s.words[bit / kWordBits].fetch_and(~mask, std::memory_order_release);
  check(before & mask, "a port is given back once");
  check(s.used[zone].fetch_sub(1, std::memory_order_release) != 0, "a port's zone has ports");
  p.tallies[worker].given.fetch_add(1, std::memory_order_release);
}

// Given before taken, so that a port on its way never makes the difference negative.
uint64_t PortPool::in_use() const noexcept {
  uint64_t given = 0, taken = 0;
  for (const auto& t : impl_->tallies) given += t.given.load(std::memory_order_acquire);
  for (const auto& t : impl_->tallies) taken += t.taken.load(std::memory_order_acquire);
  return taken - given;
}

uint64_t PortPool::capacity_per_destination() const noexcept { return impl_->ports; }

}  // namespace nodeplane
