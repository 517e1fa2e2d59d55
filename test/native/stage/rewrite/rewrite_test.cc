#include "stage/rewrite/rewrite.h"

#include <gtest/gtest.h>

#include "base/be.h"
#include "base/sum.h"
#include "support/batch_kit.h"
#include "table/flow.h"

namespace nodeplane {
namespace {

using test::Bytes;
using test::Spec;

constexpr uint8_t kNextMac[6] = {0xaa, 0xbb, 0xcc, 1, 2, 3};
constexpr uint16_t kIn = 1, kOut = 2;

// Addresses and ports of one direction, before or after.
struct Ends {
  Bytes src, dst;
  uint16_t sport, dport;
};

// A record's direction as keep makes it, from the key that parse read.
struct Sides {
  SideV4 v4{};
  SideV6 v6{};

  void* make(const Packet& p, const Ends& to) {
    if (p.family == 4) {
      v4.key = p.key4;
      std::memcpy(&v4.new_src, to.src.data(), 4);
      std::memcpy(&v4.new_dst, to.dst.data(), 4);
      v4.new_sport = swap16(to.sport);
      v4.new_dport = swap16(to.dport);
      v4.l3_delta = l3_delta(p.key4, v4.new_src, v4.new_dst);
      v4.l4_delta = l4_delta(p.key4, v4.new_src, v4.new_dst, v4.new_sport, v4.new_dport);
      return &v4;
    }
    v6.key = p.key6;
    std::memcpy(v6.new_src, to.src.data(), 16);
    std::memcpy(v6.new_dst, to.dst.data(), 16);
    v6.new_sport = swap16(to.sport);
    v6.new_dport = swap16(to.dport);
    v6.l4_delta = l4_delta(p.key6, v6.new_src, v6.new_dst, v6.new_sport, v6.new_dport);
    return &v6;
  }
  void from_masquerade(uint8_t direction) {
    v4.source_changed = v6.source_changed = 1;
    v4.direction = v6.direction = direction;
  }
};

struct RewriteKit : test::BatchKit {
  RewriteKit() : BatchKit(128) {
    IpAddress gateway = IpAddress::from_v4(0x01020304);
    neighbours.set_static(kOut, 4, gateway, kNextMac);
    next_hop = neighbours.find(kOut, 4, gateway);
    table.neighbours = &neighbours;
    table.port_count = kPortMax;
    table.arena = arena.get();
    std::memcpy(table.ports, parse.ports, sizeof table.ports);
  }
  Packet& put_named(const Bytes& bytes, uint16_t flags = 0, size_t piece = 0) {
    Packet& p = put(bytes, kIn, piece);
    p.flags = flags;
    EXPECT_EQ(name(), batch->count);
    for (uint32_t i = 0; i < batch->count; ++i) {  // naming starts all anew
      batch->packets[i].next_hop = next_hop;
      batch->packets[i].port_out = kOut;
    }
    return p;
  }
  void run() {
    Rewrite::run(*batch, table, state);
    settle(*batch);
  }

  NeighbourTable neighbours{64};
  uint32_t next_hop;
  Rewrite::Table table;
  Rewrite::State state;
};

Spec with(Spec s, const Ends& e) {
  s.src = e.src;
  s.dst = e.dst;
  s.sport = e.sport;
  s.dport = e.dport;
  if (test::is_icmp(s.protocol)) {
    // The identifier is whichever of the two the tuple uses.
    s.icmp_rest = static_cast<uint32_t>(e.sport | e.dport) << 16 | (s.icmp_rest & 0xffff);
  }
  return s;
}

// What the next station sees of a packet that was forwarded.
Spec forwarded(Spec s) {
  s.ttl--;
  s.dst_mac.assign(kNextMac, kNextMac + 6);
  s.src_mac = {2, 0, 0, 0, 0, kOut};
  s.tags.clear();
  return s;
}

constexpr uint8_t kEcho4 = 1, kEcho6 = 58;

struct Case {
  uint8_t family, protocol;
};
const Case kCases[] = {{4, 6}, {4, 17}, {4, 132}, {4, kEcho4},
                       {6, 6}, {6, 17}, {6, 132}, {6, kEcho6}};

Spec random_spec(test::Random& random, const Case& c) {
  Spec s;
  s.family = c.family;
  s.protocol = c.protocol;
  s.ttl = static_cast<uint8_t>(2 + random.below(254));
  s.id = random.port();
  s.seq = random.port() * 65537u;
  s.payload = random.bytes(random.below(200));
  s.icmp_type = c.family == 4 ? 8 : 128;
  s.icmp_rest = random.below(65536);
  if (c.family == 4 && random.below(4) == 0) s.options = 4 * random.below(11);
  return s;
}
Ends random_ends(test::Random& random, const Case& c) {
  const bool echo = test::is_icmp(c.protocol);
  return {random.address(c.family), random.address(c.family), random.port(),
          echo ? uint16_t{0} : random.port()};
}

TEST(Rewrite, TranslatesAllProtocolsToWhatASenderWouldHaveWritten) {
  test::Random random(7);
  RewriteKit kit;
  for (int round = 0; round < 400; ++round) {
    for (const Case& c : kCases) {
      SCOPED_TRACE(testing::Message()
                   << round << " family " << int(c.family) << " protocol " << int(c.protocol));
      const Ends before = random_ends(random, c), after = random_ends(random, c);
      const Spec s = with(random_spec(random, c), before);
      Packet& p = kit.put_named(frame_of(s));
      Sides there, back;
      p.side = there.make(p, after);
      kit.run();
      const Bytes out = kit.bytes(p);
      ASSERT_EQ(out, frame_of(forwarded(with(s, after))));
      ASSERT_TRUE(test::sums_right(out));
      // And back: the reverse direction of what went out gives the first packet again.
      Bytes again = out;
      std::copy_n(s.dst_mac.begin(), 6, again.begin());
      kit.end();
      Packet& q = kit.put_named(again);
      q.side = back.make(q, before);
      kit.run();
      Spec twice = forwarded(s);
      twice.ttl--;
      ASSERT_EQ(kit.bytes(q), frame_of(twice));
      kit.end();
      if (HasFatalFailure()) return;
    }
  }
}

TEST(Rewrite, PlainForwardingChangesTtlAndEthernetOnly) {
  RewriteKit kit;
  test::Random random(3);
  Spec s = random_spec(random, {4, 6});
  s = with(s, random_ends(random, {4, 6}));
  Spec odd = s;
  odd.protocol = 89;  // names no tuple
  Packet& p = kit.put_named(frame_of(s));
  Packet& q = kit.put_named(frame_of(odd));
  kit.run();
  EXPECT_EQ(kit.bytes(p), frame_of(forwarded(s)));
  EXPECT_EQ(kit.bytes(q), frame_of(forwarded(odd)));
  kit.end();
}

TEST(Rewrite, StripsVlanTagsAndKeepsOffsets) {
  for (size_t tags : {1u, 2u}) {
    RewriteKit kit;
    test::Random random(4);
    Spec s = with(random_spec(random, {6, 17}), random_ends(random, {6, 17}));
    s.tags = tags == 1 ? Bytes{0x81, 0, 0, 5} : Bytes{0x88, 0xa8, 0, 7, 0x81, 0, 0, 5};
    Packet& p = kit.put_named(frame_of(s));
    ASSERT_EQ(p.vlan_count, tags);
    Sides side;
    const Ends after = random_ends(random, {6, 17});
    p.side = side.make(p, after);
    kit.run();
    EXPECT_EQ(kit.bytes(p), frame_of(forwarded(with(s, after))));
    EXPECT_EQ(p.l3, 14);
    EXPECT_EQ(p.l4, 54);
    EXPECT_EQ(p.vlan_count, 0);
    kit.end();
  }
}

TEST(Rewrite, ZeroUdpSumStaysZeroOverIpv4) {
  RewriteKit kit;
  test::Random random(5);
  const Case c{4, 17};
  Spec s = with(random_spec(random, c), random_ends(random, c));
  s.udp_sum = false;
  Packet& p = kit.put_named(frame_of(s));
  Sides side;
  const Ends after = random_ends(random, c);
  p.side = side.make(p, after);
  kit.run();
  EXPECT_EQ(kit.bytes(p), frame_of(forwarded(with(s, after))));
  kit.end();
}

// Among all new ports one makes the sum zero, which must be sent as ones (RFC 768).
TEST(Rewrite, UdpSumThatComesToZeroIsSentAsOnes) {
  test::Random random(6);
  for (uint8_t family : {4, 6}) {
    const Case c{family, 17};
    const Spec s = with(random_spec(random, c), random_ends(random, c));
    Ends after = random_ends(random, c);
    for (uint32_t port = 1; port < 65536; ++port) {
      after.sport = static_cast<uint16_t>(port);
      Spec t = with(s, after);
      const size_t at = family == 4 ? 20 + s.options + 6 : 46;
      if (test::get16(ip_of(t), at) != 0xffff) continue;
      for (const bool partial : {false, true}) {
        RewriteKit kit;
        Spec from = s;
        from.partial = partial;
        Packet& p = kit.put_named(frame_of(from), partial ? kFlagPartialChecksum : 0);
        Sides side;
        p.side = side.make(p, after);
        kit.run();
        EXPECT_EQ(kit.bytes(p), frame_of(forwarded(t)));
        EXPECT_EQ(test::get16(kit.bytes(p), 14 + at), 0xffff);
        kit.end();
      }
      break;
    }
  }
}

TEST(Rewrite, PartialSumsAreCarriedOrFinished) {
  test::Random random(8);
  for (const Case& c : kCases) {
    if (test::is_icmp(c.protocol)) continue;
    for (const bool carried : {false, true})
      for (const bool forced : {false, true})
        for (const bool translated : {false, true})
          for (const size_t piece : {size_t{0}, size_t{143}, size_t{160}}) {
            SCOPED_TRACE(testing::Message() << int(c.family) << " " << int(c.protocol) << " "
                                            << carried << forced << translated << " " << piece);
            RewriteKit kit;
            kit.table.partial_out[kOut] = carried;
            Spec s = with(random_spec(random, c), random_ends(random, c));
            s.payload = random.bytes(301);
            s.partial = true;
            uint16_t flags = kFlagPartialChecksum;
            if (forced) flags |= kFlagForceComplete;
            Packet& p = kit.put_named(frame_of(s), flags, piece);
            Sides side;
            const Ends after = random_ends(random, c);
            if (translated) {
              p.side = side.make(p, after);
              s = with(s, after);
            }
            kit.run();
            const bool stays = carried && !forced && c.protocol != 132;
            s.partial = stays;
            EXPECT_EQ(kit.bytes(p), frame_of(forwarded(s)));
            EXPECT_EQ((p.flags & kFlagPartialChecksum) != 0, stays);
            EXPECT_EQ(kit.count(Counter::kChecksumCompleted), stays ? 0u : 1u);
            kit.end();
          }
  }
}

TEST(Rewrite, UntranslatedPacketsKeepTheirBytesButFinishTheirSum) {
  test::Random random(9);
  const Case c{4, 6};
  Spec s = with(random_spec(random, c), random_ends(random, c));
  s.tags = {0x81, 0, 0, 5};
  s.partial = true;
  RewriteKit kit;
  Packet& p = kit.put_named(frame_of(s), kFlagPartialChecksum);
  p.flags |= kFlagPassThrough;
  kit.run();
  s.partial = false;
  EXPECT_EQ(kit.bytes(p), frame_of(s));
  kit.end();
}

TEST(Rewrite, PartialSumThatCannotBeFinishedIsADrop) {
  test::Random random(10);
  const Case c{4, 6};
  Spec s = with(random_spec(random, c), random_ends(random, c));
  s.payload = random.bytes(400);
  RewriteKit kit;
  Packet& p = kit.put_named(frame_of(s), kFlagPartialChecksum, 200);
  kit.arena->link(kit.arena->link(p.frame).next).length -= 1;  // a chain that lies
  kit.run();
  EXPECT_EQ(kit.drops(Drop::kBadPartialChecksum), 1u);
  EXPECT_EQ(kit.batch->live_count, 0u);
  kit.end();
}

TEST(Rewrite, LargePacketsKeepTheirPartialSum) {
  test::Random random(11);
  const Case c{4, 6};
  Spec s = with(random_spec(random, c), random_ends(random, c));
  s.payload = random.bytes(5000);
  s.partial = true;
  RewriteKit kit;
  Packet& p = kit.put(frame_of(s), kIn, 1500);
  p.gso = Gso::kTcp4;
  p.gso_size = 1000;
  p.flags = kFlagPartialChecksum;
  ASSERT_EQ(kit.name(), 1u);
  p.next_hop = kit.next_hop;
  p.port_out = kOut;
  Sides side;
  const Ends after = random_ends(random, c);
  p.side = side.make(p, after);
  kit.run();
  EXPECT_EQ(kit.bytes(p), frame_of(forwarded(with(s, after))));
  EXPECT_EQ(p.flags & kFlagPartialChecksum, kFlagPartialChecksum);
  kit.end();
}

Ends mirrored(const Ends& e) { return {e.dst, e.src, e.dport, e.sport}; }

// An error about `quoted`, cut to `bytes` of IP payload, from `router` to the quoted source.
Spec error_about(const Spec& quoted, const Bytes& router, size_t bytes) {
  Spec e;
  e.family = quoted.family;
  e.protocol = quoted.family == 4 ? 1 : 58;
  e.src = router;
  e.dst = quoted.src;
  e.icmp_type = quoted.family == 4 ? 3 : 2;
  e.icmp_code = quoted.family == 4 ? 4 : 0;
  e.icmp_rest = 1400;
  const Bytes whole = ip_of(quoted);
  e.payload = test::slice(whole, 0, whole.size() - l4_of(quoted).size() + bytes);
  return e;
}

// A client's packet `seen` went on as `sent`; a router behind us answers what it saw with an error.
TEST(Rewrite, IcmpErrorsQuoteWhatTheReceiverOnceSent) {
  test::Random random(12);
  RewriteKit kit;
  uint64_t errors = 0;
  for (int round = 0; round < 60; ++round) {
    for (const Case& c : kCases) {
      for (const size_t quote : {size_t{8}, size_t{15}, size_t{18}, size_t{300}}) {
        for (const bool masqueraded : {false, true}) {
          SCOPED_TRACE(testing::Message() << round << " " << int(c.family) << " " << int(c.protocol)
                                          << " quote " << quote);
          const Ends seen = random_ends(random, c);
          const Ends sent = random_ends(random, c);
          Spec first = with(random_spec(random, c), seen);
          const Bytes router = random.address(c.family);
          const Spec error = error_about(with(first, sent), router, quote);
          Packet& p = kit.put_named(frame_of(error));
          ASSERT_EQ(p.kind, Kind::kIcmpError);
          // The error travels as the flow's other direction does: its packets become `seen` mirrored.
          Sides side;
          const Ends after = mirrored(seen);
          p.side = side.make(p, after);
          if (masqueraded) side.from_masquerade(0);
          kit.run();
          Spec expected = error_about(first, masqueraded ? after.src : router, quote);
          EXPECT_EQ(kit.bytes(p), frame_of(forwarded(expected)));
          EXPECT_EQ(kit.count(Counter::kIcmpErrorTranslated), ++errors);
          kit.end();
          if (HasFailure()) return;
        }
      }
    }
  }
}

TEST(Rewrite, IcmpErrorInReplyDirectionKeepsItsSource) {
  test::Random random(13);
  const Case c{4, 17};
  RewriteKit kit;
  const Ends seen = random_ends(random, c);
  const Spec first = with(random_spec(random, c), seen);
  const Bytes router = random.address(4);
  Packet& p = kit.put_named(frame_of(error_about(with(first, random_ends(random, c)), router, 8)));
  Sides side;
  p.side = side.make(p, mirrored(seen));
  side.from_masquerade(1);
  kit.run();
  EXPECT_EQ(kit.bytes(p), frame_of(forwarded(error_about(first, router, 8))));
  kit.end();
}

// A quote that ends inside TCP's sum: half of it cannot be mended, nothing behind is touched.
TEST(Rewrite, IcmpErrorThatQuotesHalfASum) {
  test::Random random(15);
  const Case c{4, 6};
  RewriteKit kit;
  const Ends seen = random_ends(random, c);
  const Spec first = with(random_spec(random, c), seen);
  const Bytes router = random.address(4);
  const Spec error = error_about(with(first, random_ends(random, c)), router, 17);
  Packet& p = kit.put_named(frame_of(error));
  uint8_t* const behind = p.data + p.length;
  *behind = 0x5a;
  Sides side;
  p.side = side.make(p, mirrored(seen));
  kit.run();
  Spec expected = error_about(first, router, 17);
  expected.payload.back() = error.payload.back();
  EXPECT_EQ(kit.bytes(p), frame_of(forwarded(expected)));
  EXPECT_EQ(*behind, 0x5a);
  kit.end();
}

TEST(Rewrite, EveryPacketWearsItsOwnNextHop) {
  test::Random random(16);
  RewriteKit kit;
  const uint8_t other_mac[6] = {0xaa, 0xbb, 0xcc, 9, 9, 9};
  const IpAddress other = IpAddress::from_v4(0x05060708);
  kit.neighbours.set_static(3, 4, other, other_mac);
  const Case c{4, 17};
  for (int i = 0; i < 4; ++i)
    kit.put_named(frame_of(with(random_spec(random, c), random_ends(random, c))));
  for (int i : {1, 2}) {
    kit.batch->packets[i].next_hop = kit.neighbours.find(3, 4, other);
    kit.batch->packets[i].port_out = 3;
  }
  kit.run();
  for (int i = 0; i < 4; ++i) {
    const bool second = i == 1 || i == 2;
    const Bytes out = kit.bytes(kit.batch->packets[i]);
    EXPECT_TRUE(std::equal(out.begin(), out.begin() + 6, second ? other_mac : kNextMac)) << i;
    EXPECT_EQ(out[11], second ? 3 : kOut) << i;
  }
  kit.end();
}

// A packet that came damaged must not leave whole.
TEST(Rewrite, DamageStaysVisible) {
  test::Random random(14);
  for (const Case& c : kCases) {
    RewriteKit kit;
    Spec s = with(random_spec(random, c), random_ends(random, c));
    s.payload = random.bytes(50);
    Bytes b = frame_of(s);
    b.back() ^= 0x40;
    Packet& p = kit.put_named(b);
    Sides side;
    p.side = side.make(p, random_ends(random, c));
    kit.run();
    EXPECT_FALSE(test::sums_right(kit.bytes(p))) << int(c.protocol);
    kit.end();
  }
}

}  // namespace
}  // namespace nodeplane
