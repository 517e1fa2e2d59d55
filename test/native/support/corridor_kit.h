#pragma once
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "control/load.h"
#include "path/corridor.h"
#include "support/node_rows.h"
#include "support/packets.h"

namespace nodeplane::test {

// Carries nothing: the corridor's tests put packets into the batch and read the outgoing lists.
class NullPort : public Port {
 public:
  explicit NullPort(PortCaps caps) : caps_(std::move(caps)) {}
  const PortCaps& caps() const noexcept override { return caps_; }
  uint32_t receive(uint32_t, Packet*, uint32_t, FrameCache&, Counters&) noexcept override {
    return 0;
  }
  uint32_t transmit(uint32_t, Packet* const*, uint32_t, FrameCache&) noexcept override { return 0; }
  void release(uint32_t, FrameCache&) noexcept override {}

 private:
  PortCaps caps_;
};

// The node of NodeRows with the memory it works in. All bytes through control's load, as in the product.
struct CorridorKit {
  static constexpr uint32_t kFrames = 2048;
  static constexpr uint32_t kCapacity = 4096;

  Epochs epochs;
  std::unique_ptr<FrameArena> arena;
  std::unique_ptr<FlowTable<V4>> flows4;
  std::unique_ptr<FlowTable<V6>> flows6;
  NeighbourTable neighbours;
  PortPool snat;
  std::vector<std::unique_ptr<Port>> ports;
  std::unique_ptr<FrameCache> frames;
  std::unique_ptr<Counters> counters = std::make_unique<Counters>();
  std::unique_ptr<Batch> batch = std::make_unique<Batch>();
  std::unique_ptr<States> states = std::make_unique<States>();
  std::unique_ptr<Tables> tables, before;  // published, and what was until then
  Time now = 1000 * kSecond;
  uint32_t generation = 0;
  bool pods_masquerade = true;
  std::vector<ZoneRow> zones;
  std::vector<Bytes> sent[kPortMax];  // of the last run, by port

  explicit CorridorKit(bool host = false, bool pods_masquerade = true,
                       uint32_t capacity = kCapacity, uint32_t workers = 1,
                       uint32_t neighbour_capacity = kNeighbourMax)
      : neighbours(neighbour_capacity), snat(workers, NodeRows::kSnatLow, NodeRows::kSnatHigh) {
    std::string error;
    arena = FrameArena::create({2048, kFrames, false}, &error);
    flows4 = FlowTable<V4>::create({capacity, workers, false}, epochs, &error);
    flows6 = FlowTable<V6>::create({capacity, workers, false}, epochs, &error);
    frames = std::make_unique<FrameCache>(*arena);
    std::memset(static_cast<void*>(counters.get()), 0, sizeof *counters);
    PortCaps caps;
    caps.unknown_partial = true;
    caps.chains = true;
    for (int i = 0; i < 3; ++i) ports.push_back(std::make_unique<NullPort>(caps));
    batch->frames = frames.get();
    batch->counters = counters.get();
    publish(host, pods_masquerade, 3);
  }
  ~CorridorKit() {
    tables.reset();
    before.reset();
    frames->flush();
    if (arena->free_count() != arena->count()) die("frames were lost");
  }

  static void die(const char* what) {
    std::fprintf(stderr, "corridor: %s\n", what);
    std::abort();
  }

  // The tables of the node with the first `endpoint_count` endpoints.
  void publish(bool host, bool masquerade, uint32_t endpoint_count) {
    pods_masquerade = masquerade;
    NodeRows rows(host, masquerade, endpoint_count);
    rows.zones = zones;
    take(rows.set());
  }
  // A change of the services whose numbers are bits of `told`: with so many endpoints, the first of
  // them `shift` places on, so that their ids stand for other places. Those of `removed` go.
  void change(uint32_t told, uint32_t removed, uint32_t endpoint_count, uint32_t shift) {
    change(NodeServices(pods_masquerade, told, endpoint_count, shift), removed & ~told);
  }
  void change(const NodeServices& services, uint32_t removed) {
    std::vector<RemovedServiceRow> gone;
    for (uint32_t id = 0; id < NodeServices::kCount; ++id)
      if ((removed >> id & 1) != 0 && tables->services->service(id)) gone.push_back({id});
    take(services.change(generation, gone));
  }
  void take(const TableSet& set) {
    Port* drivers[] = {ports[0].get(), ports[1].get(), ports[2].get()};
    LoadContext context{flows4.get(),     flows6.get(),   &snat,
                        &neighbours,      arena.get(),    drivers,
                        NodeRows::kPorts, HashSeed{1, 2}, HashKind::kSip13,
                        ++generation,     tables.get()};
    std::string error;
    auto next = load(set, context, &error);
    if (!next) die(error.c_str());
    load_apply(set, context, *next);
    before = std::move(tables);
    tables = std::move(next);
  }

  struct In {
    uint16_t port;
    Bytes bytes;
    uint16_t flags = 0;
  };
  // One batch of packets through the whole corridor; what left is in `sent`, and the books are right.
  void run(const std::vector<In>& in) {
    epochs.quiescent(0);
    batch->reset(now);
    uint32_t n = 0;
    for (const In& one : in) {
      if (n == kBatchSize || one.bytes.size() > arena->frame_size() - kFrameHeadroom) continue;
      const uint32_t frame = frames->take();
      if (frame == kFrameNone) die("no frame");
      Packet& p = batch->packets[n];
      p = Packet{};
      p.frame = frame;
      // At the frame's end: what is read past it is another frame's, or past the arena.
      p.data = arena->at(frame) + arena->frame_size() - one.bytes.size();
      if (!one.bytes.empty()) std::memcpy(p.data, one.bytes.data(), one.bytes.size());
      p.length = static_cast<uint32_t>(one.bytes.size());
      p.linear = static_cast<uint16_t>(one.bytes.size());
      p.port_in = one.port;
      p.flags = one.flags;
      ++n;
    }
    batch->count = n;
    counters->add(Counter::kPacketsIn, n);
    corridor(*batch, *tables, *states);
    collect();
  }
  void advance(Time by) {
    now += by;
    epochs.quiescent(0);
    batch->reset(now);
    while (conntrack_expire(*batch, tables->conntrack, states->conntrack, kExpireBatchMax)) {
      epochs.quiescent(0);
    }
    batch->reset(now);
    route_wake(*batch, tables->route, states->route, false);
    corridor_resume(*batch, *tables, *states);
    collect();
  }
  // Everything that waits leaves.
  void finish_waiting() {
    batch->reset(now);
    route_wake(*batch, tables->route, states->route, true);
    corridor_resume(*batch, *tables, *states);
    collect();
  }
  void collect() {
    for (uint32_t port = 0; port < 3; ++port) {
      sent[port].clear();
      auto& list = states->output.lists[port];
      for (uint32_t i = 0; i < list.count; ++i) {
        const Packet& p = *list.packets[i];
        Bytes bytes(p.data, p.data + p.linear);
        for (uint32_t f = arena->link(p.frame).next; f != kFrameNone; f = arena->link(f).next) {
          const FrameLink& link = arena->link(f);
          bytes.insert(bytes.end(), arena->at(f) + link.offset,
                       arena->at(f) + link.offset + link.length);
        }
        if (bytes.size() != p.length) die("a packet's length is not that of its frames");
        sent[port].push_back(std::move(bytes));
        frames->give_chain(p.frame);
      }
      counters->add(Counter::kPacketsOut, list.count);
      list.count = 0;
    }
    states->output.segment_count = 0;
    if (imbalance() != 0) die("the books do not balance");
  }
  uint64_t count(Counter c) const { return counters->counts[static_cast<uint32_t>(c)]; }
  uint64_t drops(Drop d) const { return counters->drops[static_cast<uint32_t>(d)]; }
  int64_t imbalance() const {
    uint64_t out = count(Counter::kPacketsOut) + count(Counter::kConsumed) + count(Counter::kHeld);
    for (const uint64_t d : counters->drops) out += d;
    return static_cast<int64_t>(count(Counter::kPacketsIn) + count(Counter::kOriginated) - out);
  }
};

}  // namespace nodeplane::test
