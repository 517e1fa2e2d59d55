// Peers that break every rule, against real ports: that peer is cut off with a reason and a counter,
// nobody else notices, and the place is free for a better one.
#include <signal.h>
#include <sys/wait.h>

#include "driver/memif/queue.h"
#include "support/memif_scene.h"

namespace nodeplane::memif {
namespace {

constexpr uint32_t kVictim = 1, kInnocent = 2;

// What all tests of one role share: the socket, and innocents who are busy all the time.
class Hostile : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    socket_ = socket_name("hostile");
    innocents_ = std::make_unique<Innocents>(socket_, kInnocent);
    ASSERT_TRUE(innocents_->go_on());
  }
  static void TearDownTestSuite() { innocents_.reset(); }
  void TearDown() override {
    EXPECT_TRUE(innocents_->go_on(100)) << "the innocents stand still";
    innocents_->expect_untouched();
  }
  static PortSpec server(std::map<std::string, std::string> options = {}) {
    return memif_spec(socket_, kVictim, "server", std::move(options));
  }

  static void expect_ended(Victim& victim, int fd, const char* why) {
    std::string reason;
    EXPECT_TRUE(victim.turn_until([&] { return !(reason = ended(fd)).empty(); }));
    EXPECT_NE(reason.find(why), std::string::npos) << reason << " instead of " << why;
    EXPECT_TRUE(victim.turn_until_gone());
  }

  // A good peer takes the place and gets an answer.
  static void expect_usable(Victim& victim, const Shape& shape = {}) {
    HostileClient good(socket_, shape);
    ASSERT_TRUE(good.join(HostileClient::kSteps, [&] { victim.turn(); }));
    good.post();
    for (uint32_t i = 0; i < 3; ++i) {
      good.send(pattern(700, i));
      std::optional<Bytes> answer;
      ASSERT_TRUE(victim.turn_until([&] { return (answer = good.take()).has_value(); }));
      EXPECT_EQ(*answer, pattern(700, i));
    }
    good.fd.reset();
    EXPECT_TRUE(victim.turn_until_gone());
  }

  static std::string socket_;
  static std::unique_ptr<Innocents> innocents_;
};
std::string Hostile::socket_;
std::unique_ptr<Innocents> Hostile::innocents_;

// --- the control channel, against a server ------------------------------------------------------

// How far the handshake went before, what is said then, and what the port makes of it.
struct Saying {
  friend void PrintTo(const Saying& s, std::ostream* out) { *out << s.name; }
  const char* name;
  int steps;
  std::function<void(HostileClient&)> commit;
  const char* reason;
  bool violation = true;
};

// Any bytes with any descriptors.
void say_raw(HostileClient& c, const void* bytes, size_t size, const std::vector<int>& fds = {}) {
  alignas(cmsghdr) uint8_t control[CMSG_SPACE(8 * sizeof(int))] = {};
  iovec part{const_cast<void*>(bytes), size};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* const one = CMSG_FIRSTHDR(&header);
    one->cmsg_level = SOL_SOCKET;
    one->cmsg_type = SCM_RIGHTS;
    one->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(one), fds.data(), fds.size() * sizeof(int));
  }
  EXPECT_EQ(sendmsg(c.fd.get(), &header, MSG_NOSIGNAL), static_cast<ssize_t>(size));
}

// A good message of a step with something changed.
std::function<void(HostileClient&)> altered(int step, std::function<void(Message&)> alter) {
  return [=](HostileClient& c) {
    Message message = c.message(step);
    alter(message);
    EXPECT_TRUE(c.say(message, c.passed(step)));
  };
}
// A good message of a step with another descriptor.
std::function<void(HostileClient&)> with_fd(int step, std::function<Fd(HostileClient&)> make) {
  return [=](HostileClient& c) {
    const Fd fd = make(c);
    EXPECT_TRUE(c.say(c.message(step), fd.get()));
  };
}
std::function<void(HostileClient&)> typed(uint16_t type) {
  return [=](HostileClient& c) { c.say(message_of(MessageType{type})); };
}
Fd opened(const char* path) { return Fd(open(path, O_RDWR | O_CLOEXEC)); }

const Saying kSayings[] = {
    {"Short", 0, [](auto& c) { say_raw(c, "x", 1); }, "message of 1 bytes"},
    {"OneShort", 0,
     [](auto& c) {
       const Message m = c.message(0);
       say_raw(c, &m, sizeof m - 1);
     },
     "message of 127 bytes"},
    {"OneLong", 0,
     [](auto& c) {
       const Bytes all(kMessageBytes + 1, 3);
       say_raw(c, all.data(), all.size());
     },
     "message of 129 bytes"},
    {"VeryLong", 2,
     [](auto& c) {
       const Bytes all(60000, 4);
       say_raw(c, all.data(), all.size(), {c.memory.get()});
     },
     "message of 60000 bytes"},
    {"EmptyWithDescriptor", 0, [](auto& c) { say_raw(c, "", 0, {c.memory.get()}); },
     "message of 0 bytes"},
    {"TypeZero", 0, typed(0), "an unknown message"},
    {"TypeNine", 1, typed(9), "an unknown message"},
    {"TypeLast", 3, typed(0xffff), "an unknown message"},
    {"RegionFirst", 0, [](auto& c) { c.say(c.message(1), c.passed(1)); }, "before INIT"},
    {"ConnectFirst", 0, [](auto& c) { c.say(c.message(4)); }, "before INIT"},
    {"AckFirst", 0, typed(1), "before INIT"},
    {"HelloToServer", 1, typed(2), "HELLO after INIT"},
    {"ConnectedToServer", 2, typed(7), "CONNECTED after INIT"},
    {"InitTwice", 1, [](auto& c) { c.say(c.message(0)); }, "INIT after INIT"},
    {"InitWithDescriptor", 0, [](auto& c) { c.say(c.message(0), c.memory.get()); },
     "INIT with a descriptor"},
    {"Version", 0, altered(0, [](Message& m) { m.init.version = 0x0201; }), "version", false},
    {"UnknownId", 0, altered(0, [](Message& m) { m.init.id = 77; }), "unknown interface id", false},
    {"Mode", 0, altered(0, [](Message& m) { m.init.mode = 1; }), "mode mismatch", false},
    {"RegionWithoutDescriptor", 1, [](auto& c) { c.say(c.message(1)); }, "without its one"},
    {"RegionWithTwo", 1,
     [](auto& c) {
       const Message m = c.message(1);
       say_raw(c, &m, sizeof m, {c.memory.get(), c.memory.get()});
     },
     "without its one"},
    {"RegionWithEight", 1,
     [](auto& c) {
       const Message m = c.message(1);
       say_raw(c, &m, sizeof m, std::vector<int>(8, c.memory.get()));
     },
     "without its one"},
    {"RegionOutOfOrder", 1, altered(1, [](Message& m) { m.add_region.index = 1; }), "out of order"},
    {"RegionTwice", 2, [](auto& c) { c.say(c.message(1), c.passed(1)); }, "out of order"},
    {"RegionEmpty", 1, altered(1, [](Message& m) { m.add_region.size = 0; }), "region of 0 bytes"},
    {"RegionHuge", 1, altered(1, [](Message& m) { m.add_region.size = kRegionBytesMax + 1; }),
     "region of"},
    {"RegionEndless", 1, altered(1, [](Message& m) { m.add_region.size = ~uint64_t{0}; }),
     "region of"},
    {"RegionLargerThanFile", 1, altered(1, [](Message& m) { m.add_region.size += 1; }),
     "in a file of"},
    {"RegionOfDevice", 1, with_fd(1, [](auto&) { return opened("/dev/zero"); }),
     "not a file of shared memory"},
    {"RegionOfDiskFile", 1, with_fd(1, [](auto&) { return opened("/proc/self/comm"); }),
     "not a file of shared memory"},
    {"RegionOfSocket", 1, with_fd(1, [](auto& c) { return Fd(dup(c.fd.get())); }),
     "not a file of shared memory"},
    {"RegionReadOnly", 1,
     with_fd(1,
             [](auto& c) {
               const std::string path = "/proc/self/fd/" + std::to_string(c.memory.get());
               return Fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
             }),
     "cannot be mapped"},
    {"RingUnknownFlags", 2, altered(2, [](Message& m) { m.add_ring.flags |= 2; }), "unknown flags"},
    {"RingOutOfOrder", 2, altered(2, [](Message& m) { m.add_ring.index = 1; }), "out of order"},
    {"RingTooMany", 3, altered(2, [](Message& m) { m.add_ring.index = 1; }), "more than 1 rings",
     false},
    {"RingPrivateHeader", 2, altered(2, [](Message& m) { m.add_ring.private_header_size = 8; }),
     "private headers"},
    {"RingTooSmall", 2, altered(2, [](Message& m) { m.add_ring.log2_ring_size = 4; }),
     "ring of 2^4"},
    {"RingTooLarge", 2, altered(2, [](Message& m) { m.add_ring.log2_ring_size = 15; }),
     "ring of 2^15"},
    {"RingShiftedAway", 2, altered(2, [](Message& m) { m.add_ring.log2_ring_size = 255; }),
     "ring of 2^255"},
    {"RingUnknownRegion", 2, altered(2, [](Message& m) { m.add_ring.region = 1; }),
     "unknown region"},
    {"RingLastRegion", 2, altered(2, [](Message& m) { m.add_ring.region = 0xffff; }),
     "unknown region"},
    {"RingUnaligned", 2, altered(2, [](Message& m) { m.add_ring.offset = 32; }), "not aligned"},
    {"RingOverItsEnd", 2,
     [](auto& c) {
       Message m = c.message(2);
       m.add_ring.offset = static_cast<uint32_t>((c.bytes - ring_bytes(5) + 64) / 64 * 64);
       c.say(m, c.passed(2));
     },
     "outside its region"},
    {"RingFarOutside", 2, altered(2, [](Message& m) { m.add_ring.offset = 0xffffffc0; }),
     "outside its region"},
    {"RingsOverlap", 3, altered(3, [](Message& m) { m.add_ring.offset -= 64; }), "overlap"},
    {"RingsTheSame", 3, altered(3, [](Message& m) { m.add_ring.offset = 0; }), "overlap"},
    {"RingsOverlapInTwoRegions", 2,
     [](auto& c) {
       // The same file as another region.
       Message region = c.message(1);
       region.add_region.index = 1;
       c.pass(region, c.passed(1));
       c.pass(c.message(2), c.passed(2));
       Message ring = c.message(3);
       ring.add_ring.region = 1;
       ring.add_ring.offset = 64;
       c.say(ring, c.passed(3));
     },
     "overlap"},
    {"RingWithoutDescriptor", 2, [](auto& c) { c.say(c.message(2)); }, "without its one"},
    {"RingOfPipe", 2,
     with_fd(2,
             [](auto&) {
               int ends[2];
               EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
               close(ends[0]);
               return Fd(ends[1]);
             }),
     "not an eventfd"},
    {"RingOfMemory", 2, with_fd(2, [](auto& c) { return Fd(dup(c.memory.get())); }),
     "not an eventfd"},
    {"ConnectWithoutRings", 2, [](auto& c) { c.say(c.message(4)); }, "the port needs 1", false},
    {"ConnectWithOneRing", 3, [](auto& c) { c.say(c.message(4)); }, "the port needs 1", false},
    {"ConnectWithDescriptor", 4, [](auto& c) { c.say(c.message(4), c.memory.get()); },
     "CONNECT with a descriptor"},
    {"NoCookie", 4,
     [](auto& c) {
       c.ring(kToClient).cookie = 0;
       c.say(c.message(4));
     },
     "without its cookie"},
    {"InitAfterAll", 5, [](auto& c) { c.say(c.message(0)); }, "INIT after the handshake"},
    {"RegionAfterAll", 5, [](auto& c) { c.say(c.message(1), c.passed(1)); },
     "ADD_REGION after the handshake"},
    {"RingAfterAll", 5, [](auto& c) { c.say(c.message(2), c.passed(2)); },
     "ADD_RING after the handshake"},
    {"ShortAfterAll", 5, [](auto& c) { say_raw(c, "xx", 2); }, "message of 2 bytes"},
};

class MemifHostileSaying : public Hostile, public testing::WithParamInterface<Saying> {};

TEST_P(MemifHostileSaying, EndsThePeerAlone) {
  const Saying& saying = GetParam();
  Victim victim(server());
  {
    HostileClient hostile(socket_);
    ASSERT_TRUE(hostile.join(saying.steps));
    saying.commit(hostile);
    expect_ended(victim, hostile.fd.get(), saying.reason);
  }
  // A guest who never said its id may be told of by the socket's other port.
  const bool is_known = saying.steps > 0;
  if (is_known) {
    EXPECT_EQ(victim.stat("violations"), saying.violation ? 1u : 0u);
    EXPECT_EQ(victim.stat("refused"), saying.steps == HostileClient::kSteps ? 0u : 1u);
  }
  expect_usable(victim);
}

INSTANTIATE_TEST_SUITE_P(All, MemifHostileSaying, testing::ValuesIn(kSayings),
                         [](const auto& info) { return std::string(info.param.name); });

// --- shared memory, against a server ------------------------------------------------------------

struct Deed {
  friend void PrintTo(const Deed& d, std::ostream* out) { *out << d.name; }
  const char* name;
  std::function<void(HostileClient&)> commit;  // on a connection that has carried a packet each way
  const char* reason;                          // null: not worth a word, the connection goes on
};

// A packet whose slot is changed before it is published.
std::function<void(HostileClient&)> sent_slot(std::function<void(HostileClient&, Slot&)> alter) {
  return [=](HostileClient& c) {
    c.lay(pattern(64));
    alter(c, c.slot(kToServer, static_cast<uint16_t>(c.laid - 1)));
    c.publish();
  };
}
// The next buffers posted for the server are changed; then comes a packet to be answered.
std::function<void(HostileClient&)> posted_slots(std::function<void(HostileClient&, Slot&)> alter) {
  return [=](HostileClient& c) {
    for (uint32_t i = 0; i < c.size; ++i) alter(c, c.slots(kToClient)[i]);
    c.send(pattern(64));
  };
}

constexpr char kJumped[] = "moved beyond the ring";
constexpr char kOutside[] = "memory outside its region";

const Deed kDeeds[] = {
    {"HeadBeyondRing",
     [](auto& c) { c.set_head(kToServer, static_cast<uint16_t>(c.tail(kToServer) + c.size + 1)); },
     kJumped},
    {"HeadBackwards",
     [](auto& c) { c.set_head(kToServer, static_cast<uint16_t>(c.head(kToServer) - 1)); }, kJumped},
    {"HeadHalfWayRound",
     [](auto& c) { c.set_head(kToServer, static_cast<uint16_t>(c.head(kToServer) + 0x8000)); },
     kJumped},
    {"UnknownRegion", sent_slot([](auto&, Slot& s) { s.region = 1; }), kOutside},
    {"LastRegion", sent_slot([](auto&, Slot& s) { s.region = 0xffff; }), kOutside},
    {"OneByteBehindRegion",
     sent_slot([](auto& c, Slot& s) { s.offset = static_cast<uint32_t>(c.bytes - s.length + 1); }),
     kOutside},
    {"OffsetBehindRegion",
     sent_slot([](auto& c, Slot& s) { s.offset = static_cast<uint32_t>(c.bytes); }), kOutside},
    {"OffsetWraps", sent_slot([](auto&, Slot& s) { s.offset = 0xffffffe0; }), kOutside},
    {"LengthWraps", sent_slot([](auto&, Slot& s) { s.length = 0u - s.offset; }), kOutside},
    {"LengthEndless", sent_slot([](auto&, Slot& s) { s.length = 0xffffffff; }), kOutside},
    {"Empty", sent_slot([](auto&, Slot& s) { s.length = 0; }), "no bytes"},
    {"EmptyInChain",
     [](auto& c) {
       c.lay(pattern(64), kSlotNext);
       c.lay({});
       c.publish();
     },
     "no bytes"},
    {"OutsideInChain",
     [](auto& c) {
       c.lay(pattern(64), kSlotNext);
       c.lay(pattern(64));
       c.slot(kToServer, static_cast<uint16_t>(c.laid - 1)).offset = 0xfffffff0;
       c.publish();
     },
     kOutside},
    {"EndlessChain",
     [](auto& c) {
       for (uint32_t i = 0; i < c.size; ++i) c.lay(pattern(10), kSlotNext);
       c.publish();
     },
     "does not end"},
    {"PostBeyondRing",
     [](auto& c) {
       c.set_head(kToClient, static_cast<uint16_t>(c.tail(kToClient) + c.size + 1));
       c.send(pattern(64));
     },
     kJumped},
    {"PostBackwards",
     [](auto& c) {
       c.set_head(kToClient, static_cast<uint16_t>(c.tail(kToClient) - 1));
       c.send(pattern(64));
     },
     kJumped},
    {"PostedUnknownRegion", posted_slots([](auto&, Slot& s) { s.region = 9; }), kOutside},
    {"PostedBehindRegion", posted_slots([](auto& c, Slot& s) {
       s.offset = static_cast<uint32_t>(c.bytes - s.length + 1);
     }),
     kOutside},
    {"PostedOffsetWraps", posted_slots([](auto&, Slot& s) { s.offset = 0xfffffff0; }), kOutside},
    {"PostedLengthWraps", posted_slots([](auto&, Slot& s) { s.length = 0u - s.offset; }), kOutside},
    {"PostedEmpty", posted_slots([](auto&, Slot& s) { s.length = 0; }), "too little"},
    {"PostedTooLittle", posted_slots([](auto&, Slot& s) { s.length = 63; }), "too little"},
    // What is the server's own, or means nothing.
    {"ServersIndexes",
     [](auto& c) {
       c.set_tail(kToServer, 0x1234);
       c.send(pattern(64));
     },
     nullptr},
    {"Cookies",
     [](auto& c) {
       c.ring(kToServer).cookie = c.ring(kToClient).cookie = 0;
       c.send(pattern(64));
     },
     nullptr},
    {"UnknownBits",
     [](auto& c) {
       c.ring(kToServer).flags = c.ring(kToClient).flags = 0xfffe;
       c.lay(pattern(64), 0xfffe);
       c.slot(kToServer, static_cast<uint16_t>(c.laid - 1)).metadata = 0xffffffff;
       c.publish();
     },
     nullptr},
    {"PostedStaleNext", posted_slots([](auto&, Slot& s) { s.flags = kSlotNext; }), nullptr},
};

class MemifHostileDeed : public Hostile,
                         public testing::WithParamInterface<std::tuple<const char*, Deed>> {};

TEST_P(MemifHostileDeed, EndsThePeerAlone) {
  const auto& [engine, deed] = GetParam();
  Victim victim(server(), engine);
  {
    HostileClient hostile(socket_);
    ASSERT_TRUE(hostile.join());
    hostile.post();
    hostile.send(pattern(200));
    std::optional<Bytes> answer;
    ASSERT_TRUE(victim.turn_until([&] { return (answer = hostile.take()).has_value(); }));
    EXPECT_EQ(*answer, pattern(200));
    deed.commit(hostile);
    if (deed.reason != nullptr) {
      expect_ended(victim, hostile.fd.get(), deed.reason);
    } else {
      ASSERT_TRUE(victim.turn_until([&] { return (answer = hostile.take()).has_value(); }));
      EXPECT_EQ(*answer, pattern(64));
      EXPECT_EQ(ended(hostile.fd.get()), "");
    }
    EXPECT_EQ(victim.stat("violations"), deed.reason != nullptr ? 1u : 0u);
  }
  expect_usable(victim);
}

template <class Row>
std::string name_of(const testing::TestParamInfo<std::tuple<const char*, Row>>& info) {
  return std::string(std::get<0>(info.param)) + "_" + std::get<1>(info.param).name;
}
const auto kEngines = testing::Values("cpu", "thread", "model");

INSTANTIATE_TEST_SUITE_P(All, MemifHostileDeed,
                         testing::Combine(kEngines, testing::ValuesIn(kDeeds)), name_of<Deed>);

// --- other things a client may do to a server ---------------------------------------------------

class MemifHostileClient : public Hostile, public testing::WithParamInterface<const char*> {
 protected:
  Victim victim_{server(), GetParam()};
};
INSTANTIATE_TEST_SUITE_P(All, MemifHostileClient, kEngines,
                         [](const auto& info) { return std::string(info.param); });

TEST_P(MemifHostileClient, APacketThatIsTooLongIsDroppedByName) {
  HostileClient hostile(socket_, {.log2 = 9});
  ASSERT_TRUE(hostile.join());
  hostile.post();
  for (int i = 0; i < 6; ++i) hostile.lay(pattern(2000), i < 5 ? kSlotNext : 0);
  for (int i = 0; i < 100; ++i) hostile.lay(pattern(10), i < 99 ? kSlotNext : 0);
  hostile.lay(pattern(333));
  hostile.publish();
  std::optional<Bytes> answer;
  ASSERT_TRUE(victim_.turn_until([&] { return (answer = hostile.take()).has_value(); }));
  EXPECT_EQ(*answer, pattern(333));
  EXPECT_EQ(victim_.kit.drops(Drop::kRxTruncated), 2u);
  EXPECT_EQ(hostile.tail(kToServer), hostile.laid);
}

TEST_P(MemifHostileClient, AChainInPiecesWaitsForItsEnd) {
  HostileClient hostile(socket_);
  ASSERT_TRUE(hostile.join());
  hostile.post();
  hostile.lay(pattern(100, 1), kSlotNext);
  hostile.publish();
  victim_.turn_for(20);
  EXPECT_EQ(victim_.received, 0u);
  hostile.lay(pattern(50, 2));
  hostile.publish();
  std::optional<Bytes> answer;
  ASSERT_TRUE(victim_.turn_until([&] { return (answer = hostile.take()).has_value(); }));
  Bytes whole = pattern(100, 1);
  const Bytes rest = pattern(50, 2);
  whole.insert(whole.end(), rest.begin(), rest.end());
  EXPECT_EQ(*answer, whole);
}

// Answers are written over the rings themselves: whatever follows, it is the peer's own harm.
TEST_P(MemifHostileClient, BuffersPostedOverTheRingsHarmNobodyElse) {
  HostileClient hostile(socket_);
  ASSERT_TRUE(hostile.join());
  hostile.post();
  for (uint32_t i = 0; i < hostile.size; ++i) {
    Slot& slot = hostile.slots(kToClient)[i];
    slot.offset = 64 * (i % 16);
    slot.length = 1024;
  }
  for (int i = 0; i < 30; ++i) hostile.lay(Bytes(900, static_cast<uint8_t>(i * 9)));
  hostile.publish();
  victim_.turn_for(50);
  hostile.fd.reset();
  EXPECT_TRUE(victim_.turn_until_gone());
  expect_usable(victim_);
}

TEST_P(MemifHostileClient, WhoPostsNothingGetsNothing) {
  HostileClient hostile(socket_);
  ASSERT_TRUE(hostile.join());
  for (int i = 0; i < 20; ++i) hostile.lay(pattern(64));
  hostile.publish();
  ASSERT_TRUE(victim_.turn_until([&] { return victim_.received == 20; }));
  EXPECT_EQ(victim_.refused, 20u);
  EXPECT_EQ(victim_.port->refused_as(0), Drop::kNoPeer);
  EXPECT_EQ(hostile.tail(kToClient), 0);
}

TEST_P(MemifHostileClient, WhoNeverDrainsFillsItsOwnRingOnly) {
  HostileClient hostile(socket_);
  ASSERT_TRUE(hostile.join());
  hostile.post();
  for (int lap = 0; lap < 20; ++lap) {
    const uint64_t before = victim_.received;
    for (int i = 0; i < 16; ++i) hostile.lay(pattern(64));
    hostile.publish();
    ASSERT_TRUE(victim_.turn_until([&] { return victim_.received == before + 16; }));
  }
  victim_.turn_until([&] { return hostile.tail(kToClient) == hostile.size; });
  EXPECT_EQ(hostile.tail(kToClient), hostile.size);
  EXPECT_EQ(victim_.sent, hostile.size);
  EXPECT_EQ(ended(hostile.fd.get()), "");
}

TEST_P(MemifHostileClient, ARegionThatIsCutUnderTraffic) {
  for (const bool rings_stay : {false, true}) {
    SCOPED_TRACE(rings_stay ? "only the buffers" : "all of it");
    const uint64_t before = victim_.stat("violations");
    HostileClient hostile(socket_, {.log2 = 10, .sealed = false});
    ASSERT_TRUE(hostile.join());
    hostile.post();
    for (uint32_t i = 0; i < hostile.size; ++i) hostile.lay(pattern(1500));
    hostile.publish();
    ASSERT_TRUE(victim_.turn_until([&] { return hostile.tail(kToServer) > 200; }));
    hostile.laid = static_cast<uint16_t>(hostile.laid + 200);
    if (rings_stay) hostile.publish();
    const auto left = static_cast<off_t>(rings_stay ? hostile.buffers : 0);
    ASSERT_EQ(ftruncate(hostile.memory.get(), left), 0);
    hostile.unmap();
    expect_ended(victim_, hostile.fd.get(), "region was cut");
    EXPECT_EQ(victim_.stat("violations"), before + 1);
  }
  expect_usable(victim_);
}

TEST_P(MemifHostileClient, ARegionThatIsCutInTheHandshake) {
  for (int step = 2; step < HostileClient::kSteps; ++step) {
    HostileClient hostile(socket_, {.sealed = false});
    ASSERT_TRUE(hostile.join(step));
    ASSERT_EQ(ftruncate(hostile.memory.get(), 0), 0);
    hostile.unmap();
    for (int rest = step; rest < HostileClient::kSteps; ++rest) {
      hostile.say(hostile.message(rest), hostile.passed(rest));
      if (rest + 1 < HostileClient::kSteps) hostile.hear();
    }
    std::string reason;
    EXPECT_TRUE(victim_.turn_until([&] { return !(reason = ended(hostile.fd.get())).empty(); }));
    EXPECT_TRUE(reason.find("cut") != std::string::npos ||
                reason.find("cookie") != std::string::npos)
        << reason;
  }
  expect_usable(victim_);
}

TEST_P(MemifHostileClient, DiesAtEveryStep) {
  const size_t before = open_descriptors();
  for (int lap = 0; lap < 5; ++lap) {
    for (int step = 0; step <= HostileClient::kSteps; ++step) {
      HostileClient hostile(socket_);
      ASSERT_TRUE(hostile.join(step, [&] { victim_.turn(); })) << step;
      if (step == HostileClient::kSteps) {
        hostile.post();
        for (int i = 0; i < 25; ++i) hostile.lay(pattern(1000));
        hostile.publish();
      }
    }
  }
  expect_usable(victim_);
  EXPECT_TRUE(victim_.turn_until([&] { return open_descriptors() <= before; }));
}

// Says the next message without waiting, and dies with the answer unread.
TEST_P(MemifHostileClient, DiesWithoutListening) {
  for (int step = 0; step < HostileClient::kSteps; ++step) {
    HostileClient hostile(socket_);
    ASSERT_TRUE(hostile.join(step, [&] { victim_.turn(); })) << step;
    for (int rest = step; rest < HostileClient::kSteps; ++rest)
      hostile.say(hostile.message(rest), hostile.passed(rest));
  }
  expect_usable(victim_);
}

TEST_P(MemifHostileClient, ConnectsThousandsOfTimes) {
  const size_t descriptors = open_descriptors(), mappings = memory_mappings("memfd:peer");
  const int kTimes = std::string(GetParam()) == "cpu" ? 1000 : 200;
  for (int i = 0; i < kTimes; ++i) {
    HostileClient hostile(socket_, {.buffer = 256, .sealed = i % 2 == 0});
    const int steps = i % 4 == 3 ? i / 4 % 5 : HostileClient::kSteps;
    ASSERT_TRUE(hostile.join(steps, [&] { victim_.turn(); })) << i;
    hostile.post();
    hostile.send(pattern(100));
    victim_.turn();
  }
  expect_usable(victim_);
  EXPECT_GE(victim_.stat("connects"), static_cast<uint64_t>(kTimes / 2));
  EXPECT_TRUE(victim_.turn_until([&] {
    return open_descriptors() <= descriptors && memory_mappings("memfd:peer") <= mappings;
  }));
}

TEST_P(MemifHostileClient, ManyWhoSayNothingKeepNobodyOut) {
  std::vector<Fd> silent;
  Address address;
  std::string why;
  ASSERT_TRUE(parse_address(socket_, &address, &why)) << why;
  while (silent.size() < 300) {
    Fd one = connect_to(address, &why);  // refused while too many wait
    if (one) silent.push_back(std::move(one));
    victim_.turn();
  }
  expect_usable(victim_);
}

// The bell's counter is filled up and the descriptor blocks: our write to it would wait for ever.
TEST_P(MemifHostileClient, ABellThatIsStuck) {
  HostileClient hostile(socket_);
  ASSERT_TRUE(hostile.join());
  hostile.post();
  const int bell = hostile.events[kToClient].get();
  const uint64_t full = ~uint64_t{0} - 1;
  ASSERT_EQ(write(bell, &full, sizeof full), static_cast<ssize_t>(sizeof full));
  ASSERT_EQ(fcntl(bell, F_SETFL, fcntl(bell, F_GETFL) & ~O_NONBLOCK), 0);
  hostile.send(pattern(100));
  expect_ended(victim_, hostile.fd.get(), "eventfd");
  EXPECT_EQ(victim_.stat("violations"), 1u);
  expect_usable(victim_);
}

// The same, and it is filled up again as soon as somebody empties it.
TEST_P(MemifHostileClient, ABellThatIsKeptStuck) {
  HostileClient hostile(socket_);
  ASSERT_TRUE(hostile.join());
  hostile.post();
  const Fd bell(dup(hostile.events[kToClient].get()));
  const uint64_t full = ~uint64_t{0} - 1;
  ASSERT_EQ(write(bell.get(), &full, sizeof full), static_cast<ssize_t>(sizeof full));
  ASSERT_EQ(fcntl(bell.get(), F_SETFL, fcntl(bell.get(), F_GETFL) & ~O_NONBLOCK), 0);
  std::atomic<bool> stop{false}, stopped{false};
  std::thread filler([&] {
    while (!stop && write(bell.get(), &full, sizeof full) > 0) {
    }
    stopped = true;
  });
  hostile.send(pattern(100));
  expect_ended(victim_, hostile.fd.get(), "eventfd");
  stop = true;
  ASSERT_EQ(fcntl(bell.get(), F_SETFL, fcntl(bell.get(), F_GETFL) | O_NONBLOCK), 0);
  EXPECT_TRUE(eventually([&] {
    uint64_t counter;
    [[maybe_unused]] const ssize_t n = read(bell.get(), &counter, sizeof counter);
    return stopped.load();
  }));
  filler.join();
  expect_usable(victim_);
}

// --- another process ----------------------------------------------------------------------------

// A client's data path in a process of its own, where nothing may be allocated: packets as fast as
// they go, whatever comes is given back.
pid_t fork_sender(HostileClient& c) {
  c.post();
  const Bytes packet = pattern(500);
  for (uint16_t i = 0; i < c.size; ++i) {
    const uint32_t at = c.buffer_at(kToServer, i);
    std::memcpy(c.base + at, packet.data(), packet.size());
    write_slot(c.slot(kToServer, i), 0, 0, 500, at);
  }
  const pid_t parent = getpid(), child = fork();
  if (child != 0) {
    c.fd.reset();  // it is the child's now
    return child;
  }
  while (getppid() == parent) {
    c.set_head(kToServer, static_cast<uint16_t>(c.tail(kToServer) + c.size));
    for (; c.taken != c.tail(kToClient); ++c.taken) {
      write_slot(c.slot(kToClient, c.taken), 0, 0, c.shape.buffer, c.buffer_at(kToClient, c.taken));
      c.set_head(kToClient, static_cast<uint16_t>(c.taken + 1 + c.size));
    }
  }
  _exit(0);
}

TEST_P(MemifHostileClient, IsKilledUnderTraffic) {
  for (int lap = 0; lap < 5; ++lap) {
    HostileClient hostile(socket_, {.log2 = 8});
    ASSERT_TRUE(hostile.join());
    const pid_t child = fork_sender(hostile);
    ASSERT_GT(child, 0);
    const uint64_t before = victim_.received;
    EXPECT_TRUE(victim_.turn_until([&] { return victim_.received > before + 1000; }));
    kill(child, SIGKILL);
    EXPECT_EQ(waitpid(child, nullptr, 0), child);
    EXPECT_TRUE(victim_.turn_until_gone());
  }
  EXPECT_EQ(victim_.stat("violations"), 0u);
  expect_usable(victim_);
}

TEST_P(MemifHostileClient, IsStoppedAndGoesOn) {
  HostileClient hostile(socket_, {.log2 = 8});
  ASSERT_TRUE(hostile.join());
  const pid_t child = fork_sender(hostile);
  ASSERT_GT(child, 0);
  for (int lap = 0; lap < 3; ++lap) {
    const uint64_t before = victim_.received;
    EXPECT_TRUE(victim_.turn_until([&] { return victim_.received > before + 1000; }));
    kill(child, SIGSTOP);
    EXPECT_EQ(waitpid(child, nullptr, WUNTRACED), child);
    victim_.turn_for(30);
    EXPECT_TRUE(innocents_->go_on());
    kill(child, SIGCONT);
  }
  EXPECT_EQ(victim_.stat("violations"), 0u);
  kill(child, SIGKILL);
  EXPECT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(victim_.turn_until_gone());
  expect_usable(victim_);
}

// --- a server, against ports that are clients ---------------------------------------------------

enum class ServerKind { kCopies, kCopiesByModel, kLends };
const auto kServerKinds =
    testing::Values(ServerKind::kCopies, ServerKind::kCopiesByModel, ServerKind::kLends);
std::string server_kind_name(ServerKind kind) {
  return kind == ServerKind::kCopies          ? "copies"
         : kind == ServerKind::kCopiesByModel ? "model"
                                              : "lends";
}

class HostileToClient : public Hostile {
 protected:
  static std::unique_ptr<Victim> victim(const std::string& socket, ServerKind kind) {
    std::map<std::string, std::string> options = {{"ringSize", "32"}};
    if (kind == ServerKind::kLends) options["zeroCopy"] = "true";
    return std::make_unique<Victim>(memif_spec(socket, kVictim, "client", options),
                                    kind == ServerKind::kCopiesByModel ? "model" : "cpu");
  }
  static void exchange(HostileServer& server, Victim& victim, const Bytes& packet) {
    ASSERT_TRUE(victim.turn_until([&] { return server.send(packet); }));
    std::optional<Bytes> answer;
    ASSERT_TRUE(victim.turn_until([&] { return (answer = server.take()).has_value(); }));
    EXPECT_EQ(*answer, packet);
  }
  static void join(HostileServer& server, Victim& victim) {
    ASSERT_TRUE(server.accept());
    ASSERT_TRUE(server.join());
    ASSERT_TRUE(victim.turn_until([&] { return victim.is_connected(); }));
  }
  static void expect_usable(HostileServer& server, Victim& victim) {
    server.leave();
    ASSERT_TRUE(victim.turn_until_gone());
    ASSERT_NO_FATAL_FAILURE(join(server, victim));
    for (uint32_t i = 0; i < 3; ++i)
      ASSERT_NO_FATAL_FAILURE(exchange(server, victim, pattern(700, i)));
    server.leave();
    EXPECT_TRUE(victim.turn_until_gone());
  }
};

struct ServerSaying {
  friend void PrintTo(const ServerSaying& s, std::ostream* out) { *out << s.name; }
  const char* name;
  int steps;  // messages of the client's that were heard; 0: HELLO is still to be said; 100: all
  std::function<void(HostileServer&)> commit;
  const char* reason;
  bool violation = true;
};
std::function<void(HostileServer&)> hello_with(std::function<void(Message&)> alter) {
  return [=](HostileServer& s) {
    Message message = HostileServer::hello();
    alter(message);
    s.say(message);
  };
}
std::function<void(HostileServer&)> says(MessageType type) {
  return [=](HostileServer& s) { s.say(message_of(type)); };
}
void say_bytes(HostileServer& s, size_t size) {
  const Bytes all(size, 2);
  EXPECT_EQ(::send(s.fd.get(), all.data(), size, MSG_NOSIGNAL), static_cast<ssize_t>(size));
}

const ServerSaying kServerSayings[] = {
    {"Short", 0, [](auto& s) { say_bytes(s, 5); }, "message of 5 bytes"},
    {"Long", 0, [](auto& s) { say_bytes(s, 1000); }, "message of 1000 bytes"},
    {"HelloWithDescriptor", 0, [](auto& s) { s.say(HostileServer::hello(), s.fd.get()); },
     "HELLO with a descriptor"},
    {"Version", 0, hello_with([](Message& m) { m.hello.version_min = 0x0201; }), "version", false},
    {"OldVersion", 0, hello_with([](Message& m) { m.hello.version_max = 0x01ff; }), "version",
     false},
    {"RingsTooSmall", 0, hello_with([](Message& m) { m.hello.log2_ring_size_max = 4; }), "2^4",
     false},
    {"AckForHello", 0, says(MessageType::kAck), "ACK instead of HELLO"},
    {"ConnectedForHello", 0, says(MessageType::kConnected), "CONNECTED instead of HELLO"},
    {"UnknownForHello", 0, says(MessageType{99}), "an unknown message instead"},
    {"HelloForAck", 1, [](auto& s) { s.say(HostileServer::hello()); }, "HELLO instead of ACK"},
    {"ConnectedEarly", 2, says(MessageType::kConnected), "CONNECTED instead of ACK"},
    {"InitToClient", 3, [](auto& s) { s.say(init_message()); }, "INIT instead of ACK"},
    {"AckWithDescriptor", 3, [](auto& s) { s.say(message_of(MessageType::kAck), s.fd.get()); },
     "ACK with a descriptor"},
    {"AckAfterAll", 100, says(MessageType::kAck), "ACK after the handshake"},
    {"ConnectedTwice", 100, says(MessageType::kConnected), "CONNECTED after the handshake"},
    {"ShortAfterAll", 100, [](auto& s) { say_bytes(s, 127); }, "message of 127 bytes"},
};

class MemifHostileServerSaying : public HostileToClient,
                                 public testing::WithParamInterface<ServerSaying> {};

TEST_P(MemifHostileServerSaying, EndsThePeerAlone) {
  const ServerSaying& saying = GetParam();
  HostileServer hostile(socket_ + "-other");
  const auto victim = HostileToClient::victim(socket_ + "-other", ServerKind::kCopies);
  ASSERT_TRUE(hostile.accept());
  if (saying.steps != 0) {
    ASSERT_TRUE(hostile.join(saying.steps));
  }
  saying.commit(hostile);
  expect_ended(*victim, hostile.fd.get(), saying.reason);
  EXPECT_EQ(victim->stat("violations"), saying.violation ? 1u : 0u);
  expect_usable(hostile, *victim);
}
INSTANTIATE_TEST_SUITE_P(All, MemifHostileServerSaying, testing::ValuesIn(kServerSayings),
                         [](const auto& info) { return std::string(info.param.name); });

struct ServerDeed {
  friend void PrintTo(const ServerDeed& d, std::ostream* out) { *out << d.name; }
  const char* name;
  std::function<void(HostileServer&)> commit;
  const char* reason;
};
// A packet whose slot is changed before it is published.
std::function<void(HostileServer&)> filled_slot(std::function<void(HostileServer&, Slot&)> alter) {
  return [=](HostileServer& s) {
    Slot& slot = s.slot(kToClient, s.sent);
    const SlotCopy was = read_slot(slot);
    const Bytes packet = pattern(64);
    std::memcpy(s.bytes_of(was), packet.data(), packet.size());
    slot.length = 64;
    alter(s, slot);
    s.set_tail(kToClient, ++s.sent);
  };
}

constexpr uint16_t kNonsense = 0x4321;

const ServerDeed kServerDeeds[] = {
    {"TailBeyondHead",
     [](auto& s) { s.set_tail(kToServer, static_cast<uint16_t>(s.head(kToServer) + 1)); }, kJumped},
    {"TailBackwards",
     [](auto& s) { s.set_tail(kToServer, static_cast<uint16_t>(s.tail(kToServer) - 2)); }, kJumped},
    {"TailHalfWayRound",
     [](auto& s) { s.set_tail(kToServer, static_cast<uint16_t>(s.tail(kToServer) + 0x8000)); },
     kJumped},
    {"FilledBeyondPosted",
     [](auto& s) { s.set_tail(kToClient, static_cast<uint16_t>(s.head(kToClient) + 1)); }, kJumped},
    {"FilledBackwards",
     [](auto& s) { s.set_tail(kToClient, static_cast<uint16_t>(s.tail(kToClient) - 1)); }, kJumped},
    {"LongerThanBuffer", filled_slot([](auto&, Slot& s) { s.length = 2049; }), "a received slot"},
    {"LengthEndless", filled_slot([](auto&, Slot& s) { s.length = 0xffffffff; }),
     "a received slot"},
    {"Empty", filled_slot([](auto&, Slot& s) { s.length = 0; }), "a received slot"},
    {"EndlessChain",
     [](auto& s) {
       for (uint32_t i = 0; i < s.size; ++i) {
         Slot& slot = s.slots(kToClient)[i];
         slot.length = 4;
         slot.flags = kSlotNext;
       }
       s.set_tail(kToClient, static_cast<uint16_t>(s.sent + s.size));
     },
     "does not end"},
    // Where a client's buffers are, and its indexes, is its own to know.
    {"OtherPlace", filled_slot([](auto&, Slot& s) {
       s.offset = 0xfffffff0;
       s.region = 0xffff;
     }),
     nullptr},
    {"ClientsIndexes",
     [](auto& s) {
       s.set_head(kToServer, kNonsense);
       filled_slot([](auto&, Slot&) {})(s);
     },
     nullptr},
};

class MemifHostileServerDeed
    : public HostileToClient,
      public testing::WithParamInterface<std::tuple<ServerKind, ServerDeed>> {};

TEST_P(MemifHostileServerDeed, EndsThePeerAlone) {
  const auto& [kind, deed] = GetParam();
  HostileServer hostile(socket_ + "-other");
  const auto victim = HostileToClient::victim(socket_ + "-other", kind);
  ASSERT_NO_FATAL_FAILURE(join(hostile, *victim));
  for (uint32_t i = 0; i < 3; ++i)
    ASSERT_NO_FATAL_FAILURE(exchange(hostile, *victim, pattern(200, i)));
  // A client looks at its sending ring when it sends.
  const bool is_of_sending = std::string(deed.name).starts_with("Tail");
  if (is_of_sending && kind != ServerKind::kLends) hostile.send(pattern(64));
  deed.commit(hostile);
  if (deed.reason != nullptr) {
    expect_ended(*victim, hostile.fd.get(), deed.reason);
  } else {
    std::optional<Bytes> answer;
    ASSERT_TRUE(victim->turn_until([&] { return hostile.head(kToServer) != kNonsense; }));
    ASSERT_TRUE(victim->turn_until([&] { return (answer = hostile.take()).has_value(); }));
    EXPECT_EQ(*answer, pattern(64));
    EXPECT_EQ(ended(hostile.fd.get()), "");
  }
  EXPECT_EQ(victim->stat("violations"), deed.reason != nullptr ? 1u : 0u);
  expect_usable(hostile, *victim);
}
INSTANTIATE_TEST_SUITE_P(All, MemifHostileServerDeed,
                         testing::Combine(kServerKinds, testing::ValuesIn(kServerDeeds)),
                         [](const auto& info) {
                           return server_kind_name(std::get<0>(info.param)) + "_" +
                                  std::get<1>(info.param).name;
                         });

class MemifHostileServer : public HostileToClient,
                           public testing::WithParamInterface<ServerKind> {};
INSTANTIATE_TEST_SUITE_P(All, MemifHostileServer, kServerKinds,
                         [](const auto& info) { return server_kind_name(info.param); });

// Neither what a client made for the peer nor what it lends can be cut or frozen by it.
TEST_P(MemifHostileServer, CannotCutWhatItWasGiven) {
  HostileServer hostile(socket_ + "-other");
  const auto victim = HostileToClient::victim(socket_ + "-other", GetParam());
  ASSERT_NO_FATAL_FAILURE(join(hostile, *victim));
  ASSERT_EQ(hostile.regions.size(), GetParam() == ServerKind::kLends ? 2u : 1u);
  for (const auto& region : hostile.regions) {
    EXPECT_NE(ftruncate(region.file.get(), 0), 0);
    EXPECT_NE(ftruncate(region.file.get(), static_cast<off_t>(region.bytes * 2)), 0);
    EXPECT_NE(fcntl(region.file.get(), F_ADD_SEALS, F_SEAL_WRITE), 0);
    EXPECT_NE(fcntl(region.file.get(), F_ADD_SEALS, 0x10 /* F_SEAL_FUTURE_WRITE */), 0);
  }
  exchange(hostile, *victim, pattern(100));
  expect_usable(hostile, *victim);
}

TEST_P(MemifHostileServer, ReadsNothing) {
  HostileServer hostile(socket_ + "-other");
  const auto victim = HostileToClient::victim(socket_ + "-other", GetParam());
  ASSERT_NO_FATAL_FAILURE(join(hostile, *victim));
  // What it sends is answered into a ring that nobody empties.
  uint32_t sent = 0;
  EXPECT_TRUE(victim->turn_until([&] {
    while (sent < 200 && hostile.send(pattern(80, sent))) sent++;
    return victim->received == 200;
  }));
  EXPECT_EQ(victim->sent - victim->refused, 32u);
  EXPECT_EQ(ended(hostile.fd.get()), "");
  hostile.leave();
  EXPECT_TRUE(victim->turn_until_gone());
  EXPECT_EQ(victim->stat("frames_held"), 0u);
  expect_usable(hostile, *victim);
}

TEST_P(MemifHostileServer, DiesAtEveryStep) {
  HostileServer hostile(socket_ + "-other");
  const auto victim = HostileToClient::victim(socket_ + "-other", GetParam());
  for (int step = 0; step < 6; step += 2) {  // each waits twice as long for the next
    ASSERT_TRUE(hostile.accept()) << step;
    if (step != 0) {
      EXPECT_TRUE(hostile.join(step)) << step;
    }
    hostile.leave();
  }
  expect_usable(hostile, *victim);
}

}  // namespace
}  // namespace nodeplane::memif
