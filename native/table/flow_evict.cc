// Who gives way when a flow table, or a zone of it, is full.
#include "table/flow_impl.h"

namespace nodeplane {
namespace {

// List heads and records that one eviction looks at, at most. Whatever is skipped on the way (gone
// already, or of another class by now) leaves the owner's list for good, so looks are not wasted twice.
constexpr uint32_t kLooksMax = 64;
constexpr uint32_t kStepsMax = 8;  // in another worker's list

constexpr uint32_t class_bit(FlowClass c) noexcept { return 1u << static_cast<uint32_t>(c); }
constexpr uint32_t kGiveWay = class_bit(FlowClass::kClosing) | class_bit(FlowClass::kHalfOpen) |
                              class_bit(FlowClass::kOneWay);

// The zone most over its guarantee among those not tried; the newcomer's own counts when one more
// would be over. kZoneMax: none.
uint8_t most_over(const FlowZones& zones, uint8_t newcomer, uint32_t tried) noexcept {
  uint8_t most = kZoneMax;
  int64_t excess = 0;
  for (uint8_t z = 0; z < kZoneMax; ++z) {
    const int64_t over = int64_t{zones.used(z)} - zones.guaranteed(z) + (z == newcomer);
    if ((tried >> z & 1) != 0 || over <= excess) continue;
    most = z;
    excess = over;
  }
  return most;
}

}  // namespace

template <class F>
bool FlowTable<F>::evict(uint32_t worker, uint8_t zone, Gone* gone) noexcept {
  const FlowZones& zones = impl_->zones;
  uint32_t looks = kLooksMax;
  if (zones.at_maximum(zone)) return evict_from(worker, zone, kGiveWay, &looks, gone);
  const bool within = zones.used(zone) < zones.guaranteed(zone);
  for (const uint32_t classes : {kGiveWay, class_bit(FlowClass::kEstablished)}) {
    if (classes != kGiveWay && !within) break;
    for (uint32_t tried = 0;;) {
      const uint8_t from = most_over(zones, zone, tried);
      if (from == kZoneMax) break;
      if (evict_from(worker, from, classes, &looks, gone)) return true;
      tried |= 1u << from;
    }
  }
  return false;
}

// The worker's own first, which are recycled without anybody's help. Other workers' records are taken
// just so, since anyone may remove a connection: the room is there at once, and the owner, told as
// of every removal, clears its lists. A share per worker instead would refuse a quiet worker's
// flows while a flooded one sits on its half-open ones.
template <class F>
bool FlowTable<F>::evict_from(uint32_t worker, uint8_t zone, uint32_t classes, uint32_t* looks,
                              Gone* gone) noexcept {
  const uint32_t count = impl_->worker_count;
  auto& w = impl_->workers[worker];
  for (uint32_t c = 0; c < kFlowClassCount; ++c) {
    if ((classes >> c & 1) == 0) continue;
    const uint8_t list = FlowLists::number(zone, static_cast<FlowClass>(c));
    bool found = evict_own(worker, list, looks, gone);
    for (uint32_t i = 0; !found && i < count && *looks != 0; ++i) {
      w.turn = w.turn + 1 < count ? w.turn + 1 : 0;
      found = w.turn != worker && evict_other(worker, w.turn, list, looks, gone);
    }
    if (!found) continue;
    count_one(w.zones[zone].evicted[c]);
    return true;
  }
  return false;
}

template <class F>
bool FlowTable<F>::evict_own(uint32_t worker, uint8_t list, uint32_t* looks, Gone* gone) noexcept {
  FlowLists& lists = impl_->workers[worker].lists;
  for (uint32_t record; (record = lists.first(list)) != kRecordNone && *looks != 0; --*looks) {
    const FlowState state = state_of(record);
    const FlowClass now = flow_class(state);
    if (state == FlowState::kNone) {
      lists.unlink(record);  // its notice is on the way
    } else if (FlowLists::number(cold_[record].zone, now) != list) {
      lists.move(record, state);
    } else if (remove(worker, record, class_bit(now), gone)) {
      return true;
    }
  }
  return false;
}

// The list changes under us. Whatever we come by is a record, and one that lives was not reused since
// this batch began: it may go if it is of the zone and class, in that list or not. So we go on where
// we left off, behind those that the owner has not cleared away yet.
template <class F>
bool FlowTable<F>::evict_other(uint32_t worker, uint32_t other, uint8_t list, uint32_t* looks,
                               Gone* gone) noexcept {
  auto& w = impl_->workers[worker];
  const uint32_t of = other << 8 | list;
  uint32_t record = kRecordNone;
  if (w.after_list == of) record = std::exchange(w.after, kRecordNone);
  if (record == kRecordNone) record = impl_->workers[other].lists.first(list);
  for (uint32_t steps = 0; steps < kStepsMax && *looks != 0; ++steps) {
    --*looks;
    if (record == kRecordNone) return false;
    const FlowCold& c = cold_[record];
    const FlowState state = state_of(record);
    const FlowClass now = flow_class(state);
    const uint32_t next = c.next.load(std::memory_order_relaxed);
    if (state != FlowState::kNone && FlowLists::number(c.zone, now) == list &&
        remove(worker, record, class_bit(now), gone)) {
      w.after_list = of;
      w.after = next;
      return true;
    }
    record = next;
  }
  return false;
}

template <class F>
bool FlowTable<F>::refuse(uint32_t worker, uint8_t zone) noexcept {
  count_one(impl_->workers[worker].zones[zone].refused);
  return impl_->zones.at_maximum(zone);
}

template bool FlowTable<V4>::evict(uint32_t, uint8_t, Gone*) noexcept;
template bool FlowTable<V6>::evict(uint32_t, uint8_t, Gone*) noexcept;
template bool FlowTable<V4>::refuse(uint32_t, uint8_t) noexcept;
template bool FlowTable<V6>::refuse(uint32_t, uint8_t) noexcept;

}  // namespace nodeplane
