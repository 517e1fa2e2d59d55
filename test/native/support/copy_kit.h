#pragma once
#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include "copy/engine.h"

namespace nodeplane::test {

// A user of a channel as a port is one: buffers in a circle, submits of random size, and every copy
// looked at byte by byte when the channel says it is finished, in the order of submission.
class Copying {
 public:
  Copying(CopyChannel& channel, uint32_t buffers, uint32_t bytes_max, uint32_t seed)
      : channel_(channel),
        bytes_max_(bytes_max),
        stride_((bytes_max + 127) / 64 * 64),
        random_(seed),
        from_(size_t{buffers} * stride_),
        to_(from_.size()),
        buffers_(buffers) {}

  // Submits `copies` in lots of up to `lot`, and waits for the last.
  void run(uint64_t copies, uint32_t lot) {
    while (submitted_ < copies && !::testing::Test::HasFatalFailure()) {
      look(channel_.poll());
      if (buffers_ - (submitted_ - finished_) < lot) continue;
      submit(static_cast<uint32_t>(std::min<uint64_t>(1 + random_() % lot, copies - submitted_)));
    }
    finish();
  }
  void finish() {
    channel_.drain();
    look(channel_.poll());
    ASSERT_EQ(finished_, submitted_);
  }
  void submit(uint32_t count) {
    std::vector<Copy> copies;
    for (uint32_t i = 0; i < count; ++i) {
      const size_t at = (submitted_ + i) % buffers_ * stride_;
      const auto bytes = static_cast<uint32_t>(1 + random_() % bytes_max_);
      uint8_t* f = from_.data() + at + random_() % 32;
      uint8_t* t = to_.data() + at + random_() % 32;
      const uint64_t mark = random_();
      for (uint32_t k = 0; k < bytes; ++k) f[k] = static_cast<uint8_t>((mark >> (k % 57)) + k);
      std::memset(t, ~f[0], bytes);
      copies.push_back({t, f, bytes});
      pending_.push_back(copies.back());
    }
    const uint64_t answer = channel_.submit(copies.data(), count);
    submitted_ += count;
    ASSERT_EQ(answer, submitted_);
  }
  void look(uint64_t finished) {
    ASSERT_GE(finished, finished_);
    ASSERT_LE(finished, submitted_);
    for (; finished_ < finished; ++finished_) {
      const Copy c = pending_.front();
      pending_.pop_front();
      ASSERT_EQ(std::memcmp(c.to, c.from, c.bytes), 0) << "copy " << finished_;
    }
  }
  uint64_t submitted() const { return submitted_; }
  uint64_t finished() const { return finished_; }

 private:
  CopyChannel& channel_;
  const uint32_t bytes_max_, stride_;
  std::mt19937_64 random_;
  std::vector<uint8_t> from_, to_;
  const uint32_t buffers_;
  std::deque<Copy> pending_;
  uint64_t submitted_ = 0, finished_ = 0;
};

// A number of an engine's or Model's JSON.
inline uint64_t number_in(const std::string& json, const std::string& name) {
  const size_t at = json.find('"' + name + "\":");
  if (at == std::string::npos) return ~uint64_t{0};
  return std::stoull(json.substr(at + name.size() + 3));
}

}  // namespace nodeplane::test
