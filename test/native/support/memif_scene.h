#pragma once
#include <cstdlib>

#include "copy/copy.h"
#include "driver/registry.h"
#include "peer/peer.h"
#include "support/memif_hostile.h"

// A port that a hostile peer is set upon, and two peers beside it whose traffic must not feel it.
namespace nodeplane::memif {

inline PortSpec memif_spec(const std::string& socket, uint32_t id, const std::string& role,
                           std::map<std::string, std::string> options = {}) {
  options["role"] = role;
  options["socket"] = socket;
  options["id"] = std::to_string(id);
  PortSpec spec = port_spec("memif", "", std::move(options));
  spec.name = role + std::to_string(id);
  return spec;
}

// A number in a port's own counters.
inline uint64_t stat(const Port& port, const std::string& key) {
  const std::string all = port.stats_json();
  const size_t at = all.find("\"" + key + "\":");
  EXPECT_NE(at, std::string::npos) << key << " is not in " << all;
  return at == std::string::npos ? 0
                                 : std::strtoull(all.c_str() + at + key.size() + 3, nullptr, 10);
}

inline std::unique_ptr<CopyEngine> engine_of(const std::string& name, CopyModelOptions model = {}) {
  CopyOptions options;
  options.engine = name;
  options.bytes_min = options.batch_min = 1;  // everything is the engine's
  options.model = model;
  std::string why;
  auto engine = open_copy(options, &why);
  EXPECT_EQ(why, "");
  return engine;
}

// A port in the test's hands that sends back what it gets.
struct Victim {
  Victim(const PortSpec& wanted, const std::string& copy = "cpu", uint32_t frames = 2048)
      : kit(frames), engine(engine_of(copy)) {
    PortSpec spec = wanted;
    spec.copy = engine.get();
    std::string error;
    port = open_port(spec, *kit.arena, &error);
    EXPECT_NE(port, nullptr) << error;
    now.resize(kBatchSize);
    list.resize(kBatchSize);
  }
  // One round; how many packets came.
  uint32_t turn() {
    port->release(0, *kit.frames);
    const uint32_t n = port->receive(0, now.data(), kBatchSize, *kit.frames, *kit.counters);
    received += n;
    for (uint32_t i = 0; i < n; ++i) list[i] = &now[i];
    const uint32_t taken = n == 0 ? 0 : port->transmit(0, list.data(), n, *kit.frames);
    for (uint32_t i = taken; i < n; ++i) kit.frames->give_chain(now[i].frame);
    if (taken != 0) refused += port->refused(0);
    sent += taken;
    return n;
  }
  // Turns until it holds. False: not in time.
  bool turn_until(const std::function<bool()>& holds, int ms = kPatienceMs) {
    const Time end = time_now() + static_cast<Time>(ms) * kMillisecond;
    while (!holds()) {
      if (time_now() > end) return false;
      if (turn() == 0) std::this_thread::yield();
    }
    return true;
  }
  void turn_for(int ms) {
    turn_until([] { return false; }, ms);
  }
  uint64_t stat(const std::string& key) const { return memif::stat(*port, key); }
  // Until the peer is gone and the port has let go of it.
  bool turn_until_gone() {
    if (!turn_until([this] { return !is_connected(); })) return false;
    turn();
    return true;
  }
  bool is_connected() const { return stat("connects") > stat("disconnects"); }

  PortKit kit;  // outlives the port, and says that no frame was lost
  std::unique_ptr<CopyEngine> engine;
  std::unique_ptr<Port> port;
  std::vector<Packet> now;
  std::vector<Packet*> list;
  uint64_t received = 0, sent = 0, refused = 0;
};

// Two ports of this process that have nothing to do with it, one bouncing what the other sends. The
// window makes loss impossible.
class Innocents {
 public:
  Innocents(const std::string& socket, uint32_t id) {
    PeerOptions options;
    options.port = memif_spec(socket, id, "server");
    options.mode = PeerMode::kBounce;
    options.is_adaptive = true;
    options.frames.huge = false;
    std::string error;
    server = Peer::create(options, &error);
    EXPECT_NE(server, nullptr) << error;
    options.port = memif_spec(socket, id, "client");
    options.mode = PeerMode::kBoth;
    options.window = 128;
    options.patience = kPatience;
    options.burst = 16;
    options.packets_per_second = 5000;  // they sleep between
    options.load.marked = true;
    options.load.flows = options.check_flows = 4;
    options.load.packet.protocol = kProtocolUdp;
    options.load.packet.bytes = 300;
    options.load.services.push_back({{}, 0x5000});
    options.check = true;
    client = Peer::create(options, &error);
    EXPECT_NE(client, nullptr) << error;
    server->start();
    client->start();
  }
  ~Innocents() {
    client->stop();
    client->join();
    server->stop();
    server->join();
    expect_untouched();
    EXPECT_TRUE(client->close());
    EXPECT_TRUE(server->close());
  }
  uint64_t count(PeerCount which) const {
    return client->stats().counts[static_cast<uint32_t>(which)];
  }
  // So many more packets go round.
  bool go_on(uint64_t packets = 200) const {
    const uint64_t before = count(PeerCount::kGood);
    return eventually([&] { return count(PeerCount::kGood) >= before + packets; });
  }
  void expect_untouched() const {
    for (const PeerCount bad : {PeerCount::kLost, PeerCount::kDuplicated, PeerCount::kReordered,
                                PeerCount::kCorrupt, PeerCount::kStrange, PeerCount::kLostInDriver})
      EXPECT_EQ(count(bad), 0u) << kPeerCountNames[static_cast<uint32_t>(bad)];
    EXPECT_EQ(server->stats().counts[static_cast<uint32_t>(PeerCount::kDropped)], 0u);
  }

  std::unique_ptr<Peer> server, client;
};

}  // namespace nodeplane::memif
