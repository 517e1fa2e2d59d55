#pragma once
#include <xdp/xsk.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "driver/af_xdp/link.h"
#include "driver/driver.h"

namespace nodeplane::af_xdp {

struct RingSizes {
  uint32_t rx = 2048;
  uint32_t tx = 2048;
  uint32_t fill = 4096;  // twice rx: a full rx ring leaves it half full (kernel doc af_xdp)
  uint32_t completion = 2048;
};

enum class CopyMode : uint8_t { kAuto, kZeroCopy, kCopy };

// Who has a frame, as far as the port is concerned. One byte per frame of the arena, written by the
// worker that has the frame, so that closing gives every frame back exactly once, whatever ring,
// skb or descriptor it is in.
enum class Held : uint8_t { kNo, kFill, kTransmit };

// The four rings of one queue. One worker only, but for stats.
class Queue {
 public:
  Queue(FrameArena& arena, Held* held, const RingSizes& sizes, bool needs_wakeup);

  uint32_t receive(Packet* packets, uint32_t max, FrameCache& frames, Counters& counters) noexcept;
  uint32_t transmit(Packet* const* packets, uint32_t count, FrameCache& frames) noexcept;
  uint32_t refused() const noexcept { return refused_; }
  void release(FrameCache& frames) noexcept;
  bool arm() noexcept;
  int fd() const noexcept { return fd_; }
  std::string stats_json() const;

 private:
  friend class Sockets;
  void refill(FrameCache& frames) noexcept;
  void recycle(uint32_t index, uint32_t count) noexcept;
  void reclaim(FrameCache& frames) noexcept;
  void kick() noexcept;
  void wake_fill() noexcept;
  bool fits(const Packet& packet) const noexcept;
  uint32_t tx_pending() const noexcept;

  xsk_ring_cons rx_{};
  xsk_ring_prod tx_{};
  xsk_ring_prod fill_{};
  xsk_ring_cons completion_{};
  uint8_t* base_;
  Held* held_;
  int fd_ = -1;
  uint32_t frame_size_;
  uint32_t frame_shift_;
  uint32_t fill_target_ = 0;   // frames that the kernel should have for receiving
  uint32_t fill_reserve_ = 0;  // and those that it keeps even when there are no others
  uint32_t posted_ = 0;        // frames it has: fill ring, kernel and rx ring
  uint32_t in_flight_ = 0;     // frames given for transmission and not completed
  uint32_t in_flight_max_;
  bool needs_wakeup_;
  uint32_t refused_ = 0;  // of the last transmit

  // Written by the worker, read by anyone.
  struct Tally {
    std::atomic<uint64_t> value{0};
    void add(uint64_t n) noexcept {
      value.store(value.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }
  };
  Tally rx_no_frame_, fill_short_, tx_refused_, tx_kicks_, tx_kick_errors_;
};

// The UMEM of one port over the whole arena and a socket per queue. Closing gives all frames back.
class Sockets {
 public:
  struct Options {
    uint16_t queues = 1;
    RingSizes rings;
    CopyMode copy = CopyMode::kAuto;
    bool needs_wakeup = true;
    uint32_t tx_budget = 0;  // packets per sendto in copy mode, 0: as many as the tx ring holds
  };
  static std::unique_ptr<Sockets> open(const Link& link, const Options& options, FrameArena& arena,
                                       std::string* error);
  ~Sockets();
  Sockets(const Sockets&) = delete;
  Sockets& operator=(const Sockets&) = delete;

  Queue& queue(uint32_t index) noexcept { return *queues_[index]; }
  const Queue& queue(uint32_t index) const noexcept { return *queues_[index]; }
  uint32_t count() const noexcept { return static_cast<uint32_t>(queues_.size()); }
  bool zero_copy() const noexcept { return zero_copy_; }
  uint32_t tx_budget() const noexcept { return tx_budget_; }  // 0: the kernel's own, 32

 private:
  explicit Sockets(FrameArena& arena) : arena_(arena) {}
  int bind_all(const Link& link, const Options& options, std::string* error);
  int bind_queue(const Link& link, uint32_t index, const Options& options);
  void unbind_all();
  bool post_frames(const Options& options, std::string* error);
  void set_tx_budget(const Options& options);

  FrameArena& arena_;
  std::unique_ptr<Held[]> held_;
  std::vector<std::unique_ptr<Queue>> queues_;
  std::vector<xsk_socket*> sockets_;
  xsk_umem* umem_ = nullptr;
  bool zero_copy_ = false;
  uint32_t tx_budget_ = 0;
};

}  // namespace nodeplane::af_xdp
