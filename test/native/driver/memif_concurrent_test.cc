// Two workers on the two ends of one memory, at full speed, asleep and while connections come and go.
#include <poll.h>

#include <atomic>
#include <thread>

#include "driver/memif/queue.h"
#include "support/late_copies.h"
#include "support/memif_pair.h"
#include "support/patience.h"
#include "support/sanitized.h"

namespace nodeplane::memif {
namespace {

constexpr uint32_t kTotal = test::kSanitized ? 60000 : 150000;

enum class PairKind { kCopying, kLending, kLate };

uint32_t length_of(uint32_t number) {
  return number % 97 == 0 ? 2000 + number % 7000 : 60 + number * 7 % 1400;
}

// Packets with their number in front and a byte of it behind.
class Sender {
 public:
  explicit Sender(Side& side) : side_(side) {}
  // One turn with at most kBurst of them; `sent` moves on by what was taken and not refused.
  void turn(uint32_t* sent, uint32_t end) {
    Packet made[kBurst];
    Packet* list[kBurst];
    side_.release();
    uint32_t count = 0;
    for (; count < kBurst && *sent + count < end; ++count) {
      const uint32_t number = *sent + count;
      uint8_t bytes[9300];
      const uint32_t length = length_of(number);
      std::memset(bytes + length / 2, static_cast<uint8_t>(number), length - length / 2);
      std::memcpy(bytes, &number, 4);
      if (!place_bytes(made[count], *side_.kit.frames, bytes, length)) break;
      list[count] = &made[count];
    }
    const uint32_t taken = side_.queue->transmit(list, count, *side_.kit.frames);
    for (uint32_t i = taken; i < count; ++i) side_.kit.frames->give_chain(made[i].frame);
    *sent += taken;
    refused += side_.queue->refused();
    if (taken == 0) std::this_thread::yield();
  }
  uint64_t refused = 0;

 private:
  static constexpr uint32_t kBurst = 32;
  Side& side_;
};

// Its number; checks its bytes.
uint32_t read_packet(Side& side, const Packet& p, bool* is_good) {
  uint32_t number;
  std::memcpy(&number, p.data, 4);
  uint8_t last = 0;
  each_piece(*side.kit.arena, p, [&](const uint8_t* bytes, uint32_t n) { last = bytes[n - 1]; });
  *is_good = p.length == length_of(number) && last == static_cast<uint8_t>(number) &&
             p.data[p.linear - 1] ==
                 (p.linear > p.length / 2 ? static_cast<uint8_t>(number) : p.data[p.linear - 1]);
  return number;
}

class ConcurrentMemif : public testing::TestWithParam<PairKind> {
 protected:
  PairOptions options() {
    PairOptions options;
    options.ring_size = 256;
    options.frames = 8192;
    options.lends = GetParam() == PairKind::kLending;
    options.quota = 4096;
    if (GetParam() == PairKind::kLate) options.server_copy = &late_;
    if (GetParam() == PairKind::kLate) options.client_copy = &late_client_;
    return options;
  }
  LateCopies late_{1}, late_client_{2};  // each for one thread
};

// Both ways at once: all of it arrives, in order, with its bytes.
TEST_P(ConcurrentMemif, FullSpeedBothWays) {
  late_.made_per_poll = late_client_.made_per_poll = 200;
  Pair pair(options());
  std::atomic<uint32_t> faults{0}, finished{0};
  const auto work = [&](Side& side) {
    Sender sender(side);
    uint32_t sent = 0, got = 0;
    Time end = time_now() + kPatience;  // from the last packet on
    bool told = false;
    while (finished < 2 && time_now() < end) {
      sender.turn(&sent, kTotal);
      const uint32_t n = side.receive();
      for (uint32_t i = 0; i < n; ++i) {
        bool is_good;
        const uint32_t number = read_packet(side, side.kit.packets[i], &is_good);
        if (number != got++ || !is_good) faults++;
      }
      side.kit.give(n);
      if (n != 0) end = time_now() + kPatience;
      if (!told && sent == kTotal && got == kTotal) finished++, told = true;
    }
    if (sender.refused != 0) faults++;
  };
  std::thread other([&] { work(pair.client); });
  work(pair.server);
  other.join();
  EXPECT_EQ(finished, 2u) << pair.client.violation() << pair.server.violation();
  EXPECT_EQ(faults, 0u);
}

// A receiver that sleeps whenever it may: no wake-up is lost, whatever the moment.
TEST_P(ConcurrentMemif, SleepersAreWoken) {
  late_.made_per_poll = late_client_.made_per_poll = 200;
  Pair pair(options());
  for (Side* from : {&pair.client, &pair.server}) {
    Side& to = from == &pair.client ? pair.server : pair.client;
    std::atomic<bool> is_done{false};
    std::thread thread([&] {
      Sender sender(*from);
      uint32_t sent = 0;
      for (uint32_t turn = 0; sent < kTotal / 4; ++turn) {
        sender.turn(&sent, std::min(kTotal / 4, sent + 1 + turn % 32));
        if (turn % 16 == 0) usleep(turn % 7 * 10);
      }
      while (!is_done) from->release(), std::this_thread::yield();  // copies under way
    });
    uint32_t got = 0, sleeps = 0, lost = 0;
    while (got < kTotal / 4 && lost == 0) {
      const uint32_t n = to.receive();
      to.kit.give(n);
      got += n;
      if (n != 0 || !to.queue->arm()) continue;
      sleeps++;
      pollfd look{to.seat.wait_fd(0), POLLIN, 0};
      if (poll(&look, 1, kPatienceMs) != 1) lost++;
    }
    is_done = true;
    thread.join();
    EXPECT_EQ(got, kTotal / 4);
    EXPECT_EQ(lost, 0u);
    EXPECT_GT(sleeps, 0u);
  }
}

// Somebody else ends the connection and makes the next one, while both workers are at it. What is
// not in use any more is overwritten, as an unmapped region would fault.
TEST_P(ConcurrentMemif, ConnectionsComeAndGoUnderTraffic) {
  late_.made_per_poll = late_client_.made_per_poll = 200;
  Pair pair(options());
  std::atomic<bool> is_done{false};
  std::atomic<uint64_t> faults{0}, received{0};
  const auto work = [&](Side& side) {
    Sender sender(side);
    uint32_t sent = 0, before = 0;
    while (!is_done) {
      sender.turn(&sent, 0xffffffff);
      const uint32_t n = side.receive();
      for (uint32_t i = 0; i < n; ++i) {
        bool is_good;
        const uint32_t number = read_packet(side, side.kit.packets[i], &is_good);
        if (!is_good || number < before) faults++;
        before = number;
      }
      received += n;
      side.kit.give(n);
    }
  };
  std::thread left([&] { work(pair.server); });
  std::thread right([&] { work(pair.client); });
  for (int i = 0; i < 60; ++i) {
    const uint64_t before = received;
    EXPECT_TRUE(eventually([&] { return received >= before + 500; })) << "round " << i;
    // The server first: frames lent to it must not be used again while it still fills them.
    for (Side* side : {&pair.server, &pair.client}) {
      side->seat.withdraw();
      while (side->seat.is_used(&side->link)) usleep(100);
    }
    EXPECT_EQ(pair.server.violation(), nullptr) << pair.server.violation();
    EXPECT_EQ(pair.client.violation(), nullptr) << pair.client.violation();
    std::memset(pair.memory.get(), 0, pair.bytes);
    for (Side* side : {&pair.client, &pair.server}) side->seat.offer(&side->link);
  }
  is_done = true;
  left.join();
  right.join();
  EXPECT_EQ(faults, 0u);
}

INSTANTIATE_TEST_SUITE_P(Copying, ConcurrentMemif, testing::Values(PairKind::kCopying));
INSTANTIATE_TEST_SUITE_P(Lending, ConcurrentMemif, testing::Values(PairKind::kLending));
INSTANTIATE_TEST_SUITE_P(Late, ConcurrentMemif, testing::Values(PairKind::kLate));

}  // namespace
}  // namespace nodeplane::memif
