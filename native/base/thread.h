#pragma once
#include <cstdint>

namespace nodeplane {

// Names the calling thread, blocks all signals for it (they belong to JavaScript's thread) but its own
// faults, takes all capabilities from it, and pins it to a core; core < 0: not pinned.
void thread_settle(const char* name, int core) noexcept;

// An eventfd to wake a sleeper; -1 when the system has none to give.
int thread_event() noexcept;
void thread_event_close(int fd) noexcept;
void thread_wake(int fd) noexcept;
void thread_pause(int ms) noexcept;
// How often the calling thread lost its core to another one so far.
uint64_t thread_preempted() noexcept;
// Sleeps until one of the descriptors is readable or the time is up. The first is an eventfd and is
// emptied.
void thread_sleep(const int* fds, uint32_t count, int ms) noexcept;

}  // namespace nodeplane
