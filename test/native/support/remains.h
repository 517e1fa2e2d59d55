#pragma once
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "support/flows.h"
#include "table/port_pool.h"

namespace nodeplane {

// What a process leaves: the memory of records, shared with children.
template <class F>
class Remains {
 public:
  explicit Remains(uint32_t capacity) : capacity_(capacity) {
    base_ = mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(base_, MAP_FAILED);
  }
  Remains(const Remains& other) : Remains(other.capacity_) {
    std::memcpy(base_, other.base_, bytes());
  }
  ~Remains() { munmap(base_, bytes()); }
  Remains& operator=(const Remains&) = delete;

  uint8_t* base() const { return static_cast<uint8_t*>(base_); }
  size_t bytes() const {
    return size_t{capacity_} * (2 * sizeof(typename F::Side) + sizeof(FlowCold));
  }
  FlowRecords<F> records() const {
    auto* sides = static_cast<typename F::Side*>(base_);
    return {sides, reinterpret_cast<FlowCold*>(sides + 2 * size_t{capacity_}), capacity_};
  }
  // A table whose records lie here, as they are.
  std::unique_ptr<FlowTable<F>> table(Epochs& epochs, uint32_t workers = 1) const {
    return table(epochs, workers, capacity_);
  }
  std::unique_ptr<FlowTable<F>> table(Epochs& epochs, uint32_t workers, uint32_t capacity) const {
    std::string error;
    auto t = FlowTable<F>::create({capacity, workers, false, records()}, epochs, &error);
    EXPECT_NE(t, nullptr) << error;
    t->set_timers(test_timers());
    return t;
  }

 private:
  const uint32_t capacity_;
  void* base_;
};

// A new process over what is left: its table, with all of make_flow's ids known since generation 1.
template <class F>
struct Revived {
  static constexpr uint32_t kIds = 4096, kGeneration = 9;
  explicit Revived(const Remains<F>& remains, Time now = kTestStart, uint32_t workers = 1)
      : Revived(remains, now, workers, remains.records().capacity) {}
  Revived(const Remains<F>& remains, Time now, uint32_t workers, uint32_t capacity)
      : born(kIds, 1),
        ports(workers, 1024, 60000),
        table(remains.table(epochs, workers, capacity)) {
    restore(now);
  }
  Revived(const Remains<F>& remains, HashKind kind, HashSeed seed)
      : born(kIds, 1), ports(1, 1024, 60000), table(remains.table(epochs)) {
    from.hash = kind;
    from.seed = seed;
    restore(kTestStart);
  }
  Revived(const Remains<F>& remains, Time now, std::vector<uint32_t> known)
      : born(std::move(known)), ports(1, 1024, 60000), table(remains.table(epochs)) {
    restore(now);
  }

  Epochs epochs;
  std::vector<uint32_t> born;
  PortPool ports;
  std::unique_ptr<FlowTable<F>> table;
  FlowRestored counts;
  FlowRestore from = {HashKind::kSip13, kTestSeed};

  // Rows by original client address and port.
  std::map<std::pair<std::string, uint16_t>, FlowRow> rows(Time now = kTestStart) const {
    std::map<std::pair<std::string, uint16_t>, FlowRow> all;
    FlowRow some[64];
    for (uint32_t cursor = 0; cursor != ~0u;) {
      const uint32_t n = table->dump(&cursor, some, 64, now);
      for (uint32_t i = 0; i < n; ++i) {
        const auto* source = reinterpret_cast<const char*>(some[i].original_source);
        all[{std::string(source, 16), some[i].original_source_port}] = some[i];
      }
    }
    return all;
  }

 private:
  void restore(Time now) {
    from.service_born = from.endpoint_born = born.data();
    from.service_count = from.endpoint_count = static_cast<uint32_t>(born.size());
    from.generation = kGeneration;
    from.ports = &ports;
    from.now = now;
    counts = table->restore(from);
  }
};

// Every live record is one that make_flow makes, in all that never changes, and is found by both keys.
template <class F>
void expect_whole(const Revived<F>& revived, const Remains<F>& remains) {
  const auto records = remains.records();
  uint32_t live = 0;
  for (uint32_t r = 0; r < records.capacity; ++r) {
    const FlowCold& c = records.cold[r];
    if (c.state.load() == static_cast<uint32_t>(FlowState::kNone)) continue;
    ++live;
    const typename F::Side* const s[2] = {&records.side(r, 0), &records.side(r, 1)};
    const auto& key = s[0]->key;
    const auto from = key_src(key);
    uint32_t be;
    std::memcpy(&be, from.bytes + (F::kFamily == 4 ? 0 : 12), 4);
    const uint32_t client = swap32(be) & 0xffffff;
    const uint32_t n = (client - 1) * 60000 + swap16(key.sport) - 1024;
    const auto f = make_flow<F>(n, key.protocol, c.endpoint - 100);
    ASSERT_EQ(s[0]->key, f.original);
    ASSERT_EQ(s[1]->key, f.reply);
    ASSERT_EQ(c.service, f.service);
    ASSERT_EQ(c.protocol, f.original.protocol);
    ASSERT_EQ(s[0]->direction, 0);
    ASSERT_EQ(s[1]->direction, 1);
    for (uint32_t d = 0; d < 2; ++d) {
      ASSERT_EQ(std::memcmp(&s[d]->new_src, &s[d ^ 1]->key.dst, sizeof s[d]->new_src), 0);
      ASSERT_EQ(std::memcmp(&s[d]->new_dst, &s[d ^ 1]->key.src, sizeof s[d]->new_dst), 0);
      ASSERT_EQ(s[d]->new_sport, s[d ^ 1]->key.dport);
      ASSERT_EQ(s[d]->new_dport, s[d ^ 1]->key.sport);
      const FlowRef found = revived.table->find(s[d]->key, hash_of(s[d]->key));
      ASSERT_EQ(found.record, r);
      ASSERT_EQ(found.direction, d);
      ASSERT_EQ(s[d]->generation.load(), Revived<F>::kGeneration);
      ASSERT_EQ(s[d]->next_hop.load(), kNextHopNone);
    }
  }
  ASSERT_EQ(live, revived.counts.recovered);
  ASSERT_EQ(live, revived.table->live());
}

}  // namespace nodeplane
