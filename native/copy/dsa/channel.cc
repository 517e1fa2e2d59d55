#include "copy/dsa/channel.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/cpu.h"
#include "base/memory.h"
#include "base/thread.h"
#include "copy/copy_bytes.h"

namespace nodeplane::dsa {
namespace {

constexpr uint32_t kLine = 64;
constexpr uint32_t kEnqueueTries = 4;            // a shared queue is asked so often
constexpr uint32_t kPollsBeforeClock = 1 << 14;  // fruitless polls between two looks at it
constexpr uint32_t kSpinsDrain = 1 << 12;        // before drain gives the core away

template <class T>
uint64_t address(T* p) noexcept {
  return reinterpret_cast<uint64_t>(p);
}
uint8_t* pointer(uint64_t a) noexcept { return reinterpret_cast<uint8_t*>(a); }

void copy(const Descriptor& d) noexcept { copy_bytes(pointer(d.to), pointer(d.from), d.size); }

}  // namespace

SlotMemory::SlotMemory(uint32_t slots, uint32_t list)
    : stride_((2 + size_t{list}) * kLine),
      bytes_(std::max<size_t>(slots, 1) * stride_),
      base_(static_cast<uint8_t*>(memory_map(bytes_, true, nullptr))) {
  if (base_ != nullptr) std::memset(base_, 0, bytes_);
}
SlotMemory::~SlotMemory() {
  if (base_ != nullptr) memory_unmap(base_, bytes_);
}
SlotMemory::SlotMemory(SlotMemory&& other) noexcept
    : stride_(other.stride_), bytes_(other.bytes_), base_(std::exchange(other.base_, nullptr)) {}
Record* SlotMemory::record(uint32_t slot) const noexcept {
  return reinterpret_cast<Record*>(base_ + slot * stride_);
}
Descriptor* SlotMemory::front(uint32_t slot) const noexcept {
  return reinterpret_cast<Descriptor*>(base_ + slot * stride_ + kLine);
}
Descriptor* SlotMemory::list(uint32_t slot) const noexcept { return front(slot) + 1; }

// What never changes in a descriptor is written here, once: a copy then costs three stores.
Channel::Channel(Common& common, size_t queue, const QueueLimits& limits, Portal* portal,
                 uint32_t slots, SlotMemory memory)
    : common_(common),
      counts_(common.ledger.open()),
      queue_(queue),
      portal_(portal),
      bytes_min_(std::max(common.options.bytes_min, 1u)),
      batch_min_(std::max(common.options.batch_min, 1u)),
      list_max_(limits.batch_max < kBatchMin ? 1 : std::min(limits.batch_max, kListMax)),
      transfer_max_(limits.transfer_max),
      tries_(limits.shared ? kEnqueueTries : 1),
      memory_(std::move(memory)) {
  const uint32_t flags = kToCache | (limits.block_on_fault ? kBlockOnFault : 0);
  for (uint32_t i = 0; i < slots; ++i) {
    Slot slot{memory_.record(i), memory_.front(i), memory_.list(i), 0, 0};
    slot.front->record = address(slot.record);
    // Errors inside a batch are told by the batch's record.
    for (uint32_t k = 0; k < list_max_; ++k)
      slot.list[k].operation = operation(Opcode::kMemmove, flags);
    slots_.push_back(slot);
  }
}

Channel::~Channel() {
  drain();
  common_.leave(queue_, static_cast<uint32_t>(slots_.size()), abandoned_ ? &memory_ : nullptr);
  common_.ledger.close(counts_);
}

uint64_t Channel::submit(const Copy* copies, uint32_t count) noexcept {
  const bool alive = !common_.dead.load(std::memory_order_relaxed);
  uint64_t bytes = 0;
  uint32_t by_cpu = 0, full = 0, handed = 0;
  for (uint32_t i = 0; i < count;) {
    const Copy& c = copies[i];
    if (c.bytes < bytes_min_ || !alive || in_flight_ == slots_.size()) {
      copy_bytes(static_cast<uint8_t*>(c.to) + offset_,
                 static_cast<const uint8_t*>(c.from) + offset_, c.bytes - offset_);
      offset_ = 0;
      bytes += c.bytes;
      full += c.bytes >= bytes_min_ && alive;
      ++by_cpu;
      ++i;
      continue;
    }
    Slot& slot = slots_[next_];
    slot.first = submitted_ + i;
    const Filled filled = fill(slot, copies, i, count);
    const uint32_t large = filled.end - i - filled.small;
    i = filled.end;
    bytes += filled.bytes;
    by_cpu += filled.small;
    const bool worth = handed + slot.count >= batch_min_;
    if (worth && launch(slot)) {
      handed += slot.count;
      next_ = next_ + 1 == slots_.size() ? 0 : next_ + 1;
      ++in_flight_;
    } else {
      redo(slot);
      by_cpu += large;
      full += worth ? large : 0;
    }
  }
  counts_->add(CopyCount::kCopies, count);
  counts_->add(CopyCount::kBytes, bytes);
  if (by_cpu != 0) counts_->add(CopyCount::kByCpu, by_cpu);
  if (full != 0) counts_->add(CopyCount::kFull, full);
  return submitted_ += count;
}

// Fills the slot's list from copies[i] on; small ones are copied here and now. A plain copy costs
// three loads and three stores (atomic ones, so that no compiler makes one wide load of what the
// caller has just stored in parts, which would wait for the store buffer).
Channel::Filled Channel::fill(Slot& slot, const Copy* copies, uint32_t i, uint32_t count) noexcept {
  const uint64_t bytes_min = bytes_min_;
  const uint64_t plain = transfer_max_ < bytes_min ? 0 : transfer_max_ - bytes_min + 1;
  const Copy* c = copies + i;
  const Copy* const last = copies + count;
  Descriptor* d = slot.list;
  Descriptor* const end = d + list_max_;
  uint64_t bytes = 0;
  uint32_t small = 0;
  for (;;) {
    const Copy* const stop = c + std::min(last - c, end - d);
    for (; c != stop && uint64_t{c->bytes} - bytes_min < plain; ++c, ++d) {
      __atomic_store_n(&d->from, address(c->from), __ATOMIC_RELAXED);
      __atomic_store_n(&d->to, address(c->to), __ATOMIC_RELAXED);
      d->size = c->bytes;
      bytes += c->bytes;
    }
    if (c == stop) break;
    if (c->bytes < bytes_min) {
      copy_bytes(c->to, c->from, c->bytes);
      ++small;
    } else {
      d = split(*c, d, end);
      if (offset_ != 0) break;
    }
    bytes += c->bytes;
    ++c;
  }
  slot.count = static_cast<uint32_t>(d - slot.list);
  return {bytes, static_cast<uint32_t>(c - copies), small};
}

// Descriptors of transfer_max bytes each, from offset_ on; offset_ is 0 again when all have room.
Descriptor* Channel::split(const Copy& c, Descriptor* d, const Descriptor* end) noexcept {
  for (; d != end && offset_ < c.bytes; ++d) {
    const auto n = static_cast<uint32_t>(std::min<uint64_t>(c.bytes - offset_, transfer_max_));
    d->from = address(c.from) + offset_;
    d->to = address(c.to) + offset_;
    d->size = n;
    offset_ += n;
  }
  if (offset_ == c.bytes) offset_ = 0;
  return d;
}

bool Channel::launch(Slot& slot) noexcept {
  Descriptor& front = *slot.front;
  const Descriptor& only = slot.list[0];
  if (slot.count < kBatchMin) {
    front.operation = only.operation | kRecordValid | kRecordAlways;
    front.from = only.from;
    front.to = only.to;
    front.size = only.size;
  } else {
    front.operation = operation(Opcode::kBatch, kRecordValid | kRecordAlways);
    front.from = address(slot.list);
    front.to = 0;
    front.size = slot.count;
  }
  __atomic_store_n(&slot.record->status, kPending, __ATOMIC_RELAXED);
  for (uint32_t i = 0; i < tries_; ++i) {
    if (portal_->submit(front)) return true;
    counts_->add(CopyCount::kRetries);
  }
  return false;
}

uint64_t Channel::poll() noexcept {
  while (in_flight_ != 0) {
    const Slot& slot = slots_[oldest_];
    const uint8_t status = __atomic_load_n(&slot.record->status, __ATOMIC_ACQUIRE);
    if (status == kPending) {
      if (++fruitless_ < kPollsBeforeClock || !is_silent()) return slot.first;
      give_up();
      break;
    }
    if (status != kSuccess) [[unlikely]]
      repair(slot);
    oldest_ = oldest_ + 1 == slots_.size() ? 0 : oldest_ + 1;
    --in_flight_;
    fruitless_ = 0;
    silent_since_ = 0;
  }
  return submitted_;
}

void Channel::drain() noexcept {
  for (uint32_t spins = 0; poll() != submitted_; ++spins) {
    if (spins < kSpinsDrain) {
      cpu_relax();
      continue;
    }
    thread_pause(1);
    if (is_silent()) give_up();
  }
}

// A page fault of a single descriptor goes on where the device stopped, and the CPU takes the page
// in by the way. Whatever else failed is done again, all of it: the copies do not overlap, so
// nothing is spoilt by doing them twice.
void Channel::repair(const Slot& slot) noexcept {
  const Record& record = *slot.record;
  const bool fault = (record.status & kStatusMask) == kPageFault;
  if (!fault || slot.count >= kBatchMin) {
    counts_->add(CopyCount::kErrors);
    redo(slot);
    return;
  }
  counts_->add(CopyCount::kFaults);
  Descriptor rest = slot.list[0];
  const uint32_t done = std::min(record.completed, rest.size);
  rest.size -= done;
  if (record.result == 0) {  // forwards; a copy that went backwards has its beginning left
    rest.from += done;
    rest.to += done;
  }
  copy(rest);
}

void Channel::redo(const Slot& slot) noexcept {
  for (uint32_t i = 0; i < slot.count; ++i) copy(slot.list[i]);
}

// True when the oldest slot has been waited for beyond all patience. Not every poll asks the clock.
bool Channel::is_silent() noexcept {
  fruitless_ = 0;
  const Time now = time_now();
  if (silent_since_ == 0) silent_since_ = now;
  return now - silent_since_ >= common_.options.silence_max;
}

// The device has lost a descriptor or died. What it did finish is taken; the rest the CPU does. It
// may still write into the records, so they and the lists are never used again.
void Channel::give_up() noexcept {
  common_.dead.store(true, std::memory_order_relaxed);
  abandoned_ = true;
  for (; in_flight_ != 0; --in_flight_) {
    const Slot& slot = slots_[oldest_];
    const uint8_t status = __atomic_load_n(&slot.record->status, __ATOMIC_ACQUIRE);
    if (status == kPending) {
      redo(slot);
      counts_->add(CopyCount::kGivenUp, slot.count);
    } else if (status != kSuccess) {
      repair(slot);
    }
    oldest_ = oldest_ + 1 == slots_.size() ? 0 : oldest_ + 1;
  }
}

}  // namespace nodeplane::dsa
