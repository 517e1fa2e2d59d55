#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/epoch.h"
#include "driver/driver.h"
#include "path/corridor.h"
#include "worker/handover.h"

namespace nodeplane {

enum class WorkerMode : uint8_t { kPolling, kInterrupt, kAdaptive };
inline constexpr Time kSpinBeforeSleep = 50'000;  // adaptive: idle nanoseconds before sleeping
inline constexpr int kSleepMsMax = 1000;  // a sleeper looks at its timers at least this often
inline constexpr uint32_t kHandoverBurst = 256;  // packets taken from one ring in one turn

// What all workers share. Set up before the first starts, unchanged until the last has stopped,
// but for the root pointer.
struct Shared {
  FrameArena* arena = nullptr;
  Epochs* epochs = nullptr;
  std::atomic<const Tables*> tables{nullptr};
  uint32_t workers = 1;
  Port* ports[kPortMax] = {};
  uint32_t port_count = 0;
  // rings[from * workers + to]; only pairs that some port needs
  std::vector<std::unique_ptr<Handover>> rings;
  std::vector<int> wake_fds;  // one eventfd per worker
  std::unique_ptr<std::atomic<bool>[]> sleeping;
  std::atomic<bool> stopping{false};
  // Packets of port 0 leave by port 1 and the other way round, untouched: what the drivers cost
  // without the corridor, for the benchmark's sake.
  bool bridge = false;
};

// Queues go round the workers, each port starting one further, so that ports with one queue spread
// too. A worker without a queue on a port hands its packets over to the owner of queue (worker %
// queues).
inline uint32_t queue_owner(uint32_t port, uint32_t queue, uint32_t workers) noexcept {
  return (port + queue) % workers;
}

// Runs to completion: receive -> corridor -> transmit, on one core. One `turn` is one round over
// everything it owns; `run` turns until told to stop, sleeping as its mode says.
class Worker {
 public:
  Worker(Shared& shared, uint32_t id, WorkerMode mode, int core, Counters* counters);
  ~Worker();
  void start();
  void join();

  // One round at `now`: packets moved, and one more while timers are overdue, so that nobody sleeps
  // over them. Also what a replay drives.
  uint32_t turn(Time now) noexcept;
  // A replay's round: one receive from one port. Packets received.
  uint32_t turn_port(uint16_t port, Time now) noexcept;
  // Timers up to `now`, all of them; then waiting packets. A replay's virtual clock.
  void advance(Time now) noexcept;
  // Everything still inside leaves: waiting packets, hand-over rings. After the last turn.
  void drain(Time now) noexcept;

 private:
  void run() noexcept;
  void sleep(Time now) noexcept;
  uint32_t receive(Port& port, uint16_t port_id, uint32_t queue, const Tables& tables,
                   Time now) noexcept;
  void bridge(const Tables& tables) noexcept;
  void wake_waiting(const Tables& tables, Time now, bool all) noexcept;
  void flush(const Tables& tables) noexcept;  // lists -> ports, hand-over
  void send(uint16_t port_id, uint32_t queue, Packet* const* packets, uint32_t count) noexcept;
  uint32_t take_handovers() noexcept;
  void drop_rest(Packet* const* packets, uint32_t count, Drop why) noexcept;

  Shared& shared_;
  const uint32_t id_;
  const WorkerMode mode_;
  const int core_;
  Counters* const counters_;
  FrameCache frames_;
  struct Owned {
    Port* port;
    uint16_t port_id;
    uint32_t queue;
  };
  std::vector<Owned> owned_;
  uint32_t tx_queue_[kPortMax];  // this worker's queue on that port, or ~0: hand over
  uint32_t tx_owner_[kPortMax];
  bool woken_[kWorkerMax] = {};  // workers given packets in this turn
  std::unique_ptr<Batch> batch_;
  std::unique_ptr<States> states_;
  std::unique_ptr<Packet[]> incoming_;
  std::thread thread_;
};

}  // namespace nodeplane
