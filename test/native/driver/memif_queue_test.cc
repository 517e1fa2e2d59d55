// The data path: a server's queue and a client's over one memory.
#include "driver/memif/queue.h"

#include <poll.h>

#include "support/late_copies.h"
#include "support/memif_pair.h"

namespace nodeplane::memif {
namespace {

enum class QueueKind { kCopying, kLending, kLateServer, kLateBoth };

PairOptions options_of(QueueKind kind, LateCopies* late = nullptr) {
  PairOptions options;
  options.lends = kind == QueueKind::kLending;
  if (kind == QueueKind::kLateServer || kind == QueueKind::kLateBoth) options.server_copy = late;
  if (kind == QueueKind::kLateBoth) options.client_copy = late;
  if (late != nullptr && !options.lends) options.quota = 2048;
  return options;
}

// What it was given comes out of the other end, however many turns that takes.
void expect_crosses(Side& from, Side& to, const std::vector<Bytes>& some) {
  std::vector<Bytes> got;
  size_t sent = 0;
  for (int turn = 0; turn < 100000 && got.size() < some.size(); ++turn) {
    from.release();
    if (sent < some.size())
      sent += from.send(
          std::vector<Bytes>(some.begin() + static_cast<long>(sent),
                             some.begin() + static_cast<long>(std::min(sent + 200, some.size()))));
    for (Bytes& one : to.take()) got.push_back(std::move(one));
    to.release();
  }
  ASSERT_EQ(got.size(), some.size());
  for (size_t i = 0; i < some.size(); ++i) ASSERT_TRUE(got[i] == some[i]) << "packet " << i;
  ASSERT_EQ(from.queue->refused(), 0u);
}

class MemifQueue : public testing::TestWithParam<QueueKind> {};

TEST_P(MemifQueue, CarriesEverySizeBothWays) {
  LateCopies late;
  std::vector<Bytes> some;
  for (const uint32_t size :
       {1u,   2u,   15u,  16u,  17u,  31u,  32u,  33u,   60u,   63u,   64u,   65u,
        127u, 128u, 129u, 255u, 256u, 257u, 511u, 1500u, 1514u, 9000u, 9215u, 9216u})
    some.push_back(pattern(size, size));
  for (uint32_t border : {1792u, 2048u, 1792u + 2048, 4096u, 1792u + 4096, 8192u, 4096u - 256})
    for (uint32_t size = border - 2; size <= border + 2; ++size)
      some.push_back(pattern(size, size));
  for (const uint32_t frame_size : {2048u, 4096u})
    for (const uint32_t buffer : {256u, 2048u, 3000u, 16384u}) {
      PairOptions options = options_of(GetParam(), &late);
      options.frames = 1024;
      options.frame_size = frame_size;
      options.buffer_bytes = buffer;
      Pair pair(options);
      expect_crosses(pair.client, pair.server, some);
      expect_crosses(pair.server, pair.client, some);
      EXPECT_EQ(pair.server.violation(), nullptr);
      EXPECT_EQ(pair.client.violation(), nullptr);
    }
}

// Past the wrap of the 16-bit indexes, twice, in small rings and large ones.
TEST_P(MemifQueue, IndexesWrap) {
  for (uint32_t size = 1u << kRingLog2Min; size <= 1u << kRingLog2Max; size *= 8) {
    LateCopies late;
    late.made_per_poll = 1000;
    PairOptions options = options_of(GetParam(), &late);
    options.ring_size = size;
    options.frames = 4 * size + 2048;
    options.buffer_bytes = 256;
    Pair pair(options);
    Packet made[kBatchSize];
    Packet* list[kBatchSize];
    for (uint32_t i = 0; i < kBatchSize; ++i) list[i] = &made[i];
    Side* sides[2] = {&pair.client, &pair.server};
    for (int way = 0; way < 2; ++way) {
      Side& from = *sides[way];
      Side& to = *sides[1 - way];
      uint32_t sent = 0, got = 0;
      while (got < 2 * 65536 + 5000) {
        const uint32_t count = sent % kBatchSize + 1;
        for (uint32_t i = 0; i < count; ++i) {
          Packet& p = made[i];
          p.frame = from.kit.frames->take();
          ASSERT_NE(p.frame, kFrameNone);
          p.data = from.kit.arena->at(p.frame) + kFrameHeadroom;
          p.length = p.linear = 60 + (sent + i) % 5;
          std::memset(p.data, static_cast<int>(sent + i), p.length);
          const uint32_t number = sent + i;
          std::memcpy(p.data, &number, 4);
        }
        const uint32_t taken = from.queue->transmit(list, count, *from.kit.frames);
        ASSERT_EQ(from.queue->refused(), 0u);
        for (uint32_t i = taken; i < count; ++i) from.kit.frames->give(made[i].frame);
        sent += taken;
        const uint32_t n = to.receive();
        for (uint32_t i = 0; i < n; ++i, ++got) {
          const Packet& p = to.kit.packets[i];
          uint32_t number;
          std::memcpy(&number, p.data, 4);
          ASSERT_EQ(number, got);
          ASSERT_EQ(p.length, 60 + got % 5);
          ASSERT_EQ(p.data[p.length - 1], static_cast<uint8_t>(got));
        }
        to.kit.give(n);
        from.release();
        to.release();
      }
      ASSERT_EQ(from.violation(), nullptr);
      ASSERT_EQ(to.violation(), nullptr);
    }
  }
}

// Nothing is lost of what was taken, and nothing is taken that has no room.
TEST_P(MemifQueue, FullRingTakesNoMore) {
  LateCopies late;
  late.made_per_poll = 1000;
  Pair pair(options_of(GetParam(), &late));
  for (Side* from : {&pair.client, &pair.server}) {
    Side& to = from == &pair.client ? pair.server : pair.client;
    uint32_t sent = 0;
    std::vector<Bytes> some;
    for (uint32_t i = 0; i < 100; ++i) some.push_back(pattern(100 + i, i));
    for (int i = 0; i < 50; ++i) {
      sent += from->send(std::vector<Bytes>(some.begin() + sent, some.end()));
      from->release();
    }
    EXPECT_EQ(sent, 64u);
    EXPECT_EQ(from->queue->refused(), 0u);
    std::vector<Bytes> got;
    for (int i = 0; i < 1000 && got.size() < sent; ++i)
      for (Bytes& one : to.take(7)) got.push_back(std::move(one));
    some.resize(sent);
    EXPECT_TRUE(got == some);
    EXPECT_TRUE(to.take().empty());
    to.release();
    EXPECT_EQ(from->send({pattern(60)}), 1u);
    for (int i = 0; i < 100 && to.take().empty(); ++i) from->release();
  }
}

// The connection ends at any moment, copies and lent frames under way; all frames come back (each
// kit says so) and the next connection starts afresh.
TEST_P(MemifQueue, EndsAtAnyMoment) {
  for (uint32_t moment = 0; moment < 40; ++moment) {
    LateCopies late(moment);
    late.made_per_poll = moment % 8;
    PairOptions options = options_of(GetParam(), &late);
    options.frames = 512;
    Pair pair(options);
    for (uint32_t step = 0; step < moment; ++step) {
      Side& side = step % 2 != 0 ? pair.client : pair.server;
      side.send({pattern(60, step), pattern(9000, step), pattern(1500, step)});
      if (step % 3 == 0) pair.client.take();
      if (step % 5 == 0) pair.server.take(2);
    }
    pair.server.withdraw();
    pair.client.withdraw();
    EXPECT_EQ(pair.server.queue->tallies.frames_held.get(), 0u);
    EXPECT_EQ(pair.client.queue->tallies.frames_held.get(), 0u);
    EXPECT_EQ(late.unfinished, 0u) << "memory may be unmapped now";
    EXPECT_EQ(pair.client.take().size(), 0u);
    EXPECT_EQ(pair.client.send({pattern(60)}), 1u);
    EXPECT_EQ(pair.client.queue->refused(), 1u);
    EXPECT_EQ(pair.client.queue->refused_as(), Drop::kNoPeer);
    pair.rejoin();
    late.made_per_poll = 100;
    expect_crosses(pair.client, pair.server, {pattern(60), pattern(9000)});
    expect_crosses(pair.server, pair.client, {pattern(60), pattern(9000)});
  }
}

INSTANTIATE_TEST_SUITE_P(Copying, MemifQueue, testing::Values(QueueKind::kCopying));
INSTANTIATE_TEST_SUITE_P(Lending, MemifQueue, testing::Values(QueueKind::kLending));
INSTANTIATE_TEST_SUITE_P(LateServer, MemifQueue, testing::Values(QueueKind::kLateServer));
INSTANTIATE_TEST_SUITE_P(LateBoth, MemifQueue, testing::Values(QueueKind::kLateBoth));

// A client may wipe the indexes until it knows that it is connected: nothing is sent before it has
// posted buffers, and our own index is read back then.
TEST(MemifServer, HoldsSendingUntilBuffersArePosted) {
  Pair pair({.posts = false});
  EXPECT_EQ(pair.server.send({pattern(60)}), 1u);
  EXPECT_EQ(pair.server.queue->refused(), 1u);
  EXPECT_EQ(pair.server.queue->refused_as(), Drop::kNoPeer);
  EXPECT_EQ(pair.m2s().head->tail, 0);
  pair.m2s().head->tail = 5;  // an old one, of a peer that does not wipe
  pair.m2s().head->head = 5 + 1;
  pair.m2s().slots[5] = {0, 0, 2048, 8192, 0};
  EXPECT_EQ(pair.server.send({pattern(60), pattern(60)}), 1u);
  EXPECT_EQ(pair.server.queue->refused(), 0u);
  EXPECT_EQ(pair.m2s().head->tail, 6);
  EXPECT_EQ(pair.m2s().slots[5].length, 60u);
}

TEST(MemifServer, ReadsLocationsFromTheSlotsAsTheyAreNow) {
  Pair pair;
  const Bytes bytes = pattern(100);
  for (uint32_t i = 0; i < 3; ++i) {
    const uint32_t offset = 40000 + 777 * i;
    std::memcpy(pair.memory.get() + offset, bytes.data(), bytes.size());
    pair.s2m().slots[i] = {0, 0, 100, offset, 0};
    pair.s2m().head->head = static_cast<uint16_t>(i + 1);
    EXPECT_EQ(pair.server.take(), std::vector<Bytes>{bytes});
    EXPECT_EQ(pair.s2m().head->tail, i + 1);
  }
}

// Old DPDK senders only set NEXT, they never clear it.
TEST(MemifServer, ClearsNextBehindAChain) {
  Pair pair;
  pair.client.send({pattern(5000)});
  EXPECT_EQ(pair.s2m().slots[0].flags, kSlotNext);
  EXPECT_EQ(pair.server.take(), std::vector<Bytes>{pattern(5000)});
  for (uint32_t i = 0; i < 3; ++i) EXPECT_EQ(pair.s2m().slots[i].flags, 0);
}

TEST(MemifClient, RestoresEverythingOfASlot) {
  Pair pair;
  const Slot before = pair.m2s().slots[0];
  EXPECT_EQ(before.length, 2048u);
  EXPECT_EQ(before.offset, pair.client.link.receiving_first);
  pair.server.send({pattern(60)});
  pair.m2s().slots[0].region = 9;  // a server must not
  pair.m2s().slots[0].offset = 3;
  EXPECT_EQ(pair.client.take(), std::vector<Bytes>{pattern(60)});
  EXPECT_EQ(std::memcmp(&pair.m2s().slots[0], &before, sizeof before), 0);
}

TEST(MemifClient, OffersWholeFramesToFill) {
  PairOptions options;
  options.lends = true;
  Pair pair(options);
  for (uint32_t i = 0; i < 64; ++i) {
    const Slot& slot = pair.m2s().slots[i];
    EXPECT_EQ(slot.region, kLentRegion);
    EXPECT_EQ(slot.length, 2048u);
    EXPECT_EQ(slot.offset % 2048, 0u);
  }
  EXPECT_EQ(pair.m2s().head->head, 64);
}

// An incomplete chain waits for its rest.
TEST(MemifServer, LeavesAnIncompleteChainInTheRing) {
  Pair pair;
  Slot* const slots = pair.s2m().slots;
  slots[0] = {0, 0, 60, 8192, 0};
  slots[1] = {kSlotNext, 0, 60, 8192, 0};
  slots[2] = {0, 0, 60, 8192, 0};
  pair.s2m().head->head = 2;
  EXPECT_EQ(pair.server.take().size(), 1u);
  EXPECT_EQ(pair.s2m().head->tail, 1);
  EXPECT_EQ(pair.server.take().size(), 0u);
  EXPECT_TRUE(pair.server.queue->arm()) << "nothing can be done before more comes";
  pair.s2m().head->head = 3;
  EXPECT_FALSE(pair.server.queue->arm());
  const auto got = pair.server.take();
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].size(), 120u);
  EXPECT_EQ(pair.server.violation(), nullptr);
}

// Longer than what we take, in one slot, in a few and in more than a packet may have: skipped to its
// end, also when that comes later, and the next one arrives.
TEST(MemifServer, SkipsWhatIsTooLong) {
  for (const bool late_engine : {false, true}) {
    LateCopies late;
    late.made_per_poll = 1000;
    PairOptions options;
    options.ring_size = 128;
    options.server_copy = late_engine ? &late : nullptr;
    Pair pair(options);
    uint16_t head = 0;
    const auto put = [&](uint16_t flags, uint32_t length) {
      pair.s2m().slots[head++ % 128] = {flags, 0, length, 8192, 0};
    };
    const auto turns = [&] {
      size_t n = 0;
      pair.s2m().head->head = head;
      for (int i = 0; i < 20; ++i) n += pair.server.take().size();
      return n;
    };
    put(0, kPacketBytesMax + 1);
    put(0, 60);
    EXPECT_EQ(turns(), 1u);
    for (int i = 0; i < 9; ++i) put(i < 8 ? kSlotNext : 0, 2048);
    put(0, 60);
    EXPECT_EQ(turns(), 1u);
    for (uint32_t i = 0; i < kSegmentsMax; ++i) put(kSlotNext, 1);
    EXPECT_EQ(turns(), 0u);
    put(kSlotNext, 1);
    EXPECT_EQ(turns(), 0u);
    put(0, 1);
    put(0, 60);
    EXPECT_EQ(turns(), 1u);
    EXPECT_EQ(pair.server.kit.drops(Drop::kRxTruncated), 3u);
    EXPECT_EQ(pair.s2m().head->tail, head);
    EXPECT_EQ(pair.server.violation(), nullptr);
  }
}

TEST(MemifClient, SkipsWhatIsTooLong) {
  for (const bool lends : {false, true}) {
    PairOptions options;
    options.lends = lends;
    options.ring_size = 128;
    Pair pair(options);
    uint16_t tail = 0;
    const auto put = [&](uint16_t flags, uint32_t length) {
      Slot& slot = pair.m2s().slots[tail++ % 128];
      slot.flags = flags;
      slot.length = length;
    };
    for (int i = 0; i < 6; ++i) put(i < 5 ? kSlotNext : 0, 2000);
    put(0, 60);
    pair.m2s().head->tail = tail;
    EXPECT_EQ(pair.client.take().size(), 1u);
    EXPECT_EQ(pair.client.kit.drops(Drop::kRxTruncated), 1u);
    for (uint32_t i = 0; i < kSegmentsMax + 2; ++i) put(kSlotNext, 1);
    put(0, 1);
    put(0, 60);
    pair.m2s().head->tail = tail;
    EXPECT_EQ(pair.client.take().size(), 1u);
    EXPECT_EQ(pair.client.kit.drops(Drop::kRxTruncated), 2u);
    EXPECT_EQ(pair.client.violation(), nullptr);
  }
}

TEST(MemifServer, WithoutFramesLosesByName) {
  for (const bool late_engine : {false, true}) {
    LateCopies late;
    PairOptions options;
    options.frames = 64;
    options.server_copy = late_engine ? &late : nullptr;
    Pair pair(options);
    uint32_t taken[64];
    EXPECT_EQ(pair.server.kit.frames->take(taken, 64), 64u);
    pair.server.kit.frames->give(taken[0]);
    pair.client.send({pattern(60), pattern(60), pattern(9000)});
    size_t got = 0;
    for (int i = 0; i < 100; ++i) {
      const auto some = pair.server.receive();
      for (uint32_t k = 0; k < some; ++k) taken[0] = pair.server.kit.packets[k].frame;
      got += some;
    }
    EXPECT_EQ(got, 1u);
    EXPECT_EQ(pair.server.kit.drops(Drop::kNoFrame), 2u);
    EXPECT_EQ(pair.s2m().head->tail, pair.s2m().head->head);
    for (const uint32_t frame : taken) pair.server.kit.frames->give(frame);
  }
}

// --- a peer that breaks the rules ---------------------------------------------------------------

struct Crime {
  const char* name;
  bool by_client;  // against a server
  void (*commit)(Pair& pair);
  const char* noticed;  // a part of the sentence
};

void put_in(Pair& pair, uint16_t flags, uint16_t region, uint32_t length, uint32_t offset) {
  pair.s2m().slots[0] = {flags, region, length, offset, 0};
  pair.s2m().head->head = 1;
}
void offer(Pair& pair, uint16_t region, uint32_t length, uint32_t offset) {
  pair.m2s().slots[0] = {0, region, length, offset, 0};
}

const Crime kCrimes[] = {
    {"RegionUnknown", true, [](Pair& p) { put_in(p, 0, 1, 60, 8192); }, "outside its region"},
    {"RegionFar", true, [](Pair& p) { put_in(p, 0, 65535, 60, 8192); }, "outside its region"},
    {"OffsetBehindTheEnd", true,
     [](Pair& p) { put_in(p, 0, 0, 60, static_cast<uint32_t>(p.bytes - 59)); },
     "outside its region"},
    {"OffsetWraps", true, [](Pair& p) { put_in(p, 0, 0, 60, 0xffffffe0); }, "outside its region"},
    {"LengthWraps", true, [](Pair& p) { put_in(p, 0, 0, 0xffffffff, 8192); }, "outside its region"},
    {"LengthZero", true, [](Pair& p) { put_in(p, 0, 0, 0, 8192); }, "no bytes"},
    {"ChainsSecondOutside", true,
     [](Pair& p) {
       put_in(p, kSlotNext, 0, 60, 8192);
       p.s2m().slots[1] = {0, 7, 60, 8192, 0};
       p.s2m().head->head = 2;
     },
     "outside its region"},
    {"HeadJumps", true, [](Pair& p) { p.s2m().head->head = 65; }, "receiving ring moved"},
    {"HeadJumpsFar", true, [](Pair& p) { p.s2m().head->head = 40000; }, "receiving ring moved"},
    {"HeadGoesBack", true, [](Pair& p) { p.s2m().head->head = 65535; }, "receiving ring moved"},
    {"EndlessChain", true,
     [](Pair& p) {
       for (uint32_t i = 0; i < 32; ++i) p.s2m().slots[i] = {kSlotNext, 0, 60, 0, 0};
       p.s2m().head->head = 32;
     },
     "does not end"},
    {"PostedRegionUnknown", true, [](Pair& p) { offer(p, 1, 2048, 8192); }, "posted"},
    {"PostedOutside", true,
     [](Pair& p) { offer(p, 0, 2048, static_cast<uint32_t>(p.bytes - 2047)); }, "posted"},
    {"PostedOffsetWraps", true, [](Pair& p) { offer(p, 0, 2048, 0xfffffff0); }, "posted"},
    {"PostedTooShort", true, [](Pair& p) { offer(p, 0, kPostedBytesMin - 1, 8192); }, "posted"},
    {"PostedNothing", true, [](Pair& p) { offer(p, 0, 0, 8192); }, "posted"},
    {"PostedIndexJumps", true, [](Pair& p) { p.m2s().head->head = 33; }, "sending ring moved"},
    {"PostedIndexFar", true, [](Pair& p) { p.m2s().head->head = 50000; }, "sending ring moved"},
    {"FilledMoreThanPosted", false, [](Pair& p) { p.m2s().head->tail = 33; },
     "receiving ring moved"},
    {"FilledFar", false, [](Pair& p) { p.m2s().head->tail = 40000; }, "receiving ring moved"},
    {"FilledTooLong", false,
     [](Pair& p) {
       p.m2s().slots[0].length = 2049;
       p.m2s().head->tail = 1;
     },
     "outside its region"},
    {"FilledNothing", false,
     [](Pair& p) {
       p.m2s().slots[0].length = 0;
       p.m2s().head->tail = 1;
     },
     "no bytes"},
    {"FilledEndless", false,
     [](Pair& p) {
       for (uint32_t i = 0; i < 32; ++i) {
         p.m2s().slots[i].flags = kSlotNext;
         p.m2s().slots[i].length = 60;
       }
       p.m2s().head->tail = 32;
     },
     "does not end"},
    {"ReadMoreThanSent", false, [](Pair& p) { p.s2m().head->tail = 1; }, "sending ring moved"},
    {"ReadFar", false, [](Pair& p) { p.s2m().head->tail = 30000; }, "sending ring moved"},
};

class MemifCrime : public testing::TestWithParam<Crime> {};

// Noticed by name in either direction's next call; afterwards the connection is not used, nothing of
// it is delivered, and all frames come back.
TEST_P(MemifCrime, IsNoticedAndHarmsNothing) {
  const Crime& crime = GetParam();
  for (const QueueKind kind : {QueueKind::kCopying, QueueKind::kLending, QueueKind::kLateBoth}) {
    if (kind == QueueKind::kLending && crime.by_client &&
        crime.name == std::string("RegionUnknown"))
      continue;  // region 1 is the arena then
    if (kind == QueueKind::kLending && crime.name == std::string("PostedRegionUnknown")) continue;
    LateCopies late;
    PairOptions options = options_of(kind, &late);
    options.ring_size = 32;
    options.frames = 256;
    Pair pair(options);
    Side& victim = crime.by_client ? pair.server : pair.client;
    crime.commit(pair);
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(victim.take().size(), 0u);
      victim.send({pattern(60), pattern(3000)});
      victim.release();
    }
    ASSERT_NE(victim.violation(), nullptr);
    EXPECT_NE(std::string(victim.violation()).find(crime.noticed), std::string::npos)
        << victim.violation();
    victim.send({pattern(60)});
    EXPECT_EQ(victim.queue->refused_as(), Drop::kNoPeer);
    EXPECT_TRUE(victim.queue->arm()) << "a violated connection is no work";
    victim.withdraw();
    EXPECT_EQ(victim.queue->tallies.frames_held.get(), 0u);
  }
}

INSTANTIATE_TEST_SUITE_P(All, MemifCrime, testing::ValuesIn(kCrimes),
                         [](const auto& info) { return std::string(info.param.name); });

// Random changes of the shared memory under traffic: nothing is read or written outside (ASan), no
// frame is lost, whatever is delivered has a length that we allow.
TEST(MemifCrimes, RandomChanges) {
  for (uint32_t seed = 0; seed < 100; ++seed) {
    std::minstd_rand random(seed + 1);
    LateCopies late(seed);
    PairOptions options = options_of(static_cast<QueueKind>(seed % 4), &late);
    options.ring_size = 32;
    options.frames = 512;
    Pair pair(options);
    for (int step = 0; step < 200; ++step) {
      for (Side* side : {&pair.server, &pair.client}) {
        side->send({pattern(60, random()), pattern(1 + random() % 9216, random())});
        const uint32_t n = side->receive();
        for (uint32_t i = 0; i < n; ++i) {
          const Packet& p = side->kit.packets[i];
          ASSERT_LE(p.length, kPacketBytesMax);
          ASSERT_EQ(side->kit.bytes(p).size(), p.length);
        }
        side->kit.give(n);
        side->release();
      }
      const uint64_t rings = ring_bytes(5) * 2;
      const uint32_t at = random() % rings;
      if (step % 3 == 0) pair.memory.get()[at] = static_cast<uint8_t>(random());
      // The link of the other side is ended, as a hub would.
      for (Side* side : {&pair.server, &pair.client})
        if (side->violation() != nullptr && random() % 4 == 0) {
          side->withdraw();
          side->link.violation = nullptr;
          side->seat.offer(&side->link);
        }
    }
  }
}

// --- quota --------------------------------------------------------------------------------------

TEST(MemifQuota, LentFramesStayWithinIt) {
  PairOptions options;
  options.lends = true;
  options.ring_size = 512;
  options.quota = 200;
  Pair pair(options);
  EXPECT_EQ(pair.m2s().head->head, 100) << "half for the peer to fill";
  std::vector<Bytes> some(150, pattern(60));
  EXPECT_EQ(pair.client.send(some), 150u);
  EXPECT_EQ(pair.client.queue->refused(), 50u);
  EXPECT_EQ(pair.client.queue->refused_as(), Drop::kPeerQuota);
  EXPECT_EQ(pair.client.queue->tallies.frames_held.get(), 200u);
  EXPECT_EQ(pair.client.send({pattern(60)}), 1u);
  EXPECT_EQ(pair.client.queue->refused(), 1u);
  EXPECT_EQ(pair.server.take().size(), 100u);
  pair.client.release();
  EXPECT_EQ(pair.client.queue->tallies.frames_held.get(), 100u);
  EXPECT_EQ(pair.client.send({pattern(60)}), 1u);
  EXPECT_EQ(pair.client.queue->refused(), 0u);
}

TEST(MemifQuota, FramesUnderCopyStayWithinIt) {
  LateCopies late;
  late.made_per_poll = 0;
  PairOptions options = options_of(QueueKind::kLateServer, &late);
  options.ring_size = 1024;
  options.quota = 256;
  Pair pair(options);
  std::vector<Bytes> some(200, pattern(60));
  EXPECT_EQ(pair.server.send(some), 200u);
  EXPECT_EQ(pair.server.queue->refused(), 72u);
  EXPECT_EQ(pair.server.queue->refused_as(), Drop::kPeerQuota);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(pair.client.send(some), 200u);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(pair.server.take().size(), 0u);
  EXPECT_LE(pair.server.queue->tallies.frames_held.get(), 256u);
  EXPECT_GE(pair.server.queue->tallies.frames_held.get(), 128u + 100);
  EXPECT_FALSE(pair.server.queue->arm()) << "copies are under way";
  late.made_per_poll = 1000;
  size_t got = 0;
  for (int i = 0; i < 1000 && got < 600; ++i) got += pair.server.take().size();
  EXPECT_EQ(got, 600u);
}

// --- bells --------------------------------------------------------------------------------------

TEST(MemifBell, IsRungOncePerBurstAndOnlyForSleepers) {
  Pair pair;
  const auto rung = [](const Ring& ring) {
    uint64_t count = 0;
    return read(ring.fd, &count, sizeof count) == sizeof count ? count : 0;
  };
  pair.server.take();  // polls: masked
  EXPECT_EQ(pair.s2m().head->flags, kRingMaskInterrupt);
  pair.client.send({pattern(60)});
  EXPECT_EQ(rung(pair.s2m()), 0u);
  EXPECT_FALSE(pair.server.queue->arm()) << "there is a packet";
  pair.server.take();
  ASSERT_TRUE(pair.server.queue->arm());
  EXPECT_EQ(pair.s2m().head->flags, 0);
  const int fd = pair.server.seat.wait_fd(0);
  pollfd look{fd, POLLIN, 0};
  EXPECT_EQ(poll(&look, 1, 0), 0);
  pair.client.send({pattern(60), pattern(60), pattern(60)});
  EXPECT_EQ(poll(&look, 1, 0), 1);
  EXPECT_EQ(rung(pair.s2m()), 1u);
  EXPECT_EQ(pair.server.take().size(), 3u);
  EXPECT_EQ(pair.s2m().head->flags, kRingMaskInterrupt);
}

TEST(MemifBell, AChangeOfConnectionsWakes) {
  Pair pair;
  pair.server.take();
  ASSERT_TRUE(pair.server.queue->arm());
  pair.server.seat.withdraw();
  pollfd look{pair.server.seat.wait_fd(0), POLLIN, 0};
  EXPECT_EQ(poll(&look, 1, 0), 1);
  EXPECT_FALSE(pair.server.queue->arm());
  pair.server.release();
  EXPECT_TRUE(pair.server.queue->arm());
  EXPECT_EQ(poll(&look, 1, 0), 0);
  pair.server.seat.offer(&pair.server.link);
  EXPECT_EQ(poll(&look, 1, 0), 1);
}

TEST(MemifCopies, AnEngineWithoutChannelsIsAReason) {
  LateCopies late;
  late.fails = true;
  Seat seat(1);
  PortKit kit(64);
  Queue queue(seat, *kit.arena, {});
  std::string error;
  EXPECT_FALSE(queue.open(&late, &error));
  EXPECT_EQ(error, "no channel is left");
}

}  // namespace
}  // namespace nodeplane::memif
