// Nothing is lost that nobody counts: frames, ring slots and packets over reconnects, with an engine
// that fails and a driver that does harm.
#include <deque>

#include "support/memif_kinds.h"

namespace nodeplane::memif {
namespace {

constexpr uint64_t kPackets = 400'000;  // both ways together
constexpr uint32_t kBurst = 64;
constexpr uint64_t kLife = 20'000;  // packets that one connection carries
constexpr uint32_t kRingSize = 256;
constexpr uint32_t kQuota = 2 * 1024;  // the server's default: it wishes for rings of 1,024

// Late, in any order, with faults; now and then it refuses.
CopyModelOptions bad_model() {
  CopyModelOptions model;
  model.size = 64;
  model.shared = model.reorder = model.poison = true;
  model.fault_per_million = 20'000;
  model.error_per_million = 2'000;
  return model;
}

// A port, what it may still be asked for, and what went through it.
struct End {
  End(const PortSpec& wanted, const std::string& name)
      : spec(wanted), kit(4096), engine(engine_of(name, bad_model())) {
    spec.copy = engine.get();
    open();
  }
  void open() {
    std::string error;
    port = open_port(spec, *kit.arena, &error);
    ASSERT_NE(port, nullptr) << error;
  }
  // Every frame is back, whatever was under way.
  void close() {
    port.reset();
    kit.frames->flush();
    ASSERT_EQ(kit.arena->free_count(), kit.arena->count());
  }
  // Sends up to `count` packets, numbered from `next` on; how many the port took and did not refuse.
  // Refused ones' numbers are not used again: they are missing at the other end.
  uint32_t send(uint32_t count) {
    Packet packets[kBurst];
    Packet* list[kBurst];
    uint32_t made = 0;
    for (; made < count; ++made) {
      const uint64_t number = next + made;
      const uint32_t bytes = number % 50 == 0 ? 9000 : number % 7 == 0 ? 1500 : 64 + number % 200;
      Packet& p = packets[made];
      std::memset(static_cast<void*>(&p), 0, sizeof p);
      std::memcpy(scratch, &number, sizeof number);
      scratch[bytes - 1] = static_cast<uint8_t>(number * 31);
      if (!place_bytes(p, *kit.frames, scratch, bytes)) break;
      list[made] = &p;
    }
    const uint32_t taken = port->transmit(0, list, made, *kit.frames);
    for (uint32_t i = taken; i < made; ++i) kit.frames->give_chain(packets[i].frame);
    next += taken;
    const uint32_t lost = taken == 0 ? 0 : port->refused(0);
    refused += lost;
    sent += taken - lost;
    return taken - lost;
  }
  // Takes what came: numbers only grow, first and last bytes belong together.
  uint32_t take(bool harmed) {
    port->release(0, *kit.frames);
    const uint32_t n = port->receive(0, kit.packets.data(), kBatchSize, *kit.frames, *kit.counters);
    for (uint32_t i = 0; i < n; ++i) {
      uint64_t number;
      const Bytes bytes = kit.bytes(kit.packets[i]);
      std::memcpy(&number, bytes.data(), sizeof number);
      if (!harmed) {
        EXPECT_GE(number, expected);
        EXPECT_EQ(bytes.back(), static_cast<uint8_t>(number * 31));
        expected = number + 1;
      }
    }
    kit.give(n);
    received += n;
    return n;
  }

  PortSpec spec;
  PortKit kit;
  std::unique_ptr<CopyEngine> engine;
  std::unique_ptr<Port> port;
  uint64_t next = 0, sent = 0, refused = 0;
  uint64_t expected = 0, received = 0;
  uint8_t scratch[9216] = {};
};

bool connected(const End& end) {
  return stat(*end.port, "connects") > stat(*end.port, "disconnects");
}

struct Pairing {
  const char* name;
  Kind client;
  const char* server_engine;
  const char* fault;  // of the server's driver
  friend void PrintTo(const Pairing& p, std::ostream* out) { *out << p.name; }
};
const Pairing kPairings[] = {
    {"CopyingClient", kKinds[3], "model", ""},
    {"CopyingClientByModel", kKinds[4], "cpu", ""},
    {"LendingClient", kKinds[5], "model", ""},
    {"LendingClientHarmfulServer", kKinds[5], "model",
     "drop=0.01,duplicate=0.01,corrupt=0.01,reorder=0.01,txfull=0.05"},
};

class MemifConservation : public testing::TestWithParam<Pairing> {
 protected:
  // Both move for a while; how many packets that were.
  uint64_t move(End& a, End& b, bool harmed, uint64_t packets) {
    uint64_t moved = 0;
    const Time end = time_now() + kPatience;
    for (uint64_t turn = 0; moved < packets && time_now() < end; ++turn) {
      a.send(1 + turn * 7 % kBurst);
      b.send(1 + turn * 5 % kBurst);
      moved += b.take(false);
      moved += a.take(harmed);
    }
    EXPECT_GE(moved, packets) << "it stands still";
    return moved;
  }
  // Everything that is under way arrives; nothing is left in a ring.
  void settle(End& a, End& b, bool harmed, uint64_t posted) {
    EXPECT_TRUE(eventually([&] {
      a.take(harmed);
      b.take(false);
      return b.received == a.sent && (harmed || a.received == b.sent) &&
             stat(*b.port, "frames_held") == posted && stat(*a.port, "frames_held") == 0;
    })) << a.port->stats_json()
        << b.port->stats_json();
  }
  // One end goes; the other notices and has none of its frames out any more.
  void part(End& goes, End& stays, bool stays_harmed) {
    goes.close();
    EXPECT_TRUE(eventually([&] {
      stays.take(stays_harmed);
      return !connected(stays);
    }));
    stays.take(stays_harmed);
    EXPECT_EQ(stat(*stays.port, "frames_held"), 0u);
    EXPECT_EQ(stat(*stays.port, "violations"), 0u);
    goes.open();
  }
};

TEST_P(MemifConservation, OfFramesSlotsAndPackets) {
  const auto& [name, client, server_engine, fault] = GetParam();
  const bool harmed = *fault != 0;
  const std::string socket = socket_name("conserve");
  std::map<std::string, std::string> options;
  if (harmed) options["fault"] = fault;
  End a(memif_spec(socket, 1, "server", options), server_engine);
  End b(memif_spec(socket, 1, "client", client.options(kRingSize)), client.engine);

  uint64_t all = 0;
  for (uint32_t life = 0; all < kPackets / std::size(kPairings); ++life) {
    ASSERT_TRUE(eventually([&] {
      a.take(harmed);
      b.take(false);
      return connected(a) && connected(b);
    }));
    a.sent = a.received = b.sent = b.received = 0;
    all += move(a, b, harmed, kLife);
    if (life % 2 != 0) settle(a, b, harmed, client.lends ? kRingSize : 0);
    part(life % 4 < 2 ? b : a, life % 4 < 2 ? a : b, life % 4 < 2 && harmed);
    // What a cut may cost: a ring, and what was under copy.
    const uint64_t bound = life % 2 != 0 ? 0 : kRingSize + kQuota;
    EXPECT_LE(b.received, a.sent);
    EXPECT_LE(a.sent - b.received, bound);
    if (harmed) continue;
    EXPECT_LE(a.received, b.sent);
    EXPECT_LE(b.sent - a.received, bound);
  }
  EXPECT_GT(a.next, all / 4);
  a.close();
  b.close();
}

INSTANTIATE_TEST_SUITE_P(All, MemifConservation, testing::ValuesIn(kPairings),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace nodeplane::memif
