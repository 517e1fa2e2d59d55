// What ports that share their interface are told after a change, against all of it told again.
#include "control/take.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "support/services.h"

namespace nodeplane {
namespace {

using test::Rows;

struct Less {
  bool operator()(const TakeRow& a, const TakeRow& b) const {
    return std::memcmp(&a, &b, sizeof a) < 0;
  }
};
using Counted = std::map<TakeRow, int, Less>;

void count(Counted& counted, const std::vector<TakeRow>& rows, int by) {
  for (const TakeRow& row : rows)
    if ((counted[row] += by) == 0) counted.erase(row);
}

std::string address(uint32_t i) { return "10.96.0." + std::to_string(i); }

// The services of a wish, by id: each with endpoints of its own ids, some of them at shared places.
using Wish = std::map<uint32_t, std::pair<uint32_t, uint32_t>>;  // id -> address, endpoints
Rows rows_of(const Wish& wish) {
  Rows rows;
  for (const auto& [id, what] : wish) {
    for (uint32_t e = 0; e < what.second; ++e)
      rows.endpoint("10.1.0." + std::to_string((id + e) % 5 + 1), 8080).id = id * 8 + e;
    rows.service(address(what.first), static_cast<uint16_t>(80 + id)).id = id;
  }
  return rows;
}

struct Node {
  PortPool ports{1, 1024, 2047};
  Tables tables;

  explicit Node(const Rows& rows) {
    tables.services = rows.build();
    tables.service.own = {{test::ip(address(3)), 0, 4}};
    tables.snat_sources.by_port[1][0] = ports.source(4, test::ip("192.0.2.1"));
  }
  std::vector<TakeRow> all() const { return take_all(tables, ports, {1024, 2047}); }
};

TEST(Take, EverythingThatIsOurs) {
  const Node node(rows_of({{0, {1, 2}}, {1, {3, 0}}}));
  Counted got;
  count(got, node.all(), 1);
  EXPECT_EQ(got.size(), 2u + 2u + 1u + 4u)
      << "a service and its address, endpoints, one at the node's own address, SNAT";
}

TEST(Take, AChangeTellsWhatDiffers) {
  std::mt19937 random(7);
  Wish wish;
  for (uint32_t id = 0; id < 200; ++id) wish[id] = {id, random() % 4};
  Node node(rows_of(wish));
  Counted taken;
  count(taken, node.all(), 1);
  for (uint32_t generation = 2; generation < 60; ++generation) {
    Wish come, gone;
    for (uint32_t k = 0; k < 4; ++k) {
      const uint32_t id = random() % 200;
      if (random() % 3 == 0 && wish.count(id) != 0)
        gone[id] = {};
      else
        come[id] = {random() % 4 == 0 ? 200 + id % 50 : id, random() % 4};
    }
    Rows rows = rows_of(come);
    for (const auto& [id, what] : gone) {
      rows.removed.push_back({id});
      if (come.count(id) == 0) wish.erase(id);
    }
    for (const auto& [id, what] : come) wish[id] = what;
    TableSet set{};
    set.base_generation = generation - 1;
    set.services = rows.services.data();
    set.removed_services = rows.removed.data();
    set.count[static_cast<uint32_t>(Section::kServices)] =
        static_cast<uint32_t>(rows.services.size());
    set.count[static_cast<uint32_t>(Section::kRemovedServices)] =
        static_cast<uint32_t>(rows.removed.size());
    Tables next = node.tables;
    next.services = rows.change(generation, *node.tables.services);
    const TakeRows told = take_difference(set, node.tables, next);
    EXPECT_LE(told.come.size() + told.gone.size(), 8u * 5u) << "in proportion to the change";
    count(taken, told.come, 1);
    count(taken, told.gone, -1);
    node.tables = next;
    Counted all;
    count(all, node.all(), 1);
    ASSERT_TRUE(std::equal(taken.begin(), taken.end(), all.begin(), all.end(),
                           [](const auto& a, const auto& b) {
                             return a.second == b.second && !Less()(a.first, b.first) &&
                                    !Less()(b.first, a.first);
                           }))
        << "generation " << generation;
  }
}

}  // namespace
}  // namespace nodeplane
