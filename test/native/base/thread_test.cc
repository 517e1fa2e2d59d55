#include "base/thread.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <fstream>
#include <sstream>
#include <thread>

namespace nodeplane {
namespace {

std::string status_of_this_thread() {
  std::ifstream file("/proc/thread-self/status");
  std::stringstream all;
  all << file.rdbuf();
  return all.str();
}

TEST(Thread, SettlesWithoutCapabilitiesOrSignalsOnItsCore) {
  std::string status;
  int cpus = 0;
  std::thread([&] {
    thread_settle("np-test", 0);
    status = status_of_this_thread();
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    cpus = CPU_COUNT(&set);
  }).join();
  EXPECT_NE(status.find("Name:\tnp-test"), std::string::npos);
  EXPECT_NE(status.find("CapEff:\t0000000000000000"), std::string::npos);
  EXPECT_NE(status.find("CapPrm:\t0000000000000000"), std::string::npos);
  // Everything but SIGKILL, SIGSTOP and the C library's own two can be blocked; faults are not.
  EXPECT_NE(status.find("SigBlk:\tfffffffe7ffbfa37"), std::string::npos) << status;
  EXPECT_EQ(cpus, 1);
}

TEST(Thread, WakesASleeperAtOnce) {
  const int fd = thread_event();
  ASSERT_GE(fd, 0);
  thread_wake(fd);
  const auto before = std::chrono::steady_clock::now();
  thread_sleep(&fd, 1, 60000);
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(30));
  thread_event_close(fd);
}

}  // namespace
}  // namespace nodeplane
