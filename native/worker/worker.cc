#include "worker/worker.h"

#include <cstring>
#include <utility>

#include "base/thread.h"

namespace nodeplane {

namespace {
constexpr uint32_t kQueueNone = ~0u;
}  // namespace

Worker::Worker(Shared& shared, uint32_t id, WorkerMode mode, int core, Counters* counters)
    : shared_(shared),
      id_(id),
      mode_(mode),
      core_(core),
      counters_(counters),
      frames_(*shared.arena),
      batch_(std::make_unique<Batch>()),
      states_(std::make_unique<States>()),
      incoming_(std::make_unique<Packet[]>(kHandoverBurst)) {
  for (uint32_t p = 0; p < shared.port_count; ++p) {
    const uint32_t queues = shared.ports[p]->caps().queues;
    tx_queue_[p] = kQueueNone;
    tx_owner_[p] = queue_owner(p, id % queues, shared.workers);
    for (uint32_t q = 0; q < queues; ++q) {
      if (queue_owner(p, q, shared.workers) != id) continue;
      owned_.push_back({shared.ports[p], static_cast<uint16_t>(p), q});
      if (tx_queue_[p] == kQueueNone) tx_queue_[p] = q;
    }
  }
  batch_->worker = id;
  batch_->frames = &frames_;
  batch_->counters = counters;
  states_->conntrack.worker = id;
  states_->nat.worker = id;
}

Worker::~Worker() { join(); }

void Worker::start() {
  thread_ = std::thread([this] { run(); });
}

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

uint32_t Worker::receive(Port& port, uint16_t port_id, uint32_t queue, const Tables& tables,
                         Time now) noexcept {
  Batch& batch = *batch_;
  batch.reset(now);
  const uint64_t lost = lost_in_receive(*counters_);
  const uint32_t n = port.receive(queue, batch.packets, kBatchSize, frames_, *counters_);
  const uint64_t in = n + lost_in_receive(*counters_) - lost;
  if (in == 0) return 0;
  counters_->add(Counter::kPacketsIn, in);
  auto& per_port = counters_->ports[port_id];
  per_port.rx_packets += in;
  if (n == 0) return static_cast<uint32_t>(in);
  for (uint32_t i = 0; i < n; ++i) {
    batch.packets[i].port_in = port_id;
    per_port.rx_bytes += batch.packets[i].length;
  }
  batch.count = n;
  if (__builtin_expect(shared_.bridge, 0))
    bridge(tables);
  else
    corridor(batch, tables, *states_);
  counters_->add(Counter::kBatches);
  flush(tables);
  return static_cast<uint32_t>(in);
}

void Worker::bridge(const Tables& tables) noexcept {
  for (uint32_t i = 0; i < batch_->count; ++i) {
    Packet& p = batch_->packets[i];
    p.port_out = p.port_in ^ 1;
    if (p.port_out >= tables.output.port_count) p.port_out = p.port_in;
    auto& list = states_->output.lists[p.port_out];
    list.packets[list.count++] = &p;
  }
}

void Worker::drop_rest(Packet* const* packets, uint32_t count, Drop why) noexcept {
  for (uint32_t i = 0; i < count; ++i) frames_.give_chain(packets[i]->frame);
  counters_->drops[static_cast<uint32_t>(why)] += count;
}

void Worker::send(uint16_t port_id, uint32_t queue, Packet* const* packets,
                  uint32_t count) noexcept {
  Port& port = *shared_.ports[port_id];
  uint64_t bytes = 0;
  uint32_t sent = 0, refused = 0;
  // A full ring gets one more chance after its finished frames were taken back.
  for (int chance = 0; chance < 2 && sent < count; ++chance) {
    if (chance) port.release(queue, frames_);
    // Lengths are read before the port owns the packets.
    uint64_t ahead = 0;
    uint32_t lengths[Output::kListRoom];
    for (uint32_t i = sent; i < count; ++i) lengths[i] = packets[i]->length;
    const uint32_t took = port.transmit(queue, packets + sent, count - sent, frames_);
    for (uint32_t i = sent; i < sent + took; ++i) ahead += lengths[i];
    sent += took;
    if (const uint32_t lost = port.refused(queue)) {
      refused += lost;
      counters_->drops[static_cast<uint32_t>(port.refused_as(queue))] += lost;
    }
    bytes += ahead;
  }
  counters_->add(Counter::kPacketsOut, sent - refused);
  counters_->ports[port_id].tx_packets += sent - refused;
  counters_->ports[port_id].tx_bytes += bytes;
  if (sent < count) drop_rest(packets + sent, count - sent, Drop::kTxRingFull);
}

void Worker::flush(const Tables& tables) noexcept {
  auto& out = states_->output;
  for (uint32_t p = 0; p < tables.output.port_count; ++p) {
    auto& list = out.lists[p];
    if (list.count == 0) continue;
    if (tx_queue_[p] != kQueueNone) {
      send(static_cast<uint16_t>(p), tx_queue_[p], list.packets, list.count);
    } else {
      const uint32_t to = tx_owner_[p];
      Handover& ring = *shared_.rings[id_ * shared_.workers + to];
      uint32_t i = 0;
      while (i < list.count && ring.push(*list.packets[i])) ++i;
      counters_->add(Counter::kHandedOver, i);
      drop_rest(list.packets + i, list.count - i, Drop::kHandoverFull);
      woken_[to] |= i > 0;
    }
    list.count = 0;
  }
  out.segment_count = 0;
}

uint32_t Worker::take_handovers() noexcept {
  if (shared_.workers == 1) return 0;
  uint32_t total = 0;
  for (uint32_t from = 0; from < shared_.workers; ++from) {
    Handover* ring = shared_.rings[from * shared_.workers + id_].get();
    if (!ring) continue;
    uint32_t n = 0;
    while (n < kHandoverBurst && ring->pop(&incoming_[n])) ++n;
    total += n;
    // Runs of one port go out together; order within the ring is kept.
    Packet* run[kHandoverBurst];
    for (uint32_t i = 0; i < n;) {
      const uint16_t port = incoming_[i].port_out;
      uint32_t count = 0;
      while (i < n && incoming_[i].port_out == port) run[count++] = &incoming_[i++];
      send(port, tx_queue_[port], run, count);
    }
  }
  return total;
}

void Worker::wake_waiting(const Tables& tables, Time now, bool all) noexcept {
  Batch& batch = *batch_;
  batch.reset(now);
  route_wake(batch, tables.route, states_->route, all);
  if (batch.count == 0 && batch.owed_count == 0) return;
  corridor_resume(batch, tables, *states_);
  flush(tables);
}

uint32_t Worker::turn(Time now) noexcept {
  shared_.epochs->quiescent(id_);
  const Tables* tables = shared_.tables.load(std::memory_order_seq_cst);
  if (!tables) return 0;
  uint32_t moved = 0;
  for (const auto& o : owned_) {
    o.port->release(o.queue, frames_);
    moved += receive(*o.port, o.port_id, o.queue, *tables, now);
  }
  moved += take_handovers();
  wake_waiting(*tables, now, false);
  batch_->reset(now);
  moved += conntrack_expire(*batch_, tables->conntrack, states_->conntrack, kExpireBatchMax);
  const uint64_t told = std::exchange(states_->conntrack.told, 0);
  for (uint32_t w = 0; w < shared_.workers; ++w) {
    if (!woken_[w] && (told >> w & 1) == 0) continue;
    woken_[w] = false;
    // Ring push and notice before the look at sleeping.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (shared_.sleeping[w].load(std::memory_order_relaxed)) thread_wake(shared_.wake_fds[w]);
  }
  counters_->counts[static_cast<uint32_t>(Counter::kFramesTaken)] = frames_.taken();
  counters_->counts[static_cast<uint32_t>(Counter::kFramesGiven)] = frames_.given();
  return moved;
}

uint32_t Worker::turn_port(uint16_t port_id, Time now) noexcept {
  shared_.epochs->quiescent(id_);
  const Tables* tables = shared_.tables.load(std::memory_order_acquire);
  const uint32_t moved = receive(*shared_.ports[port_id], port_id, 0, *tables, now);
  wake_waiting(*tables, now, false);  // a neighbour's answer lets go what waits, at once
  batch_->reset(now);
  conntrack_expire(*batch_, tables->conntrack, states_->conntrack, kExpireBatchMax);
  return moved;
}

void Worker::advance(Time now) noexcept {
  shared_.epochs->quiescent(id_);
  const Tables* tables = shared_.tables.load(std::memory_order_acquire);
  batch_->reset(now);
  while (conntrack_expire(*batch_, tables->conntrack, states_->conntrack, kExpireBatchMax)) {
    shared_.epochs->quiescent(id_);
  }
  wake_waiting(*tables, now, false);
}

void Worker::drain(Time now) noexcept {
  const Tables* tables = shared_.tables.load(std::memory_order_acquire);
  if (tables) wake_waiting(*tables, now, true);
  for (uint32_t from = 0; shared_.workers > 1 && from < shared_.workers; ++from) {
    Handover* ring = shared_.rings[from * shared_.workers + id_].get();
    Packet p;
    while (ring && ring->pop(&p)) {
      Packet* one = &p;
      drop_rest(&one, 1, Drop::kShutdown);
    }
  }
  for (const auto& o : owned_) o.port->release(o.queue, frames_);
  counters_->counts[static_cast<uint32_t>(Counter::kFramesTaken)] = frames_.taken();
  counters_->counts[static_cast<uint32_t>(Counter::kFramesGiven)] = frames_.given();
  frames_.flush();
  shared_.epochs->offline(id_);
}

void Worker::sleep(Time now) noexcept {
  shared_.sleeping[id_].store(true, std::memory_order_seq_cst);
  bool work = shared_.stopping.load(std::memory_order_seq_cst);
  for (uint32_t from = 0; !work && shared_.workers > 1 && from < shared_.workers; ++from) {
    Handover* ring = shared_.rings[from * shared_.workers + id_].get();
    work = ring && !ring->empty();
  }
  int fds[kPortMax * 4 + 1];
  uint32_t count = 0;
  fds[count++] = shared_.wake_fds[id_];
  bool must_poll = false;
  for (const auto& o : owned_) {
    if (work) break;
    work = !o.port->arm(o.queue);
    const int fd = o.port->wait_fd(o.queue);
    if (fd >= 0 && count < sizeof fds / sizeof *fds)
      fds[count++] = fd;
    else
      must_poll = true;
  }
  if (!work) {
    int ms = kSleepMsMax;
    const Tables* tables = shared_.tables.load(std::memory_order_acquire);
    if (tables) {
      const Time due =
          std::min(tables->conntrack.v4->next_due(id_), tables->conntrack.v6->next_due(id_));
      if (due <= now)
        ms = 1;
      else if (due - now < static_cast<Time>(ms) * kMillisecond)
        ms = static_cast<int>((due - now) / kMillisecond) + 1;
      if (states_->route.waiting_count > 0) ms = std::min(ms, 50);
    }
    if (must_poll) ms = 1;  // a port without a descriptor is looked at every millisecond
    shared_.epochs->offline(id_);
    thread_sleep(fds, count, ms);
    shared_.epochs->quiescent(id_);
  }
  shared_.sleeping[id_].store(false, std::memory_order_seq_cst);
}

void Worker::run() noexcept {
  thread_settle(("np-worker-" + std::to_string(id_)).c_str(), core_);
  Time idle_since = 0;
  Time now = time_now();
  while (!shared_.stopping.load(std::memory_order_relaxed)) {
    now = time_now();
    if (turn(now) > 0) {
      idle_since = 0;
      continue;
    }
    if (mode_ == WorkerMode::kPolling) continue;
    if (idle_since == 0) idle_since = now;
    if (mode_ == WorkerMode::kInterrupt || now - idle_since >= kSpinBeforeSleep) sleep(now);
  }
  drain(now);
}

}  // namespace nodeplane
