#pragma once
#include <memory>
#include <string>
#include <vector>

#include "control/plane.h"

namespace nodeplane {

inline constexpr uint32_t kLapFrames = 8192;  // packets of one lap, each in its own frame

// The corridor in memory, without I/O: established TCP flows, packets drawn at random, laid into
// frames between timed laps. Port 0 is the clients' side, port 1 the endpoints'; the plane has
// published its tables and is not running.
class PathLap {
 public:
  struct Service {
    IpAddress address;
    uint16_t be_port;
  };
  enum class What : uint8_t { kCorridor, kEmpty, kFloor };

  // Opens `flows` connections (SYN, SYN-ACK, ACK) through the corridor itself, spread over the
  // services in turn. Null with a reason.
  static std::unique_ptr<PathLap> create(Plane& plane, uint8_t family, uint32_t flows,
                                         std::vector<Service> services, std::string* error);
  ~PathLap();
  // Lays kLapFrames packets of newly drawn flows into the frames. Not timed.
  void refill() noexcept;
  // Walks all frames once: nanoseconds per packet. kEmpty: batches are set up, nothing walks them;
  // kFloor: one random 64-byte line per packet, prefetched, over as many bytes as the flow table has.
  double lap(What what) noexcept;
  // Packets of the last corridor lap that did not leave by the endpoints' port: must be 0.
  uint32_t strays() const noexcept { return strays_; }
  // New connections: one SYN each of flows not opened yet, through the corridor; nanoseconds each.
  double lap_new() noexcept;
  // From now on every packet walks the stages.
  void close_express() noexcept { states_->express.pause = UINT32_MAX; }

 private:
  PathLap() = default;
  bool open_flows(uint32_t flows, std::string* error);
  void lay(uint32_t frame, uint32_t flow, uint8_t tcp_flags) noexcept;
  uint32_t walk(const uint32_t* frames, uint32_t count, uint16_t port_in,
                uint16_t port_out) noexcept;
  uint64_t random() noexcept;

  Plane* plane_ = nullptr;
  uint8_t family_ = 4;
  uint32_t flows_ = 0;
  uint32_t next_flow_ = 0;
  uint32_t strays_ = 0;
  Time clock_ = 0;
  uint64_t seed_ = 0x9e3779b97f4a7c15;
  std::vector<Service> services_;
  std::vector<uint32_t> frames_;
  std::unique_ptr<FrameCache> cache_;
  std::unique_ptr<Batch> batch_;
  std::unique_ptr<States> states_;
  std::unique_ptr<Counters> counters_;
  uint8_t* floor_ = nullptr;
  size_t floor_bytes_ = 0;
};

}  // namespace nodeplane
