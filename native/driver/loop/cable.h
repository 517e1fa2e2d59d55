#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace nodeplane {

inline constexpr uint32_t kLoopQueuesMax = 16;
inline constexpr uint32_t kLoopRingBytes = 1 << 20;      // per sending queue
inline constexpr uint32_t kLoopPacketMax = 65536 + 256;  // longest packet that a cable carries

// Packets as bytes from one thread to another. A record is a length and its bytes, rounded up to 8;
// a record that would not fit before the end starts over, behind a marker.
class LoopRing {
 public:
  LoopRing() : bytes_(new uint8_t[kLoopRingBytes]) {}
  // Sender. Room for a packet, to be filled and then pushed; null: the ring is full.
  uint8_t* room(uint32_t length) noexcept;
  void push(uint32_t length) noexcept;
  // Receiver. The packet that stands first, null if none; pop forgets it.
  const uint8_t* front(uint32_t* length) noexcept;
  void pop() noexcept;

 private:
  std::unique_ptr<uint8_t[]> bytes_;
  alignas(64) std::atomic<uint64_t> tail_{0};  // bytes ever pushed
  uint64_t seen_head_ = 0;                     // sender's memory of head_
  alignas(64) std::atomic<uint64_t> head_{0};  // bytes ever popped
};

// A sleeping receiver: its descriptor, and whether it wants to be woken.
struct LoopSleeper {
  int fd = -1;
  std::atomic<bool> armed{false};
};

// One way of a cable. Sending queue i is read by receiving queue i % receivers, so each ring has
// one sender and one receiver whatever the two ends' queue counts are.
struct LoopWay {
  std::unique_ptr<LoopRing> rings[kLoopQueuesMax];
  LoopSleeper sleepers[kLoopQueuesMax];
  std::atomic<uint32_t> senders{0};    // rings that exist
  std::atomic<uint32_t> receivers{0};  // sleepers that exist; 0: nobody listens yet
};

// Two ends joined in memory. Lives as long as either end does, or somebody holds it.
class LoopCable {
 public:
  explicit LoopCable(std::string name) : name_(std::move(name)) {}
  ~LoopCable();
  LoopCable(const LoopCable&) = delete;
  LoopCable& operator=(const LoopCable&) = delete;
  const std::string& name() const noexcept { return name_; }

 private:
  friend class LoopEnd;
  std::string name_;
  bool taken_[2] = {false, false};
  LoopWay ways_[2];  // ways_[e] is sent by end e
};

// The cable of that name in this process; made if there is none.
std::shared_ptr<LoopCable> loop_cable(const std::string& name);

// One end of a cable: for loop ports, and for whoever plays the outside (the addon, tests,
// examples, a demo without root). Each queue's sending side and receiving side belong to one thread
// each.
class LoopEnd {
 public:
  // Null with a reason when both ends are taken.
  static std::unique_ptr<LoopEnd> open(std::shared_ptr<LoopCable> cable, uint32_t queues,
                                       std::string* error);
  ~LoopEnd();
  LoopEnd(const LoopEnd&) = delete;
  LoopEnd& operator=(const LoopEnd&) = delete;
  uint32_t queues() const noexcept { return queues_; }

  // Sends one packet. False: no room, or longer than kLoopPacketMax.
  bool inject(const uint8_t* bytes, uint32_t length, uint32_t queue = 0) noexcept;
  // The next packet's bytes. False: none is there.
  bool collect(std::vector<uint8_t>* bytes, uint32_t queue = 0);

  // The same without a copy: fill room(), push(), and wake() once after the last.
  LoopRing& sending(uint32_t queue) noexcept { return *out_->rings[queue]; }
  void wake(uint32_t queue) noexcept;
  // The ring with the next packet, in turn over those that this queue reads; null if all are empty.
  LoopRing* receiving(uint32_t queue) noexcept;
  int wait_fd(uint32_t queue) const noexcept { return in_->sleepers[queue].fd; }
  // Before sleeping on wait_fd. False: a packet is there already.
  bool arm(uint32_t queue) noexcept;

 private:
  LoopEnd(std::shared_ptr<LoopCable> cable, uint32_t end, uint32_t queues);
  std::shared_ptr<LoopCable> cable_;
  uint32_t end_;
  uint32_t queues_;
  LoopWay* out_;
  LoopWay* in_;
  uint32_t turn_[kLoopQueuesMax] = {};
};

}  // namespace nodeplane
