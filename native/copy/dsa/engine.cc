#include "copy/dsa/engine.h"

#include <algorithm>
#include <mutex>

#include "copy/dsa/channel.h"

namespace nodeplane::dsa {
namespace {

class Engine final : public CopyEngine, public Common {
 public:
  Engine(std::vector<Queue> queues, const EngineOptions& wish) : queues_(std::move(queues)) {
    options = wish;
    used_.resize(queues_.size());
  }
  std::unique_ptr<CopyChannel> channel(std::string* error) override;
  bool is_immediate() const noexcept override { return false; }
  std::string description() const override;
  std::string stats_json() const override {
    const bool is_dead = dead.load(std::memory_order_relaxed);
    return ledger.json(std::string("\"dead\":") + (is_dead ? "true" : "false"));
  }

 private:
  void leave(size_t queue, uint32_t slots, SlotMemory* abandoned) noexcept override;
  uint32_t left(size_t queue) const { return queues_[queue].limits.size - used_[queue]; }

  std::vector<SlotMemory> graveyard_;  // before the queues, so that it outlives the device
  std::vector<Queue> queues_;
  std::mutex lock_;
  std::vector<uint32_t> used_;  // entries of each queue that channels may fill
};

// From the queue with most entries left. A shared queue is treated alike: what it refuses beyond
// that (other processes use it too) the CPU copies.
std::unique_ptr<CopyChannel> Engine::channel(std::string* error) {
  const std::lock_guard hold(lock_);
  size_t best = 0;
  for (size_t q = 1; q < queues_.size(); ++q) {
    if (left(q) > left(best)) best = q;
  }
  const Queue& queue = queues_[best];
  const uint32_t slots = std::min(kSlotsPerChannel, left(best));
  SlotMemory memory(slots, std::clamp(queue.limits.batch_max, 1u, kListMax));
  if (!memory.ok()) {
    *error = "no memory for descriptors";
    return nullptr;
  }
  used_[best] += slots;
  return std::make_unique<Channel>(*this, best, queue.limits, queue.portal.get(), slots,
                                   std::move(memory));
}

void Engine::leave(size_t queue, uint32_t slots, SlotMemory* abandoned) noexcept {
  const std::lock_guard hold(lock_);
  used_[queue] -= slots;
  if (abandoned != nullptr) graveyard_.push_back(std::move(*abandoned));
}

std::string Engine::description() const {
  std::string out = options.name;
  const char* between = " ";
  for (const Queue& q : queues_) {
    out += between + q.name + (q.limits.shared ? " shared, " : " dedicated, ") +
           std::to_string(q.limits.size) + " entries";
    between = "; ";
  }
  return out;
}

}  // namespace

std::unique_ptr<CopyEngine> make_engine(std::vector<Queue> queues, const EngineOptions& options) {
  return std::make_unique<Engine>(std::move(queues), options);
}

}  // namespace nodeplane::dsa
