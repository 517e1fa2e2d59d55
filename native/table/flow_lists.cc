#include "table/flow_lists.h"

namespace nodeplane {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

}  // namespace

void FlowLists::link(uint32_t record, FlowState state) noexcept {
  FlowCold& c = cold_[record];
  c.list = number(c.zone, flow_class(state));
  List& l = lists_[c.list];
  c.next.store(kRecordNone, kRelaxed);
  c.back.store(l.last, kRelaxed);
  if (l.last == kRecordNone)
    l.first.store(record, kRelaxed);
  else
    cold_[l.last].next.store(record, kRelaxed);
  l.last = record;
  l.count.store(l.count.load(kRelaxed) + 1, kRelaxed);
}

void FlowLists::unlink(uint32_t record) noexcept {
  FlowCold& c = cold_[record];
  if (c.list == kFlowListNone) return;
  List& l = lists_[c.list];
  const uint32_t next = c.next.load(kRelaxed), back = c.back.load(kRelaxed);
  if (back == kRecordNone)
    l.first.store(next, kRelaxed);
  else
    cold_[back].next.store(next, kRelaxed);
  if (next == kRecordNone)
    l.last = back;
  else
    cold_[next].back.store(back, kRelaxed);
  l.count.store(l.count.load(kRelaxed) - 1, kRelaxed);
  c.list = kFlowListNone;
}

void FlowLists::move(uint32_t record, FlowState state) noexcept {
  const FlowCold& c = cold_[record];
  if (c.list == kFlowListNone || c.list == number(c.zone, flow_class(state))) return;
  unlink(record);
  link(record, state);
}

}  // namespace nodeplane
