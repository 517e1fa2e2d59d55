// The offsets that docs/flow_table.md tells (test/scripts/flow_table.test.ts compares the two). A change
// there is a change here, and of kFlowLayout.
#include <gtest/gtest.h>

#include <cstddef>

#include "support/flows.h"
#include "table/flow_index.h"

namespace nodeplane {
namespace {

#pragma GCC diagnostic ignored "-Winvalid-offsetof"

static_assert(offsetof(SideV4, key) == 0 && offsetof(SideV6, key) == 0);
static_assert(offsetof(SideV4, new_src) == 16 && offsetof(SideV6, new_src) == 40);
static_assert(offsetof(SideV4, new_dst) == 20 && offsetof(SideV6, new_dst) == 56);
static_assert(offsetof(SideV4, new_sport) == 24 && offsetof(SideV6, new_sport) == 72);
static_assert(offsetof(SideV4, new_dport) == 26 && offsetof(SideV6, new_dport) == 74);
static_assert(offsetof(SideV4, l3_delta) == 28);
static_assert(offsetof(SideV4, l4_delta) == 30 && offsetof(SideV6, l4_delta) == 78);
static_assert(offsetof(SideV4, next_hop) == 32 && offsetof(SideV6, next_hop) == 80);
static_assert(offsetof(SideV4, generation) == 36 && offsetof(SideV6, generation) == 84);
static_assert(offsetof(SideV4, last_seen) == 40 && offsetof(SideV6, last_seen) == 88);
static_assert(offsetof(SideV4, state) == 44 && offsetof(SideV6, state) == 92);
static_assert(offsetof(SideV4, tcp_flags) == 45 && offsetof(SideV6, tcp_flags) == 93);
static_assert(offsetof(SideV4, direction) == 46 && offsetof(SideV6, direction) == 94);
static_assert(offsetof(SideV4, source_changed) == 47 && offsetof(SideV6, source_changed) == 95);
static_assert(offsetof(SideV4, packets) == 48 && offsetof(SideV6, packets) == 96);
static_assert(offsetof(SideV4, bytes) == 56 && offsetof(SideV6, bytes) == 104);

static_assert(offsetof(FlowCold, state) == 0 && offsetof(FlowCold, hash) == 4);
static_assert(offsetof(FlowCold, hash[1]) == 8);
static_assert(offsetof(FlowCold, service) == 12 && offsetof(FlowCold, endpoint) == 16);
static_assert(offsetof(FlowCold, snat_grant) == 20);
static_assert(offsetof(FlowCold, zone) == 24 && offsetof(FlowCold, list) == 25);
static_assert(offsetof(FlowCold, snat) == 26 && offsetof(FlowCold, protocol) == 27);
static_assert(offsetof(FlowCold, owner) == 28 && offsetof(FlowCold, single) == 29);
static_assert(offsetof(FlowCold, timer_slot) == 30 && offsetof(FlowCold, timer_due) == 32);
static_assert(offsetof(FlowCold, check) == 36);
static_assert(offsetof(FlowCold, timer_next) == 40 && offsetof(FlowCold, timer_prev) == 44);
static_assert(offsetof(FlowCold, next) == 48 && offsetof(FlowCold, back) == 52);
static_assert(offsetof(FlowCold, notice_next) == 56 && offsetof(FlowCold, posted) == 60);
static_assert(offsetof(FlowCold, retired) == 61);

static_assert(offsetof(FlowBucket, tags) == 0 && offsetof(FlowBucket, control) == 20);
static_assert(offsetof(FlowBucket, entries) == 24);

// Where a file's sides lie is part of its layout: all originals, then all answers.
constexpr FlowSides kSides{1000};
static_assert(kSides.entry(0, 0) == 0 && kSides.entry(999, 0) == 999);
static_assert(kSides.entry(0, 1) == 1000 && kSides.entry(999, 1) == 1999);
static_assert(kSides.record(999) == 999 && kSides.direction(999) == 0);
static_assert(kSides.record(1000) == 0 && kSides.direction(1000) == 1);
static_assert(kSides.record(1999) == 999 && kSides.direction(1999) == 1);

// Index, cold lines and the reserve included; what workers have is spread over the connections too.
TEST(FlowLayout, AConnectionCostsWhatWasPromised) {
  for (const uint32_t capacity : {100'000u, 1'000'000u, 16'000'000u}) {
    Epochs epochs;
    const auto v4 = make_table<V4>(epochs, capacity, 2);
    const auto v6 = make_table<V6>(epochs, capacity, 2);
    ASSERT_TRUE(v4 && v6);  // reserved, not touched
    EXPECT_LE(static_cast<double>(v4->bytes()) / capacity, 220);
    EXPECT_LE(static_cast<double>(v6->bytes()) / capacity, 360);
  }
}

}  // namespace
}  // namespace nodeplane
