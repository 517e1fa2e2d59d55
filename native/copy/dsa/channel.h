#pragma once
#include <atomic>

#include "copy/counts.h"
#include "copy/dsa/engine.h"

namespace nodeplane::dsa {

// Memory that the device reads and writes: present from the start, so that it never faults on it.
class SlotMemory {
 public:
  SlotMemory(uint32_t slots, uint32_t list);  // list: descriptors of a batch
  ~SlotMemory();
  SlotMemory(SlotMemory&& other) noexcept;
  SlotMemory& operator=(SlotMemory&&) = delete;
  bool ok() const noexcept { return base_ != nullptr; }
  Record* record(uint32_t slot) const noexcept;     // in a cache line of its own
  Descriptor* front(uint32_t slot) const noexcept;  // goes through the portal
  Descriptor* list(uint32_t slot) const noexcept;

 private:
  size_t stride_, bytes_;
  uint8_t* base_;
};

// What channels of one engine share.
struct Common {
  virtual ~Common() = default;
  // A channel ends: its share of the queue is free again. `abandoned`, unless null, is memory that
  // a dead device may still write to.
  virtual void leave(size_t queue, uint32_t slots, SlotMemory* abandoned) noexcept = 0;
  EngineOptions options;
  CopyLedger ledger;
  // A device that stopped answering is used no more, by nobody.
  std::atomic<bool> dead{false};
};

// One stream of copies over one queue. A slot is a batch, or a single descriptor, in flight; slots
// are used in a circle, so the oldest one says what is finished.
class Channel final : public CopyChannel {
 public:
  Channel(Common& common, size_t queue, const QueueLimits& limits, Portal* portal, uint32_t slots,
          SlotMemory memory);
  ~Channel() override;
  uint64_t submit(const Copy* copies, uint32_t count) noexcept override;
  uint64_t poll() noexcept override;
  void drain() noexcept override;

 private:
  struct Slot {
    Record* record;
    Descriptor* front;
    Descriptor* list;
    uint64_t first;  // number of the first copy in it
    uint32_t count;  // descriptors
  };
  struct Filled {
    uint64_t bytes;
    uint32_t end;    // the first copy that is not in the list
    uint32_t small;  // copies that were too small for it
  };
  Filled fill(Slot& slot, const Copy* copies, uint32_t i, uint32_t count) noexcept;
  Descriptor* split(const Copy& c, Descriptor* d, const Descriptor* end) noexcept;
  bool launch(Slot& slot) noexcept;
  void repair(const Slot& slot) noexcept;
  void redo(const Slot& slot) noexcept;
  void give_up() noexcept;
  bool is_silent() noexcept;

  Common& common_;
  CopyCounts* counts_;
  const size_t queue_;
  Portal* const portal_;
  const uint32_t bytes_min_, batch_min_;
  const uint32_t list_max_;
  const uint64_t transfer_max_;
  const uint32_t tries_;
  SlotMemory memory_;
  std::vector<Slot> slots_;
  uint32_t next_ = 0, oldest_ = 0, in_flight_ = 0;
  uint64_t submitted_ = 0;
  uint32_t offset_ = 0;     // of the copy being split
  uint32_t fruitless_ = 0;  // polls
  Time silent_since_ = 0;
  bool abandoned_ = false;
};

}  // namespace nodeplane::dsa
