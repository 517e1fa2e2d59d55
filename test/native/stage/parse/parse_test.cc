#include "stage/parse/parse.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <set>
#include <string>

#include "base/be.h"
#include "support/guarded.h"
#include "support/packets.h"
#include "support/parse_promises.h"

namespace nodeplane {
namespace {

using namespace test;

constexpr uint16_t kPort = 3;     // an ordinary one
constexpr uint16_t kTapPort = 4;  // the host side of another
constexpr uint16_t kHostedPort = 5;
constexpr uint16_t kOpenPort = 6;  // no MAC of its own
constexpr uint16_t kNetwork = 77;
constexpr size_t kFrameMax = 16384;

struct ParseTest : ::testing::Test {
  std::unique_ptr<Batch> batch = std::make_unique<Batch>();
  Parse::Table table{};
  Parse::State state;
  Guarded memory{kFrameMax};

  ParseTest() {
    for (PortRow& row : table.ports) {
      row.network = kNetwork;
      row.host_port = row.host_of = kPortNone;
      row.checksum_mode = static_cast<uint8_t>(ChecksumMode::kAuto);
      std::copy(kMacOurs.begin(), kMacOurs.end(), row.mac);
    }
    table.ports[kTapPort].host_of = kHostedPort;
    table.ports[kHostedPort].host_port = kTapPort;
    std::fill(std::begin(table.ports[kOpenPort].mac), std::end(table.ports[kOpenPort].mac), 0);
    table.port_count = kOpenPort + 1;
    std::memset(batch->packets, 0xa5, sizeof batch->packets);  // what was there before
  }

  // Parses one frame whose first `linear` bytes are in reach, up to the page's end.
  const Packet& run(const Bytes& frame, size_t linear, uint16_t port = kPort, Gso gso = Gso::kNone,
                    uint16_t flags = 0) {
    batch->reset(0);
    Packet& p = batch->packets[0];
    p.data = memory.put(frame.data(), linear);
    p.length = static_cast<uint32_t>(frame.size());
    p.linear = static_cast<uint16_t>(linear);
    p.port_in = port;
    p.flags = flags;
    p.gso = gso;
    p.gso_size = gso == Gso::kNone ? 0 : 1448;
    batch->count = batch->live_count = 1;
    batch->live[0] = 0;
    Parse::run(*batch, table, state);
    EXPECT_EQ(parse_lie(p, static_cast<uint32_t>(frame.size()), static_cast<uint32_t>(linear)),
              nullptr);
    EXPECT_EQ(batch->left_count, p.verdict == Verdict::kDrop ? 1u : 0u);
    return p;
  }
  const Packet& run(const Bytes& frame, uint16_t port = kPort) {
    return run(frame, frame.size(), port);
  }
  Drop drop_of(const Bytes& frame, uint16_t port = kPort) {
    const Packet& p = run(frame, port);
    return p.verdict == Verdict::kDrop ? p.drop : Drop::kNone;
  }
};

const char* name_of(Drop drop) { return kDropNames[static_cast<uint32_t>(drop)]; }

KeyV4 key4(const Bytes& src, const Bytes& dst, uint8_t protocol, uint16_t sport, uint16_t dport) {
  KeyV4 key{};
  std::memcpy(&key.src, src.data(), 4);
  std::memcpy(&key.dst, dst.data(), 4);
  key.sport = swap16(sport);
  key.dport = swap16(dport);
  key.network = kNetwork;
  key.protocol = protocol;
  return key;
}
KeyV6 key6(const Bytes& src, const Bytes& dst, uint8_t protocol, uint16_t sport, uint16_t dport) {
  KeyV6 key{};
  std::memcpy(key.src, src.data(), 16);
  std::memcpy(key.dst, dst.data(), 16);
  key.sport = swap16(sport);
  key.dport = swap16(dport);
  key.network = kNetwork;
  key.protocol = protocol;
  return key;
}

// Bytes of IP, wrapped for a plain port.
Bytes frame4(const Ip4& ip, const Bytes& payload) { return eth(0x0800, ipv4(ip, payload)); }
Bytes frame6(const Ip6& ip, const Bytes& payload) { return eth(0x86dd, ipv6(ip, payload)); }

// What a server answers: from it to the client, quoting what the client sent it.
const Ip4 kBack4{.protocol = 1, .src = kServer4, .dst = kClient4};
const Ip6 kBack6{.next = 58, .src = kServer6, .dst = kClient6};
Bytes error4(uint8_t type, uint8_t code, const Bytes& quoted) {
  return frame4(kBack4, icmp(type, code, 0, 1400, quoted));
}
Bytes error6(uint8_t type, uint8_t code, const Bytes& quoted) {
  return frame6(kBack6, icmp(type, code, 0, 1400, quoted));
}

const Bytes kTarget6 = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 0x56};
const Bytes kSolicited6 = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0x12, 0x34, 0x56};
const Bytes kMulticast6 = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
const Ip6 kAsks{.next = 58, .src = kClient6, .dst = kSolicited6, .hop_limit = 255};
const Ip6 kProbes{.next = 58, .src = zeros(16), .dst = kSolicited6, .hop_limit = 255};
const Ip6 kTells{.next = 58, .src = kTarget6, .dst = kClient6, .hop_limit = 255};
const Bytes kSourceMac = Bytes{1, 1} + kMacPeer;
const Bytes kTargetMac = Bytes{2, 1} + kMacPeer;
Bytes ndp_frame(const Ip6& ip, uint8_t type, uint32_t flags, const Bytes& target,
                const Bytes& options = {}, uint8_t code = 0) {
  return frame6(ip, ndp(ip, type, flags, target, options, code));
}

// Every packet here is valid; `kind` and `flags` are what parse calls it.
struct Valid {
  std::string name;
  Bytes frame;
  Kind kind;
  uint8_t family;
  uint8_t protocol;
  uint16_t l3, l4;
  uint16_t flags;
  KeyV4 key4;
  KeyV6 key6;
};

Valid valid4(std::string name, Bytes frame, Kind kind, uint16_t l4, const KeyV4& key,
             uint16_t flags = 0) {
  return {std::move(name), std::move(frame), kind, 4, key.protocol, 14, l4, flags, key, {}};
}
Valid valid6(std::string name, Bytes frame, Kind kind, uint16_t l4, const KeyV6& key,
             uint16_t flags = 0) {
  return {std::move(name), std::move(frame), kind, 6, key.protocol, 14, l4, flags, {}, key};
}
Valid tagged(Valid v, Bytes frame, uint16_t count) {
  v.name += " with " + std::to_string(count) + " tags";
  v.frame = std::move(frame);
  v.l3 += static_cast<uint16_t>(4 * count);
  if (v.l4 != 0) v.l4 += static_cast<uint16_t>(4 * count);
  return v;
}
Valid carried_by(Valid v, uint8_t protocol) {  // an ICMP error: protocol is the outer one's
  v.protocol = protocol;
  return v;
}

std::vector<Valid> valid_v4() {
  const Bytes data = {1, 2, 3, 4, 5};
  const Bytes t = tcp(40000, 80, 0x12, data);
  const KeyV4 tuple = key4(kClient4, kServer4, 6, 40000, 80);
  const KeyV4 plain_icmp = key4(kServer4, kClient4, 1, 0, 0);
  std::vector<Valid> all;
  const auto add = [&](const char* name, const Bytes& frame, Kind kind, uint16_t l4,
                       const KeyV4& key, uint16_t flags = 0) {
    all.push_back(valid4(name, frame, kind, l4, key, flags));
  };
  add("tcp4", frame4({}, t), Kind::kIp, 34, tuple);
  add("tcp4 options", frame4({}, tcp(40000, 80, 2, {}, zeros(40))), Kind::kIp, 34, tuple);
  add("tcp4 df", frame4({.fragment = 0x4000}, t), Kind::kIp, 34, tuple, kFlagDontFragment);
  add("tcp4 ip options", frame4({.options = zeros(40)}, t), Kind::kIp, 74, tuple, kFlagIpOptions);
  all.push_back(tagged(all[0], eth(0x8100, tag(0x6064, 0x0800, ipv4({}, t))), 1));
  all.push_back(tagged(all[0], eth(0x88a8, tag(0x6064, 0x8100, tag(200, 0x0800, ipv4({}, t)))), 2));
  add("udp4", frame4({.protocol = 17}, udp(5000, 53, data)), Kind::kIp, 34,
      key4(kClient4, kServer4, 17, 5000, 53));
  add("udp4 surplus", frame4({.protocol = 17}, udp(5000, 53, data, 10)), Kind::kIp, 34,
      key4(kClient4, kServer4, 17, 5000, 53));
  add("sctp4", frame4({.protocol = 132}, sctp(7, 8, data)), Kind::kIp, 34,
      key4(kClient4, kServer4, 132, 7, 8));
  add("echo request 4", frame4({.protocol = 1}, icmp(8, 0, 99, 1, data)), Kind::kIp, 34,
      key4(kClient4, kServer4, 1, 99, 0));
  add("echo reply 4", frame4(kBack4, icmp(0, 0, 99, 1, data)), Kind::kIp, 34,
      key4(kServer4, kClient4, 1, 0, 99));
  add("timestamp", frame4(kBack4, icmp(13, 0, 1, 1, zeros(12))), Kind::kIpPlain, 34, plain_icmp);
  add("source quench", error4(4, 0, ipv4({}, t)), Kind::kIpPlain, 34, plain_icmp);
  add("redirect", error4(5, 1, ipv4({}, t)), Kind::kIpPlain, 34, plain_icmp);
  add("gre", frame4({.protocol = 47}, data), Kind::kIpPlain, 0, key4(kClient4, kServer4, 47, 0, 0));
  add("icmp6 over ipv4", frame4({.protocol = 58}, data), Kind::kIpPlain, 0,
      key4(kClient4, kServer4, 58, 0, 0));
  add("first fragment 4", frame4({.fragment = 0x2000}, t), Kind::kIpPlain, 0,
      key4(kClient4, kServer4, 6, 0, 0), kFlagFragment);
  add("later fragment 4", frame4({.fragment = 100}, data), Kind::kIpPlain, 0,
      key4(kClient4, kServer4, 6, 0, 0), kFlagFragment);

  const KeyV4 back = key4(kServer4, kClient4, 6, 80, 40000);
  const auto add_error = [&](const char* name, const Bytes& frame, Kind kind, const KeyV4& key) {
    all.push_back(carried_by(valid4(name, frame, kind, 34, key), 1));
  };
  const Bytes eight = Bytes(t.begin(), t.begin() + 8);
  for (const uint8_t type : {3, 11, 12}) {
    add_error("icmp error, whole packet", error4(type, 0, ipv4({}, t)), Kind::kIcmpError, back);
    add_error("icmp error, 8 bytes", error4(type, 4, ipv4({.total_length = 1500}, eight)),
              Kind::kIcmpError, back);
  }
  add_error("inner options", error4(3, 1, ipv4({.options = zeros(8)}, eight)), Kind::kIcmpError,
            back);
  add_error("inner wrong sum", error4(3, 1, ipv4({.right_sum = false}, eight)), Kind::kIcmpError,
            back);
  add_error("inner first fragment", error4(11, 1, ipv4({.fragment = 0x2000}, eight)),
            Kind::kIcmpError, back);
  add_error("inner udp", error4(3, 3, ipv4({.protocol = 17}, udp(5000, 53))), Kind::kIcmpError,
            key4(kServer4, kClient4, 17, 53, 5000));
  add_error("inner sctp", error4(3, 2, ipv4({.protocol = 132}, sctp(7, 8))), Kind::kIcmpError,
            key4(kServer4, kClient4, 132, 8, 7));
  add_error("inner echo request", error4(3, 1, ipv4({.protocol = 1}, icmp(8, 0, 99, 1))),
            Kind::kIcmpError, key4(kServer4, kClient4, 1, 0, 99));
  add_error("inner echo reply", error4(3, 1, ipv4({.protocol = 1}, icmp(0, 0, 99, 1))),
            Kind::kIcmpError, key4(kServer4, kClient4, 1, 99, 0));
  add_error("inner later fragment", error4(11, 1, ipv4({.fragment = 5}, {1, 2})), Kind::kIpPlain,
            plain_icmp);
  add_error("inner gre", error4(3, 1, ipv4({.protocol = 47}, {1, 2})), Kind::kIpPlain, plain_icmp);
  add_error("inner error", error4(3, 1, ipv4({.protocol = 1}, icmp(3, 1, 0, 0))), Kind::kIpPlain,
            plain_icmp);
  return all;
}

std::vector<Valid> valid_v6() {
  const Bytes data = {1, 2, 3, 4, 5};
  const Bytes t = tcp(40000, 443, 0x18, data);
  const KeyV6 tuple = key6(kClient6, kServer6, 6, 40000, 443);
  const KeyV6 plain_tcp = key6(kClient6, kServer6, 6, 0, 0);
  const KeyV6 plain_icmp = key6(kServer6, kClient6, 58, 0, 0);
  std::vector<Valid> all;
  const auto add = [&](const char* name, const Bytes& frame, Kind kind, uint16_t l4,
                       const KeyV6& key, uint16_t flags = 0) {
    all.push_back(valid6(name, frame, kind, l4, key, flags));
  };
  add("tcp6", frame6({}, t), Kind::kIp, 54, tuple);
  all.push_back(tagged(all[0], eth(0x8100, tag(100, 0x86dd, ipv6({}, t))), 1));
  all.push_back(tagged(all[0], eth(0x88a8, tag(100, 0x8100, tag(200, 0x86dd, ipv6({}, t)))), 2));
  add("udp6", frame6({.next = 17}, udp(5000, 53, data)), Kind::kIp, 54,
      key6(kClient6, kServer6, 17, 5000, 53));
  add("sctp6", frame6({.next = 132}, sctp(7, 8, data)), Kind::kIp, 54,
      key6(kClient6, kServer6, 132, 7, 8));
  add("hop by hop", frame6({.next = 0}, extension(6, 0, t)), Kind::kIp, 62, tuple);
  add("routing", frame6({.next = 43}, extension(6, 2, t)), Kind::kIp, 78, tuple);
  add("destination", frame6({.next = 60}, extension(6, 1, t)), Kind::kIp, 70, tuple);
  add("authentication", frame6({.next = 51}, authentication(6, t)), Kind::kIp, 78, tuple);
  Bytes eight_headers = t;
  for (int i = 0; i < 7; ++i) eight_headers = extension(i == 0 ? 6 : 60, 0, eight_headers);
  add("eight headers", frame6({.next = 0}, extension(60, 0, eight_headers)), Kind::kIp, 54 + 64,
      tuple);
  add("256 bytes of headers", frame6({.next = 60}, extension(6, 31, t)), Kind::kIp, 54 + 256,
      tuple);
  add("no next header", frame6({.next = 59}, data), Kind::kIpPlain, 0,
      key6(kClient6, kServer6, 59, 0, 0));
  add("no next header, chained", frame6({.next = 60}, extension(59, 0, {})), Kind::kIpPlain, 0,
      key6(kClient6, kServer6, 59, 0, 0));
  add("esp", frame6({.next = 50}, data), Kind::kIpPlain, 0, key6(kClient6, kServer6, 50, 0, 0));
  add("icmp over ipv6", frame6({.next = 1}, data), Kind::kIpPlain, 0,
      key6(kClient6, kServer6, 1, 0, 0));
  add("first fragment 6", frame6({.next = 44}, fragment6(6, 1, t)), Kind::kIpPlain, 0, plain_tcp,
      kFlagFragment);
  add("later fragment 6", frame6({.next = 44}, fragment6(6, 0x100, data)), Kind::kIpPlain, 0,
      plain_tcp, kFlagFragment);
  add("later fragment 6 of options", frame6({.next = 44}, fragment6(60, 0x101, data)),
      Kind::kIpPlain, 0, key6(kClient6, kServer6, 60, 0, 0), kFlagFragment);
  add("atomic fragment", frame6({.next = 44}, fragment6(6, 0, t)), Kind::kIpPlain, 0, plain_tcp,
      kFlagFragment);
  add("fragment, then options", frame6({.next = 44}, fragment6(60, 1, extension(6, 0, t))),
      Kind::kIpPlain, 0, plain_tcp, kFlagFragment);
  add("echo request 6", frame6({.next = 58}, icmp(128, 0, 99, 1, data)), Kind::kIp, 54,
      key6(kClient6, kServer6, 58, 99, 0));
  add("echo reply 6", frame6(kBack6, icmp(129, 0, 99, 1, data)), Kind::kIp, 54,
      key6(kServer6, kClient6, 58, 0, 99));
  for (const uint8_t type : {133, 134, 137, 143, 100}) {
    add("other icmp6", frame6(kBack6, icmp(type, 0, 0, 0, zeros(8))), Kind::kIpPlain, 54,
        plain_icmp);
  }

  const KeyV6 back = key6(kServer6, kClient6, 6, 443, 40000);
  const auto add_error = [&](const char* name, const Bytes& frame, Kind kind, const KeyV6& key) {
    all.push_back(carried_by(valid6(name, frame, kind, 54, key), 58));
  };
  const Bytes eight = Bytes(t.begin(), t.begin() + 8);
  for (const uint8_t type : {1, 2, 3, 4}) {
    add_error("icmp6 error, whole packet", error6(type, 0, ipv6({}, t)), Kind::kIcmpError, back);
    add_error("icmp6 error, 8 bytes", error6(type, 0, ipv6({.payload_length = 1400}, eight)),
              Kind::kIcmpError, back);
  }
  add_error("inner chain",
            error6(2, 0, ipv6({.next = 0}, extension(60, 0, extension(6, 1, eight)))),
            Kind::kIcmpError, back);
  add_error("inner first fragment 6", error6(3, 1, ipv6({.next = 44}, fragment6(6, 1, eight))),
            Kind::kIcmpError, back);
  add_error("inner udp 6", error6(1, 4, ipv6({.next = 17}, udp(5000, 53))), Kind::kIcmpError,
            key6(kServer6, kClient6, 17, 53, 5000));
  add_error("inner echo 6", error6(1, 3, ipv6({.next = 58}, icmp(128, 0, 99, 1))), Kind::kIcmpError,
            key6(kServer6, kClient6, 58, 0, 99));
  add_error("inner later fragment 6", error6(3, 1, ipv6({.next = 44}, fragment6(6, 0x100, {1}))),
            Kind::kIpPlain, plain_icmp);
  add_error("inner esp", error6(1, 1, ipv6({.next = 50}, {1})), Kind::kIpPlain, plain_icmp);
  add_error("inner error 6", error6(1, 3, ipv6({.next = 58}, icmp(1, 0, 0, 0))), Kind::kIpPlain,
            plain_icmp);
  add("solicitation", ndp_frame(kAsks, 135, 0, kTarget6, kSourceMac), Kind::kNdp, 54,
      key6(kClient6, kSolicited6, 58, 0, 0));
  add("advertisement", ndp_frame(kTells, 136, 0x60000000, kTarget6, kTargetMac), Kind::kNdp, 54,
      key6(kTarget6, kClient6, 58, 0, 0));
  return all;
}

std::vector<Valid> every_valid() {
  std::vector<Valid> all = valid_v4();
  for (Valid& v : valid_v6()) all.push_back(std::move(v));
  all.push_back({"arp",
                 eth(0x0806, arp(1, kMacPeer, kClient4, zeros(6), kServer4), kMacAll),
                 Kind::kArp,
                 0,
                 0,
                 14,
                 0,
                 kFlagMulticastMac,
                 {},
                 {}});
  return all;
}

TEST_F(ParseTest, NamesEveryValidPacket) {
  for (const Valid& v : every_valid()) {
    SCOPED_TRACE(v.name);
    const Packet& p = run(v.frame);
    ASSERT_EQ(p.verdict, Verdict::kGo) << name_of(p.drop);
    EXPECT_EQ(p.kind, v.kind);
    EXPECT_EQ(p.family, v.family);
    EXPECT_EQ(p.protocol, v.protocol);
    EXPECT_EQ(p.l3, v.l3);
    EXPECT_EQ(p.l4, v.l4);
    EXPECT_EQ(p.flags, v.flags);
    EXPECT_EQ(p.network, kNetwork);
    EXPECT_EQ(p.length, v.frame.size());
    if (v.family != 0) {
      EXPECT_EQ(p.ip_length, v.frame.size() - v.l3);
    }
    if (v.family == 4) {
      EXPECT_EQ(p.key4, v.key4);
    }
    if (v.family == 6) {
      EXPECT_EQ(p.key6, v.key6);
    }
  }
}

// No frame that lost its end is taken for whole, and nothing behind its end is read.
TEST_F(ParseTest, DropsEveryTruncation) {
  for (const Valid& v : every_valid()) {
    for (size_t n = 0; n < v.frame.size(); ++n) {
      const Bytes cut(v.frame.begin(), v.frame.begin() + static_cast<long>(n));
      EXPECT_NE(drop_of(cut), Drop::kNone) << v.name << " cut to " << n;
    }
  }
}

// The same, where the IP header agrees with the cut: now the L4 checks must hold the line.
TEST_F(ParseTest, DropsTruncationsThatTheIpHeaderAgreesWith) {
  for (const Valid& v : every_valid()) {
    if (v.family == 0 || v.l4 == 0) continue;
    uint32_t survivors = 0;
    for (size_t n = v.l4; n < v.frame.size(); ++n) {
      Bytes cut(v.frame.begin(), v.frame.begin() + static_cast<long>(n));
      if (v.family == 4) {
        put16(cut, v.l3 + 2, static_cast<uint32_t>(n - v.l3));
        put16(cut, v.l3 + 10, 0);
        const Bytes header(cut.begin() + v.l3, cut.begin() + v.l3 + (cut[v.l3] & 15) * 4);
        put16(cut, v.l3 + 10, static_cast<uint16_t>(~sum_of(header)));
      } else {
        put16(cut, v.l3 + 4, static_cast<uint32_t>(n - v.l3 - 40));
      }
      const Drop drop = drop_of(cut);
      EXPECT_TRUE(drop == Drop::kNone || drop == Drop::kShortL4 || drop == Drop::kBadL4Header ||
                  drop == Drop::kBadIcmpInner || drop == Drop::kBadNdp)
          << v.name << " cut to " << n << ": " << name_of(drop);
      if (n < v.l4 + 8u) {
        EXPECT_EQ(drop, Drop::kShortL4) << v.name << " cut to " << n;
      }
      survivors += drop == Drop::kNone;
    }
    if (v.kind == Kind::kNdp) {
      EXPECT_EQ(survivors, 0u);
    }
  }
}

// A chain's first frame may end anywhere: what is needed lies in it, or the packet goes.
TEST_F(ParseTest, ReadsNothingBehindTheFirstFrame) {
  for (const Valid& v : every_valid()) {
    for (size_t linear = 0; linear < v.frame.size(); ++linear) {
      const Packet& p = run(v.frame, linear);
      if (p.verdict == Verdict::kGo) {
        EXPECT_EQ(p.length, v.frame.size()) << v.name;
      }
      run(v.frame, linear, kPort, Gso::kTcp4);
    }
  }
}

// Any byte changed to anything, any bit of any of them: no crash, no broken promise.
TEST_F(ParseTest, KeepsItsPromisesForDamagedPackets) {
  std::mt19937 random(7);
  for (const Valid& v : every_valid()) {
    for (int round = 0; round < 2000; ++round) {
      Bytes frame = v.frame;
      for (uint32_t i = random() % 4; i < 4; ++i) {
        frame[random() % frame.size()] = static_cast<uint8_t>(random());
      }
      frame.resize(frame.size() - (random() % 8 == 0 ? random() % frame.size() : 0));
      run(frame, kOpenPort);
    }
  }
}

struct Bad {
  const char* name;
  Drop drop;
  Bytes frame;
};

std::vector<Bad> every_bad() {
  const Bytes t = tcp(1, 2), t4 = ipv4({}, t), t6 = ipv6({}, t);
  const Bytes group4 = {224, 0, 0, 1}, all4 = {255, 255, 255, 255};
  const Bytes ask = arp(1, kMacPeer, kClient4, zeros(6), kServer4);
  Bytes arp_token_ring = ask, arp_ipv6 = ask, arp_mac8 = ask, arp_address16 = ask;
  arp_token_ring[1] = 6;
  put16(arp_ipv6, 2, 0x86dd);
  arp_mac8[4] = 8;
  arp_address16[5] = 16;
  Bytes bad_offset = t, long_offset = t;
  bad_offset[12] = 0x40;
  long_offset[12] = 0xf0;
  Bytes nine_headers = t;
  for (int i = 0; i < 9; ++i) nine_headers = extension(i == 0 ? 6 : 60, 0, nine_headers);
  Bytes odd_ah = authentication(6, t);
  odd_ah[1] = 3;
  Ip6 hop254 = kAsks;
  hop254.hop_limit = 254;
  Ip6 probe_unicast = kProbes;
  probe_unicast.dst = kTarget6;
  Ip6 tells_all = kTells;
  tells_all.dst = kMulticast6;
  Bytes wrong_sum = ndp_frame(kAsks, 135, 0, kTarget6, kSourceMac);
  wrong_sum[14 + 40 + 2] ^= 1;
  const Bytes quoted_short(t.begin(), t.begin() + 7);
  return {
      {"13 bytes", Drop::kShortFrame, zeros(13)},
      {"cut tag", Drop::kShortFrame, eth(0x8100, {0, 1})},
      {"cut second tag", Drop::kShortFrame, eth(0x88a8, tag(1, 0x8100, {0, 2, 8}))},
      {"three tags", Drop::kVlanTooDeep,
       eth(0x8100, tag(1, 0x8100, tag(2, 0x8100, tag(3, 0x0800, t4))))},
      {"lldp", Drop::kBadEthertype, eth(0x88cc, zeros(46))},
      {"802.3 length", Drop::kBadEthertype, eth(46, zeros(46))},
      {"unknown type in a tag", Drop::kBadEthertype, eth(0x8100, tag(1, 0x88cc, zeros(46)))},
      {"another's MAC", Drop::kNotForUs, eth(0x0800, t4, kMacPeer)},
      {"ipv4 19 bytes", Drop::kShortIp, eth(0x0800, Bytes(t4.begin(), t4.begin() + 19))},
      {"ipv4 options cut", Drop::kShortIp, eth(0x0800, ipv4({.version_ihl = 0x4f}, zeros(20)))},
      {"ipv6 39 bytes", Drop::kShortIp, eth(0x86dd, Bytes(t6.begin(), t6.begin() + 39))},
      {"6 in ipv4's type", Drop::kBadIpVersion, eth(0x0800, t6)},
      {"4 in ipv6's type", Drop::kBadIpVersion, eth(0x86dd, ipv4({}, zeros(40)))},
      {"version 5", Drop::kBadIpVersion, frame6({.version = 5}, t)},
      {"ihl 4", Drop::kBadIpHeader, frame4({.version_ihl = 0x44}, t)},
      {"wrong sum", Drop::kBadIpHeader, frame4({.right_sum = false}, t)},
      {"wrong sum, options", Drop::kBadIpHeader,
       frame4({.options = zeros(4), .right_sum = false}, t)},
      {"multicast source 4", Drop::kBadIpHeader, frame4({.src = group4}, t)},
      {"broadcast source", Drop::kBadIpHeader, frame4({.src = all4}, t)},
      {"multicast source 6", Drop::kBadIpHeader, frame6({.src = kMulticast6}, t)},
      {"total length over frame", Drop::kBadIpLength, frame4({.total_length = 41}, t)},
      {"total length under header", Drop::kBadIpLength, frame4({.total_length = 19}, t)},
      {"payload length over frame", Drop::kBadIpLength, frame6({.payload_length = 21}, t)},
      {"nine headers", Drop::kBadExtensionChain, frame6({.next = 60}, nine_headers)},
      {"264 bytes", Drop::kBadExtensionChain, frame6({.next = 60}, extension(6, 32, t))},
      {"264 bytes in two", Drop::kBadExtensionChain,
       frame6({.next = 60}, extension(60, 30, extension(6, 1, t)))},
      {"late hop by hop", Drop::kBadExtensionChain,
       frame6({.next = 60}, extension(0, 0, extension(6, 0, t)))},
      {"header over the end", Drop::kBadExtensionChain,
       frame6({.next = 60}, Bytes{6, 1, 1, 4, 0, 0, 0, 0})},
      {"nothing behind", Drop::kBadExtensionChain, frame6({.next = 43}, {})},
      {"AH of 20 bytes", Drop::kBadExtensionChain, frame6({.next = 51}, odd_ah)},
      {"fragment header cut", Drop::kBadExtensionChain, frame6({.next = 44}, {6, 0, 0, 1})},
      {"tcp 19", Drop::kShortL4, frame4({}, zeros(19))},
      {"udp 7", Drop::kShortL4, frame4({.protocol = 17}, zeros(7))},
      {"sctp 11", Drop::kShortL4, frame4({.protocol = 132}, zeros(11))},
      {"icmp 7", Drop::kShortL4, frame4({.protocol = 1}, zeros(7))},
      {"tcp6 19", Drop::kShortL4, frame6({}, zeros(19))},
      {"icmp6 7", Drop::kShortL4, frame6({.next = 58}, zeros(7))},
      {"data offset 4", Drop::kBadL4Header, frame4({}, bad_offset)},
      {"data offset 15 of 20 bytes", Drop::kBadL4Header, frame6({}, long_offset)},
      {"udp length 7", Drop::kBadL4Header, frame4({.protocol = 17}, udp(1, 2, {}, 7))},
      {"udp length over packet", Drop::kBadL4Header, frame6({.next = 17}, udp(1, 2, {1}, 10))},
      {"arp of token ring", Drop::kBadArp, eth(0x0806, arp_token_ring)},
      {"arp of ipv6", Drop::kBadArp, eth(0x0806, arp_ipv6)},
      {"arp of 8-byte MACs", Drop::kBadArp, eth(0x0806, arp_mac8)},
      {"arp of 16-byte addresses", Drop::kBadArp, eth(0x0806, arp_address16)},
      {"arp 27 bytes", Drop::kBadArp, eth(0x0806, Bytes(ask.begin(), ask.end() - 1))},
      {"arp group MAC", Drop::kBadArp,
       eth(0x0806, arp(2, kMacGroup, kClient4, kMacOurs, kServer4))},
      {"ndp hop limit", Drop::kBadNdp, ndp_frame(hop254, 135, 0, kTarget6)},
      {"ndp code", Drop::kBadNdp, ndp_frame(kAsks, 135, 0, kTarget6, {}, 1)},
      {"ndp sum", Drop::kBadNdp, wrong_sum},
      {"ndp 23 bytes", Drop::kBadNdp, frame6(kAsks, ndp(kAsks, 135, 0, zeros(15)))},
      {"ndp multicast target", Drop::kBadNdp, ndp_frame(kAsks, 135, 0, kMulticast6)},
      {"ndp option of length 0", Drop::kBadNdp,
       ndp_frame(kAsks, 135, 0, kTarget6, Bytes{1, 0} + kMacPeer)},
      {"ndp option over the end", Drop::kBadNdp,
       ndp_frame(kAsks, 135, 0, kTarget6, Bytes{1, 2} + kMacPeer)},
      {"ndp unknown option over the end", Drop::kBadNdp,
       ndp_frame(kAsks, 135, 0, kTarget6, Bytes{14, 2} + zeros(6))},
      {"ndp option cut", Drop::kBadNdp, ndp_frame(kAsks, 135, 0, kTarget6, {14, 1, 0, 0})},
      {"ndp long MAC", Drop::kBadNdp,
       ndp_frame(kAsks, 135, 0, kTarget6, Bytes{1, 2} + kMacPeer + zeros(8))},
      {"ndp group MAC", Drop::kBadNdp,
       ndp_frame(kTells, 136, 0, kTarget6, Bytes{2, 1} + kMacGroup)},
      {"probe to unicast", Drop::kBadNdp, ndp_frame(probe_unicast, 135, 0, kTarget6)},
      {"probe with MAC", Drop::kBadNdp, ndp_frame(kProbes, 135, 0, kTarget6, kSourceMac)},
      {"solicited to all", Drop::kBadNdp, ndp_frame(tells_all, 136, 0x40000000, kTarget6)},
      {"inner cut", Drop::kBadIcmpInner, error4(3, 1, zeros(19))},
      {"inner nothing", Drop::kBadIcmpInner, error4(3, 1, {})},
      {"inner version", Drop::kBadIcmpInner, error4(3, 1, t6)},
      {"inner ihl 4", Drop::kBadIcmpInner, error4(3, 1, ipv4({.version_ihl = 0x44}, t))},
      {"inner options cut", Drop::kBadIcmpInner,
       error4(3, 1, ipv4({.version_ihl = 0x4f}, zeros(8)))},
      {"inner 7 bytes", Drop::kBadIcmpInner, error4(3, 1, ipv4({}, quoted_short))},
      {"inner 6 cut", Drop::kBadIcmpInner, error6(1, 1, zeros(39))},
      {"inner 6 version", Drop::kBadIcmpInner, error6(1, 1, ipv6({.version = 4}, t))},
      {"inner 6 chain", Drop::kBadIcmpInner, error6(1, 1, ipv6({.next = 60}, {6, 9}))},
      {"inner 6 7 bytes", Drop::kBadIcmpInner, error6(1, 1, ipv6({}, quoted_short))},
  };
}

TEST_F(ParseTest, DropsByName) {
  for (const Bad& bad : every_bad()) {
    EXPECT_STREQ(name_of(drop_of(bad.frame)), name_of(bad.drop)) << bad.name;
  }
}

TEST_F(ParseTest, EveryDropOfThePlateIsShown) {
  std::set<Drop> shown;
  for (const Bad& bad : every_bad()) shown.insert(bad.drop);
  for (const Drop drop :
       {Drop::kShortFrame, Drop::kBadEthertype, Drop::kVlanTooDeep, Drop::kShortIp,
        Drop::kBadIpVersion, Drop::kBadIpHeader, Drop::kBadIpLength, Drop::kBadExtensionChain,
        Drop::kShortL4, Drop::kBadL4Header, Drop::kBadArp, Drop::kBadNdp, Drop::kNotForUs,
        Drop::kBadIcmpInner}) {
    EXPECT_EQ(shown.count(drop), 1u) << name_of(drop);
  }
}

TEST_F(ParseTest, FieldsOfTheCommonCase) {
  const Packet& p = run(frame4({.fragment = 0x4000, .ttl = 17}, tcp(40000, 80, 0x12, {1, 2, 3})));
  EXPECT_EQ(p.tcp_flags, 0x12);
  EXPECT_EQ(p.ttl, 17);
  EXPECT_EQ(p.ip_length, 43);
  EXPECT_EQ(p.l4_header, 20);
  EXPECT_EQ(p.vlan_count, 0);
  EXPECT_EQ(p.side, nullptr);
  EXPECT_EQ(p.gso, Gso::kNone);
  EXPECT_EQ(run(frame6({}, tcp(1, 2, 2, {}, zeros(12)))).l4_header, 32);
  EXPECT_EQ(run(frame6({.next = 17}, udp(1, 2))).l4_header, 8);
}

TEST_F(ParseTest, KeepsTheOuterTagAndCountsThem) {
  const Bytes inside = tag(200, 0x0800, ipv4({}, tcp(1, 2)));
  const Packet& p = run(eth(0x88a8, tag(0x6064, 0x8100, inside)));
  EXPECT_EQ(p.vlan_count, 2);
  EXPECT_EQ(p.vlan, 0x6064);
}

TEST_F(ParseTest, PaddingIsCutOff) {
  const Bytes packet = frame4({}, tcp(1, 2));
  const Packet& p = run(packet + zeros(6));
  EXPECT_EQ(p.verdict, Verdict::kGo);
  EXPECT_EQ(p.length, packet.size());
  EXPECT_EQ(p.linear, packet.size());
  const Bytes packet6 = frame6({.next = 17}, udp(1, 2));
  EXPECT_EQ(run(packet6 + zeros(20)).length, packet6.size());
}

// Bytes behind the IP packet are not the packet's: a TCP header may not reach into them.
TEST_F(ParseTest, PaddingIsNotRead) {
  EXPECT_EQ(drop_of(frame4({}, zeros(10)) + zeros(30)), Drop::kShortL4);
  EXPECT_EQ(drop_of(frame4({.total_length = 30}, tcp(1, 2))), Drop::kShortL4);
}

TEST_F(ParseTest, LargePacketsAreAsLongAsTheirFrames) {
  for (const int stated : {0, 40, 65535}) {
    const Bytes frame = frame4({.total_length = stated}, tcp(1, 2, 0x10, zeros(9000)));
    const Packet& p = run(frame, frame.size(), kPort, Gso::kTcp4);
    EXPECT_EQ(p.verdict, Verdict::kGo) << stated;
    EXPECT_EQ(p.length, frame.size());
    EXPECT_EQ(p.ip_length, 9040);
    EXPECT_EQ(p.gso_size, 1448);
  }
  const Bytes frame = frame6({.next = 17, .payload_length = 0}, udp(1, 2, zeros(9000), 0));
  EXPECT_EQ(run(frame, frame.size(), kPort, Gso::kUdp).verdict, Verdict::kGo);
}

TEST_F(ParseTest, MacsByPort) {
  const Bytes inside = ipv4({}, tcp(1, 2));
  EXPECT_EQ(run(eth(0x0800, inside, kMacOurs)).flags & kFlagMulticastMac, 0);
  EXPECT_NE(run(eth(0x0800, inside, kMacGroup)).flags & kFlagMulticastMac, 0);
  EXPECT_NE(run(eth(0x0800, inside, kMacAll)).flags & kFlagMulticastMac, 0);
  EXPECT_EQ(drop_of(eth(0x0800, inside, kMacPeer)), Drop::kNotForUs);
  EXPECT_EQ(drop_of(eth(0x0800, inside, kMacPeer), kHostedPort), Drop::kNotForUs);
  EXPECT_EQ(drop_of(eth(0x0800, inside, kMacPeer), kTapPort), Drop::kNone);
  EXPECT_EQ(drop_of(eth(0x0800, inside, kMacPeer), kOpenPort), Drop::kNone);
}

TEST_F(ParseTest, UnknownTypesAreForTheHostOnly) {
  const Bytes lldp = eth(0x88cc, zeros(46));
  EXPECT_EQ(drop_of(lldp), Drop::kBadEthertype);
  for (const uint16_t port : {kTapPort, kHostedPort}) {
    const Packet& p = run(lldp, port);
    EXPECT_EQ(p.verdict, Verdict::kGo);
    EXPECT_EQ(p.kind, Kind::kOther);
    EXPECT_EQ(p.length, lldp.size());
  }
}

TEST_F(ParseTest, IcmpErrorsNameWhereTheInnerHeadersAre) {
  const Packet& p = run(error4(3, 4, ipv4({.options = zeros(4)}, tcp(40000, 80))));
  EXPECT_EQ(p.icmp_type, 3);
  EXPECT_EQ(p.icmp_code, 4);
  EXPECT_EQ(p.inner_l3, 14 + 20 + 8);
  EXPECT_EQ(p.inner_l4, 14 + 20 + 8 + 24);
  EXPECT_EQ(p.inner_protocol, 6);
  const Packet& q = run(error6(2, 0, ipv6({.next = 60}, extension(17, 0, udp(1, 2)))));
  EXPECT_EQ(q.inner_l3, 14 + 40 + 8);
  EXPECT_EQ(q.inner_l4, 14 + 40 + 8 + 40 + 8);
  EXPECT_EQ(q.inner_protocol, 17);
}

// A reply's key is its request's mirror, and an error's key is its packet's.
TEST_F(ParseTest, KeysMirror) {
  const KeyV4 request = run(frame4({.protocol = 1}, icmp(8, 0, 99, 1))).key4;
  const KeyV4 reply = run(frame4(kBack4, icmp(0, 0, 99, 1))).key4;
  EXPECT_EQ(request.src, reply.dst);
  EXPECT_EQ(request.dst, reply.src);
  EXPECT_EQ(request.sport, reply.dport);
  EXPECT_EQ(request.dport, reply.sport);
  EXPECT_EQ(run(error4(3, 1, ipv4({.protocol = 1}, icmp(8, 0, 99, 1)))).key4, reply);
}

// A router in between answers from an address of its own: only the quoted packet counts.
TEST_F(ParseTest, IcmpErrorsGoByTheInnerTuple) {
  const Ip4 router{.protocol = 1, .src = {192, 0, 2, 1}, .dst = {192, 0, 2, 2}};
  const Packet& p = run(frame4(router, icmp(11, 0, 0, 0, ipv4({}, tcp(40000, 80)))));
  EXPECT_EQ(p.kind, Kind::kIcmpError);
  EXPECT_EQ(p.key4, key4(kServer4, kClient4, 6, 80, 40000));
  ASSERT_EQ(batch->link_count, 1u);
  EXPECT_EQ(batch->links[p.link].what, LinkNews::What::kOther);
  EXPECT_EQ(batch->links[p.link].sender, IpAddress::from_bytes(router.src.data(), 4));
  EXPECT_EQ(batch->links[p.link].target, IpAddress::from_bytes(router.dst.data(), 4));
  const Packet& q = run(error6(3, 0, ipv6({}, tcp(40000, 80))));
  ASSERT_EQ(batch->link_count, 1u);
  EXPECT_EQ(batch->links[q.link].sender, IpAddress::from_bytes(kServer6.data(), 6));
  EXPECT_EQ(batch->links[q.link].target, IpAddress::from_bytes(kClient6.data(), 6));
}

Bytes with_sum(Bytes frame, size_t at, uint16_t sum) {
  put16(frame, at, sum);
  return frame;
}

TEST_F(ParseTest, PartialSumsAreSeenWhereTheyMayBe) {
  constexpr uint16_t kBoth = kFlagPartialChecksum | kFlagForceComplete;
  const Bytes data = {1, 2, 3};
  const Ip4 ip4{}, ip4u{.protocol = 17};
  struct Case {
    const char* name;
    Bytes frame;
    size_t at;
    uint16_t partial;
  };
  const Case cases[] = {
      {"tcp4", frame4(ip4, tcp(1, 2, 2, data)), 34 + 16, sum_of(pseudo4(ip4, 23))},
      {"udp4", frame4(ip4u, udp(1, 2, data)), 34 + 6, sum_of(pseudo4(ip4u, 11))},
      {"tcp6", frame6({}, tcp(1, 2, 2, data)), 54 + 16, sum_of(pseudo6(kClient6, kServer6, 6, 23))},
      {"udp6", frame6({.next = 17}, udp(1, 2, data)), 54 + 6,
       sum_of(pseudo6(kClient6, kServer6, 17, 11))},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const Bytes partial = with_sum(c.frame, c.at, c.partial);
    const Bytes full = with_sum(c.frame, c.at, c.partial ^ 0x0101);
    EXPECT_EQ(run(partial).flags & kBoth, 0) << "this port marks its own";
    table.unknown_partial[kPort] = true;
    EXPECT_EQ(run(partial).flags & kBoth, kBoth);
    EXPECT_EQ(run(full).flags & kBoth, 0);
    EXPECT_EQ(run(partial, partial.size(), kPort, Gso::kNone, kFlagPartialChecksum).flags & kBoth,
              kFlagPartialChecksum)
        << "the driver knew";
    table.ports[kPort].checksum_mode = static_cast<uint8_t>(ChecksumMode::kTrust);
    EXPECT_EQ(run(partial).flags & kBoth, 0);
    table.ports[kPort].checksum_mode = static_cast<uint8_t>(ChecksumMode::kCompute);
    EXPECT_EQ(run(full).flags & kBoth, kBoth);
    table.ports[kPort].checksum_mode = static_cast<uint8_t>(ChecksumMode::kAuto);
    table.unknown_partial[kPort] = false;
  }
}

TEST_F(ParseTest, NoUdpSumIsNeverAPartialOne) {
  table.unknown_partial[kPort] = true;
  const Bytes none = frame4({.protocol = 17}, udp(1, 2, {}, -1, 0));
  for (const ChecksumMode mode : {ChecksumMode::kAuto, ChecksumMode::kCompute}) {
    table.ports[kPort].checksum_mode = static_cast<uint8_t>(mode);
    EXPECT_EQ(run(none).flags & kFlagPartialChecksum, 0);
  }
}

TEST_F(ParseTest, AnSctpCrcThatWasLeftOutIsToBeMade) {
  constexpr uint16_t kBoth = kFlagPartialChecksum | kFlagForceComplete;
  Bytes none = frame4({.protocol = 132}, sctp(7, 8, zeros(16)));
  std::fill(none.begin() + 34 + 8, none.begin() + 34 + 12, 0);
  Bytes made = none;
  made[34 + 8] = 1;
  EXPECT_EQ(run(none).flags & kBoth, 0);
  table.unknown_partial[kPort] = true;
  EXPECT_EQ(run(none).flags & kBoth, kBoth);
  EXPECT_EQ(run(made).flags & kBoth, 0);
}

TEST_F(ParseTest, FlagsOfThePreviousPacketAreForgotten) {
  const Packet& p = run(frame4({}, tcp(1, 2)), 54, kPort, Gso::kNone, 0xffff);
  EXPECT_EQ(p.flags, kFlagPartialChecksum | kFlagForceComplete);
}

TEST_F(ParseTest, ArpTellsAndAsks) {
  const Packet& p = run(eth(0x0806, arp(1, kMacPeer, kClient4, zeros(6), kServer4) + zeros(18)));
  ASSERT_EQ(p.kind, Kind::kArp);
  ASSERT_EQ(batch->link_count, 1u);
  const LinkNews& news = batch->links[p.link];
  EXPECT_EQ(news.what, LinkNews::What::kRequest);
  EXPECT_EQ(news.family, 4);
  EXPECT_TRUE(std::equal(kMacPeer.begin(), kMacPeer.end(), news.mac));
  EXPECT_TRUE(news.has_mac);
  EXPECT_FALSE(news.is_probe);
  EXPECT_EQ(news.sender, IpAddress::from_bytes(kClient4.data(), 4));
  EXPECT_EQ(news.target, IpAddress::from_bytes(kServer4.data(), 4));

  run(eth(0x0806, arp(2, kMacPeer, kServer4, kMacOurs, kClient4)));
  EXPECT_EQ(batch->links[0].what, LinkNews::What::kReply);
  run(eth(0x0806, arp(3, kMacPeer, kServer4, kMacOurs, kClient4)));
  EXPECT_EQ(batch->links[0].what, LinkNews::What::kOther);
  run(eth(0x0806, arp(1, kMacPeer, zeros(4), zeros(6), kServer4)));
  EXPECT_TRUE(batch->links[0].is_probe);
}

TEST_F(ParseTest, NeighbourDiscoveryTellsAndAsks) {
  const Packet& p =
      run(ndp_frame(kAsks, 135, 0, kTarget6, Bytes{14, 1, 0, 0, 0, 0, 0, 0} + kSourceMac));
  ASSERT_EQ(p.kind, Kind::kNdp);
  const LinkNews& news = batch->links[p.link];
  EXPECT_EQ(news.what, LinkNews::What::kRequest);
  EXPECT_EQ(news.family, 6);
  EXPECT_TRUE(news.has_mac);
  EXPECT_TRUE(std::equal(kMacPeer.begin(), kMacPeer.end(), news.mac));
  EXPECT_EQ(news.sender, IpAddress::from_bytes(kClient6.data(), 6));
  EXPECT_EQ(news.target, IpAddress::from_bytes(kTarget6.data(), 6));
  EXPECT_FALSE(news.is_probe);

  run(ndp_frame(kProbes, 135, 0, kTarget6));
  EXPECT_TRUE(batch->links[0].is_probe);
  EXPECT_FALSE(batch->links[0].has_mac);

  run(ndp_frame(kTells, 136, 0x60000000, kTarget6, kTargetMac));
  EXPECT_EQ(batch->links[0].what, LinkNews::What::kReply);
  EXPECT_TRUE(batch->links[0].override_flag);
  EXPECT_TRUE(batch->links[0].has_mac);
  EXPECT_EQ(batch->links[0].sender, IpAddress::from_bytes(kTarget6.data(), 6));

  run(ndp_frame(kTells, 136, 0x40000000, kTarget6, kSourceMac));
  EXPECT_FALSE(batch->links[0].override_flag);
  EXPECT_FALSE(batch->links[0].has_mac) << "an advertisement speaks of its target's MAC";
}

TEST_F(ParseTest, AWholeBatchOfLinkNewsFits) {
  const Bytes frame = eth(0x0806, arp(1, kMacPeer, kClient4, zeros(6), kServer4));
  batch->reset(0);
  batch->count = batch->live_count = kBatchSize;
  for (uint32_t i = 0; i < kBatchSize; ++i) {
    batch->live[i] = static_cast<uint16_t>(i);
    Packet& p = batch->packets[i];
    p.data = memory.put(frame.data(), frame.size());
    p.length = p.linear = static_cast<uint16_t>(frame.size());
    p.port_in = kPort;
    p.flags = 0;
    p.gso = Gso::kNone;
  }
  Parse::run(*batch, table, state);
  EXPECT_EQ(batch->link_count, kBatchSize);
  EXPECT_EQ(batch->packets[kBatchSize - 1].link, kBatchSize - 1);
  EXPECT_EQ(batch->left_count, 0u);
}

// Only live packets are read: what left before does not come back.
TEST_F(ParseTest, DeadPacketsAreLeftAlone) {
  batch->reset(0);
  batch->count = 2;
  batch->live_count = 1;
  batch->live[0] = 1;
  const Bytes frame = frame4({}, tcp(1, 2));
  batch->packets[0].data = nullptr;
  Packet& p = batch->packets[1];
  p.data = memory.put(frame.data(), frame.size());
  p.length = p.linear = static_cast<uint16_t>(frame.size());
  p.port_in = kPort;
  p.flags = 0;
  p.gso = Gso::kNone;
  Parse::run(*batch, table, state);
  EXPECT_EQ(p.kind, Kind::kIp);
}

}  // namespace
}  // namespace nodeplane
