#include "driver/loop/cable.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>

namespace nodeplane {

namespace {

constexpr uint32_t kMask = kLoopRingBytes - 1;
constexpr uint32_t kHeader = 8;  // length, then 4 bytes unused
constexpr uint32_t kStartOver = 0xffffffff;
static_assert((kLoopRingBytes & kMask) == 0 && kLoopPacketMax < kLoopRingBytes / 4);

constexpr uint32_t record_bytes(uint32_t length) noexcept { return (kHeader + length + 7) & ~7u; }

// Opening and closing only; packets never come by here.
std::mutex cables_lock;
std::map<std::string, std::weak_ptr<LoopCable>>& cables() {
  static auto* all = new std::map<std::string, std::weak_ptr<LoopCable>>;
  return *all;
}

}  // namespace

uint8_t* LoopRing::room(uint32_t length) noexcept {
  const uint64_t tail = tail_.load(std::memory_order_relaxed);
  const uint32_t at = tail & kMask;
  const uint32_t need = record_bytes(length);
  const uint32_t rest = kLoopRingBytes - at;
  const uint32_t total = need <= rest ? need : rest + need;
  if (tail + total - seen_head_ > kLoopRingBytes) {
    seen_head_ = head_.load(std::memory_order_acquire);
    if (tail + total - seen_head_ > kLoopRingBytes) return nullptr;
  }
  if (need <= rest) return bytes_.get() + at + kHeader;
  std::memcpy(bytes_.get() + at, &kStartOver, 4);
  // Publishing the marker alone is harmless: the receiver passes over it.
  tail_.store(tail + rest, std::memory_order_release);
  return bytes_.get() + kHeader;
}

void LoopRing::push(uint32_t length) noexcept {
  const uint64_t tail = tail_.load(std::memory_order_relaxed);
  std::memcpy(bytes_.get() + (tail & kMask), &length, 4);
  tail_.store(tail + record_bytes(length), std::memory_order_release);
}

const uint8_t* LoopRing::front(uint32_t* length) noexcept {
  for (;;) {
    const uint64_t head = head_.load(std::memory_order_relaxed);
    if (head == tail_.load(std::memory_order_acquire)) return nullptr;
    const uint32_t at = head & kMask;
    std::memcpy(length, bytes_.get() + at, 4);
    if (*length != kStartOver) return bytes_.get() + at + kHeader;
    head_.store(head + kLoopRingBytes - at, std::memory_order_release);
  }
}

void LoopRing::pop() noexcept {
  const uint64_t head = head_.load(std::memory_order_relaxed);
  uint32_t length;
  std::memcpy(&length, bytes_.get() + (head & kMask), 4);
  head_.store(head + record_bytes(length), std::memory_order_release);
}

LoopCable::~LoopCable() {
  for (LoopWay& way : ways_)
    for (LoopSleeper& sleeper : way.sleepers)
      if (sleeper.fd >= 0) close(sleeper.fd);
  const std::lock_guard<std::mutex> lock(cables_lock);
  const auto found = cables().find(name_);
  if (found != cables().end() && found->second.expired()) cables().erase(found);
}

std::shared_ptr<LoopCable> loop_cable(const std::string& name) {
  const std::lock_guard<std::mutex> lock(cables_lock);
  std::weak_ptr<LoopCable>& known = cables()[name];
  std::shared_ptr<LoopCable> cable = known.lock();
  if (cable == nullptr) known = cable = std::make_shared<LoopCable>(name);
  return cable;
}

std::unique_ptr<LoopEnd> LoopEnd::open(std::shared_ptr<LoopCable> cable, uint32_t queues,
                                       std::string* error) {
  const std::lock_guard<std::mutex> lock(cables_lock);
  if (queues == 0 || queues > kLoopQueuesMax) {
    *error = "a loop end has 1 to " + std::to_string(kLoopQueuesMax) + " queues";
    return nullptr;
  }
  const uint32_t end = cable->taken_[0] ? 1 : 0;
  if (cable->taken_[end]) {
    *error = "both ends of cable " + cable->name() + " are taken";
    return nullptr;
  }
  LoopWay& in = cable->ways_[1 - end];
  for (uint32_t q = 0; q < queues; ++q) {
    if (in.sleepers[q].fd < 0) in.sleepers[q].fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (in.sleepers[q].fd < 0) {
      *error = std::string("eventfd: ") + std::strerror(errno);
      return nullptr;
    }
  }
  cable->taken_[end] = true;
  return std::unique_ptr<LoopEnd>(new LoopEnd(std::move(cable), end, queues));
}

LoopEnd::LoopEnd(std::shared_ptr<LoopCable> cable, uint32_t end, uint32_t queues)
    : cable_(std::move(cable)),
      end_(end),
      queues_(queues),
      out_(&cable_->ways_[end]),
      in_(&cable_->ways_[1 - end]) {
  for (uint32_t q = 0; q < queues; ++q)
    if (out_->rings[q] == nullptr) out_->rings[q] = std::make_unique<LoopRing>();
  // Rings and descriptors stay with the cable, for the other end may be using them at any time.
  if (queues > out_->senders.load()) out_->senders.store(queues, std::memory_order_release);
  in_->receivers.store(queues, std::memory_order_release);
}

LoopEnd::~LoopEnd() {
  {
    const std::lock_guard<std::mutex> lock(cables_lock);
    in_->receivers.store(0, std::memory_order_release);
    cable_->taken_[end_] = false;
  }
  cable_.reset();  // takes the lock again if this was the last holder
}

bool LoopEnd::inject(const uint8_t* bytes, uint32_t length, uint32_t queue) noexcept {
  uint8_t* room = length <= kLoopPacketMax ? sending(queue).room(length) : nullptr;
  if (room == nullptr) return false;
  if (length != 0) std::memcpy(room, bytes, length);
  sending(queue).push(length);
  wake(queue);
  return true;
}

bool LoopEnd::collect(std::vector<uint8_t>* bytes, uint32_t queue) {
  LoopRing* ring = receiving(queue);
  if (ring == nullptr) return false;
  uint32_t length;
  const uint8_t* from = ring->front(&length);
  bytes->assign(from, from + length);
  ring->pop();
  return true;
}

void LoopEnd::wake(uint32_t queue) noexcept {
  const uint32_t receivers = out_->receivers.load(std::memory_order_acquire);
  if (receivers == 0) return;
  LoopSleeper& sleeper = out_->sleepers[queue % receivers];
  // Both sides exchange, so one comes after the other: either we see that the receiver is armed, or
  // the receiver, arming later, sees our packet.
  if (!sleeper.armed.exchange(false, std::memory_order_acq_rel)) return;
  const uint64_t one = 1;
  while (write(sleeper.fd, &one, sizeof one) < 0 && errno == EINTR) {
  }
}

LoopRing* LoopEnd::receiving(uint32_t queue) noexcept {
  const uint32_t senders = in_->senders.load(std::memory_order_acquire);
  const uint32_t mine = senders > queue ? (senders - queue + queues_ - 1) / queues_ : 0;
  uint32_t length;
  for (uint32_t i = 0; i < mine; ++i) {
    const uint32_t turn = turn_[queue]++ % mine;
    LoopRing* ring = in_->rings[queue + turn * queues_].get();
    if (ring->front(&length) != nullptr) return ring;
  }
  return nullptr;
}

bool LoopEnd::arm(uint32_t queue) noexcept {
  LoopSleeper& sleeper = in_->sleepers[queue];
  uint64_t count;
  while (read(sleeper.fd, &count, sizeof count) < 0 && errno == EINTR) {
  }
  sleeper.armed.exchange(true, std::memory_order_acq_rel);
  if (receiving(queue) == nullptr) return true;
  sleeper.armed.store(false, std::memory_order_relaxed);
  return false;
}

}  // namespace nodeplane
