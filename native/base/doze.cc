#include "base/doze.h"

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

namespace nodeplane {
namespace {

constexpr int kUnfencedMsMax = 1;

uint32_t* word(std::atomic<uint32_t>& a) noexcept {
  static_assert(sizeof a == sizeof(uint32_t) && std::atomic<uint32_t>::is_always_lock_free);
  return reinterpret_cast<uint32_t*>(&a);
}

}  // namespace

Doze::Doze() noexcept
    : fenced_(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0) {}

void Doze::fence_all() noexcept {
  if (fenced_) syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

void Doze::wait(int ms) noexcept {
  if (!fenced_) ms = std::min(ms, kUnfencedMsMax);
  const timespec time{ms / 1000, ms % 1000 * 1'000'000L};
  syscall(SYS_futex, word(asleep_), FUTEX_WAIT_PRIVATE, 1, &time, nullptr, 0);
}

void Doze::wake() noexcept {
  if (asleep_.exchange(0, std::memory_order_relaxed) != 0)
    syscall(SYS_futex, word(asleep_), FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

}  // namespace nodeplane
