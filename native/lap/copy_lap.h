#pragma once
#include <memory>
#include <string>

#include "copy/copy.h"
#include "driver/driver.h"

namespace nodeplane {

// What a memif server's copies leave on the worker's core. Two ports of this process joined by
// memif, each driven by a thread on a core of its own, in turns: the other core fills the rings and
// stops, then the worker empties them while nothing but the copy engine (if it has a thread) uses the
// other core. So two cores suffice, and the worker never waits for its peer.
class CopyLap {
 public:
  struct Options {
    PortSpec server, client;  // driver memif, one queue each, the same socket and id
    CopyOptions copy;         // of the server; engine empty: the port copies by itself
    uint32_t bytes = 1500;    // of every packet
    uint32_t frame_size = 2048;
    uint32_t frames = 8192;       // of either side
    uint32_t batch = kBatchSize;  // packets of one turn at most
    int worker_core = 0;
    int other_core = 1;
  };
  // Opens and joins both ports. Null with a reason.
  static std::unique_ptr<CopyLap> create(const Options& options, std::string* error);
  ~CopyLap();

  // The worker's time, in nanoseconds by the CPU's tick counter. A turn is release, receive (or
  // transmit) and the return of the frames; turns that moved nothing, took no copy in hand and found
  // none finished are idle.
  struct Result {
    uint32_t packets = 0;
    uint32_t turns = 0, idle_turns = 0;
    double busy_ns = 0, idle_ns = 0;
    double whole_ns = 0;   // from the first turn to the last packet
    uint32_t missing = 0;  // did not come: must be 0
    uint32_t mangled = 0;  // came with another length or out of order: must be 0
  };
  // Client to server: `packets` of the other core's fresh data lie in the ring when the time begins.
  // Turns are at least turn_ns apart, as on a worker that has other work with what it received.
  Result receive(uint32_t packets, uint32_t turn_ns);
  // Server to client: the client has posted its buffers, the worker has written the packets.
  Result send(uint32_t packets, uint32_t turn_ns);

  const std::string& why() const { return why_; }  // another engine than asked for
  std::string description() const;
  std::string stats_json() const;

 private:
  class Watch;
  struct Side {
    std::unique_ptr<FrameArena> arena;
    std::unique_ptr<Port> port;
    std::unique_ptr<FrameCache> cache;
    std::unique_ptr<Packet[]> packets;
    Counters counters{};
  };
  CopyLap() = default;
  bool open(Side& side, const PortSpec& spec, std::string* error);
  bool join(std::string* error);
  bool lay(Side& side, Packet& p, uint32_t number) noexcept;
  uint32_t put(Side& side, uint32_t packets) noexcept;
  uint32_t collect(Side& side, Packet* packets) noexcept;
  uint32_t drain_client() noexcept;
  template <class Turn>
  void turns(Result& result, uint32_t packets, uint32_t turn_ns, Turn&& turn) noexcept;

  Options options_;
  std::string why_;
  std::unique_ptr<CopyEngine> engine_;  // before the ports, so that it outlives their channels
  std::unique_ptr<Watch> watch_;
  Side server_, client_;
  std::unique_ptr<uint8_t[]> content_;
  uint32_t mangled_ = 0;
  uint32_t next_ = 0;  // number that the next packet to arrive should have
  double ns_per_tick_ = 0;
};

}  // namespace nodeplane
