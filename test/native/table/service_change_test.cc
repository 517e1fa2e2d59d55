#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <thread>

#include "base/epoch.h"
#include "support/services.h"

// A table that was changed answers as one that was built whole, for everything there is to ask.
namespace nodeplane {
namespace {

using test::Rows;

// What a random life wishes for: services by id, each with its endpoints; some have an echo.
struct Wished {
  ServiceRow row;
  std::vector<EndpointRow> endpoints;
  bool has_echo;
};
constexpr uint32_t kEchoBase = 1000;  // ids of echoes

IpAddress address_of(uint8_t family, uint8_t net, uint32_t n) {
  IpAddress a{};
  a.bytes[0] = net;
  a.bytes[family == 4 ? 3 : 15] = static_cast<uint8_t>(n);
  return a;
}

class Town {
 public:
  explicit Town(uint32_t seed) : random_(seed) {}
  uint32_t pick(uint32_t n) { return static_cast<uint32_t>(random_() % n); }

  Wished service(uint32_t id) {
    Wished w{};
    const uint8_t family = id % 3 == 0 ? 6 : 4;
    std::memcpy(w.row.address, address_of(family, 96, id / 4 + 1).bytes, 16);
    w.row.seed = id * 77 + pick(2);
    w.row.id = id;
    w.row.be_port = swap16(static_cast<uint16_t>(80 + id + 100 * pick(2)));
    w.row.family = family;
    w.row.protocol = kProtocolTcp;
    w.row.verdict = static_cast<uint8_t>(pick(3));
    w.row.network = static_cast<uint16_t>(id % 2);
    w.has_echo = id % 4 == 0;
    const uint32_t count = pick(10) == 0 ? 300 : pick(8);
    for (uint32_t i = 0; i < count; ++i) {
      EndpointRow e{};
      e.family = family;
      e.id = id * 400 + i;
      std::memcpy(e.address, address_of(family, 10, pick(30) + (i << 8)).bytes, 16);
      e.address[1] = static_cast<uint8_t>(i >> 8);
      e.address[2] = static_cast<uint8_t>(i);
      e.be_port = swap16(8080);
      e.weight = static_cast<uint16_t>(1 + pick(2));
      e.flags = pick(4) != 0;
      w.endpoints.push_back(e);
    }
    return w;
  }

 private:
  std::mt19937 random_;
};

void put(Rows& rows, const Wished& w) {
  ServiceRow row = w.row;
  row.endpoint_first = static_cast<uint32_t>(rows.endpoints.size());
  row.endpoint_count = static_cast<uint32_t>(w.endpoints.size());
  rows.endpoints.insert(rows.endpoints.end(), w.endpoints.begin(), w.endpoints.end());
  rows.services.push_back(row);
  if (!w.has_echo) return;
  row.id += kEchoBase;
  row.be_port = 0;
  row.protocol = row.family == 4 ? kProtocolIcmp : kProtocolIcmp6;
  rows.services.push_back(row);
}

template <class Key>
void set_key(Key& key, const ServiceEntry& s) {
  std::memcpy(&key.dst, s.address.bytes, sizeof key.dst);
  key.dport = s.be_port;
  key.network = s.network;
  key.protocol = s.protocol;
}
const ServiceEntry* find(const ServiceTable& t, const ServiceEntry& s) {
  KeyV4 v4{};
  KeyV6 v6{};
  if (s.family == 4) {
    set_key(v4, s);
    return t.find(v4);
  }
  set_key(v6, s);
  return t.find(v6);
}

void expect_equal(const ServiceTable& a, const ServiceTable& b, uint32_t generation) {
  EXPECT_EQ(a.service_count(), b.service_count());
  EXPECT_EQ(a.endpoint_count(), b.endpoint_count());
  for (uint32_t id = 0; id < 2 * kEchoBase; ++id) {
    const ServiceEntry *x = a.service(id), *y = b.service(id);
    ASSERT_EQ(x == nullptr, y == nullptr) << id;
    if (x == nullptr) continue;
    ASSERT_EQ(x->born, y->born) << id;
    ASSERT_EQ(x->ring_size, y->ring_size);
    ASSERT_EQ(x->endpoint_count, y->endpoint_count);
    EXPECT_EQ(x->verdict, y->verdict);
    ASSERT_EQ(find(a, *y), x);
    ASSERT_EQ(find(b, *x), y);
    for (uint32_t i = 0; i < x->ring_size; ++i) ASSERT_EQ(x->chosen(i).id, y->chosen(i).id);
    for (uint32_t i = 0; i < x->endpoint_count; ++i) {
      const EndpointEntry &e = x->set->endpoints()[i], &f = y->set->endpoints()[i];
      ASSERT_TRUE(e.same_place(f) && e.id == f.id && e.weight == f.weight && e.flags == f.flags);
    }
  }
  for (uint32_t id = 0; id < 30 * 400; ++id)
    for (uint32_t stamp = generation; stamp + 3 > generation && stamp > 0; --stamp)
      ASSERT_EQ(a.still_holds(id / 400, id, stamp), b.still_holds(id / 400, id, stamp)) << id;
  for (const uint8_t family : {uint8_t{4}, uint8_t{6}})
    for (uint16_t network = 0; network < 2; ++network)
      for (uint32_t n = 0; n < 256; ++n) {
        const IpAddress v = address_of(family, 96, n), e = address_of(family, 10, n);
        ASSERT_EQ(a.is_virtual(network, family, v), b.is_virtual(network, family, v));
        ASSERT_EQ(a.is_endpoint(network, family, e), b.is_endpoint(network, family, e));
      }
}

// What flows may be made of, and when.
struct Made {
  uint32_t service, endpoint, stamp;
  uint8_t family;
  IpAddress at, to;
};
void make_all(const ServiceTable& t, uint32_t generation, std::vector<Made>& all) {
  for (uint32_t id = 0; id < t.service_end(); ++id) {
    const ServiceEntry* s = t.service(id);
    for (uint32_t i = 0; s != nullptr && i < s->endpoint_count; i += 1 + i / 8) {
      const EndpointEntry& e = s->set->endpoints()[i];
      all.push_back({id, e.id, generation, s->family, s->address, e.address});
    }
  }
}

// Whatever does not hold any more does not stand either, by its addresses; most of the rest does.
TEST(ServiceTable, WhatStandsHolds) {
  Town town(11);
  Rows none;
  auto table = none.build(1);
  std::vector<Made> all;
  std::map<uint32_t, Wished> wished;
  uint32_t held = 0, stood = 0;
  for (uint32_t generation = 2; generation < 60; ++generation) {
    Rows change;
    const uint32_t id = town.pick(30);
    const ServiceEntry* was = table->service(id);
    if (was != nullptr && town.pick(3) == 0) {
      change.removed.push_back({id});
      // The endpoints stay the echo's, now and then.
      const bool has_echo = table->service(id + kEchoBase) != nullptr;
      if (has_echo && town.pick(2) == 0) change.removed.push_back({id + kEchoBase});
    } else {
      Wished now = town.service(id);
      if (town.pick(2) == 0)
        now.endpoints = wished[id].endpoints;  // its place changes, if anything
      put(change, wished[id] = now);
    }
    auto next = change.change(generation, *table);
    table = std::move(next);
    for (const Made& m : all) {
      const bool holds = table->still_holds(m.service, m.endpoint, m.stamp);
      const bool stands = table->stands(m.family, m.at.bytes, m.stamp) &&
                          table->stands(m.family, m.to.bytes, m.stamp);
      ASSERT_TRUE(holds || !stands) << m.service << " " << m.endpoint << " " << m.stamp;
      if (m.stamp + 1 != generation) continue;
      held += holds;
      stood += stands;
    }
    make_all(*table, generation, all);
  }
  EXPECT_GT(held, 1000u);
  EXPECT_GT(stood, held / 2);
}

class ServiceChange : public testing::TestWithParam<uint32_t> {};

TEST_P(ServiceChange, EqualsTheWholeTable) {
  Town town(GetParam());
  std::map<uint32_t, Wished> wished;
  auto changed = Rows().build(1);
  auto whole = Rows().build(1);
  for (uint32_t generation = 2; generation < 40; ++generation) {
    Rows change, all;
    for (uint32_t n = town.pick(6); n > 0; --n) {
      const uint32_t id = town.pick(30);
      const bool told = std::any_of(change.services.begin(), change.services.end(),
                                    [&](const ServiceRow& r) { return r.id == id; }) ||
                        std::any_of(change.removed.begin(), change.removed.end(),
                                    [&](const RemovedServiceRow& r) { return r.id == id; });
      if (told) continue;
      if (wished.count(id) != 0 && town.pick(3) == 0) {
        change.removed.push_back({id});
        if (wished[id].has_echo) change.removed.push_back({id + kEchoBase});
        wished.erase(id);
        continue;
      }
      wished[id] = town.service(id);
      put(change, wished[id]);
    }
    for (const auto& [id, w] : wished) put(all, w);
    auto next = change.change(generation, *changed);
    ASSERT_TRUE(next);
    changed = std::move(next);
    whole = all.build(generation, whole.get());
    ASSERT_NO_FATAL_FAILURE(expect_equal(*changed, *whole, generation)) << generation;
  }
}
INSTANTIATE_TEST_SUITE_P(Lives, ServiceChange, testing::Range(1u, 9u));

// Many come and go in one index, so that lines fill up, run over and empty again.
TEST(CowIndex, AnswersAsAMapThroughGenerations) {
  std::mt19937 random(5);
  std::vector<uint64_t> hash(4000);
  for (auto& h : hash) h = (random() & 0xf) | uint64_t{random() & 7} << 32 | (random() & 0x3f) << 4;
  std::set<uint32_t> in;
  auto index = std::make_unique<CowIndex>();
  const auto hash_of = [&](uint32_t row) { return hash[row]; };
  for (int round = 0; round < 60; ++round) {
    auto next = std::make_unique<CowIndex>(*index);
    for (int n = 0; n < 200; ++n) {
      const uint32_t row = static_cast<uint32_t>(random() % hash.size());
      if (in.erase(row) != 0) {
        next->remove(hash[row], row, hash_of);
      } else if (in.size() < 600 || round % 20 < 10) {
        in.insert(row);
        next->add(hash[row], row, hash_of);
      }
    }
    if (round % 7 != 3) {
      next->commit(*index);
      index = std::move(next);
    } else {  // refused: as if it had never been
      std::set<uint32_t> seen;
      for (uint32_t row = 0; row < hash.size(); ++row)
        if (index->find(hash[row], [&](uint32_t r) { return r == row; }) == row) seen.insert(row);
      in = seen;
    }
    for (uint32_t row = 0; row < hash.size(); ++row) {
      const uint32_t found = index->find(hash[row], [&](uint32_t r) { return r == row; });
      ASSERT_EQ(found == row, in.count(row) != 0) << round;
    }
  }
}

TEST(ServiceTable, ARefusedChangeLeavesNoTrace) {
  Rows rows;
  for (uint32_t i = 0; i < 3; ++i) {
    rows.endpoint("10.1.0.1" + std::to_string(i), 80);
    rows.service("10.96.0.1" + std::to_string(i), 80);
  }
  const auto table = rows.build(1);
  const auto refused = [&](auto spoil) {
    Rows change;
    change.endpoint("10.1.0.20", 80).id = 7;
    change.service("10.96.0.20", 80).id = 7;
    spoil(change);
    std::string error;
    EXPECT_FALSE(change.change(2, *table, &error));
    EXPECT_FALSE(error.empty());
    for (uint32_t id = 0; id < 3; ++id) EXPECT_TRUE(table->still_holds(id, id, 1));
    EXPECT_EQ(table->service_count(), 3u);
  };
  refused([](Rows& r) { r.removed.push_back({9}); });
  refused([](Rows& r) { r.removed = {{1}, {1}}; });
  refused([](Rows& r) { r.endpoints[0].id = 1; });  // another service's
  refused([](Rows& r) { r.services.push_back(r.services[0]); });
  refused([](Rows& r) {
    r.services[0].address[3] = 11;
    r.removed.push_back({0});
  });
  refused([](Rows& r) { r.endpoints[0].family = 6; });
  refused([](Rows& r) { r.services[0].endpoint_count = 2; });
}

TEST(ServiceTable, AnEchoMayMoveToAnotherService) {
  Rows rows;
  rows.endpoint("10.1.0.1", 80);
  rows.service("10.96.0.1", 80);
  ServiceRow echo = rows.services[0];
  echo.id = 1;
  echo.be_port = 0;
  echo.protocol = kProtocolIcmp;
  rows.services.push_back(echo);
  const auto one = rows.build(1);
  Rows lower;
  lower.endpoint("10.1.0.2", 70).id = 1;
  lower.service("10.96.0.1", 70).id = 2;
  echo = lower.services[0];
  echo.id = 1;
  echo.be_port = 0;
  echo.protocol = kProtocolIcmp;
  lower.services.push_back(echo);
  const auto two = lower.change(2, *one);
  EXPECT_EQ(two->service(1)->set, two->service(2)->set);
  EXPECT_TRUE(two->still_holds(0, 0, 1));  // its set is still the first service's
  EXPECT_TRUE(two->still_holds(1, 1, 2));
  EXPECT_FALSE(two->still_holds(1, 1, 1));
  Rows back = rows;
  back.removed = {{2}};
  const auto three = back.change(3, *two);
  EXPECT_TRUE(three->still_holds(0, 0, 1));
  EXPECT_EQ(three->service(0)->set, three->service(1)->set);
  EXPECT_FALSE(three->is_endpoint(0, 4, test::ip("10.1.0.2")));
}

// A reader walks the table between quiescent points while control publishes change after change.
TEST(ServiceTableConcurrent, AReaderSeesWholeGenerations) {
  constexpr uint32_t kServices = 40, kRounds = 400;
  Epochs epochs;
  Town town(3);
  Rows rows;
  std::vector<Wished> wished;
  for (uint32_t id = 0; id < kServices; ++id) {
    wished.push_back(town.service(id));
    put(rows, wished.back());
  }
  std::vector<std::pair<std::unique_ptr<ServiceTable>, uint64_t>> retired;
  auto table = rows.build(1);
  std::atomic<const ServiceTable*> root{table.get()};
  std::atomic<bool> stop{false};
  uint64_t seen = 0;
  std::thread reader([&] {
    while (!stop.load(std::memory_order_relaxed)) {
      epochs.quiescent(0);
      const ServiceTable* t = root.load(std::memory_order_seq_cst);
      for (const Wished& w : wished) {
        const ServiceEntry* s = t->service(w.row.id);
        ASSERT_NE(s, nullptr);
        ASSERT_EQ(find(*t, *s), s);
        if (s->ring_size == 0) continue;
        const EndpointEntry& e = s->chosen(static_cast<uint32_t>(seen++ % s->ring_size));
        ASSERT_TRUE(t->still_holds(s->id, e.id, 1u << 30));
        ASSERT_TRUE(t->is_endpoint(s->network, s->family, e.address));
      }
    }
    epochs.offline(0);
  });
  for (uint32_t generation = 2; generation < kRounds; ++generation) {
    Rows change;
    put(change, town.service(town.pick(kServices)));
    auto next = change.change(generation, *table);
    root.store(next.get(), std::memory_order_seq_cst);
    retired.emplace_back(std::move(table), epochs.retire());
    table = std::move(next);
    const uint64_t safe = epochs.safe();
    std::erase_if(retired, [&](const auto& r) { return r.second < safe; });
  }
  stop.store(true);
  reader.join();
  EXPECT_GT(seen, 0u);
}

}  // namespace
}  // namespace nodeplane
