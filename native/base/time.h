#pragma once
#include <time.h>

#include <cstdint>

namespace nodeplane {

// Nanoseconds. Live workers read CLOCK_BOOTTIME once per batch; a replay's clock is its packets'.
using Time = uint64_t;
inline constexpr Time kMillisecond = 1'000'000;
inline constexpr Time kSecond = 1'000'000'000;

inline Time time_now() noexcept {
  timespec ts;
  clock_gettime(CLOCK_BOOTTIME, &ts);
  return static_cast<Time>(ts.tv_sec) * kSecond + static_cast<Time>(ts.tv_nsec);
}

}  // namespace nodeplane
