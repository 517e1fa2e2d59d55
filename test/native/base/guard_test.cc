// A file that is cut under our hands.
#include "base/guard.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "base/thread.h"

namespace nodeplane {
namespace {

constexpr size_t kFileBytes = 16 * 4096;

struct Mapping {
  Mapping() {
    fd = memfd_create("guarded", MFD_CLOEXEC);
    EXPECT_EQ(ftruncate(fd, kFileBytes), 0);
    void* const p = mmap(nullptr, kFileBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    EXPECT_NE(p, MAP_FAILED);
    base = static_cast<volatile uint8_t*>(p);
  }
  ~Mapping() {
    munmap(const_cast<uint8_t*>(base), kFileBytes);
    close(fd);
  }
  int guard() { return guard_add(const_cast<uint8_t*>(base), kFileBytes); }
  int fd;
  volatile uint8_t* base;
};

TEST(Guard, PutsZerosInThePlaceOfWhatIsGone) {
  Mapping cut, whole;
  const int over_cut = cut.guard(), over_whole = whole.guard();
  ASSERT_NE(over_cut, kGuardNone);
  ASSERT_NE(over_whole, kGuardNone);
  cut.base[0] = 1;
  whole.base[0] = 1;
  ASSERT_EQ(ftruncate(cut.fd, 4096), 0);
  EXPECT_FALSE(guard_broken(over_cut));
  EXPECT_EQ(cut.base[kFileBytes - 1], 0);  // would be the end of us
  EXPECT_TRUE(guard_broken(over_cut));
  EXPECT_EQ(cut.base[0], 0);     // all of it is replaced
  cut.base[kFileBytes - 1] = 9;  // and may be written
  EXPECT_FALSE(guard_broken(over_whole));
  EXPECT_EQ(whole.base[0], 1);
  guard_remove(over_cut);
  guard_remove(over_whole);
  EXPECT_FALSE(guard_broken(kGuardNone));
}

TEST(Guard, KeepsThreadsThatBlockEverythingElse) {
  Mapping cut;
  const int guard = cut.guard();
  ASSERT_EQ(ftruncate(cut.fd, 0), 0);
  int seen = -1;
  std::thread([&] {
    thread_settle("np-test", -1);
    seen = cut.base[100];
  }).join();
  EXPECT_EQ(seen, 0);
  EXPECT_TRUE(guard_broken(guard));
  guard_remove(guard);
}

TEST(ConcurrentGuard, ServesManyAtOnce) {
  Mapping cut;
  const int guard = cut.guard();
  std::atomic<bool> go{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      while (!go) thread_pause(0);
      for (size_t at = 0; at < kFileBytes; at += 4096) cut.base[at];
    });
  ASSERT_EQ(ftruncate(cut.fd, 0), 0);
  go = true;
  for (auto& thread : threads) thread.join();
  EXPECT_TRUE(guard_broken(guard));
  guard_remove(guard);
}

TEST(ConcurrentGuard, IsBrokenBeforeAnybodySeesTheZeros) {
  for (int lap = 0; lap < 500; ++lap) {
    Mapping cut;
    const int guard = cut.guard();
    cut.base[0] = 1;
    ASSERT_EQ(ftruncate(cut.fd, 4096), 0);
    bool was_broken = false;
    std::thread reader([&] {
      while (cut.base[0] != 0) {
      }
      was_broken = guard_broken(guard);
    });
    cut.base[kFileBytes - 1];
    reader.join();
    guard_remove(guard);
    ASSERT_TRUE(was_broken) << lap;
  }
}

TEST(Guard, HasRoomForSoManyAndTellsWhenThereIsNone) {
  Mapping one;
  std::vector<int> guards;
  for (uint32_t i = 0; i < kGuardsMax; ++i) {
    const int guard = one.guard();
    ASSERT_NE(guard, kGuardNone) << i;
    guards.push_back(guard);
  }
  EXPECT_EQ(one.guard(), kGuardNone);
  guard_remove(guards.back());
  guards.back() = one.guard();
  EXPECT_NE(guards.back(), kGuardNone);
  for (const int guard : guards) guard_remove(guard);
}

void on_bus(int number) { _exit(number == SIGBUS ? 42 : 43); }

// In a child each, which runs this program anew: the handler is put in place once per process.
TEST(GuardDeathTest, LeavesOtherFaultsToWhoeverWasThereBefore) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto fault = [](bool handler) {
    if (handler) {
      struct sigaction action {};
      action.sa_handler = on_bus;
      sigaction(SIGBUS, &action, nullptr);
    } else {
      signal(SIGBUS, SIG_DFL);
    }
    Mapping guarded, cut;
    guarded.guard();
    if (ftruncate(cut.fd, 0) == 0) cut.base[0];
  };
  EXPECT_EXIT(fault(true), testing::ExitedWithCode(42), "");
  EXPECT_EXIT(fault(false), testing::KilledBySignal(SIGBUS), "");
  const auto sent = [] {
    signal(SIGBUS, SIG_DFL);
    Mapping guarded;
    guarded.guard();
    raise(SIGBUS);
  };
  EXPECT_EXIT(sent(), testing::KilledBySignal(SIGBUS), "");
}

}  // namespace
}  // namespace nodeplane
