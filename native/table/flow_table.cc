#include "table/flow_table.h"

#include <algorithm>

#include "table/flow_impl.h"

namespace nodeplane {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr uint32_t kCapacityMax = 1u << 30;  // an entry is a side's number, of 32 bits
// Records beyond the capacity, for those that were removed and wait: some batches of new flows.
constexpr uint32_t kReserveShare = 32, kReserveMin = 512, kReserveMax = 1u << 17;
constexpr uint32_t kTimeoutUntilSet = 120'000;  // before control has said anything

}  // namespace

template <class F>
FlowTable<F>::FlowTable() = default;
template <class F>
FlowTable<F>::~FlowTable() = default;

template <class F>
uint32_t FlowTable<F>::record_count(uint32_t capacity) noexcept {
  return capacity + std::clamp(capacity / kReserveShare, kReserveMin, kReserveMax);
}

template <class F>
std::unique_ptr<FlowTable<F>> FlowTable<F>::create(const Options& o, Epochs& epochs,
                                                   std::string* error) {
  if (o.capacity == 0 || o.capacity > kCapacityMax || o.workers == 0 || o.workers > kWorkerMax) {
    *error = "flow table: capacity must be 1 to 2^30, workers 1 to 64";
    return nullptr;
  }
  const bool own = o.records.sides == nullptr;
  const uint32_t records = own ? record_count(o.capacity) : o.records.capacity;
  const uint32_t buckets = FlowIndex::buckets_for(o.capacity);
  FlowRegion sides, cold, index(sizeof(FlowBucket) * buckets, o.huge);
  if (own) {
    sides = FlowRegion(sizeof(Side) * 2 * records, o.huge);
    cold = FlowRegion(sizeof(FlowCold) * records, o.huge);
  }
  if ((own && (sides.base == nullptr || cold.base == nullptr)) || index.base == nullptr) {
    *error = "flow table: no memory for " + std::to_string(o.capacity) + " connections";
    return nullptr;
  }
  std::unique_ptr<FlowTable> t(new FlowTable);
  t->sides_ = own ? reinterpret_cast<Side*>(sides.base) : o.records.sides;
  t->cold_ = own ? reinterpret_cast<FlowCold*>(cold.base) : o.records.cold;
  t->index_.attach(reinterpret_cast<FlowBucket*>(index.base), buckets, t->cold_, records);
  t->impl_ = std::make_unique<Impl>(t->cold_, records, o, epochs);
  t->impl_->side_memory = std::move(sides);
  t->impl_->cold_memory = std::move(cold);
  t->impl_->index_memory = std::move(index);
  for (auto& c : t->timeouts_) {
    for (auto& ms : c) ms.store(kTimeoutUntilSet, kRelaxed);
  }
  return t;
}

template <class F>
uint32_t FlowTable<F>::live() const noexcept {
  uint64_t removed = 0, kept = 0;
  for (uint32_t i = 0; i < impl_->worker_count; ++i)
    removed += impl_->workers[i].removed.load(kRelaxed);
  for (uint32_t i = 0; i < impl_->worker_count; ++i) kept += impl_->workers[i].kept.load(kRelaxed);
  return kept > removed ? static_cast<uint32_t>(kept - removed) : 0;
}

template <class F>
uint32_t FlowTable<F>::capacity() const noexcept {
  return impl_->zones.capacity();
}

template <class F>
void FlowTable<F>::set_zones(const ZoneShare* shares, uint32_t count) noexcept {
  impl_->zones.set(shares, count);
}

template <class F>
void FlowTable<F>::zone_state(uint8_t zone, ZoneStateRow* row) const noexcept {
  *row = ZoneStateRow{};
  row->guaranteed = impl_->zones.guaranteed(zone);
  row->maximum = impl_->zones.maximum(zone);
  for (uint32_t i = 0; i < impl_->worker_count; ++i) {
    const auto& w = impl_->workers[i];
    const auto& counts = w.zones[zone];
    uint64_t* const live[] = {&row->closing, &row->half_open, &row->one_way, &row->established};
    uint64_t* const evicted[] = {&row->evicted_closing, &row->evicted_half_open,
                                 &row->evicted_one_way, &row->evicted_established};
    for (uint32_t c = 0; c < kFlowClassCount; ++c) {
      *live[c] += w.lists.count(FlowLists::number(zone, static_cast<FlowClass>(c)));
      *evicted[c] += counts.evicted[c].load(kRelaxed);
    }
    row->kept += counts.kept.load(kRelaxed);
    row->refused += counts.refused.load(kRelaxed);
  }
}

template <class F>
size_t FlowTable<F>::bytes() const noexcept {
  return (2 * sizeof(Side) + sizeof(FlowCold)) * impl_->pool.capacity() +
         impl_->index_memory.bytes + impl_->worker_count * sizeof(typename Impl::Worker) +
         sizeof(FlowTable) + sizeof(Impl);
}

template <class F>
uint32_t FlowTable<F>::dump(uint32_t* cursor, FlowRow* rows, uint32_t max,
                            Time now) const noexcept {
  const Epochs::Aside aside(impl_->epochs);  // nothing we see is reused meanwhile
  uint32_t count = 0, record = *cursor;
  const uint32_t end = impl_->pool.used_end();
  for (; record < end && count < max; ++record) {
    const FlowCold& c = cold_[record];
    const uint32_t state = c.state.load(std::memory_order_seq_cst);
    if (state == static_cast<uint32_t>(FlowState::kNone)) continue;
    const Time over = deadline(record, now);
    if (over <= now) continue;  // only its owner's next look at it is missing
    const Side& o = sides_[entry_of(record, 0)];
    const Side& r = sides_[entry_of(record, 1)];
    FlowRow& row = rows[count++];
    row = FlowRow{};
    std::memcpy(row.original_source, &o.key.src, sizeof o.key.src);
    std::memcpy(row.original_destination, &o.key.dst, sizeof o.key.dst);
    std::memcpy(row.reply_source, &r.key.src, sizeof r.key.src);
    std::memcpy(row.reply_destination, &r.key.dst, sizeof r.key.dst);
    row.packets_forward = o.packets.load(kRelaxed);
    row.packets_backward = r.packets.load(kRelaxed);
    row.bytes_forward = o.bytes.load(kRelaxed);
    row.bytes_backward = r.bytes.load(kRelaxed);
    row.expires_ms = (over - now) / kMillisecond;
    const uint32_t idle = std::min(clock_ms(now) - o.last_seen.load(kRelaxed),
                                   clock_ms(now) - r.last_seen.load(kRelaxed));
    row.last_seen_ms = idle > kFlowTimeoutMax ? 0 : idle;
    row.service = c.service;
    row.endpoint = c.endpoint;
    row.original_source_port = o.key.sport;
    row.original_destination_port = o.key.dport;
    row.reply_source_port = r.key.sport;
    row.reply_destination_port = r.key.dport;
    row.network = o.key.network;
    row.zone = c.zone;
    row.family = F::kFamily;
    row.protocol = c.protocol;
    row.state = static_cast<uint8_t>(state);
    row.tcp_flags_forward = o.tcp_flags.load(kRelaxed);
    row.tcp_flags_backward = r.tcp_flags.load(kRelaxed);
    row.worker = c.owner;
  }
  *cursor = record < end ? record : ~0u;
  return count;
}

template class FlowTable<V4>;
template class FlowTable<V6>;

}  // namespace nodeplane
