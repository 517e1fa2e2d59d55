#include "base/guard.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

namespace nodeplane {
namespace {

enum State : uint32_t { kFree, kChanging, kLive };

// Read by a signal handler: nothing but lock-free atomics.
struct Guard {
  std::atomic<uint32_t> state{kFree};
  std::atomic<bool> broken{false};
  std::atomic<uintptr_t> base{0};
  std::atomic<size_t> bytes{0};
};
static_assert(std::atomic<uintptr_t>::is_always_lock_free);

Guard guards[kGuardsMax];
std::atomic<uint32_t> guards_end{0};  // entries from here on were never used
struct sigaction before;

Guard* find(uintptr_t address) noexcept {
  const uint32_t end = guards_end.load(std::memory_order_acquire);
  for (uint32_t i = 0; i < end; ++i) {
    Guard& guard = guards[i];
    if (guard.state.load(std::memory_order_acquire) != kLive) continue;
    const uintptr_t base = guard.base.load(std::memory_order_relaxed);
    if (address - base < guard.bytes.load(std::memory_order_relaxed)) return &guard;
  }
  return nullptr;
}

// mmap is not on the list of signal-safety(7): the bare system call needs no list.
bool mend(Guard& guard) noexcept {
  // First: whoever sees the zeros finds the guard broken.
  guard.broken.store(true, std::memory_order_release);
  const uintptr_t base = guard.base.load(std::memory_order_relaxed);
  const long zero =
      syscall(SYS_mmap, base, guard.bytes.load(std::memory_order_relaxed), PROT_READ | PROT_WRITE,
              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
  return static_cast<uintptr_t>(zero) == base;
}

// Not ours: whoever was there before us, or the default action when the instruction runs again.
void hand_on(int number, siginfo_t* info, void* context) noexcept {
  if ((before.sa_flags & SA_SIGINFO) != 0) return before.sa_sigaction(number, info, context);
  if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN)
    return before.sa_handler(number);
  struct sigaction fall {};
  fall.sa_handler = SIG_DFL;
  sigaction(number, &fall, nullptr);
  if (info->si_code <= 0) raise(number);  // sent by somebody: it would not come again by itself
}

void on_fault(int number, siginfo_t* info, void* context) {
  const int kept = errno;
  // A positive code is the kernel's: the address is that of a fault (sigaction(2)).
  Guard* const guard =
      info->si_code > 0 ? find(reinterpret_cast<uintptr_t>(info->si_addr)) : nullptr;
  if (guard == nullptr || !mend(*guard)) hand_on(number, info, context);
  errno = kept;
}

bool install() noexcept {
  if (sigaction(SIGBUS, nullptr, &before) != 0) return false;
  struct sigaction ours {};
  ours.sa_sigaction = on_fault;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&ours.sa_mask);
  return sigaction(SIGBUS, &ours, nullptr) == 0;
}

}  // namespace

int guard_add(void* base, size_t bytes) noexcept {
  static const bool installed = install();
  if (!installed) return kGuardNone;
  for (uint32_t i = 0; i < kGuardsMax; ++i) {
    Guard& guard = guards[i];
    uint32_t free = kFree;
    if (!guard.state.compare_exchange_strong(free, kChanging, std::memory_order_acquire)) continue;
    guard.base.store(reinterpret_cast<uintptr_t>(base), std::memory_order_relaxed);
    guard.bytes.store(bytes, std::memory_order_relaxed);
    guard.broken.store(false, std::memory_order_relaxed);
    guard.state.store(kLive, std::memory_order_release);
    uint32_t end = guards_end.load(std::memory_order_relaxed);
    while (end < i + 1 &&
           !guards_end.compare_exchange_weak(end, i + 1, std::memory_order_release)) {
    }
    return static_cast<int>(i);
  }
  return kGuardNone;
}

void guard_remove(int guard) noexcept {
  if (guard >= 0) guards[guard].state.store(kFree, std::memory_order_release);
}

bool guard_broken(int guard) noexcept {
  return guard >= 0 && guards[guard].broken.load(std::memory_order_acquire);
}

}  // namespace nodeplane
