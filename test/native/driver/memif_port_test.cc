// Whole ports: opened by the registry, joined by the hub through a socket of this machine.
#include <poll.h>

#include <atomic>
#include <thread>

#include "copy/copy.h"
#include "driver/memif/memif.h"
#include "support/patience.h"
#include "support/port_kit.h"

namespace nodeplane {
namespace {

std::string socket_of(const std::string& which) {
  return "@np-memif-port-" + std::to_string(getpid()) + "-" + which;
}

PortSpec memif_spec(const std::string& which, const std::string& role,
                    std::map<std::string, std::string> more = {}) {
  PortSpec spec = port_spec("memif", "", std::move(more));
  spec.name = role;
  spec.options["role"] = role;
  spec.options["socket"] = socket_of(which);
  spec.options["id"] = "3";
  return spec;
}

std::unique_ptr<Port> open_memif(PortKit& kit, const PortSpec& spec) {
  std::string error;
  auto port = open_port(spec, *kit.arena, &error);
  EXPECT_NE(port, nullptr) << error;
  return port;
}

size_t take_all(PortKit& kit, Port& port) {
  size_t all = 0;
  for (size_t n; (n = kit.take(port).size()) != 0; all += n) port.release(0, *kit.frames);
  return all;
}

// Packets arrive both ways: a worker's rounds until then, and until none is under way.
bool joined(PortKit& a, Port& left, PortKit& b, Port& right) {
  struct Way {
    PortKit& from;
    Port& out;
    PortKit& to;
    Port& in;
    size_t sent = 0, came = 0;
  } ways[] = {{a, left, b, right}, {b, right, a, left}};
  return eventually([&] {
    bool is_done = true;
    for (Way& w : ways) {
      if (w.came == 0) w.sent += w.from.send(w.out, {pattern(60)}) - w.out.refused(0);
      w.out.release(0, *w.from.frames);
      w.came += take_all(w.to, w.in);
      w.in.release(0, *w.to.frames);
      is_done = is_done && w.came != 0 && w.came == w.sent;
    }
    return is_done;
  });
}

class ConcurrentMemifPort : public testing::TestWithParam<const char*> {};

TEST_P(ConcurrentMemifPort, ServerAndClientJoin) {
  PortKit left(8192), right(8192);
  auto client = open_memif(right, memif_spec("join", "client", {{"zeroCopy", GetParam()}}));
  auto server = open_memif(left, memif_spec("join", "server"));
  ASSERT_TRUE(server && client);
  ASSERT_TRUE(joined(left, *server, right, *client));
  const std::vector<Bytes> some = {pattern(60), pattern(1514, 2), pattern(9216, 3)};
  EXPECT_EQ(left.send(*server, some), 3u);
  EXPECT_EQ(right.take(*client), some);
  EXPECT_EQ(right.send(*client, some), 3u);
  EXPECT_EQ(left.take(*server), some);
}

// The worker's packets are used again and again, by ports that mark offloads too.
TEST_P(ConcurrentMemifPort, PacketsCarryNoMarksOfOlderOnes) {
  PortKit left(8192), right(8192);
  auto client = open_memif(right, memif_spec("marks", "client", {{"zeroCopy", GetParam()}}));
  auto server = open_memif(left, memif_spec("marks", "server"));
  ASSERT_TRUE(server && client);
  ASSERT_TRUE(joined(left, *server, right, *client));
  for (auto [from, out, to, in] : {std::tuple{&left, server.get(), &right, client.get()},
                                   std::tuple{&right, client.get(), &left, server.get()}}) {
    ASSERT_EQ(from->send(*out, {pattern(60)}), 1u);
    Packet p{};
    p.flags = kFlagPartialChecksum;
    p.gso = Gso::kTcp4;
    uint32_t got = 0;
    ASSERT_TRUE(eventually([&, to = to, in = in] {
      if (got == 0) got = in->receive(0, &p, 1, *to->frames, *to->counters);
      return got == 1;
    }));
    EXPECT_EQ(p.flags, 0);
    EXPECT_EQ(p.gso, Gso::kNone);
    to->frames->give_chain(p.frame);
  }
}

// Either side goes and comes again, the other stays.
TEST_P(ConcurrentMemifPort, EitherSideRestarts) {
  PortKit left(8192), right(8192);
  const PortSpec client_spec = memif_spec("restart", "client", {{"zeroCopy", GetParam()}});
  const PortSpec server_spec = memif_spec("restart", "server");
  auto client = open_memif(right, client_spec);
  auto server = open_memif(left, server_spec);
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(joined(left, *server, right, *client)) << round;
    (round % 2 == 0 ? client : server).reset();
    Port& rest = round % 2 == 0 ? *server : *client;
    PortKit& kit = round % 2 == 0 ? left : right;
    EXPECT_TRUE(eventually([&] {
      kit.give(kit.receive(rest));
      return kit.send(rest, {pattern(60)}) == 1 && rest.refused(0) == 1;
    }));
    EXPECT_EQ(rest.refused_as(0), Drop::kNoPeer);
    if (round % 2 == 0)
      client = open_memif(right, client_spec);
    else
      server = open_memif(left, server_spec);
  }
  ASSERT_TRUE(joined(left, *server, right, *client));
}

// The engines that work on their own, at their worst, under both sides' ports: content and order.
TEST(ConcurrentMemifEngines, KeepOrderAndContent) {
  for (const char* name : {"thread", "model"}) {
    CopyOptions options;
    options.engine = name;
    options.bytes_min = 200;
    options.model.reorder = options.model.poison = true;
    options.model.fault_per_million = 20000;
    options.model.error_per_million = 5000;
    std::string why;
    auto engine = open_copy(options, &why);
    EXPECT_EQ(why, "");
    PortKit left(8192), right(8192);
    PortSpec server_spec = memif_spec(name, "server", {{"quota", "6000"}});
    PortSpec client_spec = memif_spec(name, "client");
    server_spec.copy = client_spec.copy = engine.get();
    auto server = open_memif(left, server_spec);
    auto client = open_memif(right, client_spec);
    EXPECT_NE(server->caps().description.find(engine->description()), std::string::npos);
    ASSERT_TRUE(joined(left, *server, right, *client)) << name;
    uint32_t sent = 0, got = 0;
    constexpr uint32_t kTotal = 5000;
    const auto packet = [](uint32_t i) { return pattern(i % 3 == 0 ? 60 : 60 + i * 37 % 9000, i); };
    ASSERT_TRUE(eventually([&] {
      for (int turn = 0; turn < 50 && got < kTotal; ++turn) {
        std::vector<Bytes> some;
        for (uint32_t i = 0; i < 20 && sent + i < kTotal; ++i) some.push_back(packet(sent + i));
        server->release(0, *left.frames);
        sent += left.send(*server, some);
        EXPECT_EQ(server->refused(0), 0u);
        for (const Bytes& one : right.take(*client)) {
          EXPECT_TRUE(one == packet(got)) << got;
          got++;
        }
      }
      return got == kTotal;
    })) << name
        << " " << got;
  }
}

INSTANTIATE_TEST_SUITE_P(Copying, ConcurrentMemifPort, testing::Values("false"));
INSTANTIATE_TEST_SUITE_P(Lending, ConcurrentMemifPort, testing::Values("true"));

TEST(MemifPort, TellsWhatItIsAndWhatHappened) {
  PortKit kit(8192);
  PortSpec spec = memif_spec("told", "server");
  spec.mtu = 9000;
  auto server = open_memif(kit, spec);
  const PortCaps& caps = server->caps();
  EXPECT_TRUE(caps.chains);
  EXPECT_FALSE(caps.gso);
  EXPECT_EQ(caps.mtu, 9000u);
  EXPECT_EQ(caps.mac[0], 0x02);
  EXPECT_EQ(caps.description,
            "memif server id 3 at " + socket_of("told") + ", 1 queue, copy by cpu");
  EXPECT_NE(server->stats_json().find("\"connects\":0"), std::string::npos);
  PortKit other(8192);
  auto client = open_memif(other, memif_spec("told", "client", {{"zeroCopy", "true"}}));
  EXPECT_NE(std::memcmp(caps.mac, client->caps().mac, 6), 0);
  EXPECT_EQ(client->caps().mtu, 1500u);
  EXPECT_NE(client->caps().description.find("frames lent"), std::string::npos);
  ASSERT_TRUE(joined(kit, *server, other, *client));
  const std::string stats = server->stats_json();
  for (const char* part : {"\"connects\":1", "\"violations\":0", "\"ring_in\":1024",
                           "\"peer\":\"nodeplane\"", "\"rx_packets\":", "\"copy\":{}"})
    EXPECT_NE(stats.find(part), std::string::npos) << part << " in " << stats;
  std::string news;
  for (const std::string& line : server->news()) news += line;
  EXPECT_NE(news.find("connected"), std::string::npos) << news;
  EXPECT_TRUE(server->news().empty());
  EXPECT_NE(client->stats_json().find("\"frames_held\":10"), std::string::npos)
      << client->stats_json();
}

TEST(MemifPort, MacIsStableOrAsWished) {
  PortKit kit(256);
  uint8_t before[6];
  {
    auto port = open_memif(kit, memif_spec("mac", "server"));
    std::memcpy(before, port->caps().mac, 6);
  }
  auto port = open_memif(kit, memif_spec("mac", "server"));
  EXPECT_EQ(std::memcmp(before, port->caps().mac, 6), 0);
  port = open_memif(kit, memif_spec("mac2", "server", {{"mac", "02:11:22:33:44:55"}}));
  EXPECT_EQ(port->caps().mac[5], 0x55);
}

TEST(MemifPort, RefusesWhatItCannotBe) {
  PortKit kit(1024);
  const auto reason = [&kit](const PortSpec& spec) {
    std::string error;
    EXPECT_EQ(open_port(spec, *kit.arena, &error), nullptr);
    return error;
  };
  const auto with = [&](const char* key, const char* value) {
    return reason(memif_spec("refused", "client", {{key, value}}));
  };
  EXPECT_NE(with("ringSize", "16").find("32 to 16384"), std::string::npos);
  EXPECT_NE(with("ringSize", "1000").find("power of two"), std::string::npos);
  EXPECT_NE(with("mode", "punt").find("ethernet or ip"), std::string::npos);
  EXPECT_NE(with("bufferSize", "100").find("bufferSize"), std::string::npos);
  EXPECT_NE(with("secret", "0123456789012345678901234").find("24 bytes"), std::string::npos);
  EXPECT_NE(with("mac", "01:00:00:00:00:00").find("not a station's"), std::string::npos);
  EXPECT_NE(with("quota", "10").find("at least 128"), std::string::npos);
  PortSpec spec = memif_spec("refused", "server");
  spec.mtu = 9216;
  EXPECT_NE(reason(spec).find("at most 9202"), std::string::npos);
  spec = memif_spec("refused", "server");
  spec.options["socket"].clear();
  EXPECT_NE(reason(spec).find("needs a socket"), std::string::npos);
}

// What a peer may keep is promised when the port opens, and a share of the arena stays for others.
TEST(MemifPort, ReservesItsQuota) {
  PortKit kit(1024);
  const std::map<std::string, std::string> lends = {{"zeroCopy", "true"}, {"ringSize", "128"}};
  {
    auto port = open_memif(kit, memif_spec("reserve", "client", lends));
    EXPECT_EQ(kit.arena->reserved(), 256u);
    auto second = open_memif(kit, memif_spec("reserve2", "client", lends));
    EXPECT_EQ(kit.arena->reserved(), 512u);
    std::string error;
    auto more = lends;
    more["ringSize"] = "256";
    EXPECT_EQ(open_port(memif_spec("reserve3", "client", more), *kit.arena, &error), nullptr);
    EXPECT_NE(error.find("frames.count must be at least 1366"), std::string::npos) << error;
    EXPECT_EQ(kit.arena->reserved(), 512u);
  }
  EXPECT_EQ(kit.arena->reserved(), 0u);
}

// --- ip mode ------------------------------------------------------------------------------------

Bytes ethernet(uint16_t type, const Bytes& payload) {
  Bytes out = {2,
               0,
               0,
               0,
               0,
               9,
               2,
               0,
               0,
               0,
               0,
               7,
               static_cast<uint8_t>(type >> 8),
               static_cast<uint8_t>(type)};
  out.insert(out.end(), payload.begin(), payload.end());
  return out;
}

Bytes ip_like(uint8_t version, uint32_t length) {
  Bytes out = pattern(length, version);
  out[0] = static_cast<uint8_t>(version << 4 | 5);
  return out;
}

struct IpPorts {
  explicit IpPorts(const std::string& which) {
    server = open_memif(left, memif_spec(which, "server", {{"mode", "ip"}}));
    client = open_memif(right, memif_spec(which, "client", {{"mode", "ip"}, {"zeroCopy", "true"}}));
  }
  bool join() {
    return eventually([this] {
      left.send(*server, {ethernet(0x0800, ip_like(4, 60))});
      const bool came = take_all(right, *client) != 0;
      right.send(*client, {ethernet(0x0800, ip_like(4, 60))});
      return take_all(left, *server) != 0 && came;
    });
  }
  PortKit left{8192}, right{8192};
  std::unique_ptr<Port> server, client;
};

TEST(MemifIp, EthernetIsOursAlone) {
  IpPorts ports("ip");
  EXPECT_NE(ports.client->caps().description.find("no zero copy: ip mode"), std::string::npos);
  ASSERT_TRUE(ports.join());
  const Bytes v4 = ip_like(4, 1500), v6 = ip_like(6, 9000), odd = ip_like(7, 60);
  EXPECT_EQ(ports.left.send(*ports.server, {ethernet(0x0800, v4), ethernet(0x86dd, v6),
                                            ethernet(0x0800, odd), ethernet(0x88cc, odd)}),
            4u);
  EXPECT_EQ(ports.server->refused(0), 1u);
  EXPECT_EQ(ports.server->refused_as(0), Drop::kNotTransmittable);
  const auto got = ports.right.take(*ports.client);
  ASSERT_EQ(got.size(), 3u);
  const uint8_t* const mac = ports.client->caps().mac;
  const uint16_t types[] = {0x0800, 0x86dd, 0x86dd};  // parse drops the third: a wrong version
  const Bytes* const inner[] = {&v4, &v6, &odd};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(std::memcmp(got[i].data(), mac, 6), 0);
    EXPECT_EQ(std::memcmp(got[i].data() + 6, mac, 5), 0);
    EXPECT_NE(got[i][11], mac[5]);
    EXPECT_EQ(got[i][12] << 8 | got[i][13], types[i]);
    EXPECT_TRUE(Bytes(got[i].begin() + 14, got[i].end()) == *inner[i]);
  }
}

TEST(MemifIp, PacketsNotTakenKeepTheirEthernet) {
  IpPorts ports("ipfull");
  ASSERT_TRUE(ports.join());
  const Bytes one = ethernet(0x0800, ip_like(4, 100));
  uint32_t taken = 0, count = 256;
  while (count == 256) {
    std::vector<Packet> made;
    for (int i = 0; i < 256; ++i) made.push_back(ports.left.make(one));
    std::vector<Packet*> list;
    for (Packet& p : made) list.push_back(&p);
    count = ports.server->transmit(0, list.data(), 256, *ports.left.frames);
    taken += count;
    for (uint32_t i = count; i < 256; ++i) {
      EXPECT_TRUE(ports.left.bytes(made[i]) == one);
      ports.left.frames->give_chain(made[i].frame);
    }
  }
  EXPECT_EQ(taken, 1024u);
}

TEST(MemifIp, AnswersForWhoeverIsAskedFor) {
  IpPorts ports("ask");
  Bytes arp = ethernet(0x0806, {0, 1, 8, 0, 6, 4, 0,  1,  // request
                                2, 0, 0, 0, 0, 7, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2});
  EXPECT_EQ(ports.left.send(*ports.server, {arp}), 1u);
  EXPECT_EQ(ports.server->refused(0), 0u);
  EXPECT_FALSE(ports.server->arm(0));
  auto got = ports.left.take(*ports.server);
  ASSERT_EQ(got.size(), 1u);
  const uint8_t* const mac = ports.server->caps().mac;
  const Bytes peer = {mac[0], mac[1], mac[2], mac[3], mac[4], static_cast<uint8_t>(mac[5] ^ 1)};
  Bytes expected = {2, 0, 0, 0, 0, 7};
  const auto add = [&expected](const Bytes& more) {
    expected.insert(expected.end(), more.begin(), more.end());
  };
  add(peer);
  add({8, 6, 0, 1, 8, 0, 6, 4, 0, 2});
  add(peer);
  add({10, 0, 0, 2, 2, 0, 0, 0, 0, 7, 10, 0, 0, 1});
  EXPECT_EQ(got[0], expected);
  // A probe (RFC 5227) is nobody's question.
  std::memset(arp.data() + 28, 0, 4);
  EXPECT_EQ(ports.left.send(*ports.server, {arp}), 1u);
  EXPECT_TRUE(ports.left.take(*ports.server).empty());
}

// The sum over pseudo-header and message, word by word (RFC 8200 section 8.1).
uint16_t icmp6_sum(const Bytes& b) {
  uint32_t sum = 58 + static_cast<uint32_t>(b.size() - 54);
  for (size_t i = 22; i < b.size(); i += 2) sum += static_cast<uint32_t>(b[i] << 8 | b[i + 1]);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

TEST(MemifIp, AdvertisesWhoeverIsSolicited) {
  IpPorts ports("solicit");
  Bytes ip = {0x60, 0, 0, 0, 0, 24, 58, 255};
  const Bytes from = {0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  const Bytes group = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 2};
  const Bytes target = {0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
  for (const Bytes& part : {from, group, Bytes{135, 0, 0, 0, 0, 0, 0, 0}, target})
    ip.insert(ip.end(), part.begin(), part.end());
  EXPECT_EQ(ports.left.send(*ports.server, {ethernet(0x86dd, ip)}), 1u);
  const auto got = ports.left.take(*ports.server);
  ASSERT_EQ(got.size(), 1u);
  ASSERT_EQ(got[0].size(), 86u);
  const uint8_t* const mac = ports.server->caps().mac;
  const Bytes peer = {mac[0], mac[1], mac[2], mac[3], mac[4], static_cast<uint8_t>(mac[5] ^ 1)};
  const auto part = [&](size_t at, size_t n) {
    return Bytes(got[0].begin() + static_cast<long>(at),
                 got[0].begin() + static_cast<long>(at + n));
  };
  EXPECT_EQ(part(22, 16), target);
  EXPECT_EQ(part(38, 16), from);
  EXPECT_EQ(got[0][54], 136);
  EXPECT_EQ(got[0][58], 0x60);  // solicited, override
  EXPECT_EQ(part(62, 16), target);
  EXPECT_EQ(part(78, 2), (Bytes{2, 1}));
  EXPECT_EQ(part(80, 6), peer);
  EXPECT_EQ(icmp6_sum(got[0]), 0xffff);
  // Duplicate address detection must not find one.
  std::memset(ip.data() + 8, 0, 16);
  EXPECT_EQ(ports.left.send(*ports.server, {ethernet(0x86dd, ip)}), 1u);
  EXPECT_TRUE(ports.left.take(*ports.server).empty());
}

}  // namespace
}  // namespace nodeplane
