#include "table/lpm.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

namespace nodeplane {
namespace {

IpAddress parse(const char* text) {
  IpAddress a{};
  const int family = std::strchr(text, ':') ? AF_INET6 : AF_INET;
  EXPECT_EQ(inet_pton(family, text, a.bytes), 1) << text;
  return a;
}

RouteRow route(const char* prefix, uint8_t length, uint16_t port, const char* via = nullptr,
               uint16_t network = 0) {
  RouteRow r{};
  r.family = std::strchr(prefix, ':') ? 6 : 4;
  std::memcpy(r.prefix, parse(prefix).bytes, 16);
  if (via) std::memcpy(r.via, parse(via).bytes, 16);
  r.prefix_length = length;
  r.port = port;
  r.network = network;
  r.flags = via != nullptr;
  return r;
}

int port_of(const Lpm& lpm, const char* address, uint16_t network = 0) {
  const auto* e = lpm.find(network, std::strchr(address, ':') ? 6 : 4, parse(address));
  return e ? e->port : -1;
}

TEST(Lpm, TheLongestPrefixWins) {
  const RouteRow rows[] = {route("10.0.0.0", 8, 1, "192.0.2.1"),
                           route("10.1.0.0", 16, 2),
                           route("10.1.2.0", 24, 3),
                           route("10.1.2.3", 32, 4),
                           route("2001:db8::", 32, 5),
                           route("2001:db8:0:1::", 64, 6)};
  const auto lpm = Lpm::build(rows, std::size(rows));
  ASSERT_TRUE(lpm);
  EXPECT_EQ(port_of(*lpm, "10.9.9.9"), 1);
  EXPECT_EQ(port_of(*lpm, "10.1.9.9"), 2);
  EXPECT_EQ(port_of(*lpm, "10.1.2.9"), 3);
  EXPECT_EQ(port_of(*lpm, "10.1.2.3"), 4);
  EXPECT_EQ(port_of(*lpm, "11.1.2.3"), -1);
  EXPECT_EQ(port_of(*lpm, "2001:db8:1::1"), 5);
  EXPECT_EQ(port_of(*lpm, "2001:db8:0:1::1"), 6);
  EXPECT_EQ(port_of(*lpm, "2001:db9::1"), -1);
  const auto* e = lpm->find(0, 4, parse("10.9.9.9"));
  EXPECT_TRUE(e->has_via);
  EXPECT_TRUE(e->via == parse("192.0.2.1"));
  EXPECT_EQ(e->prefix_length, 8);
  EXPECT_FALSE(lpm->find(0, 4, parse("10.1.2.9"))->has_via);
}

TEST(Lpm, DefaultRoutesAndNetworksAreApart) {
  const RouteRow rows[] = {route("0.0.0.0", 0, 1, "192.0.2.1", 7), route("::", 0, 2, "fe80::1", 7),
                           route("10.0.0.0", 8, 3, nullptr, 8)};
  const auto lpm = Lpm::build(rows, std::size(rows));
  ASSERT_TRUE(lpm);
  EXPECT_EQ(port_of(*lpm, "8.8.8.8", 7), 1);
  EXPECT_EQ(port_of(*lpm, "2001:db8::1", 7), 2);
  EXPECT_EQ(port_of(*lpm, "8.8.8.8", 8), -1);
  EXPECT_EQ(port_of(*lpm, "10.8.8.8", 8), 3);
  EXPECT_EQ(port_of(*lpm, "10.8.8.8", 9), -1);
}

TEST(Lpm, HostBitsAreIgnoredAndTheFirstOfEqualPrefixesCounts) {
  const RouteRow rows[] = {route("10.1.2.3", 8, 1), route("10.0.0.0", 8, 2)};
  const auto lpm = Lpm::build(rows, 2);
  EXPECT_EQ(port_of(*lpm, "10.200.0.1"), 1);
}

TEST(Lpm, ImpossibleRowsAreRefusedAndNoneIsFine) {
  RouteRow bad = route("10.0.0.0", 8, 1);
  bad.prefix_length = 33;
  EXPECT_FALSE(Lpm::build(&bad, 1));
  bad = route("::", 0, 1);
  bad.prefix_length = 129;
  EXPECT_FALSE(Lpm::build(&bad, 1));
  bad = route("10.0.0.0", 8, kPortMax);
  EXPECT_FALSE(Lpm::build(&bad, 1));
  bad = route("10.0.0.0", 8, 0);
  bad.family = 5;
  EXPECT_FALSE(Lpm::build(&bad, 1));
  const auto none = Lpm::build(nullptr, 0);
  ASSERT_TRUE(none);
  EXPECT_EQ(port_of(*none, "10.0.0.1"), -1);
}

// Against the definition: look at every row.
TEST(Lpm, AgreesWithLookingAtEveryRow) {
  std::mt19937 random(1);
  std::vector<RouteRow> rows;
  for (uint32_t i = 0; i < 2000; ++i) {
    RouteRow r{};
    r.family = random() % 2 ? 6 : 4;
    r.prefix_length = static_cast<uint8_t>(random() % (r.family == 4 ? 33 : 129));
    for (uint32_t b = 0; b < (r.family == 4 ? 4u : 16u); ++b) r.prefix[b] = random() % 3;
    r.port = random() % kPortMax;
    r.network = random() % 2;
    rows.push_back(r);
  }
  const auto lpm = Lpm::build(rows.data(), static_cast<uint32_t>(rows.size()));
  ASSERT_TRUE(lpm);
  for (uint32_t i = 0; i < 5000; ++i) {
    const uint8_t family = random() % 2 ? 6 : 4;
    const uint16_t network = random() % 2;
    IpAddress a{};
    for (uint32_t b = 0; b < (family == 4 ? 4u : 16u); ++b) a.bytes[b] = random() % 3;
    const RouteRow* best = nullptr;
    for (const auto& r : rows) {
      if (r.family != family || r.network != network) continue;
      if (!prefix_matches(r.prefix, a.bytes, r.prefix_length)) continue;
      if (!best || r.prefix_length > best->prefix_length) best = &r;
    }
    const auto* e = lpm->find(network, family, a);
    ASSERT_EQ(e != nullptr, best != nullptr);
    if (e) {
      EXPECT_EQ(e->prefix_length, best->prefix_length);
      EXPECT_EQ(e->port, best->port);
    }
  }
}

}  // namespace
}  // namespace nodeplane
