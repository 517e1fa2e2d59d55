#pragma once
#include <atomic>
#include <cstdint>

#include "table/flow_record.h"
#include "table/flow_state.h"

namespace nodeplane {

// One worker's connections by zone and class, oldest first: where eviction looks. Only the owner
// writes; others may walk (first, next), and judge a record by its state before they read more.
class FlowLists {
 public:
  void attach(FlowCold* cold) noexcept { cold_ = cold; }
  static constexpr uint8_t number(uint32_t zone, FlowClass c) noexcept {
    return static_cast<uint8_t>(zone * kFlowClassCount + static_cast<uint32_t>(c));
  }
  // At the end of the list that its zone and this state belong to.
  void link(uint32_t record, FlowState state) noexcept;
  void unlink(uint32_t record) noexcept;
  // To the list of this state, unless it is there.
  void move(uint32_t record, FlowState state) noexcept;
  uint32_t first(uint8_t list) const noexcept {
    return lists_[list].first.load(std::memory_order_relaxed);
  }
  uint32_t count(uint8_t list) const noexcept {
    return lists_[list].count.load(std::memory_order_relaxed);
  }

 private:
  struct List {
    std::atomic<uint32_t> first{kRecordNone};
    uint32_t last = kRecordNone;
    std::atomic<uint32_t> count{0};
  };
  FlowCold* cold_ = nullptr;
  List lists_[kZoneMax * kFlowClassCount];
};

}  // namespace nodeplane
