#pragma once
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <random>
#include <vector>

#include "copy/engine.h"

namespace nodeplane {

// A copy engine that is as late and as unordered as may be: each poll makes a few copies, any of
// those submitted; destinations hold rubbish until then.
class LateCopies final : public CopyEngine {
 public:
  explicit LateCopies(uint32_t seed = 1) : seed_(seed) {}
  uint32_t made_per_poll = 16;  // at most
  uint64_t submitted = 0, unfinished = 0, unfinished_most = 0;

  std::unique_ptr<CopyChannel> channel(std::string* error) override {
    if (fails) {
      *error = "no channel is left";
      return nullptr;
    }
    return std::make_unique<Channel>(*this, seed_++);
  }
  bool is_immediate() const noexcept override { return false; }
  std::string description() const override { return "late"; }
  std::string stats_json() const override { return "{}"; }
  bool fails = false;

 private:
  class Channel final : public CopyChannel {
   public:
    Channel(LateCopies& engine, uint32_t seed) : engine_(engine), random_(seed) {}
    uint64_t submit(const Copy* copies, uint32_t count) noexcept override {
      if (count > kCopyBatchMax) std::abort();
      for (uint32_t i = 0; i < count; ++i) {
        std::memset(copies[i].to, 0xee, copies[i].bytes);
        waiting_.push_back({end_++, copies[i]});
        finished_.push_back(false);
      }
      if (waiting_.size() > kCopyPendingMax) std::abort();
      engine_.submitted += count;
      engine_.unfinished += count;
      engine_.unfinished_most = std::max(engine_.unfinished_most, engine_.unfinished);
      return end_;
    }
    uint64_t poll() noexcept override {
      make(random_() % (engine_.made_per_poll + 1));
      for (; !finished_.empty() && finished_.front(); finished_.pop_front()) first_++;
      return first_;
    }
    void drain() noexcept override { make(waiting_.size()); }

   private:
    struct Entry {
      uint64_t number;
      Copy copy;
    };
    void make(size_t count) {
      for (; count != 0 && !waiting_.empty(); --count) {
        std::swap(waiting_[random_() % waiting_.size()], waiting_.back());
        const Copy& c = waiting_.back().copy;
        std::memcpy(c.to, c.from, c.bytes);
        finished_[waiting_.back().number - first_] = true;
        waiting_.pop_back();
        engine_.unfinished--;
      }
    }
    LateCopies& engine_;
    std::minstd_rand random_;
    std::vector<Entry> waiting_;
    std::deque<bool> finished_;  // from first_ on
    uint64_t first_ = 0, end_ = 0;
  };
  uint32_t seed_;
};

}  // namespace nodeplane
