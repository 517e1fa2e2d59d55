// take: services: which packets the XDP program keeps for nodeplane, and that the rest of the host
// goes on as before.
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <signal.h>

#include <algorithm>
#include <map>
#include <random>

#include "af_xdp_kit.h"
#include "driver/af_xdp/program.h"
#include "driver/af_xdp/xdp_take.h"

namespace nodeplane {
namespace {

constexpr uint8_t kTcp = 6, kUdp = 17, kGre = 47, kSctp = 132;

std::vector<uint8_t> address(const std::string& text) {
  std::vector<uint8_t> raw(text.find(':') == std::string::npos ? 4 : 16);
  EXPECT_EQ(inet_pton(raw.size() == 4 ? AF_INET : AF_INET6, text.c_str(), raw.data()), 1) << text;
  return raw;
}

enum Side : uint8_t { kTo = 0, kFrom = 1 };
TakeRow row(Side side, const std::string& text, uint8_t protocol, uint16_t low = 0,
            uint16_t high = 0, uint8_t bits = 255) {
  const auto raw = address(text);
  TakeRow r{};
  r.family = raw.size() == 4 ? 4 : 6;
  r.protocol = protocol;
  r.source = side;
  r.prefix_length = bits != 255 ? bits : r.family == 4 ? 32 : 128;
  r.port_low = low;
  r.port_high = high != 0 ? high : low;
  std::memcpy(r.address, raw.data(), raw.size());
  return r;
}

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
Bytes be16(uint32_t v) { return {static_cast<uint8_t>(v >> 8), static_cast<uint8_t>(v)}; }
Bytes zeros(size_t n) { return Bytes(n, 0); }

Bytes ports(uint16_t from, uint16_t to) { return be16(from) + be16(to) + zeros(16); }
Bytes icmp(uint8_t type, uint16_t id = 0, const Bytes& rest = {}) {
  return Bytes{type, 0, 0, 0} + be16(id) + zeros(2) + rest;
}
// offset in units of 8 bytes, 0x2000: more fragments. options: bytes, a multiple of 4.
Bytes ip4(const std::string& from, const std::string& to, uint8_t protocol, const Bytes& payload,
          uint16_t fragment = 0, size_t options = 0) {
  const auto ihl = static_cast<uint8_t>(0x45 + options / 4);
  return Bytes{ihl, 0} + be16(static_cast<uint32_t>(20 + options + payload.size())) + zeros(2) +
         be16(fragment) + Bytes{64, protocol, 0, 0} + address(from) + address(to) +
         Bytes(options, 1) + payload;
}
Bytes ip6(const std::string& from, const std::string& to, uint8_t next, const Bytes& payload) {
  return Bytes{0x60, 0, 0, 0} + be16(static_cast<uint32_t>(payload.size())) + Bytes{next, 64} +
         address(from) + address(to) + payload;
}
Bytes ether(const Bytes& payload, std::vector<uint16_t> tags = {}, uint16_t type = 0) {
  Bytes bytes{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
  for (const uint16_t tag : tags) bytes = bytes + be16(tag) + be16(100);
  if (type == 0) type = payload[0] >> 4 == 4 ? 0x0800 : 0x86dd;
  return bytes + be16(type) + payload;
}
Bytes arp(uint8_t operation, const std::string& from, const std::string& to) {
  return ether(Bytes{0, 1, 8, 0, 6, 4, 0, operation, 2, 0, 0, 0, 0, 2} + address(from) + zeros(6) +
                   address(to),
               {}, 0x0806);
}

const std::vector<TakeRow> kRows = {
    row(kTo, "10.96.0.10", kTcp, 80),          // a service
    row(kTo, "10.96.0.20", 0),                 // a virtual address
    row(kTo, "192.0.2.1", kTcp, 30080),        // a node port on the host's own address
    row(kTo, "192.0.2.1", kTcp, 1024, 29999),  // SNAT
    row(kTo, "192.0.2.1", kUdp, 1024, 29999),  //
    row(kFrom, "10.1.0.11", kTcp, 8080),       // an endpoint
    row(kTo, "10.200.0.0", 0, 0, 0, 16),       // a range of virtual addresses
    row(kFrom, "fd02::", kTcp, 0, 0, 64),      // every TCP port of a prefix as source
    row(kTo, "fd00::10", kTcp, 80),            //
    row(kTo, "fd00::20", 0),                   //
    row(kFrom, "fd01::11", kTcp, 8080),        //
};

class TakeProgram : public testing::Test {
 protected:
  void SetUp() override {
    NEEDS_AF_XDP();
    std::string error;
    program_ = af_xdp::Program::load(1024, &error);
    ASSERT_NE(program_, nullptr) << error;
    take(kRows);
  }
  void take(const std::vector<TakeRow>& rows) {
    std::string error;
    EXPECT_TRUE(program_->take_maps().replace(rows, &error)) << error;
  }
  // No socket is bound here, so what is ours is dropped: which is tested at the same time.
  bool ours(const Bytes& packet) {
    LIBBPF_OPTS(bpf_test_run_opts, options);
    options.data_in = packet.data();
    options.data_size_in = static_cast<uint32_t>(packet.size());
    EXPECT_EQ(bpf_prog_test_run_opts(program_->fd(), &options), 0) << strerror(errno);
    EXPECT_TRUE(options.retval == XDP_DROP || options.retval == XDP_PASS) << options.retval;
    return options.retval == XDP_DROP;
  }
  bool ours4(const std::string& from, const std::string& to, uint8_t protocol,
             const Bytes& payload) {
    return ours(ether(ip4(from, to, protocol, payload)));
  }
  bool ours6(const std::string& from, const std::string& to, uint8_t next, const Bytes& payload) {
    return ours(ether(ip6(from, to, next, payload)));
  }
  std::unique_ptr<af_xdp::Program> program_;
};

TEST_F(TakeProgram, ServicesByAddressPortAndProtocol) {
  EXPECT_TRUE(ours4("198.51.100.7", "10.96.0.10", kTcp, ports(40000, 80)));
  EXPECT_FALSE(ours4("198.51.100.7", "10.96.0.10", kTcp, ports(40000, 81)));
  EXPECT_FALSE(ours4("198.51.100.7", "10.96.0.10", kUdp, ports(40000, 80)));
  EXPECT_FALSE(ours4("198.51.100.7", "10.96.0.11", kTcp, ports(40000, 80)));
  EXPECT_FALSE(ours4("10.96.0.10", "198.51.100.7", kTcp, ports(80, 40000)));
  EXPECT_TRUE(ours6("fd09::7", "fd00::10", kTcp, ports(40000, 80)));
  EXPECT_FALSE(ours6("fd09::7", "fd00::10", kTcp, ports(40000, 22)));
  EXPECT_FALSE(ours6("fd09::7", "fd00::10", kSctp, ports(40000, 80)));
}

TEST_F(TakeProgram, EndpointsBySource) {
  EXPECT_TRUE(ours4("10.1.0.11", "198.51.100.7", kTcp, ports(8080, 40000)));
  EXPECT_FALSE(ours4("10.1.0.11", "198.51.100.7", kTcp, ports(22, 40000)));
  EXPECT_FALSE(ours4("10.1.0.12", "198.51.100.7", kTcp, ports(8080, 40000)));
  EXPECT_FALSE(ours4("198.51.100.7", "10.1.0.11", kTcp, ports(40000, 8080)));
  EXPECT_TRUE(ours6("fd01::11", "fd09::7", kTcp, ports(8080, 40000)));
}

TEST_F(TakeProgram, NodePortsAndSnatRangesLeaveTheHostItsPorts) {
  EXPECT_TRUE(ours4("198.51.100.7", "192.0.2.1", kTcp, ports(40000, 30080)));
  for (const uint16_t port : {1024, 20000, 29999}) {
    EXPECT_TRUE(ours4("10.1.0.11", "192.0.2.1", kTcp, ports(8080, port))) << port;
    // The host's own servers may listen there, and the host may ask an endpoint by itself.
    EXPECT_FALSE(ours4("198.51.100.7", "192.0.2.1", kTcp, ports(40000, port))) << port;
    EXPECT_FALSE(ours4("10.1.0.11", "192.0.2.1", kUdp, ports(8080, port))) << port;
  }
  EXPECT_FALSE(ours4("10.1.0.11", "192.0.2.1", kTcp, ports(8080, 40000)));
  for (const uint16_t port : {22, 1023, 30000, 30081, 65535})
    EXPECT_FALSE(ours4("198.51.100.7", "192.0.2.1", kTcp, ports(40000, port))) << port;
  EXPECT_FALSE(ours4("198.51.100.7", "192.0.2.1", kSctp, ports(40000, 2000)));
  EXPECT_FALSE(ours4("198.51.100.7", "192.0.2.1", 1, icmp(8, 2000)));
  EXPECT_FALSE(ours4("198.51.100.7", "192.0.2.1", kGre, zeros(20)));
}

TEST_F(TakeProgram, VirtualAddressesWhole) {
  EXPECT_TRUE(ours4("198.51.100.7", "10.96.0.20", 1, icmp(8, 1)));
  EXPECT_TRUE(ours4("198.51.100.7", "10.96.0.20", kGre, zeros(20)));
  EXPECT_TRUE(ours4("198.51.100.7", "10.96.0.20", kTcp, ports(1, 9)));
  EXPECT_FALSE(ours4("198.51.100.7", "10.96.0.10", 1, icmp(8, 1)));
  EXPECT_TRUE(ours6("fd09::7", "fd00::20", 58, icmp(128, 1)));
  EXPECT_FALSE(ours6("fd09::7", "fd00::10", 58, icmp(128, 1)));
}

TEST_F(TakeProgram, Prefixes) {
  EXPECT_TRUE(ours4("198.51.100.7", "10.200.3.4", kUdp, ports(1, 9)));
  EXPECT_FALSE(ours4("198.51.100.7", "10.201.3.4", kUdp, ports(1, 9)));
  EXPECT_TRUE(ours6("fd02::77", "fd09::7", kTcp, ports(1, 9)));
  EXPECT_FALSE(ours6("fd02::77", "fd09::7", kUdp, ports(1, 9)));
  EXPECT_FALSE(ours6("fd02:0:0:1::77", "fd09::7", kTcp, ports(1, 9)));
}

TEST_F(TakeProgram, FragmentsByAddressAlone) {
  for (const uint16_t fragment : {0x2000, 0x2010, 0x0010}) {
    EXPECT_TRUE(ours(ether(ip4("1.2.3.4", "10.96.0.10", kTcp, ports(1, 9), fragment))));
    EXPECT_TRUE(ours(ether(ip4("10.1.0.11", "1.2.3.4", kUdp, ports(1, 9), fragment))));
    EXPECT_FALSE(ours(ether(ip4("1.2.3.4", "10.96.0.11", kTcp, ports(1, 9), fragment))));
  }
  const Bytes don_t(ether(ip4("1.2.3.4", "10.96.0.10", kTcp, ports(1, 9), 0x4000)));
  EXPECT_FALSE(ours(don_t)) << "don't fragment is no fragment";
  const Bytes middle = Bytes{kTcp, 0, 0, 0x10, 0, 0, 0, 1} + ports(1, 9);
  const Bytes first = Bytes{kTcp, 0, 0, 1, 0, 0, 0, 1} + ports(1, 9);
  const Bytes atomic = Bytes{kTcp, 0, 0, 0, 0, 0, 0, 1} + ports(1, 9);
  EXPECT_TRUE(ours6("fd09::7", "fd00::10", 44, middle));
  EXPECT_TRUE(ours6("fd09::7", "fd00::10", 44, first));
  EXPECT_FALSE(ours6("fd09::7", "fd00::11", 44, middle));
  EXPECT_FALSE(ours6("fd09::7", "fd00::10", 44, atomic)) << "an atomic fragment has its ports";
}

TEST_F(TakeProgram, TagsOptionsAndExtensionHeaders) {
  const Bytes to_service = ip4("198.51.100.7", "10.96.0.10", kTcp, ports(40000, 80));
  EXPECT_TRUE(ours(ether(to_service, {0x8100})));
  EXPECT_TRUE(ours(ether(to_service, {0x88a8, 0x8100})));
  EXPECT_FALSE(ours(ether(to_service, {0x88a8, 0x8100, 0x8100})));
  for (const size_t options : {4, 20, 40}) {
    EXPECT_TRUE(
        ours(ether(ip4("1.2.3.4", "10.96.0.10", kTcp, ports(1, 80), 0, options), {0x8100})));
    EXPECT_FALSE(ours(ether(ip4("1.2.3.4", "10.96.0.10", kTcp, ports(1, 81), 0, options))));
  }
  const Bytes options = Bytes{60, 0} + zeros(6);            // hop-by-hop, then destination
  const Bytes longer = Bytes{51, 1} + zeros(14);            // destination, then authentication
  const Bytes authentication = Bytes{kTcp, 4} + zeros(22);  // 24 bytes
  EXPECT_TRUE(
      ours6("fd09::7", "fd00::10", 0, options + longer + authentication + ports(40000, 80)));
  EXPECT_FALSE(
      ours6("fd09::7", "fd00::10", 0, options + longer + authentication + ports(40000, 81)));
  Bytes chain;
  for (int i = 0; i < 40; ++i) chain = chain + Bytes{60, 0} + zeros(6);
  EXPECT_FALSE(ours6("fd09::7", "fd00::10", 60, chain)) << "no ports within 8 headers";
  EXPECT_TRUE(ours6("fd09::7", "fd00::20", 60, chain)) << "the address is enough";
}

TEST_F(TakeProgram, IcmpErrorsByTheTupleInside) {
  // Of a reply that left as the service's address, and of a packet that went to an endpoint.
  const Bytes reply = ip4("10.96.0.10", "198.51.100.7", kTcp, ports(80, 40000));
  const Bytes forward = ip4("198.51.100.7", "10.1.0.11", kTcp, ports(40000, 8080));
  const Bytes masqueraded = ip4("192.0.2.1", "10.1.0.11", kTcp, ports(5000, 8080));
  const Bytes hosts_own = ip4("192.0.2.1", "203.0.113.5", kTcp, ports(40000, 443));
  for (const uint8_t type : {3, 11, 12}) {
    EXPECT_TRUE(ours4("203.0.113.1", "10.96.0.10", 1, icmp(type, 0, reply)));
    EXPECT_TRUE(ours4("203.0.113.1", "198.51.100.7", 1, icmp(type, 0, forward)));
    EXPECT_TRUE(ours4("203.0.113.1", "192.0.2.1", 1, icmp(type, 0, masqueraded)));
    EXPECT_FALSE(ours4("203.0.113.1", "192.0.2.1", 1, icmp(type, 0, hosts_own)));
  }
  EXPECT_TRUE(ours4("203.0.113.1", "10.96.0.20", 1, icmp(3, 0, hosts_own)));
  const Bytes cut(forward.begin(), forward.begin() + 28);  // IP header and 8 bytes (RFC 792)
  EXPECT_TRUE(ours4("203.0.113.1", "198.51.100.7", 1, icmp(3, 0, cut)));
  const Bytes reply6 = ip6("fd00::10", "fd09::7", kTcp, ports(80, 40000));
  const Bytes forward6 = ip6("fd09::7", "fd01::11", kTcp, ports(40000, 8080));
  const Bytes other6 = ip6("fd00::10", "fd09::7", kTcp, ports(81, 40000));
  for (const uint8_t type : {1, 2, 3, 4}) {
    EXPECT_TRUE(ours6("fd09::1", "fd00::10", 58, icmp(type, 0, reply6)));
    EXPECT_TRUE(ours6("fd09::1", "fd09::7", 58, icmp(type, 0, forward6)));
    EXPECT_FALSE(ours6("fd09::1", "fd00::10", 58, icmp(type, 0, other6)));
  }
}

TEST_F(TakeProgram, ArpAndNeighbourDiscoveryStayTheKernels) {
  EXPECT_FALSE(ours(arp(1, "192.0.2.9", "192.0.2.1")));
  EXPECT_FALSE(ours(arp(2, "192.0.2.9", "192.0.2.1")));
  EXPECT_FALSE(ours(arp(1, "192.0.2.9", "10.96.0.10")));
  EXPECT_TRUE(ours(arp(1, "192.0.2.9", "10.96.0.20")));
  EXPECT_TRUE(ours(arp(1, "192.0.2.9", "10.200.0.1")));
  const auto asked = [](const std::string& target) {
    return icmp(135) + address(target) + Bytes{1, 1, 2, 0, 0, 0, 0, 2};
  };
  EXPECT_FALSE(ours6("fd09::7", "ff02::1:ff00:1", 58, asked("fd09::1")));
  EXPECT_TRUE(ours6("fd09::7", "ff02::1:ff00:20", 58, asked("fd00::20")));
  EXPECT_TRUE(ours6("fd09::7", "fd00::20", 58, asked("fd00::20")));
  EXPECT_FALSE(ours6("fd09::7", "ff02::1:ff00:10", 58, asked("fd00::10")));
  EXPECT_FALSE(ours6("fd09::7", "fd09::1", 58, icmp(136) + address("fd09::7")));
  EXPECT_TRUE(ours6("fd09::7", "fd00::20", 58, icmp(136) + address("fd09::7")));
  EXPECT_FALSE(ours6("fe80::1", "ff02::1", 58, icmp(134) + zeros(16)));
}

// Every way to cut packets short: a verdict, never an error; whole packets stay what they are.
TEST_F(TakeProgram, CutShort) {
  const Bytes inner = ip4("10.96.0.10", "198.51.100.7", kTcp, ports(80, 40000), 0, 8);
  const std::vector<Bytes> packets = {
      ether(ip4("1.2.3.4", "10.96.0.10", kTcp, ports(1, 80), 0, 40), {0x88a8, 0x8100}),
      ether(ip4("1.2.3.4", "192.0.2.1", 1, icmp(3, 0, inner))),
      ether(ip6("fd09::7", "fd00::10", 0,
                Bytes{44, 0} + zeros(6) + Bytes{kTcp, 0} + zeros(6) + ports(1, 80))),
      arp(1, "192.0.2.9", "10.96.0.20")};
  for (const Bytes& whole : packets) {
    EXPECT_TRUE(ours(whole));
    for (size_t length = 14; length < whole.size(); ++length)
      ours(Bytes(whole.begin(), whole.begin() + static_cast<long>(length)));
  }
  EXPECT_FALSE(ours(ether(Bytes{0x41} + zeros(30), {}, 0x0800)));
  EXPECT_FALSE(ours(ether(Bytes{0x65} + zeros(60), {}, 0x0800)));
  EXPECT_FALSE(ours(ether(zeros(40), {}, 0x88b5)));
}

TEST_F(TakeProgram, ReplacingTheSet) {
  const Bytes old_one = ether(ip4("1.2.3.4", "10.96.0.10", kTcp, ports(1, 80)));
  const Bytes new_one = ether(ip4("1.2.3.4", "10.96.0.10", kTcp, ports(1, 443)));
  const Bytes range = ether(ip4("10.1.0.11", "192.0.2.1", kTcp, ports(8080, 2000)));
  const Bytes prefix = ether(ip4("1.2.3.4", "10.200.0.1", kTcp, ports(1, 2000)));
  auto rows = kRows;
  rows[0] = row(kTo, "10.96.0.10", kTcp, 443);
  take(rows);
  EXPECT_FALSE(ours(old_one));
  EXPECT_TRUE(ours(new_one));
  EXPECT_TRUE(ours(range));
  EXPECT_TRUE(ours(prefix));
  take({kRows[0], kRows[0]});
  EXPECT_TRUE(ours(old_one));
  EXPECT_FALSE(ours(new_one));
  EXPECT_FALSE(ours(range));
  EXPECT_FALSE(ours(prefix));
  take({});
  EXPECT_FALSE(ours(old_one));
  EXPECT_FALSE(ours(ether(ip4("1.2.3.4", "10.96.0.10", kTcp, ports(1, 80), 0x2000))));
}

TEST_F(TakeProgram, WhatCannotBeTaken) {
  std::string error;
  auto& maps = program_->take_maps();
  std::vector<TakeRow> many(2000, kRows[0]);
  EXPECT_TRUE(maps.replace(many, &error)) << "one row many times is one: " << error;
  take(kRows);
  for (uint16_t i = 0; i < 2000; ++i) many[i].port_low = many[i].port_high = i + 1;
  EXPECT_FALSE(maps.replace(many, &error));
  EXPECT_EQ(error, "2000 addresses or ports are to be taken, takeMax allows 1024");
  std::vector<TakeRow> ranges;
  for (uint16_t i = 0; i < 9; ++i)
    ranges.push_back(row(kTo, "192.0.2.1", kTcp, static_cast<uint16_t>(i * 100 + 1),
                         static_cast<uint16_t>(i * 100 + 50)));
  EXPECT_FALSE(maps.replace(ranges, &error));
  EXPECT_EQ(error, "an address has more than 8 port ranges that are to be taken");
  TakeRow bad = kRows[0];
  bad.prefix_length = 33;
  EXPECT_FALSE(maps.replace({&bad, 1}, &error));
  EXPECT_EQ(error, "row 0 of what is to be taken is invalid");
  // None of them has changed anything.
  EXPECT_TRUE(ours4("198.51.100.7", "10.96.0.10", kTcp, ports(40000, 80)));
}

// 20,000 services with 5 endpoints each; then one of them changes, and nothing else is written.
TEST_F(TakeProgram, ManyRowsAndOneThatChanges) {
  std::string error;
  program_ = af_xdp::Program::load(1 << 17, &error);
  ASSERT_NE(program_, nullptr) << error;
  std::vector<TakeRow> rows;
  for (uint32_t i = 0; i < 120000; ++i) {
    rows.push_back(row(i % 6 == 0 ? kTo : kFrom, "10.0.0.0", kTcp, 8080));
    const uint32_t raw = htonl((10u << 24) + i);
    std::memcpy(rows.back().address, &raw, sizeof raw);
  }
  take(rows);
  rows[6000] = row(kTo, "10.96.0.10", kTcp, 80);
  const uint64_t before = program_->take_maps().changes();
  take(rows);
  EXPECT_EQ(program_->take_maps().changes() - before, 4u) << "an address and its port, in and out";
  EXPECT_TRUE(ours4("1.2.3.4", "10.96.0.10", kTcp, ports(1, 80)));
  EXPECT_FALSE(ours4("1.2.3.4", "10.0.23.112", kTcp, ports(1, 8080)));
  EXPECT_TRUE(ours4("1.2.3.4", "10.0.23.118", kTcp, ports(1, 8080)));
}

// A map's entries; of an address the ranges in some order.
std::map<Bytes, Bytes> entries_of(uint32_t id) {
  const int fd = bpf_map_get_fd_by_id(id);
  bpf_map_info info{};
  uint32_t length = sizeof info;
  EXPECT_EQ(bpf_obj_get_info_by_fd(fd, &info, &length), 0);
  std::map<Bytes, Bytes> all;
  Bytes key(info.key_size), value(info.value_size);
  for (void* before = nullptr; bpf_map_get_next_key(fd, before, key.data()) == 0;
       before = key.data()) {
    EXPECT_EQ(bpf_map_lookup_elem(fd, key.data(), value.data()), 0);
    if (value.size() == sizeof(take_what)) {
      auto* what = reinterpret_cast<take_what*>(value.data());
      std::sort(what->ranges, what->ranges + what->count,
                [](const auto& a, const auto& b) { return std::memcmp(&a, &b, sizeof a) < 0; });
    }
    all[key] = value;
  }
  close(fd);
  return all;
}

// What the program knows, by the names of its maps.
std::map<std::string, std::map<Bytes, Bytes>> known(const af_xdp::Program& program) {
  uint32_t ids[16];
  bpf_prog_info info{};
  info.nr_map_ids = 16;
  info.map_ids = reinterpret_cast<uintptr_t>(ids);
  uint32_t length = sizeof info;
  EXPECT_EQ(bpf_obj_get_info_by_fd(program.fd(), &info, &length), 0);
  std::map<std::string, std::map<Bytes, Bytes>> all;
  for (uint32_t i = 0; i < info.nr_map_ids; ++i) {
    const int fd = bpf_map_get_fd_by_id(ids[i]);
    bpf_map_info map{};
    length = sizeof map;
    EXPECT_EQ(bpf_obj_get_info_by_fd(fd, &map, &length), 0);
    close(fd);
    const std::string name = map.name;
    if (name == "hosts" || name == "prefixes" || name == "ports") all[name] = entries_of(ids[i]);
  }
  EXPECT_EQ(all.size(), 3u);
  return all;
}

// Rows that come and go, several of one address, against the same rows at once.
TEST_F(TakeProgram, ChangesLeaveWhatTheWholeWouldHave) {
  std::string error;
  const auto fresh = af_xdp::Program::load(1024, &error);
  ASSERT_NE(fresh, nullptr) << error;
  std::mt19937 random(5);
  std::vector<TakeRow> rows = kRows;
  for (int step = 0; step < 200; ++step) {
    std::vector<TakeRow> come, gone;
    for (uint32_t i = random() % 4; i > 0; --i) {
      const uint16_t port = static_cast<uint16_t>(random() % 3 * 10);
      const std::string to = "10.0.0." + std::to_string(random() % 4);
      come.push_back(row(random() % 2 ? kTo : kFrom, to, port ? kTcp : 0, port,
                         random() % 4 == 0 && port ? port + 5 : 0, random() % 4 == 0 ? 30 : 32));
    }
    std::shuffle(rows.begin(), rows.end(), random);
    for (uint32_t i = random() % 4; i > 0 && !rows.empty(); --i) {
      gone.push_back(rows.back());
      rows.pop_back();
    }
    rows.insert(rows.end(), come.begin(), come.end());
    ASSERT_TRUE(program_->take_maps().change(come, gone, &error)) << error;
    ASSERT_TRUE(fresh->take_maps().replace(rows, &error)) << error;
    ASSERT_EQ(known(*program_), known(*fresh)) << "step " << step;
  }
}

// What cannot be changed to is not there, and the next whole set is all there is.
TEST_F(TakeProgram, AfterAChangeThatFailsTheWholeSetCounts) {
  std::string error;
  const Bytes packet = ether(ip4("1.2.3.4", "10.96.0.10", kTcp, ports(1, 80)));
  std::vector<TakeRow> many(2000, row(kTo, "10.99.0.1", kTcp, 1));
  for (uint16_t i = 0; i < 2000; ++i) many[i].port_low = many[i].port_high = i + 1;
  EXPECT_FALSE(program_->take_maps().change(many, {&kRows[0], 1}, &error));
  EXPECT_EQ(error, "2004 addresses or ports are to be taken, takeMax allows 1024");
  EXPECT_TRUE(ours(packet));
  take({kRows[1]});
  EXPECT_FALSE(ours(packet));
  EXPECT_FALSE(ours4("1.2.3.4", "10.99.0.1", kTcp, ports(1, 7)));
  const auto fresh = af_xdp::Program::load(1024, &error);
  ASSERT_TRUE(fresh->take_maps().replace({&kRows[1], 1}, &error)) << error;
  EXPECT_EQ(known(*program_), known(*fresh));
}

TEST_F(TakeProgram, EverythingIsOursWithoutServices) {
  std::string error;
  program_ = af_xdp::Program::load(0, &error);
  ASSERT_NE(program_, nullptr) << error;
  EXPECT_TRUE(ours(ether(zeros(40), {}, 0x88b5)));
  EXPECT_TRUE(ours(arp(1, "192.0.2.9", "192.0.2.1")));
}

int tcp_socket() { return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); }
sockaddr_in at(const char* text, uint16_t port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(port);
  inet_pton(AF_INET, text, &a.sin_addr);
  return a;
}

// A host with an address, on a wire to a peer with another.
struct SharedWire : Wire {
  SharedWire() {
    node.run_in("ip addr add 10.9.0.1/24 dev np0");
    peer.run_in("ip addr add 10.9.0.2/24 dev np1");
    InNetNs in(node);
    listener = tcp_socket();
    const sockaddr_in here = at("10.9.0.1", 2222);
    EXPECT_EQ(bind(listener, reinterpret_cast<const sockaddr*>(&here), sizeof here), 0);
    EXPECT_EQ(listen(listener, 8), 0);
  }
  ~SharedWire() { close(listener); }
  // A real connection to the host through the kernel: bytes there and back.
  bool host_answers() const {
    InNetNs in(peer);
    const int client = tcp_socket();
    const timeval limit{kPatienceMs / 1000, 0};
    setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    const sockaddr_in there = at("10.9.0.1", 2222);
    bool good = connect(client, reinterpret_cast<const sockaddr*>(&there), sizeof there) == 0;
    if (good) {
      const int server = accept(listener, nullptr, nullptr);
      char word[6] = {};
      good = write(client, "hello", 5) == 5 && read(server, word, 5) == 5 &&
             write(server, word, 5) == 5 && read(client, word, 5) == 5 &&
             std::string(word) == "hello";
      close(server);
    }
    close(client);
    return good;
  }
  // Starts a TCP connection and does not wait for it.
  int start(const char* text, uint16_t port) const {
    InNetNs in(peer);
    const int client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const sockaddr_in there = at(text, port);
    connect(client, reinterpret_cast<const sockaddr*>(&there), sizeof there);
    return client;
  }
  // Whether the connection was refused (by RST) within the time.
  static bool refused(int client, int wait_ms = kPatienceMs) {
    pollfd waiting{client, POLLOUT, 0};
    if (poll(&waiting, 1, wait_ms) <= 0) return false;
    int problem = 0;
    socklen_t length = sizeof problem;
    getsockopt(client, SOL_SOCKET, SO_ERROR, &problem, &length);
    return problem == ECONNREFUSED;
  }
  int listener = -1;
};

// Service 10.9.0.1:80 on the host's own address, virtual address 10.9.0.100.
const std::vector<TakeRow> kShared = {row(kTo, "10.9.0.1", kTcp, 80), row(kTo, "10.9.0.100", 0),
                                      row(kFrom, "10.9.0.2", kTcp, 8080)};

class SharedPort : public testing::TestWithParam<const char*> {};

TEST_P(SharedPort, HostAndServicesSideBySide) {
  NEEDS_AF_XDP();
  PortKit kit;
  SharedWire wire;
  auto [port, error] = open_in(wire.node, *kit.arena, {{"take", "services"}, {"mode", GetParam()}});
  ASSERT_NE(port, nullptr) << error;
  EXPECT_TRUE(wire.host_answers()) << "nothing is taken yet";
  ASSERT_TRUE(port->take(kShared, &error)) << error;
  EXPECT_TRUE(wire.host_answers());
  EXPECT_TRUE(receive_all(kit, *port, 1, 50).empty());

  const int client = wire.start("10.9.0.1", 80);
  std::vector<Bytes> got = receive_all(kit, *port, 1);
  ASSERT_FALSE(got.empty());
  EXPECT_EQ(got[0][23], kTcp);
  EXPECT_EQ(got[0][37], 80);
  EXPECT_FALSE(SharedWire::refused(client, 200)) << "the kernel must not have seen the SYN";
  close(client);
  const int asking = wire.start("10.9.0.100", 443);
  // The first client's SYN may have come once more.
  do {
    got = receive_all(kit, *port, 1);
    ASSERT_FALSE(got.empty()) << "who has the virtual address?";
  } while (got.back()[12] << 8 != 0x0800 || got.back()[13] != 0x06);
  close(asking);
  EXPECT_TRUE(wire.host_answers());
}
INSTANTIATE_TEST_SUITE_P(Modes, SharedPort, testing::Values("native", "generic"));

TEST(AfXdpServices, AfterAKillServicesAreDroppedAndTheHostGoesOn) {
  NEEDS_AF_XDP();
  SharedWire wire;
  int client = wire.start("10.9.0.1", 80);
  EXPECT_TRUE(SharedWire::refused(client)) << "without a program the kernel refuses";
  close(client);
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork_child([&]() -> int {
    PortKit kit;
    auto opened = open_in(wire.node, *kit.arena, {{"take", "services"}});
    std::string error;
    if (!opened.port || !opened.port->take(kShared, &error)) return 1;
    if (write(ready[1], "+", 1) == 1) pause();
    return 1;
  });
  close(ready[1]);
  char answer = 0;
  ASSERT_EQ(read(ready[0], &answer, 1), 1);
  close(ready[0]);
  ASSERT_EQ(kill(child, SIGKILL), 0);
  status_of(child);

  client = wire.start("10.9.0.1", 80);
  // A second SYN comes after a second.
  EXPECT_FALSE(SharedWire::refused(client, 1500)) << "RST within 1.5 s";
  EXPECT_TRUE(wire.host_answers());

  // A restart: until it knows what is ours, the old program goes on with what it knew.
  PortKit kit;
  auto [port, error] = open_in(wire.node, *kit.arena, {{"take", "services"}});
  ASSERT_NE(port, nullptr) << error;
  int second = wire.start("10.9.0.1", 80);
  EXPECT_FALSE(SharedWire::refused(second, 300));
  ASSERT_TRUE(port->take(kShared, &error)) << error;
  close(second);
  second = wire.start("10.9.0.1", 80);
  EXPECT_GE(receive_all(kit, *port, 1).size(), 1u);
  EXPECT_FALSE(SharedWire::refused(second, 100));
  EXPECT_TRUE(wire.host_answers());
  close(second);
  close(client);
  port.reset();
  client = wire.start("10.9.0.1", 80);
  EXPECT_TRUE(SharedWire::refused(client)) << "after a clean close";
  close(client);
}

}  // namespace
}  // namespace nodeplane
