#pragma once
#include <memory>
#include <string>
#include <vector>

#include "control/load.h"
#include "copy/copy.h"
#include "driver/kernel_neighbours.h"
#include "table/flow_file.h"
#include "worker/worker.h"

namespace nodeplane {

// How a dataplane is made; fixed for its life.
struct PlaneOptions {
  uint32_t workers = 1;
  uint32_t frames = 16384;
  uint32_t frame_size = 2048;
  bool huge = true;
  uint32_t flow_capacity4 = 65536;
  uint32_t flow_capacity6 = 65536;
  HashKind hash = HashKind::kSip13;
  HashSeed seed{};
  WorkerMode mode = WorkerMode::kAdaptive;
  std::vector<int> pin;  // core of worker i; missing: not pinned
  bool bridge = false;   // no corridor: port 0 and port 1 joined (Shared::bridge)
  uint16_t snat_port_low = 1024;
  uint16_t snat_port_high = 29999;
  CopyOptions copy;
  std::string flow_file;            // where records outlive us; empty: private memory
  std::string flow_huge_directory;  // FlowFile::Options
};

// In which generation ids got their meaning, as an earlier process' directory says; by id, 0: none.
struct BornIds {
  std::vector<uint32_t> services, endpoints;
};

// One dataplane without Node: memory, ports, tables, workers. Called by one thread (JavaScript's, or
// a test's); workers are its own. Order: create, open_port…, publish, start … stop, close.
class Plane {
 public:
  static std::unique_ptr<Plane> create(const PlaneOptions& options, std::string* error);
  ~Plane();

  // The port's id, or -1 with a reason. Before the first publish only.
  int open_port(PortSpec spec, std::string* error);
  // Swaps the root pointer between two batches. The new generation, or 0 with a reason and nothing changed.
  uint32_t publish(const uint8_t* bytes, size_t size, std::string* error);
  // Before the first publish, which restores the flow file's records: those of ids not named here end.
  void know_ids(BornIds ids) { born_ = std::move(ids); }
  bool start(std::string* error);
  void stop();
  // Ports that share their interface learn their neighbours from the kernel: to be called a few times
  // a second. False: there is no such port.
  bool read_neighbours();
  // Closes all ports and gives every frame back; false when the books do not balance. `keep_flows`: the
  // flow file stays for the next process. Until the first publish it stays if there was one.
  bool close(bool keep_flows = true);

  // Offline: ports' inputs merged by timestamp, ties in the order of `ports`; their time is the clock.
  // Runs on the calling thread to the end of all inputs. False with a reason.
  bool replay(const std::vector<uint16_t>& ports, std::string* error);

  Port& port(uint32_t id) { return *ports_[id]; }
  uint32_t port_count() const { return static_cast<uint32_t>(ports_.size()); }
  Counters* counters() const { return counters_; }  // one per worker, page aligned
  size_t counters_bytes() const { return counters_bytes_; }
  FrameArena& arena() { return *arena_; }
  FlowTable<V4>& flows4() { return *flows4_; }
  FlowTable<V6>& flows6() { return *flows6_; }
  NeighbourTable& neighbours() { return *neighbours_; }
  PortPool& snat_ports() { return *snat_ports_; }
  Epochs& epochs() { return epochs_; }
  const PlaneOptions& options() const { return options_; }
  // Who copies, why it is not who was asked for (empty: it is), and what it counted, as JSON.
  std::string copy_description() const { return copy_->description(); }
  const std::string& copy_why() const { return copy_why_; }
  std::string copy_stats() const { return copy_->stats_json(); }
  uint32_t generation() const { return generation_; }
  // Null: the records are private.
  const FlowFile* flow_file() const { return flow_file_.get(); }
  const FlowRestored& restored() const { return restored_; }
  double restore_ms() const { return restore_ms_; }
  // As a worker takes them, that has just passed a quiescent point.
  const Tables* tables() const { return shared_.tables.load(std::memory_order_seq_cst); }
  bool running() const { return running_; }
  Time clock() const { return replayed_ ? replay_time_ : time_now(); }

 private:
  Plane() = default;
  bool make_flows(std::string* error);
  void restore_flows();
  bool make_workers(std::string* error);
  bool take_ports(const TableSet& set, const Tables& next, std::string* error);
  bool share_ports(const Tables& tables, std::string* error);
  void reclaim(bool wait);

  PlaneOptions options_;
  Epochs epochs_;
  std::unique_ptr<FrameArena> arena_;
  std::unique_ptr<FlowFile> flow_file_;  // before the tables that lie in it
  std::unique_ptr<FlowTable<V4>> flows4_;
  std::unique_ptr<FlowTable<V6>> flows6_;
  std::unique_ptr<NeighbourTable> neighbours_;
  std::unique_ptr<PortPool> snat_ports_;
  std::unique_ptr<CopyEngine> copy_;  // before the ports, so that it outlives their channels
  std::string copy_why_;
  std::vector<std::unique_ptr<Port>> ports_;
  std::vector<std::string> interfaces_;                  // of the ports
  std::unique_ptr<KernelNeighbours> kernel_neighbours_;  // when a port shares its interface
  Counters* counters_ = nullptr;
  size_t counters_bytes_ = 0;
  Shared shared_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<Tables> tables_;
  bool knows_taken_ = false;  // ports that share their interface: what tables_ say is ours
  struct Retired {
    std::unique_ptr<Tables> tables;
    uint64_t epoch;
  };
  std::vector<Retired> retired_;
  uint32_t generation_ = 0;
  BornIds born_;
  FlowRestored restored_;
  double restore_ms_ = 0;
  bool running_ = false;
  bool closed_ = false;
  bool replayed_ = false;
  Time replay_time_ = 0;
};

}  // namespace nodeplane
