#pragma once
#include <gtest/gtest.h>

#include "base/thread.h"
#include "support/corridor_kit.h"
#include "support/flows.h"
#include "worker/worker.h"

namespace nodeplane::test {

// One worker, or two, over three ports, the first two of which a test may bring.
struct WorkerNode {
  CorridorKit kit;
  Shared shared;
  // Of worker 0 and of worker 1.
  std::unique_ptr<Counters> counters = std::make_unique<Counters>();
  std::unique_ptr<Counters> others = std::make_unique<Counters>();

  WorkerNode(Port* first, Port* second, uint32_t workers = 1)
      : kit(false, true, CorridorKit::kCapacity, workers) {
    shared.workers = workers;
    shared.arena = kit.arena.get();
    shared.epochs = &kit.epochs;
    shared.ports[0] = first ? first : kit.ports[0].get();
    shared.ports[1] = second ? second : kit.ports[1].get();
    shared.ports[2] = kit.ports[2].get();
    shared.port_count = 3;
    shared.rings.resize(workers * workers);
    for (auto& ring : shared.rings) ring = std::make_unique<Handover>();
    shared.sleeping = std::make_unique<std::atomic<bool>[]>(workers);
    for (uint32_t w = 0; w < workers; ++w) shared.wake_fds.push_back(thread_event());
    shared.tables.store(kit.tables.get());
    for (Counters* c : {counters.get(), others.get()})
      std::memset(static_cast<void*>(c), 0, sizeof *c);
  }
  ~WorkerNode() {
    for (const int fd : shared.wake_fds) thread_event_close(fd);
  }
  // Connections whose time is up as soon as the clock ticks.
  void overdue(uint32_t count, Time now) {
    kit.flows4->set_timers(FlowTimers{});
    for (uint32_t n = 0; n < count; ++n) {
      FlowRef ref;
      ASSERT_EQ(kit.flows4->keep(0, make_flow<V4>(n), now, &ref), KeepResult::kKept);
    }
  }
  uint32_t live() const { return kit.flows4->live(); }
  uint64_t sum(Counter c) const {
    return counters->counts[static_cast<uint32_t>(c)] + others->counts[static_cast<uint32_t>(c)];
  }
  uint64_t drops(Drop d) const { return counters->drops[static_cast<uint32_t>(d)]; }  // of worker 0
};

}  // namespace nodeplane::test
