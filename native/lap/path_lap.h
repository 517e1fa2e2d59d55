#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "lap/lap_hand.h"
#include "peer/histogram.h"

namespace nodeplane {

// Of a lap's plane.
inline constexpr uint16_t kClientPort = 0, kEndpointPort = 1;
// Longer than the default timer of a connection whose SYN was seen (120 s), by some ticks of the wheel.
inline constexpr Time kHalfOpenGone = 122 * kSecond;

// The corridor in memory, without I/O: flows opened through it, packets laid into frames between
// timed laps, walked by one worker or by several at once. Port 0 is the clients' side, port 1 the
// endpoints'; the plane has published its tables and is not running. Timers are the defaults.
class PathLap {
 public:
  struct Service {
    IpAddress address;
    uint16_t be_port;
  };
  struct Options {
    uint8_t family = 4;
    uint32_t flows = 0;
    std::vector<Service> services;
    bool backward = false;  // remember where each flow was sent, so that answers can be laid
  };
  enum class What : uint8_t {
    kCorridor,  // packets of the flows, drawn at random, all of the original direction
    kBoth,      // the same; every second batch is their answers (Options::backward)
    kSilent,    // as kCorridor, of flows that were silent for longer than the shortest timer
    kEmpty,     // the same, and nothing walks them
    kFloor,     // one random line per packet, prefetched, of as many bytes as the table has
    kNew,       // one SYN each of flows never seen; they go away between laps
    kExpire,    // the same, while those of the lap before expire
    kReset      // SYNs of new flows, as many RSTs of the last ones, and the expiry of those
  };
  enum class Way : uint8_t { kForward, kBackward, kBoth };  // kBoth: batch by batch in turn
  // Whose packets a worker gets: flows first, first + stride, …
  struct Draw {
    uint32_t first = 0, stride = 1;
    Way way = Way::kForward;
  };

  // Turns of a worker at work: a batch, a quiescent point, expiry.
  struct Turns {
    Histogram ns;
    uint64_t preempted = 0;  // turns in which another thread got the core; not in `ns`
    uint64_t expired = 0;
  };

  // Opens the flows (SYN, SYN-ACK, ACK) through the corridor itself, spread over the services in
  // turn, as worker 0. Null with a reason.
  static std::unique_ptr<PathLap> create(Plane& plane, Options options, std::string* error);
  ~PathLap();

  // Lays kLapFrames newly drawn packets, and walks them once: nanoseconds per packet, or per new
  // connection, as worker 0. Only walking is timed (kNew and others: with what a worker does around a batch).
  double lap(What what) noexcept;
  // The same by several workers at once, worker i on core cores[i]: `laps` times, beginning together
  // each time; where laps change nothing for the next ones, behind as many that are not timed.
  // Nanoseconds of each worker.
  std::vector<double> together(What what, const std::vector<Draw>& draws,
                               const std::vector<int>& cores, uint32_t laps);
  // Worker 0 at work on a thread of its own, for `seconds` of turns at least and until end_turns, while
  // `expiring` flows a second come to their end. The plane may publish meanwhile; no other laps then.
  void begin_turns(double seconds, uint32_t expiring, int core);
  std::unique_ptr<Turns> end_turns();  // null: none were begun
  bool at_work() const noexcept { return turns_ != nullptr; }
  // Packets of the last lap or laps that did not leave as they should: must be 0.
  uint32_t strays() const noexcept;
  std::string drops() const;  // names and counts since the beginning, for an error's text
  bool has_answers() const noexcept { return options_.backward; }
  // From now on every packet of worker 0 walks the stages.
  void close_express() noexcept { hands_[0]->close_express(); }

 private:
  PathLap() = default;
  bool open_flows(std::string* error);
  void lay(const LapHand& hand, uint32_t frame, uint32_t flow, uint8_t tcp_flags) const noexcept;
  void lay_back(const LapHand& hand, uint32_t frame, uint32_t flow) const noexcept;
  void lay_known(LapHand& hand, const Draw& draw) noexcept;
  void lay_new(LapHand& hand, What what) noexcept;
  void prepare(LapHand& hand, What what, const Draw& draw) noexcept;
  double run(LapHand& hand, What what, const Draw& draw) noexcept;
  void walk_known(LapHand& hand, const Draw& draw) noexcept;
  void walk_new(LapHand& hand, What what) noexcept;
  void clear_away(LapHand& hand, What what) noexcept;
  void work(double seconds, uint32_t expiring) noexcept;
  void doom(LapHand& hand, uint32_t count, uint32_t per_second) noexcept;
  void meet_all(LapHand& hand) noexcept;
  void stay_met(LapHand& hand, What what) noexcept;
  uint64_t take_turns(LapHand& hand) noexcept;
  void draw_lines(LapHand& hand) const noexcept;
  void read_floor(const LapHand& hand) const noexcept;
  void cool() const noexcept;

  Plane* plane_ = nullptr;
  Options options_;
  std::vector<std::unique_ptr<LapHand>> hands_;  // by worker
  std::vector<Service> endpoints_;               // by flow, where each was sent
  std::atomic<uint32_t> next_flow_{0};           // number of a flow never seen
  std::unique_ptr<Turns> turns_;                 // of the thread at work
  std::thread thread_;
  std::atomic<bool> is_ending_{false};
  Time clock_ = 0;
  Time met_at_ = 0;  // when each known flow was last seen
  uint8_t* floor_ = nullptr;
  size_t floor_bytes_ = 0;
};

}  // namespace nodeplane
