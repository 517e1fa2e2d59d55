#include "copy/thread/thread.h"

#include <algorithm>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "base/cpu.h"
#include "base/doze.h"
#include "base/thread.h"
#include "copy/copy_bytes.h"
#include "copy/counts.h"
#include "copy/distance.h"

namespace nodeplane {
namespace {

constexpr uint32_t kRing =
    4096;  // entries of a channel, a power of two: a ring full of jumbo packets
constexpr uint32_t kTurn = 32;            // copies of one channel before the next one's turn
constexpr uint32_t kSpinsIdle = 1 << 15;  // empty rounds before the copier sleeps, about 1 ms
constexpr int kSleepMs = 100;
constexpr uint32_t kSpinsDrain = 1 << 12;  // before drain gives the core away

struct Entry {
  void* to;
  const void* from;
  uint32_t bytes;
  uint32_t number;  // of the copy, low bits
};

class ThreadEngine;

class ThreadChannel final : public CopyChannel {
 public:
  explicit ThreadChannel(ThreadEngine& engine);
  ~ThreadChannel() override;
  uint64_t submit(const Copy* copies, uint32_t count) noexcept override;
  uint64_t poll() noexcept override;
  void drain() noexcept override;

  // The copier's side.
  bool has_work() const noexcept {
    return pushed_.load(std::memory_order_acquire) != done_.load(std::memory_order_relaxed);
  }
  bool work() noexcept;

 private:
  ThreadEngine& engine_;
  CopyCounts* counts_;
  const std::unique_ptr<Entry[]> ring_;
  uint64_t submitted_ = 0;
  uint64_t head_ = 0;  // entries ever pushed
  uint64_t seen_ = 0;  // of these known to be done
  alignas(64) std::atomic<uint64_t> pushed_{0};
  alignas(64) std::atomic<uint64_t> done_{0};
  alignas(64) Distance distance_;  // the copier's
};

class ThreadEngine final : public CopyEngine {
 public:
  ThreadEngine(int core, uint32_t bytes_min, uint32_t batch_min)
      : bytes_min(bytes_min), batch_min(batch_min), core_(core), thread_([this] { run(); }) {}
  ~ThreadEngine() override {
    stopping_.store(true, std::memory_order_seq_cst);
    doze.wake_if_asleep();
    thread_.join();
  }

  std::unique_ptr<CopyChannel> channel(std::string*) override {
    return std::make_unique<ThreadChannel>(*this);
  }
  bool is_immediate() const noexcept override { return false; }
  std::string description() const override {
    return std::string("thread ") + copy_kernels().name +
           (core_ < 0 ? std::string(", not pinned") : ", core " + std::to_string(core_));
  }
  std::string stats_json() const override { return ledger.json(); }

  void add(ThreadChannel* channel) {
    const std::lock_guard hold(lock_);
    channels_.push_back(channel);
    changes_.fetch_add(1, std::memory_order_release);
  }
  // Returns when the copier looks at the channel no more.
  void remove(ThreadChannel* channel) {
    uint64_t change;
    {
      const std::lock_guard hold(lock_);
      std::erase(channels_, channel);
      change = changes_.fetch_add(1, std::memory_order_release) + 1;
    }
    doze.wake_if_asleep();
    while (noticed_.load(std::memory_order_acquire) < change) thread_pause(1);
  }

  const uint32_t bytes_min, batch_min;
  CopyLedger ledger;
  Doze doze;

 private:
  void run() noexcept;

  const int core_;
  std::mutex lock_;
  std::vector<ThreadChannel*> channels_;
  std::atomic<uint64_t> changes_{0}, noticed_{0};
  std::atomic<bool> stopping_{false};
  std::thread thread_;  // last: it uses all the others
};

ThreadChannel::ThreadChannel(ThreadEngine& engine)
    : engine_(engine), counts_(engine.ledger.open()), ring_(std::make_unique<Entry[]>(kRing)) {
  engine.add(this);
}

ThreadChannel::~ThreadChannel() {
  engine_.remove(this);
  engine_.ledger.close(counts_);
}

uint64_t ThreadChannel::submit(const Copy* copies, uint32_t count) noexcept {
  if (kRing - (head_ - seen_) < count) seen_ = done_.load(std::memory_order_acquire);
  const uint32_t room = kRing - static_cast<uint32_t>(head_ - seen_);
  const uint32_t bytes_min = engine_.bytes_min;
  Entry* const ring = ring_.get();
  const auto head = static_cast<uint32_t>(head_);
  const auto first = static_cast<uint32_t>(submitted_);
  uint64_t bytes = 0;
  uint32_t pushed = 0, full = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const Copy& c = copies[i];
    bytes += c.bytes;
    if (c.bytes >= bytes_min && pushed < room) [[likely]] {
      ring[(head + pushed++) % kRing] = {c.to, c.from, c.bytes, first + i};
    } else {
      full += c.bytes >= bytes_min;
      copy_bytes(c.to, c.from, c.bytes);
    }
  }
  if (pushed < engine_.batch_min) {
    for (uint32_t i = 0; i < pushed; ++i) {
      const Entry& e = ring[(head + i) % kRing];
      copy_bytes(e.to, e.from, e.bytes);
    }
    pushed = 0;
  }
  submitted_ += count;
  if (pushed != 0) {
    head_ += pushed;
    pushed_.store(head_, std::memory_order_release);
    engine_.doze.wake_if_asleep();
  }
  counts_->add(CopyCount::kCopies, count);
  counts_->add(CopyCount::kBytes, bytes);
  if (pushed != count) counts_->add(CopyCount::kByCpu, count - pushed);
  if (full != 0) counts_->add(CopyCount::kFull, full);
  return submitted_;
}

// Finished is what comes before the first copy that the copier still has.
uint64_t ThreadChannel::poll() noexcept {
  seen_ = done_.load(std::memory_order_acquire);
  if (seen_ == head_) return submitted_;
  const uint32_t number = ring_[seen_ % kRing].number;
  return submitted_ - static_cast<uint32_t>(static_cast<uint32_t>(submitted_) - number);
}

void ThreadChannel::drain() noexcept {
  for (uint32_t spins = 0; poll() != submitted_; ++spins) {
    if (spins < kSpinsDrain) {
      cpu_relax();
    } else {
      thread_pause(1);
    }
  }
}

bool ThreadChannel::work() noexcept {
  uint64_t done = done_.load(std::memory_order_relaxed);
  const uint64_t head = pushed_.load(std::memory_order_acquire);
  if (head == done) return false;
  const uint64_t end = std::min(head, done + kTurn);
  bool far = false;
  for (; done != end; ++done) {
    const Entry& e = ring_[done % kRing];
    if (done + 1 != end) __builtin_prefetch(ring_[(done + 1) % kRing].from);
    if (distance_.is_far(e.to, e.bytes)) {
      copy_bytes_far(e.to, e.from, e.bytes);
      far = true;
    } else {
      copy_bytes(e.to, e.from, e.bytes);
    }
  }
  if (far) copy_fence();
  done_.store(done, std::memory_order_release);
  return true;
}

void ThreadEngine::run() noexcept {
  thread_settle("np-copy", core_);
  std::vector<ThreadChannel*> mine;
  uint64_t noticed = 0;
  uint32_t idle = 0;
  while (!stopping_.load(std::memory_order_relaxed)) {
    if (changes_.load(std::memory_order_acquire) != noticed) {
      const std::lock_guard hold(lock_);
      mine = channels_;
      noticed = changes_.load(std::memory_order_relaxed);
      noticed_.store(noticed, std::memory_order_release);
    }
    bool worked = false;
    for (ThreadChannel* channel : mine) worked |= channel->work();
    idle = worked ? 0 : idle + 1;
    if (worked) continue;
    cpu_relax();
    if (idle < kSpinsIdle) continue;
    idle = 0;
    doze.sleep(kSleepMs, [&] {
      return stopping_.load(std::memory_order_relaxed) ||
             changes_.load(std::memory_order_acquire) != noticed ||
             std::any_of(mine.begin(), mine.end(), [](auto* c) { return c->has_work(); });
    });
  }
}

}  // namespace

std::unique_ptr<CopyEngine> open_copy_thread(int core, uint32_t bytes_min, uint32_t batch_min,
                                             std::string* error) {
  try {
    return std::make_unique<ThreadEngine>(core, bytes_min, batch_min);
  } catch (const std::system_error& e) {
    *error = std::string("no thread to copy: ") + e.what();
    return nullptr;
  }
}

}  // namespace nodeplane
