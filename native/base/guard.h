#pragma once
#include <cstddef>
#include <cstdint>

namespace nodeplane {

// Memory that somebody else may take away while we use it: a file that another process can truncate
// raises SIGBUS in whoever touches what is gone. A guarded mapping is then replaced, all of it, by
// zero pages of our own, and its guard is broken before any thread can see them; the thread goes on.
// Threads that touch guarded mappings must not block SIGBUS (thread_settle does not).
inline constexpr int kGuardNone = -1;
inline constexpr uint32_t kGuardsMax = 4096;  // mappings of all peers together

// Whole pages that are mapped now. kGuardNone: there is no room, or no signal handler to be had.
int guard_add(void* base, size_t bytes) noexcept;
// Before it is unmapped, when no other thread touches it any more.
void guard_remove(int guard) noexcept;
bool guard_broken(int guard) noexcept;  // false for kGuardNone

}  // namespace nodeplane
