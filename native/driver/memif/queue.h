#pragma once
#include <atomic>
#include <memory>
#include <string>

#include "driver/driver.h"
#include "driver/memif/bell.h"
#include "driver/memif/late.h"
#include "driver/memif/link.h"
#include "driver/memif/slot.h"

namespace nodeplane::memif {

inline constexpr uint32_t kPacketBytesMax = 9216 + kFrameHeadroom;  // more is skipped
inline constexpr uint32_t kSegmentsMax = 64;                        // slots of one packet
// Frames of one received packet at most, and with them the copies that it takes.
inline constexpr uint32_t kPacketFramesMax = 2 + kPacketBytesMax / 2048;
inline constexpr uint32_t kPacketCopiesMax = kSegmentsMax + kPacketFramesMax;
inline constexpr uint32_t kPostedBytesMin = 64;  // a buffer for us to fill has at least that
inline constexpr uint32_t kLentFrameMin = 2048;  // a DPDK peer writes so much whatever was posted
inline constexpr uint32_t kLentRegion = 1;       // the arena among a zero-copy client's regions
inline constexpr uint32_t kRun = 32;             // slots looked at before their bytes are touched
// Copied in one receive at most (and the run that goes beyond): more would not stay in a core's
// second cache, with where it came from and where it goes, until it is sent on.
inline constexpr uint32_t kReceiveBytesMax = 64 * 1024;
inline constexpr uint32_t kTakenOnMax = 256;  // packets whose copies one receive begins
inline constexpr uint32_t kQuotaMin = 128;    // frames of one queue

// Where the memory of our slots is, which is all that the two roles and the two kinds of client
// differ in: where the peer's descriptors say, in our own buffers, in frames of the arena.
enum class Memory : uint8_t { kPeers, kOwn, kLent };

template <Memory kMemory>
struct Places;

struct QueueOptions {
  uint32_t index = 0;
  Memory memory = Memory::kPeers;
  uint32_t start = kFrameHeadroom;  // where received bytes begin in their frame
  uint32_t ring_size = 1024;        // a client's wish: its rings are never larger
  uint32_t quota = 2048;            // frames: half for each way
};

// Written by the worker, read by anyone.
struct Tally {
  std::atomic<uint64_t> value{0};
  void add(uint64_t n) noexcept {
    value.store(value.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void set(uint64_t n) noexcept { value.store(n, std::memory_order_relaxed); }
  uint64_t get() const noexcept { return value.load(std::memory_order_relaxed); }
};

// One queue of a port: its rings of the present connection, if there is one, and all that is under
// way in them. One worker only, but for the tallies.
class alignas(64) Queue {
 public:
  Queue(Seat& seat, FrameArena& arena, const QueueOptions& options);
  // Gets a channel for each way if the engine works on its own; null: copies are made here. False
  // with a reason.
  bool open(CopyEngine* copy, std::string* error);
  // Ends the use of a connection; all frames are back.
  void close(FrameCache& frames) noexcept { change(nullptr, frames); }

  uint32_t receive(Packet* packets, uint32_t max, FrameCache& frames, Counters& counters) noexcept;
  uint32_t transmit(Packet* const* packets, uint32_t count, FrameCache& frames) noexcept;
  uint32_t refused() const noexcept { return refused_; }
  Drop refused_as() const noexcept { return refused_as_; }
  void release(FrameCache& frames) noexcept;
  bool arm() noexcept;

  struct Tallies {
    Tally rx_packets, rx_bytes, tx_packets, tx_bytes;
    Tally frames_held;        // a level, not a sum
    Tally cut;                // packets under copy when a connection ended
    Tally rings;              // of the peer's bell
    Tally ring_in, ring_out;  // slots of the present rings
  } tallies;

 private:
  // A ring of the present connection. Our own index is only ever written there.
  struct Way {
    Slot* slots = nullptr;
    const uint16_t* theirs = nullptr;
    uint16_t* ours = nullptr;
    uint16_t* flags = nullptr;
    uint8_t* buffers = nullptr;  // of slot 0, kOwn
    uint32_t size = 0, mask = 0;
    int fd = -1;
    uint16_t next = 0;  // the first slot not dealt with
    uint16_t done = 0;  // the first slot not given to the peer
    Slot& at(uint16_t index) const noexcept { return slots[index & mask]; }
  };
  struct Piece {
    uint8_t* at;
    uint64_t low;  // of the slot, flags apart
    uint32_t bytes() const noexcept { return static_cast<uint32_t>(low >> 32); }
  };
  struct Segments {
    uint64_t bytes;
    uint32_t count;
    Piece at[kSegmentsMax];
  };

  // queue.cc
  bool is_broken() const noexcept {
    return link_->violation.load(std::memory_order_relaxed) != nullptr;
  }
  bool is_ready(FrameCache& frames) noexcept {
    Link* const wanted = seat_.wanted();
    if (__builtin_expect(wanted != link_, 0)) change(wanted, frames);
    return link_ != nullptr && !is_broken();
  }
  void change(Link* wanted, FrameCache& frames) noexcept;
  void attach(FrameCache& frames) noexcept;
  void detach(FrameCache& frames) noexcept;
  Way way(const Ring& ring, bool sends) const noexcept;
  void violate(const char* why) noexcept { seat_.violate(*link_, why); }
  void tell_held() noexcept;
  template <Memory kMemory>
  Places<kMemory> places(const Way& way) const noexcept;

  // receive.cc
  uint32_t incoming() noexcept;
  template <Memory kMemory>
  uint32_t receive_now(Packet* packets, uint32_t max, FrameCache& frames,
                       Counters& counters) noexcept;
  template <Memory kMemory>
  uint32_t receive_late(Packet* packets, uint32_t max, FrameCache& frames,
                        Counters& counters) noexcept;
  uint32_t receive_lent(Packet* packets, uint32_t max, FrameCache& frames,
                        Counters& counters) noexcept;
  template <Memory kMemory>
  uint32_t gather_in(uint32_t most, Piece* pieces) const noexcept;
  uint32_t copy_in(const Piece* pieces, const uint32_t* taken, uint32_t count,
                   Packet* packets) const noexcept;
  template <Memory kMemory>
  uint32_t collect(uint32_t left, Segments& segments, Counters& counters) noexcept;
  template <class Emit>
  bool lay(const Segments& segments, Packet& p, FrameCache& frames, Emit&& emit) noexcept;
  template <Memory kMemory>
  uint32_t take_on(uint32_t left, FrameCache& frames, Counters& counters) noexcept;
  void pass_over(uint32_t slots) noexcept;
  uint32_t deliver(Packet* packets, uint32_t max) noexcept;
  template <Memory kMemory>
  void give_slots() noexcept;
  void restore_slots(uint16_t from, uint16_t upto) noexcept;
  void post(FrameCache& frames) noexcept;

  // send.cc
  void refuse(Packet& p, Drop why, FrameCache& frames) noexcept;
  bool room(uint32_t* slots) noexcept;
  void reclaim(FrameCache& frames) noexcept;
  template <Memory kMemory>
  uint32_t transmit_now(Packet* const* packets, uint32_t count, uint32_t slots,
                        FrameCache& frames) noexcept;
  template <Memory kMemory>
  uint32_t transmit_late(Packet* const* packets, uint32_t count, uint32_t slots,
                         FrameCache& frames) noexcept;
  uint32_t transmit_lent(Packet* const* packets, uint32_t count, FrameCache& frames) noexcept;
  template <Memory kMemory>
  uint32_t gather_out(Packet* const* packets, uint32_t most, Piece* pieces) const noexcept;
  template <Memory kMemory>
  uint32_t find_room(const Packet& p, uint32_t slots, Segments& segments) noexcept;
  template <Memory kMemory, class Emit>
  void fill(const Packet& p, const Segments& segments, Emit&& emit) noexcept;
  template <Memory kMemory>
  uint64_t copy_run(Packet* const* packets, const Piece* pieces, uint32_t count,
                    FrameCache& frames) noexcept;
  template <Memory kMemory>
  void write_out(uint32_t index, const uint8_t* at, uint64_t low) noexcept;
  uint32_t frames_of(const Packet& p) const noexcept;
  bool never_fits(uint32_t slots) const noexcept;
  void lend(const Packet& p, uint32_t count) noexcept;
  void finish_out(FrameCache& frames) noexcept;
  void publish_out(uint16_t upto) noexcept;
  void ring_bell() noexcept;

  Seat& seat_;
  FrameArena& arena_;
  const QueueOptions options_;
  Link* link_ = nullptr;
  const Region* regions_ = nullptr;
  uint32_t region_count_ = 0;
  uint32_t buffer_bytes_ = 0;
  uint32_t frame_shift_;
  uint32_t room_;          // bytes of a received packet that fit into its first frame
  uint32_t half_;          // frames that each way may hold
  bool masked_ = false;    // we asked the peer not to ring
  bool skipping_ = false;  // in a packet that is too long, until its last slot
  bool sending_ = false;   // the peer has shown that it will not reset the indexes any more
  uint32_t refused_ = 0;
  Drop refused_as_ = Drop::kNotTransmittable;

  Way in_, out_;
  uint16_t posted_ = 0;                  // in_: the peer may fill the slots before this one
  uint16_t looked_ = 0;                  // in_: how far there was nothing more to do
  uint16_t freed_ = 0;                   // out_ of a client: how far the peer has read
  uint32_t in_held_ = 0, out_held_ = 0;  // frames

  std::unique_ptr<uint32_t[]> in_frames_, out_frames_;  // kLent: by slot
  std::unique_ptr<Copier> copier_in_, copier_out_;      // null: copied at once
  Bell bell_;
};

}  // namespace nodeplane::memif
