#pragma once
#include <chrono>
#include <functional>
#include <thread>

#include "base/time.h"

namespace nodeplane {

// How long a test waits for what must happen: far more than that ever takes, so that a busy machine
// makes no test fail and only what never happens does.
inline constexpr int kPatienceMs = 60'000;
inline constexpr Time kPatience = kPatienceMs * kMillisecond;

// Whether it holds in time. What holds already costs nothing.
inline bool eventually(const std::function<bool()>& holds, int ms = kPatienceMs) {
  for (const Time end = time_now() + static_cast<Time>(ms) * kMillisecond; time_now() < end;) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return holds();
}

}  // namespace nodeplane
