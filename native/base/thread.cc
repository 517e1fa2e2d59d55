#include "base/thread.h"

#include <linux/capability.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <initializer_list>

namespace nodeplane {

void thread_settle(const char* name, int core) noexcept {
  pthread_setname_np(pthread_self(), name);
  sigset_t most;
  sigfillset(&most);
  // What a thread's own instruction raises kills the process when blocked; a handler may know better
  // (base/guard.h).
  for (const int fault : {SIGBUS, SIGSEGV, SIGILL, SIGFPE}) sigdelset(&most, fault);
  pthread_sigmask(SIG_SETMASK, &most, nullptr);
  // Packets are handled without privilege: sockets, maps and interfaces were opened before, and are
  // closed by the thread that opened them (capabilities(7): they are a thread's own).
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  syscall(SYS_capset, &header, none);
  if (core < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

int thread_event() noexcept { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

void thread_event_close(int fd) noexcept {
  if (fd >= 0) close(fd);
}

void thread_wake(int fd) noexcept {
  const uint64_t one = 1;
  // A full counter means that a wake-up is pending anyway.
  [[maybe_unused]] const ssize_t n = write(fd, &one, sizeof one);
}

void thread_pause(int ms) noexcept { poll(nullptr, 0, ms); }

uint64_t thread_preempted() noexcept {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  return static_cast<uint64_t>(usage.ru_nivcsw);
}

void thread_sleep(const int* fds, uint32_t count, int ms) noexcept {
  constexpr uint32_t kMax = 512;
  pollfd polls[kMax];
  if (count > kMax) count = kMax;
  for (uint32_t i = 0; i < count; ++i) polls[i] = {fds[i], POLLIN, 0};
  poll(polls, count, ms);
  if (polls[0].revents == 0) return;  // nobody has called: there is nothing to take back
  uint64_t sink;
  [[maybe_unused]] const ssize_t n = read(fds[0], &sink, sizeof sink);
}

}  // namespace nodeplane
