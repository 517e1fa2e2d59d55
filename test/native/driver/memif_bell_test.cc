#include "driver/memif/bell.h"

#include <fcntl.h>
#include <sys/eventfd.h>

#include "support/memif_kit.h"

namespace nodeplane::memif {
namespace {

uint64_t counter_of(const Fd& fd) {
  uint64_t counter = 0;
  EXPECT_EQ(read(fd.get(), &counter, sizeof counter), static_cast<ssize_t>(sizeof counter));
  return counter;
}

TEST(MemifBell, RingsAsOftenAsItIsRung) {
  Bell bell;
  ASSERT_TRUE(bell.never_waits());
  const Fd fd = event_file();
  for (uint32_t i = 0; i < 10 * kBellRoom; ++i) bell.ring(fd.get());
  EXPECT_EQ(counter_of(fd), 10 * kBellRoom);
  bell.ring(fd.get());
  EXPECT_EQ(counter_of(fd), 1u);
}

// A write would never return here.
TEST(MemifBell, DoesNotWaitForAFullCounter) {
  Bell bell;
  ASSERT_TRUE(bell.never_waits());
  const Fd fd(eventfd(0, EFD_CLOEXEC));
  const uint64_t full = ~uint64_t{0} - 1;
  ASSERT_EQ(write(fd.get(), &full, sizeof full), static_cast<ssize_t>(sizeof full));
  for (uint32_t i = 0; i < 10 * kBellRoom; ++i) bell.ring(fd.get());
  EXPECT_EQ(counter_of(fd), ~uint64_t{0});
}

TEST(MemifBell, IsHeardByAnEdge) {
  Seat seat(1);
  Bell bell;
  const Fd fd = event_file();
  Link link;
  link.receiving.push_back({nullptr, nullptr, 32, fd.get()});
  seat.offer(&link);
  pollfd look{seat.wait_fd(0), POLLIN, 0};
  for (int i = 0; i < 3; ++i) {
    seat.hush(0);
    EXPECT_EQ(poll(&look, 1, 0), 0);
    bell.ring(fd.get());
    EXPECT_EQ(poll(&look, 1, 0), 1);
  }
  seat.withdraw();
}

TEST(MemifBell, WhatIsNotThereIsNotRung) {
  Bell bell;
  bell.ring(-1);
  bell.ring(1 << 20);
}

}  // namespace
}  // namespace nodeplane::memif
