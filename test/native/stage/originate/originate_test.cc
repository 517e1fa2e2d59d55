#include "stage/originate/originate.h"

#include <gtest/gtest.h>

#include "support/batch_kit.h"

namespace nodeplane {
namespace {

using test::Bytes;
using test::get16;
using test::get32;
using test::slice;
using test::Spec;

constexpr uint16_t kOurPort = 1;
const Bytes kOurMac{2, 0, 0, 0, 0, kOurPort};
const Bytes kTheirMac{2, 0, 0, 0, 0, 0x99};
const Bytes kOurs4{10, 0, 0, 1}, kClient4{198, 51, 100, 7}, kVirtual4{10, 96, 0, 10};
const Bytes kOurs6{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
const Bytes kClient6{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xab, 0xcd, 0xef};
const Bytes kVirtual6{0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10};

IpAddress address_of(const Bytes& b) {
  return IpAddress::from_bytes(b.data(), b.size() == 4 ? 4 : 6);
}

Bytes joined(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const auto& p : parts) test::append(all, p);
  return all;
}

struct OriginateKit : test::BatchKit {
  explicit OriginateKit(uint32_t frames = 256) : BatchKit(frames) {
    table.port_count = kPortMax;
    table.arena = arena.get();
    std::memcpy(table.ports, parse.ports, sizeof table.ports);
    Bytes link_local{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    table.addresses = {{address_of({192, 0, 2, 1}), 2, 4},
                       {address_of({10, 0, 0, 1}), kOurPort, 4},
                       {address_of({172, 16, 0, 1}), kOurPort, 4},
                       {address_of(link_local), kOurPort, 6},
                       {address_of(kOurs6), kOurPort, 6}};
  }
  Owed owed(Owed::What what, uint8_t family, uint8_t type = 0, uint8_t code = 0) {
    Owed o{};
    o.what = what;
    o.family = family;
    o.icmp_type = type;
    o.icmp_code = code;
    o.port = kOurPort;
    return o;
  }
  // The packet is named and leaves; then what it is owed is made.
  void answer(const Bytes& bytes, Owed o, size_t piece = 0) {
    Packet& p = put(bytes, kOurPort, piece);
    ASSERT_EQ(name(), 1u);
    batch->consume(p);
    settle(*batch);
    batch->owe(o);
    run();
  }
  void run() {
    Originate::run(*batch, table, state);
    settle(*batch);
  }
  uint32_t made() const { return batch->live_count; }
  const Packet& packet(uint32_t i = 0) const { return batch->packets[batch->live[i]]; }
  Bytes made_bytes(uint32_t i = 0) const { return bytes(packet(i)); }

  Originate::Table table;
  Originate::State state;
};

Spec from_client(uint8_t family, uint8_t protocol, size_t payload = 20) {
  Spec s;
  s.family = family;
  s.protocol = protocol;
  s.src = family == 4 ? kClient4 : kClient6;
  s.dst = family == 4 ? kVirtual4 : kVirtual6;
  s.sport = 40000;
  s.payload = test::Random(static_cast<uint32_t>(payload)).bytes(payload);
  s.icmp_type = family == 4 ? 8 : 128;
  s.icmp_rest = 0x00070001;
  return s;
}

TEST(Originate, ArpRequestExactly) {
  OriginateKit kit;
  Owed o = kit.owed(Owed::What::kArpRequest, 4);
  o.target = address_of({172, 16, 5, 5});
  kit.batch->owe(o);
  kit.run();
  ASSERT_EQ(kit.made(), 1u);
  // Asked as the address nearest to the target.
  EXPECT_EQ(kit.made_bytes(), joined({Bytes(6, 0xff),
                                      kOurMac,
                                      {8, 6, 0, 1, 8, 0, 6, 4, 0, 1},
                                      kOurMac,
                                      {172, 16, 0, 1},
                                      Bytes(6, 0),
                                      {172, 16, 5, 5}}));
  EXPECT_EQ(kit.packet().flags, kFlagOurs);
  EXPECT_EQ(kit.packet().port_out, kOurPort);
  EXPECT_EQ(kit.packet().verdict, Verdict::kGo);
  EXPECT_EQ(kit.count(Counter::kArpRequestSent), 1u);
  EXPECT_EQ(kit.count(Counter::kOriginated), 1u);
  kit.end();
}

TEST(Originate, ArpRequestFromAPortWithoutAddressIsAProbe) {
  OriginateKit kit;
  Owed o = kit.owed(Owed::What::kArpRequest, 4);
  o.port = 5;
  o.target = address_of({10, 0, 0, 9});
  kit.batch->owe(o);
  kit.run();
  ASSERT_EQ(kit.made(), 1u);
  EXPECT_EQ(slice(kit.made_bytes(), 28, 4), Bytes(4, 0));
  kit.end();
}

TEST(Originate, ArpReplyExactlyAndWithTheTagsItCameWith) {
  for (const Bytes& tags : {Bytes{}, Bytes{0x81, 0, 0x20, 5}}) {
    OriginateKit kit;
    const Bytes request = joined({Bytes(6, 0xff),
                                  kTheirMac,
                                  tags,
                                  {8, 6, 0, 1, 8, 0, 6, 4, 0, 1},
                                  kTheirMac,
                                  {10, 0, 0, 77},
                                  Bytes(6, 0),
                                  kOurs4});
    Owed o = kit.owed(Owed::What::kArpReply, 4);
    o.target = address_of(kOurs4);
    kit.answer(request, o);
    ASSERT_EQ(kit.made(), 1u);
    EXPECT_EQ(kit.made_bytes(), joined({kTheirMac,
                                        kOurMac,
                                        tags,
                                        {8, 6, 0, 1, 8, 0, 6, 4, 0, 2},
                                        kOurMac,
                                        kOurs4,
                                        kTheirMac,
                                        {10, 0, 0, 77}}));
    EXPECT_EQ(kit.count(Counter::kArpReplySent), 1u);
    kit.end();
  }
}

// An NDP frame as RFC 4861 draws it, its sum by the kit.
Bytes ndp(const Bytes& dst_mac, const Bytes& src_mac, const Bytes& src, const Bytes& dst,
          uint8_t type, uint32_t flags, const Bytes& target, uint8_t option, const Bytes& mac) {
  Spec s;
  s.family = 6;
  s.protocol = 58;
  s.ttl = 255;
  s.dst_mac = dst_mac;
  s.src_mac = src_mac;
  s.src = src;
  s.dst = dst;
  s.icmp_type = type;
  s.icmp_rest = flags;
  s.payload = target;
  if (!mac.empty()) test::append(s.payload, joined({{option, 1}, mac}));
  return frame_of(s);
}

const Bytes kSolicitedNode{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xab, 0xcd, 0xef};

TEST(Originate, SolicitationExactly) {
  OriginateKit kit;
  Owed o = kit.owed(Owed::What::kSolicitation, 6);
  o.target = address_of(kClient6);
  kit.batch->owe(o);
  o.port = 5;  // without an address: asks as its link-local one
  kit.batch->owe(o);
  kit.run();
  ASSERT_EQ(kit.made(), 2u);
  const Bytes group{0x33, 0x33, 0xff, 0xab, 0xcd, 0xef};
  EXPECT_EQ(kit.made_bytes(),
            ndp(group, kOurMac, kOurs6, kSolicitedNode, 135, 0, kClient6, 1, kOurMac));
  const Bytes mac5{2, 0, 0, 0, 0, 5};
  const Bytes eui{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 5};
  EXPECT_EQ(kit.made_bytes(1), ndp(group, mac5, eui, kSolicitedNode, 135, 0, kClient6, 1, mac5));
  EXPECT_EQ(kit.count(Counter::kArpRequestSent), 2u);
  kit.end();
}

TEST(Originate, AdvertisementExactly) {
  const Bytes group{0x33, 0x33, 0xff, 0, 0, 1};
  Bytes solicited = kSolicitedNode;
  std::copy_n(kOurs6.begin() + 13, 3, solicited.begin() + 13);
  const Bytes none(16, 0);
  Bytes all_nodes(16, 0);
  all_nodes[0] = 0xff;
  all_nodes[1] = 2;
  all_nodes[15] = 1;
  for (const bool probe : {false, true}) {
    OriginateKit kit;
    const Bytes asked = ndp(group, kTheirMac, probe ? none : kClient6, solicited, 135, 0, kOurs6, 1,
                            probe ? Bytes{} : kTheirMac);
    Owed o = kit.owed(Owed::What::kAdvertisement, 6);
    o.target = address_of(kOurs6);
    kit.answer(asked, o);
    ASSERT_EQ(kit.made(), 1u);
    EXPECT_EQ(kit.made_bytes(), probe ? ndp({0x33, 0x33, 0, 0, 0, 1}, kOurMac, kOurs6, all_nodes,
                                            136, 0xa0000000, kOurs6, 2, kOurMac)
                                      : ndp(kTheirMac, kOurMac, kOurs6, kClient6, 136, 0xe0000000,
                                            kOurs6, 2, kOurMac));
    EXPECT_EQ(kit.count(Counter::kArpReplySent), 1u);
    kit.end();
  }
}

TEST(Originate, EchoRepliesAtAnySize) {
  for (uint8_t family : {4, 6}) {
    for (size_t payload : {size_t{0}, size_t{1}, size_t{1400}, size_t{1792}, size_t{8901}}) {
      SCOPED_TRACE(testing::Message() << int(family) << " " << payload);
      OriginateKit kit;
      Spec s = from_client(family, family == 4 ? 1 : 58, payload);
      s.tags = {0x81, 0, 0, 9};
      s.options = family == 4 ? 8 : 0;
      kit.answer(frame_of(s), kit.owed(Owed::What::kEchoReply, family), 1500);
      ASSERT_EQ(kit.made(), 1u);
      Spec reply = s;
      std::swap(reply.src, reply.dst);
      reply.src_mac = kOurMac;
      reply.dst_mac = kTheirMac;
      reply.icmp_type = family == 4 ? 0 : 129;
      reply.ttl = 64;
      reply.id = 0;
      reply.options = 0;
      EXPECT_EQ(kit.made_bytes(), frame_of(reply));
      kit.end();
    }
  }
}

TEST(Originate, ResetOfARefusedConnection) {
  struct {
    uint8_t flags;
    size_t payload;
    bool answered;
    uint32_t seq, ack;
    uint8_t out;
  } const cases[] = {
      {0x02, 0, true, 0, 1001, 0x14},   // SYN: acknowledged with one
      {0x02, 10, true, 0, 1011, 0x14},  // with data
      {0x01, 10, true, 0, 1011, 0x14},  // FIN without ACK
      {0x10, 30, true, 7777, 0, 0x04},  // ACK: its number is taken
      {0x12, 0, true, 7777, 0, 0x04},   // SYN-ACK
      {0x14, 0, false, 0, 0, 0},        // never about a reset
      {0x04, 0, false, 0, 0, 0},
  };
  for (uint8_t family : {4, 6}) {
    for (const auto& c : cases) {
      SCOPED_TRACE(testing::Message() << int(family) << " flags " << int(c.flags));
      OriginateKit kit;
      Spec s = from_client(family, 6, c.payload);
      s.tcp_flags = c.flags;
      s.seq = 1000;
      s.ack = 7777;
      kit.answer(frame_of(s), kit.owed(Owed::What::kTcpReset, family));
      ASSERT_EQ(kit.made(), c.answered ? 1u : 0u);
      if (c.answered) {
        Spec reset = s;
        std::swap(reset.src, reset.dst);
        std::swap(reset.sport, reset.dport);
        reset.src_mac = kOurMac;
        reset.dst_mac = kTheirMac;
        reset.seq = c.seq;
        reset.ack = c.ack;
        reset.tcp_flags = c.out;
        reset.payload.clear();
        reset.id = 0;
        Bytes expected = frame_of(reset);
        const size_t l4 = family == 4 ? 34 : 54;
        Bytes got = kit.made_bytes();
        EXPECT_TRUE(test::sums_right(got));
        test::put16(expected, l4 + 14, 0);  // no window
        test::put16(expected, l4 + 16, get16(got, l4 + 16));
        EXPECT_EQ(got, expected);
      }
      kit.end();
    }
  }
}

struct ErrorCase {
  uint8_t family, type, code;
  Bytes source;
  uint32_t rest;
};

TEST(Originate, IcmpErrorsQuoteThePacketAsItCame) {
  const ErrorCase cases[] = {
      {4, 11, 0, kOurs4, 0},       // time exceeded: the port's first address
      {4, 3, 4, kOurs4, 1400},     // fragmentation needed
      {4, 3, 3, kVirtual4, 0},     // port unreachable: the address it would have been on
      {6, 3, 0, kOurs6, 0},        // not the link-local one, which says nothing to a client afar
      {6, 2, 0, kOurs6, 0x12345},  // packet too big
      {6, 1, 4, kVirtual6, 0},
  };
  for (const auto& c : cases) {
    for (size_t payload : {size_t{0}, size_t{33}, size_t{1400}, size_t{3000}}) {
      SCOPED_TRACE(testing::Message()
                   << int(c.family) << " type " << int(c.type) << " payload " << payload);
      OriginateKit kit;
      Spec s = from_client(c.family, 17, payload);
      s.tags = {0x81, 0, 0, 9};
      Owed o = kit.owed(Owed::What::kIcmpError, c.family, c.type, c.code);
      o.mtu = c.rest;
      kit.answer(frame_of(s), o, 1500);
      ASSERT_EQ(kit.made(), 1u);
      const size_t most = c.family == 4 ? 576 - 28 : 1280 - 48;
      Spec error;
      error.family = c.family;
      error.protocol = c.family == 4 ? 1 : 58;
      error.src = c.source;
      error.dst = s.src;
      error.src_mac = kOurMac;
      error.dst_mac = kTheirMac;
      error.tags = s.tags;
      error.id = 0;
      error.icmp_type = c.type;
      error.icmp_code = c.code;
      error.icmp_rest = c.rest;
      error.payload = slice(ip_of(s), 0, most);
      Bytes expected = frame_of(error);
      Bytes got = kit.made_bytes();
      EXPECT_TRUE(test::sums_right(got, 18));
      if (c.family == 4) {
        EXPECT_EQ(got.at(19), 0xc0);
        expected[19] = 0xc0;  // precedence, hence the sum
        test::put16(expected, 28, get16(got, 28));
        EXPECT_LE(got.size() - 18, 576u);
      } else {
        EXPECT_LE(got.size() - 18, 1280u);
      }
      EXPECT_EQ(got, expected);
      EXPECT_EQ(kit.count(Counter::kIcmpErrorSent), 1u);
      kit.end();
    }
  }
}

// RFC 1122 section 3.2.2, RFC 4443 section 2.4 e.
TEST(Originate, WhatMustNotBeAnsweredIsNot) {
  auto errors_about = [](const Bytes& frame, uint8_t family, uint8_t type = 0) {
    OriginateKit kit;
    const uint8_t t = type != 0 ? type : family == 4 ? 11 : 3;
    Packet& p = kit.put(frame, kOurPort);
    EXPECT_EQ(kit.name(), 1u);
    kit.batch->drop(p, Drop::kTtlExceeded);
    settle(*kit.batch);
    kit.batch->owe(kit.owed(Owed::What::kIcmpError, family, t, 0));
    kit.run();
    const uint32_t made = kit.made();
    EXPECT_EQ(kit.drops(Drop::kOriginateFull), 0u);
    kit.end();
    return made;
  };
  Spec s = from_client(4, 17);
  EXPECT_EQ(errors_about(frame_of(s), 4), 1u);
  Spec group_mac = s;
  group_mac.dst_mac = {1, 0, 0x5e, 0, 0, 1};
  EXPECT_EQ(errors_about(frame_of(group_mac), 4), 0u);
  Spec group = s;
  group.dst = {224, 0, 0, 5};
  EXPECT_EQ(errors_about(frame_of(group), 4), 0u);
  Spec broadcast = s;
  broadcast.dst = Bytes(4, 255);
  EXPECT_EQ(errors_about(frame_of(broadcast), 4), 0u);
  Bytes fragment = frame_of(s);
  test::put16(fragment, 20, 0x2001);  // offset 8
  test::put16(fragment, 24, 0);
  test::put16(fragment, 24, static_cast<uint16_t>(~test::plain_sum(fragment, 14, 34)));
  EXPECT_EQ(errors_about(fragment, 4), 0u);
  Spec error = s;
  error.protocol = 1;
  error.icmp_type = 5;  // redirect
  error.payload = Bytes(28, 0x45);
  EXPECT_EQ(errors_about(frame_of(error), 4), 0u);
  Spec echo = s;
  echo.protocol = 1;
  EXPECT_EQ(errors_about(frame_of(echo), 4), 1u);

  Spec t = from_client(6, 17);
  EXPECT_EQ(errors_about(frame_of(t), 6), 1u);
  Spec group6 = t;
  group6.dst = kSolicitedNode;
  group6.dst_mac = {0x33, 0x33, 0xff, 1, 2, 3};
  EXPECT_EQ(errors_about(frame_of(group6), 6), 0u);
  EXPECT_EQ(errors_about(frame_of(group6), 6, 2), 1u);  // packet too big: path MTU discovery
  Spec error6 = t;
  error6.protocol = 58;
  error6.icmp_type = 100;
  EXPECT_EQ(errors_about(frame_of(error6), 6), 0u);
}

TEST(Originate, AnErrorWithoutASourceIsSilent) {
  OriginateKit kit;
  kit.table.addresses.clear();
  kit.answer(frame_of(from_client(4, 17)), kit.owed(Owed::What::kIcmpError, 4, 11, 0));
  EXPECT_EQ(kit.made(), 0u);
  // The node's own address serves any port.
  kit.table.addresses.push_back({address_of({9, 9, 9, 9}), kPortNone, 4});
  kit.batch->owe(kit.owed(Owed::What::kIcmpError, 4, 11, 0));
  kit.run();
  ASSERT_EQ(kit.made(), 1u);
  EXPECT_EQ(slice(kit.made_bytes(), 26, 4), Bytes(4, 9));
  kit.end();
}

TEST(Originate, ErrorsAndResetsShareOneLimit) {
  OriginateKit kit;
  kit.table.errors_per_second = 10;
  Packet& p = kit.put(frame_of(from_client(4, 6)), kOurPort);
  kit.name();
  kit.batch->consume(p);
  settle(*kit.batch);
  auto owe = [&](int n) {
    for (int i = 0; i < n; ++i)
      kit.batch->owe(i % 2 ? kit.owed(Owed::What::kIcmpError, 4, 11, 0)
                           : kit.owed(Owed::What::kTcpReset, 4));
    const uint32_t before = kit.made();
    kit.run();
    return kit.made() - before;
  };
  EXPECT_EQ(owe(15), 10u);
  EXPECT_EQ(kit.drops(Drop::kOriginateFull), 5u);
  EXPECT_EQ(kit.count(Counter::kOriginated), 15u);  // the five count as made and dropped
  kit.batch->now += 250 * kMillisecond;
  EXPECT_EQ(owe(5), 2u);
  const uint32_t before_steps = kit.made();
  for (int i = 0; i < 1000; ++i) {  // steps of half a token are not rounded away
    kit.batch->now += kMillisecond / 20;
    kit.batch->owe(kit.owed(Owed::What::kArpRequest, 4));
    kit.run();
    while (kit.made() > before_steps) {
      kit.batch->count--;
      kit.cache->give(kit.batch->packets[kit.batch->live[--kit.batch->live_count]].frame);
    }
  }
  EXPECT_EQ(owe(2), 1u);
  kit.end();
}

TEST(Originate, ShortageOfRoomAndFramesIsCounted) {
  OriginateKit kit(64);
  Owed o = kit.owed(Owed::What::kArpRequest, 4);
  for (int i = 0; i < 70; ++i) kit.batch->owe(o);
  kit.run();
  EXPECT_EQ(kit.made(), 64u);
  EXPECT_EQ(kit.drops(Drop::kNoFrame), 6u);
  EXPECT_EQ(kit.count(Counter::kOriginated), 70u);
  kit.end();

  OriginateKit full(512);
  for (uint32_t i = 0; i < kBatchRoom; ++i) full.batch->owe(o);
  full.put(frame_of(from_client(4, 6)), kOurPort);
  full.run();
  EXPECT_EQ(full.batch->count, kBatchRoom);
  EXPECT_EQ(full.drops(Drop::kOriginateFull), 1u);
  full.end();
}

TEST(Originate, AnEchoThatLacksFramesGivesThoseItTookBack) {
  OriginateKit kit(64);
  std::vector<uint32_t> taken;
  Spec s = from_client(4, 1, 8000);
  Packet& p = kit.put(frame_of(s), kOurPort, 1500);
  kit.name();
  kit.batch->consume(p);
  settle(*kit.batch);
  while (kit.cache->taken() < 62) taken.push_back(kit.cache->take());
  kit.batch->owe(kit.owed(Owed::What::kEchoReply, 4));
  kit.run();
  EXPECT_EQ(kit.made(), 0u);
  EXPECT_EQ(kit.drops(Drop::kNoFrame), 1u);
  for (uint32_t f : taken) kit.cache->give(f);
  kit.end();
}

}  // namespace
}  // namespace nodeplane
