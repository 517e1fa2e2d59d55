#include "table/flow_zones.h"

#include <algorithm>
#include <utility>

namespace nodeplane {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr uint32_t kLotMax = 256;
constexpr uint32_t kHeldShare = 32;  // a worker holds up to two lots of a zone

uint32_t lot_of(uint32_t capacity, uint32_t workers, uint32_t zones) noexcept {
  return std::min(capacity / (kHeldShare * workers * zones), kLotMax);
}

// As many of `want` as `limit` leaves room for.
uint32_t add_up_to(std::atomic<uint32_t>& count, uint32_t want, uint32_t limit) noexcept {
  uint32_t now = count.load(kRelaxed), more;
  do {
    if (now >= limit) return 0;
    more = std::min(want, limit - now);
  } while (!count.compare_exchange_weak(now, now + more, kRelaxed));
  return more;
}

}  // namespace

FlowZones::FlowZones(uint32_t capacity, uint32_t workers)
    : capacity_(capacity),
      worker_count_(workers),
      lot_(lot_of(capacity, workers, 1)),
      workers_(new Worker[workers]) {
  set(nullptr, 0);
}

void FlowZones::set(const ZoneShare* shares, uint32_t count) noexcept {
  const auto part = [&](uint32_t percent) {
    return static_cast<uint32_t>(uint64_t{capacity_} * percent / 100);
  };
  for (uint32_t z = 0; z < kZoneMax; ++z) {
    const ZoneShare share = z < count ? shares[z] : ZoneShare{};
    zones_[z].guaranteed.store(part(share.guaranteed), kRelaxed);
    zones_[z].maximum.store(std::max(part(share.maximum), 1u), kRelaxed);
  }
  lot_.store(lot_of(capacity_, worker_count_, std::max(count, 1u)), kRelaxed);
}

uint32_t FlowZones::grant(uint8_t zone) noexcept {
  Zone& z = zones_[zone];
  const uint32_t allowed =
      add_up_to(z.used, std::max(lot_.load(kRelaxed), 1u), z.maximum.load(kRelaxed));
  if (allowed == 0) return 0;
  const uint32_t got = add_up_to(used_, allowed, capacity_);
  if (got < allowed) z.used.fetch_sub(allowed - got, kRelaxed);
  return got;
}

bool FlowZones::refill(uint32_t worker, uint8_t zone) noexcept {
  uint32_t got = grant(zone);
  if (got == 0) {
    for (uint8_t z = 0; z < kZoneMax; ++z) put_back(worker, z);
    got = grant(zone);
  }
  workers_[worker].left[zone] += got;
  return got != 0;
}

void FlowZones::put_back(uint32_t worker, uint8_t zone) noexcept {
  const uint32_t left = std::exchange(workers_[worker].left[zone], 0u);
  if (left == 0) return;
  zones_[zone].used.fetch_sub(left, kRelaxed);
  used_.fetch_sub(left, kRelaxed);
}

}  // namespace nodeplane
