#include "peer/answer.h"

#include "support/packets.h"
#include "support/port_kit.h"

namespace nodeplane::test {
namespace {

const Bytes kPod4 = {10, 1, 0, 50};
const Bytes kPod6 = {0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x50};
const Bytes kPodMac = {0x02, 0, 0, 0, 0, 0x50};
using Outcome = Echo::Outcome;

struct AnswerTest : ::testing::Test {
  PortKit kit{256};
  Echo echo{
      {{IpAddress::from_bytes(kPod4.data(), 4), 4}, {IpAddress::from_bytes(kPod6.data(), 6), 6}},
      kPodMac.data()};

  // The answer's bytes, or none.
  Bytes ask(const Bytes& packet, Outcome want = Outcome::kAnswered) {
    Packet p = kit.make(packet);
    EXPECT_EQ(static_cast<int>(echo.answer(*kit.arena, p)), static_cast<int>(want));
    const Bytes out = want == Outcome::kAnswered ? kit.bytes(p) : Bytes{};
    kit.frames->give_chain(p.frame);
    return out;
  }
  static Bytes from_pod(uint16_t type, const Bytes& payload, const Bytes& dst = kMacPeer) {
    return dst + kPodMac + be16(type) + payload;
  }
  // L4 bytes with the right sum at `at`.
  static Bytes summed(Bytes l4, size_t at, const Bytes& pseudo) {
    put16(l4, at, 0);
    put16(l4, at, static_cast<uint16_t>(~sum_of(pseudo + l4)));
    return l4;
  }
  static Bytes udp4(const Bytes& src, const Bytes& dst, uint16_t sport, uint16_t dport,
                    const Bytes& payload, uint8_t ttl) {
    const Ip4 ip{.protocol = 17, .src = src, .dst = dst, .ttl = ttl};
    return ipv4(ip, summed(udp(sport, dport, payload), 6, pseudo4(ip, 8 + payload.size())));
  }
  static Bytes udp6(const Bytes& src, const Bytes& dst, uint16_t sport, uint16_t dport,
                    const Bytes& payload, uint8_t hops) {
    const Ip6 ip{.next = 17, .src = src, .dst = dst, .hop_limit = hops};
    return ipv6(ip,
                summed(udp(sport, dport, payload), 6, pseudo6(src, dst, 17, 8 + payload.size())));
  }
};

TEST_F(AnswerTest, Udp) {
  const Bytes payload = pattern(101);
  EXPECT_EQ(ask(eth(0x0800, udp4(kClient4, kPod4, 4000, 7, payload, 63))),
            from_pod(0x0800, udp4(kPod4, kClient4, 7, 4000, payload, 64)));
  EXPECT_EQ(ask(eth(0x86dd, udp6(kClient6, kPod6, 4000, 7, payload, 5))),
            from_pod(0x86dd, udp6(kPod6, kClient6, 7, 4000, payload, 64)));
}

TEST_F(AnswerTest, UdpOverSeveralFrames) {
  const Bytes payload = pattern(8999);
  const Bytes packet = eth(0x0800, udp4(kClient4, kPod4, 4000, 7, payload, 63));
  EXPECT_EQ(ask(packet), from_pod(0x0800, udp4(kPod4, kClient4, 7, 4000, payload, 64)));
  for (const size_t at : {30ul, 2000ul, packet.size() - 1}) {
    Bytes wrong = packet;
    wrong[at] ^= 4;
    ask(wrong, Outcome::kCorrupt);
  }
}

TEST_F(AnswerTest, UdpWithoutASumStaysWithoutAndAPartialOneIsCompleted) {
  const Ip4 ip{.protocol = 17, .dst = kPod4};
  const Ip4 back{.protocol = 17, .src = kPod4, .dst = kClient4};
  EXPECT_EQ(ask(eth(0x0800, ipv4(ip, udp(1, 2, {3}, -1, 0)))),
            from_pod(0x0800, ipv4(back, udp(2, 1, {3}, -1, 0))));
  const Bytes payload = pattern(40);
  EXPECT_EQ(ask(eth(0x0800, ipv4(ip, udp(1, 2, payload, -1, sum_of(pseudo4(ip, 48)))))),
            from_pod(0x0800, udp4(kPod4, kClient4, 2, 1, payload, 64)));
}

TEST_F(AnswerTest, IcmpEcho) {
  for (const size_t n : {0u, 1u, 56u, 3000u}) {
    const Bytes payload = pattern(static_cast<uint32_t>(n));
    const Ip4 ip{.protocol = 1, .dst = kPod4}, back{.protocol = 1, .src = kPod4, .dst = kClient4};
    EXPECT_EQ(ask(eth(0x0800, ipv4(ip, summed(icmp(8, 0, 7, 9, payload), 2, {})))),
              from_pod(0x0800, ipv4(back, summed(icmp(0, 0, 7, 9, payload), 2, {}))));
    const Ip6 ip6{.next = 58, .dst = kPod6}, back6{.next = 58, .src = kPod6, .dst = kClient6};
    const auto pseudo = [&](const Ip6& h) { return pseudo6(h.src, h.dst, 58, 8 + n); };
    EXPECT_EQ(ask(eth(0x86dd, ipv6(ip6, summed(icmp(128, 0, 7, 9, payload), 2, pseudo(ip6))))),
              from_pod(0x86dd, ipv6(back6, summed(icmp(129, 0, 7, 9, payload), 2, pseudo(back6)))));
  }
}

TEST_F(AnswerTest, Arp) {
  const Bytes request = arp(1, kMacPeer, kClient4, zeros(6), kPod4) + zeros(18);
  EXPECT_EQ(ask(eth(0x0806, request, kMacAll)),
            from_pod(0x0806, arp(2, kPodMac, kPod4, kMacPeer, kClient4) + zeros(18)));
  ask(eth(0x0806, arp(1, kMacPeer, kClient4, zeros(6), kServer4), kMacAll), Outcome::kNotForUs);
  ask(eth(0x0806, arp(2, kMacPeer, kClient4, kPodMac, kPod4)), Outcome::kNotForUs);
  ask(eth(0x0806, zeros(27)), Outcome::kNotForUs);
}

TEST_F(AnswerTest, NeighbourSolicitation) {
  const Bytes group = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0x50};
  const Bytes nodes = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  const Bytes from = Bytes{1, 1} + kMacPeer, to = Bytes{2, 1} + kPodMac;
  const Ip6 ask6{.next = 58, .dst = group, .hop_limit = 255};
  const Ip6 tell{.next = 58, .src = kPod6, .dst = kClient6, .hop_limit = 255};
  const Bytes answer = from_pod(0x86dd, ipv6(tell, ndp(tell, 136, 0x60000000, kPod6, to)));
  EXPECT_EQ(ask(eth(0x86dd, ipv6(ask6, ndp(ask6, 135, 0, kPod6, from)))), answer);
  // A unicast solicitation need not say where it comes from (RFC 4861 section 4.3).
  EXPECT_EQ(ask(eth(0x86dd, ipv6(ask6, ndp(ask6, 135, 0, kPod6)))), answer);
  const Ip6 probe{.next = 58, .src = zeros(16), .dst = group, .hop_limit = 255};
  const Ip6 all{.next = 58, .src = kPod6, .dst = nodes, .hop_limit = 255};
  EXPECT_EQ(
      ask(eth(0x86dd, ipv6(probe, ndp(probe, 135, 0, kPod6)))),
      from_pod(0x86dd, ipv6(all, ndp(all, 136, 0x20000000, kPod6, to)), {0x33, 0x33, 0, 0, 0, 1}));
  const Ip6 routed{.next = 58, .dst = group, .hop_limit = 254};
  ask(eth(0x86dd, ipv6(routed, ndp(routed, 135, 0, kPod6))), Outcome::kNotForUs);
  ask(eth(0x86dd, ipv6(ask6, ndp(ask6, 135, 0, kServer6))), Outcome::kNotForUs);
  Bytes wrong = ndp(ask6, 135, 0, kPod6, from);
  wrong.back() ^= 1;
  ask(eth(0x86dd, ipv6(ask6, wrong)), Outcome::kCorrupt);
}

TEST_F(AnswerTest, NothingElse) {
  const Ip4 tcp4{.protocol = 6, .dst = kPod4}, other{.protocol = 17};
  const Ip4 part{.protocol = 17, .dst = kPod4, .fragment = 0x2000};
  ask(eth(0x0800, ipv4(tcp4, tcp(1, 2))), Outcome::kNotForUs);
  ask(eth(0x0800, ipv4(other, udp(1, 2))), Outcome::kNotForUs);
  ask(eth(0x0800, ipv4(part, udp(1, 2))), Outcome::kNotForUs);
  ask(eth(0x88cc, zeros(50)), Outcome::kNotForUs);
  ask(zeros(13), Outcome::kNotForUs);
  const Ip4 udp_ip{.protocol = 17, .dst = kPod4, .right_sum = false};
  ask(eth(0x0800, ipv4(udp_ip, udp(1, 2))), Outcome::kCorrupt);
  const Ip4 long_ip{.protocol = 17, .dst = kPod4, .total_length = 900};
  ask(eth(0x0800, ipv4(long_ip, udp(1, 2))), Outcome::kCorrupt);
}

// Whatever was cut off or turned round: no read past the frame (ASan), no answer that is too long.
TEST_F(AnswerTest, HostilePackets) {
  const Ip6 ns{.next = 58, .hop_limit = 255};
  const std::vector<Bytes> good = {eth(0x0800, udp4(kClient4, kPod4, 4000, 7, pattern(20), 63)),
                                   eth(0x86dd, udp6(kClient6, kPod6, 4000, 7, pattern(20), 5)),
                                   eth(0x0806, arp(1, kMacPeer, kClient4, zeros(6), kPod4)),
                                   eth(0x86dd, ipv6(ns, ndp(ns, 135, 0, kPod6)))};
  uint32_t seed = 1;
  for (const Bytes& one : good) {
    for (size_t n = 0; n <= one.size(); ++n) {
      for (int k = 0; k < 20; ++k) {
        Bytes bytes(one.begin(), one.begin() + static_cast<long>(n));
        seed = seed * 1664525 + 1013904223;
        if (k != 0 && n != 0) bytes[(seed >> 8) % n] ^= static_cast<uint8_t>(seed >> 24);
        Packet p = kit.make(bytes);
        echo.answer(*kit.arena, p);
        EXPECT_LE(p.length, 86u);
        kit.frames->give_chain(p.frame);
      }
    }
  }
}

}  // namespace
}  // namespace nodeplane::test
