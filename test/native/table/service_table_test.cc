#include "table/service_table.h"

#include <gtest/gtest.h>

#include <set>

#include "support/services.h"

namespace nodeplane {
namespace {

using test::ip;
using test::key4;
using test::key6;
using test::Rows;

std::set<uint32_t> ids_on(const ServiceEntry& s) {
  std::set<uint32_t> seen;
  for (uint32_t i = 0; i < s.ring_size; ++i) seen.insert(s.chosen(i).id);
  return seen;
}

Rows three() {
  Rows r;
  r.endpoint("10.1.0.11", 8080);
  r.endpoint("10.1.0.12", 8080);
  r.service("10.96.0.10", 80);
  r.endpoint("10.1.0.11", 5353);
  r.service("10.96.0.10", 53, kProtocolUdp);
  r.endpoint("fd00::11", 8080);
  r.service("fd00:96::a", 80);
  return r;
}

TEST(ServiceTable, FindsByAddressPortProtocolAndNetwork) {
  const auto t = three().build();
  ASSERT_TRUE(t);
  const auto* s = t->find(key4("192.0.2.1", 4000, "10.96.0.10", 80));
  ASSERT_TRUE(s);
  EXPECT_EQ(s->id, 0u);
  EXPECT_EQ(s->endpoint_count, 2u);
  EXPECT_EQ(t->find(key4("192.0.2.1", 4000, "10.96.0.10", 53, kProtocolUdp))->id, 1u);
  EXPECT_EQ(t->find(key6("2001:db8::1", 4000, "fd00:96::a", 80))->id, 2u);
  EXPECT_FALSE(t->find(key4("192.0.2.1", 4000, "10.96.0.10", 53)));
  EXPECT_FALSE(t->find(key4("192.0.2.1", 4000, "10.96.0.11", 80)));
  EXPECT_FALSE(t->find(key6("2001:db8::1", 4000, "fd00:96::b", 80)));
  auto elsewhere = key4("192.0.2.1", 4000, "10.96.0.10", 80);
  elsewhere.network = 1;
  EXPECT_FALSE(t->find(elsewhere));
}

TEST(ServiceTable, KnowsVirtualAndEndpointAddresses) {
  const auto t = three().build();
  EXPECT_TRUE(t->is_virtual(0, 4, ip("10.96.0.10")));
  EXPECT_TRUE(t->is_virtual(0, 6, ip("fd00:96::a")));
  EXPECT_FALSE(t->is_virtual(1, 4, ip("10.96.0.10")));
  EXPECT_FALSE(t->is_virtual(0, 6, ip("10.96.0.10")));
  EXPECT_FALSE(t->is_virtual(0, 4, ip("10.1.0.11")));
  EXPECT_TRUE(t->is_endpoint(0, 4, ip("10.1.0.12")));
  EXPECT_TRUE(t->is_endpoint(0, 6, ip("fd00::11")));
  EXPECT_FALSE(t->is_endpoint(0, 4, ip("10.96.0.10")));
}

TEST(ServiceTable, TheRingHoldsChoosableEndpointsOnly) {
  Rows r;
  r.endpoint("10.1.0.11", 1);
  r.endpoint("10.1.0.12", 1, 0);
  r.endpoint("10.1.0.13", 1).flags = 0;
  r.endpoint("10.1.0.14", 1);
  r.service("10.96.0.1", 80);
  r.endpoint("10.1.0.15", 1, 0);
  r.service("10.96.0.2", 80);
  const auto t = r.build();
  ASSERT_TRUE(t);
  const auto* s = t->find(key4("1.1.1.1", 1, "10.96.0.1", 80));
  const auto seen = ids_on(*s);
  EXPECT_EQ(seen, (std::set<uint32_t>{0, 3}));
  EXPECT_EQ(t->find(key4("1.1.1.1", 1, "10.96.0.2", 80))->ring_size, 0u);
  EXPECT_TRUE(t->is_endpoint(0, 4, ip("10.1.0.12")));  // still exists
  EXPECT_TRUE(t->still_holds(0, 1, 1));
}

TEST(ServiceTable, PlacesAreAsWideAsTheyMustBe) {
  Rows r;
  r.service("10.96.0.9", 80);  // so that the first endpoint is not number 0 of its service only
  r.endpoint("10.9.9.9", 1);
  r.service("10.96.0.8", 80);
  for (uint32_t i = 0; i < 300; ++i)
    r.endpoint("10.2." + std::to_string(i / 200) + "." + std::to_string(i % 200), 8080);
  r.service("10.96.0.1", 80);
  const auto t = r.build();
  const auto* s = t->find(key4("1.1.1.1", 1, "10.96.0.1", 80));
  EXPECT_EQ(s->place_shift, 4);
  const auto seen = ids_on(*s);
  EXPECT_EQ(seen.size(), 300u);
  EXPECT_EQ(*seen.begin(), 1u);
  EXPECT_EQ(*seen.rbegin(), 300u);
}

TEST(ServiceTable, NodesWithListsInAnotherOrderChooseAlike) {
  Rows a, b;
  for (const char* e : {"10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4"}) a.endpoint(e, 80);
  a.service("10.96.0.1", 80).seed = 77;
  b.endpoint("10.7.7.7", 1);
  b.service("10.96.0.7", 80);
  for (const char* e : {"10.1.0.4", "10.1.0.2", "10.1.0.1", "10.1.0.3"}) b.endpoint(e, 80);
  b.service("10.96.0.1", 80).seed = 77;
  const auto ta = a.build(), tb = b.build(9);
  const auto* sa = ta->find(key4("1.1.1.1", 1, "10.96.0.1", 80));
  const auto* sb = tb->find(key4("1.1.1.1", 1, "10.96.0.1", 80));
  ASSERT_EQ(sa->ring_size, sb->ring_size);
  for (uint32_t i = 0; i < sa->ring_size; ++i)
    EXPECT_TRUE(sa->chosen(i).address == sb->chosen(i).address);
}

TEST(ServiceTable, ServicesOfTheSameRowsShareThem) {
  Rows r;
  r.endpoint("10.1.0.11", 8080);
  r.endpoint("10.1.0.12", 8080);
  r.service("10.96.0.1", 80).seed = 5;
  ServiceRow echo = r.services[0];
  echo.id = 1;
  echo.protocol = kProtocolIcmp;
  echo.be_port = 0;
  r.services.push_back(echo);
  const auto t = r.build();
  EXPECT_EQ(t->service(0)->set, t->service(1)->set);
  EXPECT_EQ(t->endpoint_count(), 2u);
  std::string error;
  r.services[1].seed = 6;
  EXPECT_FALSE(r.build(1, nullptr, &error));
  r.services[1].seed = 5;
  r.services[1].endpoint_count = 1;
  EXPECT_FALSE(r.build(1, nullptr, &error));
  r.services[1].endpoint_first = 1;  // the same id in two sets
  EXPECT_FALSE(r.build(1, nullptr, &error));
  EXPECT_NE(error.find("another endpoint's"), std::string::npos) << error;
}

TEST(ServiceTable, TheRingIsTheSameWhoeverMadeIt) {
  Rows r;
  r.endpoint("10.1.0.11", 8080);
  r.endpoint("10.1.0.12", 8080);
  r.endpoint("10.1.0.13", 8080, 3);
  r.service("10.96.0.1", 80);
  const auto first = r.build(1);
  const auto taken = r.build(2, first.get());
  r.services[0].id = 7;  // unknown to the first
  const auto made = r.build(2, first.get());
  for (uint32_t i = 0; i < first->service(0)->ring_size; ++i) {
    EXPECT_EQ(first->service(0)->chosen(i).id, taken->service(0)->chosen(i).id);
    EXPECT_EQ(first->service(0)->chosen(i).id, made->service(7)->chosen(i).id);
  }
}

TEST(ServiceTable, ARingOutlivesTheTableItWasBuiltFor) {
  const Rows r = three();
  auto first = r.build(1);
  const auto second = r.build(2, first.get());
  first.reset();
  const auto* s = second->find(key4("1.1.1.1", 1, "10.96.0.10", 80));
  EXPECT_EQ(ids_on(*s), (std::set<uint32_t>{0, 1}));
}

TEST(ServiceTable, FlowsHoldWhileTheirServiceAndEndpointStand) {
  Rows r = three();
  const auto one = r.build(1);
  EXPECT_TRUE(one->still_holds(0, 1, 1));
  EXPECT_FALSE(one->still_holds(0, 99, 1));
  EXPECT_FALSE(one->still_holds(99, 1, 1));
  EXPECT_FALSE(one->still_holds(kIdNone, kIdNone, 1));

  r.endpoints[0].flags = 0;  // not choosable, but there
  const auto two = r.build(2, one.get());
  EXPECT_TRUE(two->still_holds(0, 0, 1));

  r.endpoints[0].be_port = swap16(9090);  // the id now stands for another place
  const auto three = r.build(3, two.get());
  EXPECT_FALSE(three->still_holds(0, 0, 2));
  EXPECT_TRUE(three->still_holds(0, 1, 1));
  EXPECT_TRUE(three->still_holds(0, 0, 3));

  Rows without = r;
  without.services.erase(without.services.begin() + 1);  // the UDP service
  const auto four = without.build(4, three.get());
  EXPECT_FALSE(four->still_holds(1, 2, 3));
  EXPECT_TRUE(four->still_holds(0, 1, 1));
  const auto five = r.build(5, four.get());  // back again, but newborn
  EXPECT_FALSE(five->still_holds(1, 2, 3));
  EXPECT_TRUE(five->still_holds(1, 2, 5));
}

TEST(ServiceTable, HostileRowsAreRefusedWithAReason) {
  auto refused = [](auto spoil) {
    Rows r = three();
    spoil(r);
    std::string error;
    EXPECT_FALSE(r.build(1, nullptr, &error));
    EXPECT_FALSE(error.empty());
    return error;
  };
  refused([](Rows& r) { r.services[0].endpoint_count = 5; });
  refused([](Rows& r) { r.services[0].endpoint_first = 0xffffffff; });
  refused([](Rows& r) { r.services[0].endpoint_count = 0xffffffff; });
  refused([](Rows& r) { r.services[0].family = 5; });
  refused([](Rows& r) { r.services[0].protocol = 47; });
  refused([](Rows& r) { r.services[0].protocol = kProtocolIcmp6; });
  refused([](Rows& r) { r.services[0].be_port = 0; });
  refused([](Rows& r) { r.services[0].masquerade = 3; });
  refused([](Rows& r) { r.services[0].verdict = 3; });
  refused([](Rows& r) { r.services[0].id = kServiceMax; });
  refused([](Rows& r) { r.services[0].id = r.services[1].id; });
  refused([](Rows& r) { r.services[2] = r.services[0], r.services[2].id = 7; });
  refused([](Rows& r) { r.services[0].endpoint_count = 4; });  // takes an IPv6 one in
  refused([](Rows& r) { r.endpoints[0].id = kEndpointMax; });
  refused([](Rows& r) { r.endpoints[0].id = r.endpoints[1].id; });
  refused([](Rows& r) { r.endpoints[0].family = 0; });
  refused([](Rows& r) { r.endpoints[0].be_port = 0; });
  EXPECT_NE(refused([](Rows& r) { r.services[1].verdict = 9; }).find("row 1"), std::string::npos);
  std::string error;
  EXPECT_FALSE(three().build(0, nullptr, &error));
}

TEST(ServiceTable, NoneAtAllIsFine) {
  const auto t = Rows().build();
  ASSERT_TRUE(t);
  EXPECT_FALSE(t->find(key4("1.1.1.1", 1, "10.96.0.1", 80)));
  EXPECT_FALSE(t->is_virtual(0, 4, ip("10.96.0.1")));
  EXPECT_FALSE(t->still_holds(0, 0, 1));
}

TEST(ServiceTable, TenThousandServicesAreAllFound) {
  Rows r;
  for (uint32_t i = 0; i < 10000; ++i) {
    r.endpoint("10.1." + std::to_string(i / 250) + "." + std::to_string(i % 250), 8080);
    const std::string vip = "10.96." + std::to_string(i / 250) + "." + std::to_string(i % 250);
    ServiceRow s{};
    std::memcpy(s.address, ip(vip).bytes, 4);
    s.family = 4;
    s.protocol = kProtocolTcp;
    s.be_port = swap16(80);
    s.id = s.endpoint_first = i;
    s.endpoint_count = 1;
    r.services.push_back(s);
  }
  const auto t = r.build();
  for (uint32_t i = 0; i < 10000; ++i) {
    const std::string vip = "10.96." + std::to_string(i / 250) + "." + std::to_string(i % 250);
    const auto* s = t->find(key4("1.1.1.1", 1, vip, 80));
    ASSERT_TRUE(s) << vip;
    EXPECT_EQ(s->id, i);
    EXPECT_EQ(s->chosen(s->ring_size - 1).id, i);
  }
}

}  // namespace
}  // namespace nodeplane
