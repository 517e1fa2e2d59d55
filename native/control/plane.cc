#include "control/plane.h"

#include <algorithm>
#include <cstring>

#include "base/be.h"
#include "base/memory.h"
#include "base/thread.h"
#include "control/take.h"

namespace nodeplane {

namespace {
constexpr int kReclaimWaitMs = 200;
}  // namespace

std::unique_ptr<Plane> Plane::create(const PlaneOptions& options, std::string* error) {
  if (options.workers < 1 || options.workers > kWorkerMax) {
    *error = "workers must be between 1 and " + std::to_string(kWorkerMax);
    return nullptr;
  }
  if (options.snat_port_low == 0 || options.snat_port_low > options.snat_port_high) {
    *error = "the SNAT port range is empty";
    return nullptr;
  }
  std::unique_ptr<Plane> p(new Plane);
  p->options_ = options;
  p->arena_ = FrameArena::create({options.frame_size, options.frames, options.huge}, error);
  if (!p->arena_) return nullptr;
  if (!p->make_flows(error)) return nullptr;
  p->neighbours_ = std::make_unique<NeighbourTable>();
  p->snat_ports_ =
      std::make_unique<PortPool>(options.workers, options.snat_port_low, options.snat_port_high);
  p->counters_bytes_ = options.workers * sizeof(Counters);
  p->counters_ = static_cast<Counters*>(memory_map(p->counters_bytes_, false, nullptr));
  if (!p->counters_) {
    *error = "no memory for counters";
    return nullptr;
  }
  p->copy_ = open_copy(options.copy, &p->copy_why_);
  p->shared_.arena = p->arena_.get();
  p->shared_.epochs = &p->epochs_;
  p->shared_.workers = options.workers;
  p->shared_.bridge = options.bridge;
  return p;
}

bool Plane::make_flows(std::string* error) {
  const auto& o = options_;
  FlowTable<V4>::Options v4{o.flow_capacity4, o.workers, o.huge};
  FlowTable<V6>::Options v6{o.flow_capacity6, o.workers, o.huge};
  if (!o.flow_file.empty()) {
    FlowFile::Options where{o.flow_file, o.flow_huge_directory};
    where.capacity4 = FlowTable<V4>::record_count(o.flow_capacity4);
    where.capacity6 = FlowTable<V6>::record_count(o.flow_capacity6);
    flow_file_ = FlowFile::open(where, error);
    if (!flow_file_) {
      *error = "flow file " + *error;
      return false;
    }
    v4.records = flow_file_->records<V4>();
    v6.records = flow_file_->records<V6>();
    generation_ = flow_file_->generation();
  }
  flows4_ = FlowTable<V4>::create(v4, epochs_, error);
  if (flows4_) flows6_ = FlowTable<V6>::create(v6, epochs_, error);
  return flows4_ && flows6_;
}

// Once the timers are known and before anybody can look: what an earlier process left, dealt anew.
void Plane::restore_flows() {
  if (!flow_file_ || !flow_file_->found()) return;
  const Time began = time_now();
  FlowRestore from;
  from.hash = options_.hash;
  from.seed = options_.seed;
  from.service_born = born_.services.data();
  from.service_count = static_cast<uint32_t>(born_.services.size());
  from.endpoint_born = born_.endpoints.data();
  from.endpoint_count = static_cast<uint32_t>(born_.endpoints.size());
  from.generation = generation_;
  from.ports = snat_ports_.get();
  from.now = began;
  restored_ = flows4_->restore(from);
  restored_ += flows6_->restore(from);
  restore_ms_ = static_cast<double>(time_now() - began) / kMillisecond;
  born_ = {};
}

Plane::~Plane() {
  close();
  if (counters_) memory_unmap(counters_, counters_bytes_);
}

int Plane::open_port(PortSpec spec, std::string* error) {
  if (closed_ || tables_) {
    *error = "ports are opened before the first publish";
    return -1;
  }
  if (ports_.size() == kPortMax) {
    *error = "more than " + std::to_string(kPortMax) + " ports";
    return -1;
  }
  spec.id = static_cast<uint16_t>(ports_.size());
  spec.copy = copy_.get();
  auto port = nodeplane::open_port(spec, *arena_, error);
  if (!port) return -1;
  ports_.push_back(std::move(port));
  interfaces_.push_back(spec.interface);
  shared_.ports[spec.id] = ports_.back().get();
  shared_.port_count = static_cast<uint32_t>(ports_.size());
  return spec.id;
}

// Tells the ports that share their interface what is ours, of a change what differs.
bool Plane::take_ports(const TableSet& set, const Tables& next, std::string* error) {
  const auto is_shared = [&](uint32_t port) { return (next.parse.ports[port].flags & 1) != 0; };
  uint32_t shared = 0;
  for (uint32_t i = 0; i < ports_.size(); ++i) shared += is_shared(i);
  if (shared == 0) return true;
  TakeRows rows;
  const bool is_change = set.base_generation != 0 && knows_taken_;
  if (is_change)
    rows = take_difference(set, *tables_, next);
  else
    rows.come = take_all(next, *snat_ports_, {options_.snat_port_low, options_.snat_port_high});
  knows_taken_ = false;
  for (uint32_t i = 0; i < ports_.size(); ++i) {
    if (!is_shared(i)) continue;
    Port& port = *ports_[i];
    if (!(is_change ? port.take_change(rows.come, rows.gone, error) : port.take(rows.come, error)))
      return false;
  }
  knows_taken_ = true;
  return true;
}

bool Plane::share_ports(const Tables& tables, std::string* error) {
  if (tables_) return true;  // ports do not change later
  for (uint16_t i = 0; i < ports_.size(); ++i) {
    if (!(tables.parse.ports[i].flags & 1)) continue;
    if (!kernel_neighbours_) kernel_neighbours_ = KernelNeighbours::open(error);
    if (!kernel_neighbours_ || !kernel_neighbours_->add(i, interfaces_[i], error)) return false;
  }
  return true;
}

bool Plane::read_neighbours() {
  if (!kernel_neighbours_ || closed_) return false;
  const Time now = clock();
  kernel_neighbours_->read([&](const KernelNeighbours::Seen& n) {
    neighbours_->learn(n.port, n.family, n.address, n.mac, true, true, now);
  });
  NeighbourStateRow rows[64];
  for (uint32_t cursor = 0; cursor != kIdNone;) {
    const uint32_t n = neighbours_->dump(&cursor, rows, 64);
    for (uint32_t i = 0; i < n; ++i) {
      if (rows[i].state != static_cast<uint8_t>(NeighbourState::kIncomplete)) continue;
      const auto& a = rows[i].address;
      kernel_neighbours_->resolve(rows[i].port, rows[i].family,
                                  IpAddress::from_bytes(a, rows[i].family));
    }
    if (n == 0) break;
  }
  // Workers that sleep have packets waiting for what was just learnt.
  for (int fd : shared_.wake_fds) thread_wake(fd);
  return true;
}

uint32_t Plane::publish(const uint8_t* bytes, size_t size, std::string* error) {
  if (closed_) {
    *error = "the dataplane is closed";
    return 0;
  }
  TableSet set;
  if (!table_set_check(bytes, size, &set, error)) return 0;
  LoadContext context{flows4_.get(), flows6_.get(),   snat_ports_.get(),  neighbours_.get(),
                      arena_.get(),  shared_.ports,   shared_.port_count, options_.seed,
                      options_.hash, generation_ + 1, tables_.get()};
  auto next = load(set, context, error);
  if (!next) return 0;
  if (!take_ports(set, *next, error) || !share_ports(*next, error)) return 0;
  load_apply(set, context, *next);
  if (!tables_) restore_flows();
  if (flow_file_) flow_file_->set_generation(context.generation);
  shared_.tables.store(next.get(), std::memory_order_seq_cst);
  if (tables_) retired_.push_back({std::move(tables_), epochs_.retire()});
  tables_ = std::move(next);
  generation_ = context.generation;
  for (int fd : shared_.wake_fds) thread_wake(fd);
  reclaim(running_);
  return generation_;
}

// Frees table sets that no worker can see any more; `wait`: gives busy workers a moment to pass.
void Plane::reclaim(bool wait) {
  for (int ms = 0; !retired_.empty(); ++ms) {
    const uint64_t safe = epochs_.safe();
    std::erase_if(retired_, [&](const Retired& r) { return r.epoch < safe; });
    if (!wait || ms >= kReclaimWaitMs) return;
    if (!retired_.empty()) thread_pause(1);
  }
}

bool Plane::make_workers(std::string* error) {
  const uint32_t n = options_.workers;
  shared_.rings.clear();
  shared_.rings.resize(size_t{n} * n);
  shared_.sleeping = std::make_unique<std::atomic<bool>[]>(n);
  for (uint32_t w = 0; w < n; ++w) {
    const int fd = thread_event();
    if (fd < 0) {
      *error = "no eventfd to wake a worker: too many open files";
      return false;
    }
    shared_.wake_fds.push_back(fd);
    for (uint32_t p = 0; p < shared_.port_count; ++p) {
      const uint32_t queues = shared_.ports[p]->caps().queues;
      const uint32_t owner = queue_owner(p, w % queues, n);
      auto& ring = shared_.rings[size_t{w} * n + owner];
      if (owner != w && !ring) ring = std::make_unique<Handover>();
    }
  }
  for (uint32_t w = 0; w < n; ++w) {
    const int core = w < options_.pin.size() ? options_.pin[w] : -1;
    workers_.push_back(std::make_unique<Worker>(shared_, w, options_.mode, core, counters_ + w));
  }
  return true;
}

bool Plane::start(std::string* error) {
  if (running_ || closed_ || !tables_) {
    *error = running_  ? "already running"
             : closed_ ? "the dataplane is closed"
                       : "publish before start";
    return false;
  }
  shared_.stopping.store(false);
  if (!make_workers(error)) {
    stop();
    return false;
  }
  running_ = true;
  for (auto& w : workers_) w->start();
  return true;
}

void Plane::stop() {
  shared_.stopping.store(true, std::memory_order_seq_cst);
  for (int fd : shared_.wake_fds) thread_wake(fd);
  for (auto& w : workers_) w->join();
  // A worker that stopped early may have been handed packets by one that stopped late.
  for (auto& w : workers_) w->drain(clock());
  workers_.clear();
  for (int fd : shared_.wake_fds) thread_event_close(fd);
  shared_.wake_fds.clear();
  shared_.rings.clear();
  running_ = false;
  reclaim(false);
}

bool Plane::close(bool keep_flows) {
  if (closed_) return true;
  stop();
  closed_ = true;
  ports_.clear();
  if (flow_file_) flow_file_->close(tables_ ? keep_flows : flow_file_->found());
  shared_.port_count = 0;
  shared_.tables.store(nullptr);
  tables_.reset();
  retired_.clear();
  return arena_->free_count() == arena_->count();
}

bool Plane::replay(const std::vector<uint16_t>& ports, std::string* error) {
  if (running_ || closed_ || !tables_) {
    *error = "a replay needs published tables and no running workers";
    return false;
  }
  options_.workers = shared_.workers = 1;
  if (!make_workers(error)) return false;
  Worker& worker = *workers_[0];
  replayed_ = true;
  replay_time_ = 0;
  for (;;) {
    int first = -1;
    Time when = 0;
    for (const uint16_t p : ports) {
      const auto t = ports_[p]->next_time();
      if (t && (first < 0 || *t < when)) {
        first = p;
        when = *t;
      }
    }
    if (first < 0) break;
    if (when > replay_time_) {
      replay_time_ = when;
      for (auto& port : ports_) port->set_time(when);
      worker.advance(when);
    }
    worker.turn_port(static_cast<uint16_t>(first), replay_time_);
  }
  stop();
  error->clear();
  for (auto& port : ports_) {
    const std::string why = port->failure();
    if (!why.empty()) *error += (error->empty() ? "" : "; ") + why;
  }
  return error->empty();
}

}  // namespace nodeplane
