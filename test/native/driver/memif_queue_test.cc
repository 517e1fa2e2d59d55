// The data path: a server's queue and a client's over one memory.
#include "driver/memif/queue.h"

#include "support/memif_pair.h"

namespace nodeplane::memif {
namespace {

PairOptions with_lends(bool lends, uint32_t ring_size = 64) {
  PairOptions options;
  options.lends = lends;
  options.ring_size = ring_size;
  return options;
}

class MemifQueue : public testing::TestWithParam<bool> {};

TEST_P(MemifQueue, CarriesPacketsBothWays) {
  Pair pair(with_lends(GetParam()));
  const std::vector<Bytes> some = {pattern(60), pattern(1), pattern(1500, 2), pattern(9216, 3),
                                   pattern(64, 4)};
  for (int round = 0; round < 40; ++round) {
    EXPECT_EQ(pair.client.send(some), some.size());
    EXPECT_EQ(pair.server.take(), some);
    EXPECT_EQ(pair.server.send(some), some.size());
    EXPECT_EQ(pair.client.take(), some);
    pair.client.release();
  }
  EXPECT_EQ(pair.server.violation(), nullptr);
  EXPECT_EQ(pair.client.violation(), nullptr);
}

INSTANTIATE_TEST_SUITE_P(Copying, MemifQueue, testing::Values(false));
INSTANTIATE_TEST_SUITE_P(Lending, MemifQueue, testing::Values(true));

}  // namespace
}  // namespace nodeplane::memif
