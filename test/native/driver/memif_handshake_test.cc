// The control channel without sockets: what is accepted, and every refusal with its reason.
#include "driver/memif/handshake.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "support/memif_kit.h"

namespace nodeplane::memif {
namespace {

constexpr uint64_t kBytes = 65536;
constexpr uint32_t kRing = static_cast<uint32_t>(ring_bytes(5));  // the second ring's place

// A server's port of one queue, id 7, and a client's messages by hand.
class MemifServerHandshake : public testing::Test {
 protected:
  MemifServerHandshake() { wish = wish_of(Role::kServer, "@x", 7); }
  Answer say(const Message& message, Fd fd = Fd()) {
    Heard heard = heard_of(message, std::move(fd));
    return server().hear(heard);
  }
  ServerHandshake& server() {
    if (!handshake)
      handshake.emplace(wish.queues, [this](uint32_t id) {
        return id == 7 ? Place{&wish, state} : Place{};
      });
    return *handshake;
  }
  static bool acked(const Answer& a) {
    return a.send && a.message.type == MessageType::kAck && a.refusal.empty() && !a.complete;
  }
  void meet() { ASSERT_TRUE(acked(say(init_message(7, wish.secret)))); }
  void lend(uint64_t bytes = kBytes) {
    meet();
    memory = memory_file(bytes);
    ASSERT_TRUE(acked(say(region_message(0, bytes), Fd(dup(memory.get())))));
  }
  Answer ring(const Message& message) { return say(message, event_file()); }
  void both_rings() {
    lend();
    ASSERT_TRUE(acked(ring(ring_message(true, 0, 0))));
    ASSERT_TRUE(acked(ring(ring_message(false, 0, kRing))));
    put_cookie(memory, 0);
    put_cookie(memory, kRing);
  }
  // A refusal is said to the peer in the same words.
  static void expect_refusal(const Answer& a, const std::string& why, bool violation) {
    EXPECT_EQ(a.refusal, why);
    EXPECT_EQ(a.violation, violation) << why;
    EXPECT_TRUE(a.send);
    EXPECT_FALSE(a.complete);
    EXPECT_EQ(a.message.type, MessageType::kDisconnect);
    EXPECT_EQ(text_of(a.message.disconnect.text, sizeof a.message.disconnect.text), why);
  }
  Wish wish;
  decltype(Place::state) state = Place::kFree;
  std::optional<ServerHandshake> handshake;
  Fd memory;
};

TEST_F(MemifServerHandshake, SaysHelloWithItsLimits) {
  wish.queues = 3;
  const Message m = server().hello();
  EXPECT_EQ(m.type, MessageType::kHello);
  EXPECT_EQ(text_of(m.hello.name, sizeof m.hello.name), "nodeplane");
  EXPECT_EQ(m.hello.version_min, 0x0200);
  EXPECT_EQ(m.hello.version_max, 0x0200);
  EXPECT_EQ(m.hello.region_max, 255);
  EXPECT_EQ(m.hello.s2m_ring_max, 2);  // highest index
  EXPECT_EQ(m.hello.m2s_ring_max, 2);
  EXPECT_EQ(m.hello.log2_ring_size_max, 14);
}

TEST_F(MemifServerHandshake, EndsInALinkWhoseRingsLieWhereTheClientSaid) {
  both_rings();
  const Answer a = say(message_of(MessageType::kConnect));
  ASSERT_TRUE(a.complete) << a.refusal;
  EXPECT_EQ(a.message.type, MessageType::kConnected);
  const auto link = handshake->take_link();
  ASSERT_NE(link, nullptr);
  EXPECT_EQ(link->peer, "tester");
  ASSERT_EQ(link->regions.size(), 1u);
  EXPECT_EQ(link->regions[0].bytes, kBytes);
  EXPECT_EQ(reinterpret_cast<uint8_t*>(link->receiving[0].head), link->regions[0].base);
  EXPECT_EQ(reinterpret_cast<uint8_t*>(link->sending[0].head), link->regions[0].base + kRing);
  EXPECT_EQ(link->receiving[0].size, 32u);
  EXPECT_FALSE(link->guarded());  // sealed
}

TEST_F(MemifServerHandshake, RefusesWhomItDoesNotKnow) {
  Message old = init_message(7);
  old.init.version = 0x0100;
  const struct {
    Message init;
    const char* why;
  } cases[] = {
      {old, "unsupported version"},
      {init_message(8), "unknown interface id 8"},
      {init_message(7, "", 1), "mode mismatch"},
      {init_message(7), "secret required"},
      {init_message(7, "wrong"), "incorrect secret"},
      {init_message(7, "open sesamf"), "incorrect secret"},
      {init_message(7, "open sesame and more"), "incorrect secret"},
  };
  wish.secret = "open sesame";
  for (const auto& c : cases) {
    handshake.reset();
    expect_refusal(say(c.init), c.why, false);
  }
  handshake.reset();
  meet();
  // A whole field of secret; without one of our own any is good.
  wish.secret = std::string(24, 's');
  handshake.reset();
  meet();
  wish.secret.clear();
  handshake.reset();
  EXPECT_TRUE(acked(say(init_message(7, "whatever"))));
}

TEST_F(MemifServerHandshake, KnowsWhetherTheIdIsTaken) {
  state = Place::kTaken;
  expect_refusal(say(init_message(7)), "already connected", false);
  // One that is leaving is waited for, and what was said can be said again.
  handshake.reset();
  state = Place::kLeaving;
  EXPECT_TRUE(say(init_message(7)).wait);
  EXPECT_TRUE(say(init_message(7)).wait);
  state = Place::kFree;
  EXPECT_TRUE(acked(say(init_message(7))));
  // Another one may be quicker.
  handshake.reset();
  both_rings();
  state = Place::kLeaving;
  EXPECT_TRUE(say(message_of(MessageType::kConnect)).wait);
  state = Place::kTaken;
  expect_refusal(say(message_of(MessageType::kConnect)), "already connected", false);
}

TEST_F(MemifServerHandshake, TakesMessagesOf128BytesOnly) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{127}, size_t{129}, size_t{65536}}) {
    handshake.reset();
    Heard heard = heard_of(init_message(7));
    heard.size = size;
    expect_refusal(server().hear(heard), "message of " + std::to_string(size) + " bytes, not 128",
                   true);
  }
}

TEST_F(MemifServerHandshake, TakesDescriptorsWhereTheyBelongOnly) {
  const Fd file = memory_file(4096);
  const auto with = [&](const Message& message, size_t count) {
    Heard heard = heard_of(message);
    for (size_t i = 0; i < count; ++i) heard.fds.emplace_back(dup(file.get()));
    return server().hear(heard);
  };
  expect_refusal(with(init_message(7), 1), "INIT with a descriptor", true);
  handshake.reset();
  meet();
  expect_refusal(with(region_message(0, 4096), 0), "ADD_REGION without its one descriptor", true);
  handshake.reset();
  meet();
  expect_refusal(with(region_message(0, 4096), 2), "ADD_REGION without its one descriptor", true);
  handshake.reset();
  lend();
  expect_refusal(with(ring_message(true, 0, 0), 0), "ADD_RING without its one descriptor", true);
  handshake.reset();
  both_rings();
  expect_refusal(with(message_of(MessageType::kConnect), 1), "CONNECT with a descriptor", true);
  handshake.reset();
  Heard cut = heard_of(init_message(7));
  cut.fds_cut = true;
  expect_refusal(server().hear(cut), "INIT with a descriptor", true);
}

TEST_F(MemifServerHandshake, TakesEveryMessageInItsStateOnly) {
  const Fd file = memory_file(4096);
  const auto before = {MessageType::kAck,     MessageType::kHello,   MessageType::kAddRegion,
                       MessageType::kAddRing, MessageType::kConnect, MessageType::kConnected,
                       MessageType{0},        MessageType{9},        MessageType{0xffff}};
  for (const MessageType type : before) {
    handshake.reset();
    const bool carries = type == MessageType::kAddRegion || type == MessageType::kAddRing;
    const Answer a = say(message_of(type), carries ? Fd(dup(file.get())) : Fd());
    EXPECT_NE(a.refusal.find(" before INIT"), std::string::npos) << a.refusal;
    EXPECT_TRUE(a.violation);
  }
  for (const MessageType type : {MessageType::kAck, MessageType::kHello, MessageType::kInit,
                                 MessageType::kConnected, MessageType{0}, MessageType{77}}) {
    handshake.reset();
    meet();
    const Answer a = say(message_of(type));
    EXPECT_NE(a.refusal.find(" after INIT"), std::string::npos) << a.refusal;
    EXPECT_TRUE(a.violation);
  }
  // The peer's own word ends it, unanswered and no violation; nothing comes afterwards.
  handshake.reset();
  meet();
  Message bye = message_of(MessageType::kDisconnect);
  put_text(bye.disconnect.text, sizeof bye.disconnect.text, "so\nlong");
  const Answer a = say(bye);
  EXPECT_EQ(a.refusal, "peer says: so?long");
  EXPECT_FALSE(a.send);
  EXPECT_FALSE(a.violation);
  EXPECT_FALSE(say(init_message(7)).refusal.empty());
}

TEST_F(MemifServerHandshake, TakesRegionsThatAreMemoryAndLargeEnoughOnly) {
  int pipes[2];
  ASSERT_EQ(pipe2(pipes, O_CLOEXEC), 0);
  Fd reader(pipes[0]), writer(pipes[1]);
  const struct {
    std::function<Fd()> file;
    uint16_t index;
    uint64_t size;
    std::string why;
  } cases[] = {
      {[] { return memory_file(4096); }, 1, 4096, "region 1 out of order"},
      {[] { return memory_file(4096); }, 0, 0, "region of 0 bytes"},
      {[] { return memory_file(4096); }, 0, kRegionBytesMax + 1, "region of 68719476737 bytes"},
      {[] { return memory_file(4096); }, 0, ~uint64_t{0}, "region of 18446744073709551615 bytes"},
      {[] { return memory_file(4096); }, 0, 4097, "region of 4097 bytes in a file of 4096"},
      {[] { return memory_file(0); }, 0, 1, "region of 1 bytes in a file of 0"},
      {[&] { return Fd(dup(reader.get())); }, 0, 1, "region is not a file of shared memory"},
      {[] { return event_file(); }, 0, 1, "region is not a file of shared memory"},
      {[] { return Fd(open("/dev/zero", O_RDWR)); }, 0, 1, "region is not a file of shared memory"},
      {[] { return Fd(open("/proc/self/exe", O_RDONLY)); }, 0, 1,
       "region is not a file of shared memory"},
      {[] { return Fd(open("/tmp", O_RDONLY)); }, 0, 1, "region is not a file of shared memory"},
  };
  for (const auto& c : cases) {
    handshake.reset();
    meet();
    expect_refusal(say(region_message(c.index, c.size), c.file()), c.why, true);
  }
  // Memory that must not be written cannot be a region.
  handshake.reset();
  meet();
  Fd fixed = memory_file(4096, false);
  ASSERT_EQ(fcntl(fixed.get(), F_ADD_SEALS, F_SEAL_WRITE), 0);
  const Answer a = say(region_message(0, 4096), std::move(fixed));
  EXPECT_EQ(a.refusal.rfind("region cannot be mapped: ", 0), 0u) << a.refusal;
}

TEST_F(MemifServerHandshake, TakesSoManyRegionsAndNoMore) {
  meet();
  const Fd file = memory_file(4096);
  for (uint32_t i = 0; i < kRegionsMax; ++i)
    ASSERT_TRUE(acked(say(region_message(static_cast<uint16_t>(i), 4096), Fd(dup(file.get())))));
  EXPECT_EQ(memory_mappings("memfd:peer"), kRegionsMax);
  expect_refusal(say(region_message(kRegionsMax, 4096), Fd(dup(file.get()))),
                 "more than 256 regions", true);
  EXPECT_EQ(memory_mappings("memfd:peer"), 0u);
}

TEST_F(MemifServerHandshake, TakesSoManyBytesTogetherAndNoMore) {
  meet();
  const uint64_t half = kRegionBytesMax / 2;
  const Fd file = memory_file(half + 4096);  // sparse
  ASSERT_TRUE(acked(say(region_message(0, half), Fd(dup(file.get())))));
  expect_refusal(say(region_message(1, half + 1), Fd(dup(file.get()))),
                 "regions of 68719476737 bytes together", true);
  handshake.reset();
  meet();
  ASSERT_TRUE(acked(say(region_message(0, half), Fd(dup(file.get())))));
  EXPECT_TRUE(acked(say(region_message(1, half), Fd(dup(file.get())))));
}

TEST_F(MemifServerHandshake, TakesRingsThatLieInTheirRegionOnly) {
  Message flags = ring_message(true, 0, 0);
  flags.add_ring.flags = 3;
  Message header = ring_message(true, 0, 0);
  header.add_ring.private_header_size = 8;
  const struct {
    Message message;
    std::string why;
  } cases[] = {
      {flags, "ring with unknown flags"},
      {header, "ring with private headers"},
      {ring_message(true, 1, 0), "ring 1 out of order"},
      {ring_message(false, 0xffff, 0), "ring 65535 out of order"},
      {ring_message(true, 0, 0, 4), "ring of 2^4 slots"},
      {ring_message(true, 0, 0, 0), "ring of 2^0 slots"},
      {ring_message(true, 0, 0, 15), "ring of 2^15 slots"},
      {ring_message(true, 0, 0, 255), "ring of 2^255 slots"},
      {ring_message(true, 0, 0, 5, 1), "ring in an unknown region"},
      {ring_message(true, 0, 0, 5, 0xffff), "ring in an unknown region"},
      {ring_message(true, 0, 32), "ring is not aligned"},
      {ring_message(true, 0, 1), "ring is not aligned"},
      {ring_message(true, 0, kBytes), "ring outside its region"},
      {ring_message(true, 0, kBytes - kRing + 64), "ring outside its region"},
      {ring_message(true, 0, 0, 12), "ring outside its region"},
      {ring_message(true, 0, 0xffffffc0u), "ring outside its region"},  // 32 bits would wrap
  };
  for (const auto& c : cases) {
    handshake.reset();
    lend();
    expect_refusal(ring(c.message), c.why, true);
  }
  handshake.reset();
  lend();
  EXPECT_TRUE(acked(ring(ring_message(true, 0, kBytes - kRing))));  // up to the last byte
}

TEST_F(MemifServerHandshake, TakesRingsThatDoNotOverlapOnly) {
  for (const uint32_t offset : {0u, 64u, kRing - 64}) {
    handshake.reset();
    lend();
    ASSERT_TRUE(acked(ring(ring_message(true, 0, 0))));
    expect_refusal(ring(ring_message(false, 0, offset)), "rings overlap", true);
  }
  // The same file under another number.
  handshake.reset();
  lend();
  ASSERT_TRUE(acked(say(region_message(1, kBytes), Fd(dup(memory.get())))));
  ASSERT_TRUE(acked(ring(ring_message(true, 0, 0))));
  expect_refusal(ring(ring_message(false, 0, 0, 5, 1)), "rings overlap", true);
  handshake.reset();
  lend();
  ASSERT_TRUE(acked(say(region_message(1, kBytes), memory_file(kBytes))));
  ASSERT_TRUE(acked(ring(ring_message(true, 0, 0))));
  EXPECT_TRUE(acked(ring(ring_message(false, 0, 0, 5, 1))));
}

TEST_F(MemifServerHandshake, TakesEventfdsForRingsOnly) {
  lend();
  int pipes[2];
  ASSERT_EQ(pipe2(pipes, O_CLOEXEC), 0);
  Fd reader(pipes[0]);
  expect_refusal(say(ring_message(true, 0, 0), Fd(pipes[1])),
                 "descriptor of a ring is not an eventfd", true);
}

TEST_F(MemifServerHandshake, NeedsAsManyRingsAsThePortHasQueues) {
  lend();
  ASSERT_TRUE(acked(ring(ring_message(true, 0, 0))));
  expect_refusal(ring(ring_message(true, 1, kRing)), "more than 1 rings each way", false);
  wish.queues = 2;
  handshake.reset();
  lend();
  ASSERT_TRUE(acked(ring(ring_message(true, 0, 0))));
  ASSERT_TRUE(acked(ring(ring_message(true, 1, kRing))));
  ASSERT_TRUE(acked(ring(ring_message(false, 0, 2 * kRing))));
  expect_refusal(say(message_of(MessageType::kConnect)),
                 "2 rings to the server and 1 to the client, the port needs 2 each way", false);
  handshake.reset();
  meet();
  expect_refusal(say(message_of(MessageType::kConnect)),
                 "0 rings to the server and 0 to the client, the port needs 2 each way", false);
}

TEST_F(MemifServerHandshake, NeedsEveryRingsCookie) {
  for (const uint32_t offset : {0u, kRing}) {
    handshake.reset();
    both_rings();
    put_cookie(memory, offset, kCookie + 1);
    expect_refusal(say(message_of(MessageType::kConnect)), "ring without its cookie", true);
  }
}

TEST_F(MemifServerHandshake, SurvivesARegionThatIsCutBeforeItIsLookedAt) {
  meet();
  const Fd file = memory_file(kBytes, false);
  ASSERT_TRUE(acked(say(region_message(0, kBytes), Fd(dup(file.get())))));
  ASSERT_TRUE(acked(ring(ring_message(true, 0, 0))));
  ASSERT_TRUE(acked(ring(ring_message(false, 0, kRing))));
  ASSERT_EQ(ftruncate(file.get(), 0), 0);
  EXPECT_TRUE(say(message_of(MessageType::kConnect)).violation);
}

TEST_F(MemifServerHandshake, LeavesNothingBehind) {
  const auto run = [&] {
    handshake.reset();
    both_rings();
    ASSERT_TRUE(say(message_of(MessageType::kConnect)).complete);
    handshake.reset();
    memory.reset();
  };
  run();
  const size_t before = open_descriptors();
  run();
  EXPECT_EQ(open_descriptors(), before);
  EXPECT_EQ(memory_mappings("memfd:peer"), 0u);
}

// --- the client ---------------------------------------------------------------------------------

class MemifClientHandshake : public testing::Test {
 protected:
  MemifClientHandshake() {
    wish = wish_of(Role::kClient, "@x", 3);
    hello = message_of(MessageType::kHello);
    put_text(hello.hello.name, sizeof hello.hello.name, "VPP");
    hello.hello.version_min = hello.hello.version_max = kVersion;
    hello.hello.region_max = hello.hello.m2s_ring_max = hello.hello.s2m_ring_max = 255;
    hello.hello.log2_ring_size_max = 14;
  }
  Answer say(const Message& message) {
    if (!handshake) handshake.emplace(wish);
    Heard heard = heard_of(message);
    return handshake->hear(heard);
  }
  Answer ack() { return say(message_of(MessageType::kAck)); }
  Wish wish;
  Message hello;
  std::optional<ClientHandshake> handshake;
};

TEST_F(MemifClientHandshake, SaysOneThingAtATimeUntilItIsConnected) {
  wish.queues = 2;
  wish.secret = "sesame";
  wish.mode = Mode::kIp;
  Answer a = say(hello);
  EXPECT_EQ(a.message.type, MessageType::kInit);
  EXPECT_EQ(a.message.init.version, 0x0200);
  EXPECT_EQ(a.message.init.id, 3u);
  EXPECT_EQ(a.message.init.mode, 1);
  EXPECT_EQ(text_of(a.message.init.secret, 24), "sesame");
  a = ack();
  EXPECT_EQ(a.message.type, MessageType::kAddRegion);
  EXPECT_EQ(a.message.add_region.index, 0);
  const uint64_t bytes = a.message.add_region.size;
  struct stat file {};
  ASSERT_EQ(fstat(a.fd, &file), 0);
  EXPECT_GE(static_cast<uint64_t>(file.st_size), bytes);
  const int seals = fcntl(a.fd, F_GET_SEALS);
  EXPECT_EQ(seals, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  EXPECT_NE(ftruncate(a.fd, 0), 0);
  const uint64_t ring = ring_bytes(6);
  for (uint16_t i = 0; i < 4; ++i) {
    a = ack();
    EXPECT_EQ(a.message.type, MessageType::kAddRing);
    EXPECT_EQ(a.message.add_ring.flags, i < 2 ? 1 : 0);
    EXPECT_EQ(a.message.add_ring.index, i % 2);
    EXPECT_EQ(a.message.add_ring.region, 0);
    EXPECT_EQ(a.message.add_ring.offset, i * ring);
    EXPECT_EQ(a.message.add_ring.log2_ring_size, 6);
    EXPECT_EQ(a.message.add_ring.private_header_size, 0);
    EXPECT_TRUE(is_eventfd(a.fd));
  }
  a = ack();
  EXPECT_EQ(a.message.type, MessageType::kConnect);
  a = say(message_of(MessageType::kConnected));
  ASSERT_TRUE(a.complete);
  const auto link = handshake->take_link();
  EXPECT_EQ(link->peer, "VPP");
  EXPECT_EQ(link->role, Role::kClient);
  EXPECT_EQ(link->sending[1].head->cookie, kCookie);
  // Buffers: behind the rings, not over one another, up to the region's end.
  EXPECT_GE(link->sending_first, 4 * ring);
  EXPECT_EQ(link->receiving_first, link->sending_first + 2 * 64 * 2048);
  EXPECT_EQ(link->regions[0].bytes, link->receiving_first + 2 * 64 * 2048);
  EXPECT_EQ(link->regions[0].bytes, bytes);
}

TEST_F(MemifClientHandshake, LendsItsArena) {
  FrameArena::Options options;
  options.count = 64;
  options.huge = false;
  std::string error;
  const auto arena = FrameArena::create(options, &error);
  ASSERT_NE(arena, nullptr);
  wish.lent = arena.get();
  say(hello);
  Answer a = ack();
  EXPECT_EQ(a.message.add_region.size, (2 * ring_bytes(6) + 4095) / 4096 * 4096);
  a = ack();
  EXPECT_EQ(a.message.type, MessageType::kAddRegion);
  EXPECT_EQ(a.message.add_region.index, 1);
  EXPECT_EQ(a.message.add_region.size, arena->bytes());
  EXPECT_EQ(a.fd, arena->fd());
  EXPECT_NE(ftruncate(arena->fd(), 0), 0) << "a peer could cut the arena";
  EXPECT_EQ(ack().message.type, MessageType::kAddRing);
  ack();
  ack();
  ASSERT_TRUE(say(message_of(MessageType::kConnected)).complete);
  const auto link = handshake->take_link();
  ASSERT_EQ(link->regions.size(), 2u);
  EXPECT_EQ(link->regions[1].base, arena->base());
  EXPECT_EQ(link->buffer_bytes, 0u);
  handshake.reset();
  hello.hello.region_max = 0;
  EXPECT_EQ(say(hello).refusal, "peer takes one region, a lent arena needs two");
}

TEST_F(MemifClientHandshake, HonoursTheServersLimits) {
  wish.log2_ring_size = 10;
  hello.hello.log2_ring_size_max = 5;
  say(hello);
  ack();
  EXPECT_EQ(ack().message.add_ring.log2_ring_size, 5);
  handshake.reset();
  hello.hello.log2_ring_size_max = 4;
  EXPECT_EQ(say(hello).refusal, "peer takes rings of 2^4 slots only");
  hello.hello.log2_ring_size_max = 14;
  wish.queues = 3;
  for (const bool s2m : {true, false}) {
    handshake.reset();
    hello.hello.s2m_ring_max = s2m ? 1 : 9;
    hello.hello.m2s_ring_max = s2m ? 9 : 1;
    EXPECT_EQ(say(hello).refusal, "peer takes 2 rings each way, the port needs 3");
  }
  handshake.reset();
  hello.hello.s2m_ring_max = hello.hello.m2s_ring_max = 0xffff;
  EXPECT_EQ(say(hello).refusal, "");
  for (const uint16_t version : {uint16_t{0x0100}, uint16_t{0x0300}}) {
    handshake.reset();
    hello.hello.version_min = hello.hello.version_max = version;
    EXPECT_EQ(say(hello).refusal, "unsupported version");
  }
}

TEST_F(MemifClientHandshake, TakesTheAnswerThatBelongsHereOnly) {
  const MessageType right[] = {MessageType::kHello, MessageType::kAck, MessageType::kAck,
                               MessageType::kAck,   MessageType::kAck, MessageType::kConnected};
  for (size_t at = 0; at < std::size(right); ++at) {
    for (uint16_t type = 0; type < 10; ++type) {
      const auto wrong = static_cast<MessageType>(type);
      const bool carries = wrong == MessageType::kAddRegion || wrong == MessageType::kAddRing;
      if (wrong == right[at] || wrong == MessageType::kDisconnect || carries) continue;
      handshake.reset();
      for (size_t i = 0; i < at; ++i) {
        const Answer passed = say(right[i] == MessageType::kHello ? hello : message_of(right[i]));
        ASSERT_EQ(passed.refusal, "");
      }
      const Answer a = say(message_of(wrong));
      EXPECT_NE(a.refusal.find(" instead of "), std::string::npos) << a.refusal;
      EXPECT_TRUE(a.violation);
      EXPECT_EQ(handshake->take_link(), nullptr);
    }
  }
}

TEST_F(MemifClientHandshake, TakesNoDescriptorAndNoOtherSize) {
  Heard heard = heard_of(hello, memory_file(4096));
  handshake.emplace(wish);
  EXPECT_EQ(handshake->hear(heard).refusal, "HELLO with a descriptor");
  Heard small = heard_of(hello);
  small.size = 45;
  handshake.emplace(wish);
  EXPECT_EQ(handshake->hear(small).refusal, "message of 45 bytes, not 128");
}

TEST_F(MemifClientHandshake, HearsWhyItIsRefused) {
  say(hello);
  Message no = message_of(MessageType::kDisconnect);
  put_text(no.disconnect.text, sizeof no.disconnect.text, "incorrect secret");
  const Answer a = say(no);
  EXPECT_EQ(a.refusal, "peer says: incorrect secret");
  EXPECT_FALSE(a.send);
}

TEST(MemifWish, IsRefusedWhenNobodyCouldFulfilIt) {
  const Wish good = wish_of(Role::kClient, "@x");
  EXPECT_EQ(wish_fault(good), "");
  Wish wish = good;
  wish.queues = 0;
  EXPECT_EQ(wish_fault(wish), "a memif port has 1 to 16 queues");
  wish.queues = 17;
  EXPECT_EQ(wish_fault(wish), "a memif port has 1 to 16 queues");
  wish = good;
  wish.secret = std::string(25, 'x');
  EXPECT_EQ(wish_fault(wish), "a memif secret has at most 24 bytes");
  for (const uint8_t log2 : {uint8_t{4}, uint8_t{15}}) {
    wish = good;
    wish.log2_ring_size = log2;
    EXPECT_EQ(wish_fault(wish), "a memif ring has 2^5 to 2^14 slots");
  }
  wish = good;
  wish.buffer_bytes = 0;
  EXPECT_EQ(wish_fault(wish), "memif buffers have no bytes");
  wish.buffer_bytes = 16384;
  wish.queues = 16;
  wish.log2_ring_size = 14;
  EXPECT_EQ(wish_fault(wish), "memif rings and buffers exceed 4 GiB");
}

TEST(MemifText, IsPrintableAndEnds) {
  uint8_t field[8];
  std::memset(field, 'x', sizeof field);
  EXPECT_EQ(text_of(field, sizeof field), "xxxxxxxx");
  put_text(field, sizeof field, "0123456789");
  EXPECT_EQ(text_of(field, sizeof field), "0123456");
  EXPECT_EQ(field[7], 0);
  const uint8_t odd[] = {'a', 0x1b, 0x80, '\n', 'b', 0, 'c'};
  EXPECT_EQ(text_of(odd, sizeof odd), "a???b");
}

TEST(MemifAfterwards, OnlyAGoodbyeIsLegal) {
  bool violation = false;
  EXPECT_EQ(end_reason(heard_of(message_of(MessageType::kDisconnect)), &violation),
            "peer disconnected");
  EXPECT_FALSE(violation);
  EXPECT_EQ(end_reason(heard_of(message_of(MessageType::kInit)), &violation),
            "INIT after the handshake");
  EXPECT_TRUE(violation);
  Heard cut = heard_of(message_of(MessageType::kDisconnect));
  cut.size = 6;
  EXPECT_EQ(end_reason(cut, &violation), "message of 6 bytes, not 128");
  EXPECT_TRUE(violation);
}

}  // namespace
}  // namespace nodeplane::memif
