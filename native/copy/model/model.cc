#include "copy/model/model.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/cpu.h"
#include "base/thread.h"
#include "copy/copy_bytes.h"

namespace nodeplane::dsa {
namespace {

constexpr uint32_t kSpinsIdle = 1 << 15;  // empty rounds before it sleeps, about 1 ms
constexpr int kSleepMs = 100;
constexpr uint32_t kMillion = 1'000'000;
constexpr uint32_t kFlagMask = (1u << kFlagBits) - 1;
constexpr uint32_t kProcessBits = 20;  // the PASID may be set, nothing above it
constexpr uint8_t kPoison = 0xdb;

uint8_t* pointer(uint64_t address) noexcept { return reinterpret_cast<uint8_t*>(address); }
uint8_t opcode_of(const Descriptor& d) noexcept {
  return static_cast<uint8_t>(d.operation >> kFlagBits);
}
uint32_t flags_of(const Descriptor& d) noexcept { return d.operation & kFlagMask; }
bool is(const Descriptor& d, Opcode opcode) noexcept {
  return opcode_of(d) == static_cast<uint8_t>(opcode);
}
bool succeeded(uint8_t status) noexcept { return status == kSuccess; }

}  // namespace

Model::Model(const CopyModelOptions& options, const QueueLimits& limits, int core)
    : options_(options),
      limits_(limits),
      core_(core),
      cells_(std::bit_ceil(limits.size)),
      random_state_(options.seed * 2 + 1),
      thread_([this] { run(); }) {}

Model::~Model() {
  stopping_.store(true, std::memory_order_seq_cst);
  doze_.wake_if_asleep();
  thread_.join();
}

// An entry is occupied until just before its record is written, so cells never run out: fewer than
// `size` tickets are on their way at any moment.
bool Model::submit(const Descriptor& descriptor) noexcept {
  if (occupied_.fetch_add(1, std::memory_order_acquire) >= limits_.size) {
    occupied_.fetch_sub(1, std::memory_order_relaxed);
    (limits_.shared ? refused_ : lost_).fetch_add(1, std::memory_order_relaxed);
    return !limits_.shared;
  }
  const uint64_t ticket = tickets_.fetch_add(1, std::memory_order_relaxed);
  Cell& cell = cells_[ticket & (cells_.size() - 1)];
  cell.descriptor = descriptor;
  cell.ready.store(ticket + 1, std::memory_order_release);
  doze_.wake_if_asleep();
  return true;
}

void Model::force(const Outcome& outcome) {
  const std::lock_guard hold(forced_lock_);
  forced_.push_back(outcome);
  forced_count_.store(static_cast<uint32_t>(forced_.size()));
}

// The next outcome that was asked for, when its turn has come. Batches have their own.
bool Model::forced(bool batch, Outcome* out) {
  if (forced_count_.load(std::memory_order_relaxed) == 0) return false;
  const std::lock_guard hold(forced_lock_);
  const auto next = std::find_if(forced_.begin(), forced_.end(), [&](const Outcome& o) {
    return (o.status == kBatchPageFault) == batch;
  });
  if (next == forced_.end()) return false;
  if (next->after != 0) {
    --next->after;
    return false;
  }
  *out = *next;
  forced_.erase(next);
  forced_count_.store(static_cast<uint32_t>(forced_.size()));
  return true;
}

uint64_t Model::random() noexcept {  // xorshift64*
  random_state_ ^= random_state_ >> 12;
  random_state_ ^= random_state_ << 25;
  random_state_ ^= random_state_ >> 27;
  return random_state_ * 0x2545F4914F6CDD1Dull >> 32;
}

bool Model::draw(uint32_t per_million) noexcept {
  return per_million != 0 && random() % kMillion < per_million;
}

void Model::run() noexcept {
  thread_settle("np-dsa-model", core_);
  pending_.reserve(limits_.size);
  order_.reserve(std::max(limits_.batch_max, 1u));
  uint32_t idle = 0;
  auto arrived = [&] {
    return cells_[taken_ & (cells_.size() - 1)].ready.load(std::memory_order_acquire) == taken_ + 1;
  };
  while (!stopping_.load(std::memory_order_relaxed)) {
    const bool news = arrived();
    if (news || !pending_.empty()) {
      idle = 0;
      const Time now = time_now();
      while (arrived()) accept(now);
      if (!finish_one(now)) cpu_relax();
      continue;
    }
    cpu_relax();
    if (++idle < kSpinsIdle) continue;
    idle = 0;
    doze_.sleep(kSleepMs, [&] { return stopping_.load(std::memory_order_relaxed) || arrived(); });
  }
}

// Latency counts from here; the bytes of one descriptor after the other go over one bus.
void Model::accept(Time now) {
  const Descriptor d = cells_[taken_++ & (cells_.size() - 1)].descriptor;
  const uint64_t bytes = bytes_of(d);
  if (options_.megabytes_per_second != 0)
    busy_until_ = std::max(busy_until_, now) + bytes * 1000 / options_.megabytes_per_second;
  if (options_.poison) poison(d);
  pending_.push_back({d, std::max(now + options_.latency_ns, busy_until_)});
}

bool Model::finish_one(Time now) {
  if (pending_.empty() || pending_.front().due > now || hung_.load(std::memory_order_acquire))
    return false;
  const size_t i = options_.reorder ? random() % pending_.size() : 0;
  const Descriptor d = pending_[i].descriptor;
  const Result result = execute(d);
  pending_.erase(pending_.begin() + static_cast<ptrdiff_t>(i));
  occupied_.fetch_sub(1, std::memory_order_release);
  report(d, result);
  return true;
}

// What the device finds wrong before it begins.
Model::Result Model::judge(const Descriptor& d, bool inner) const noexcept {
  const bool is_move = is(d, Opcode::kMemmove), is_batch = is(d, Opcode::kBatch);
  if (!is_move && !is(d, Opcode::kNop) && (!is_batch || inner)) return {.status = kBadOpcode};
  uint32_t allowed = kRecordValid | kRecordAlways;
  if (inner) allowed |= kFence;
  if (is_move) allowed |= kToCache | (limits_.block_on_fault ? kBlockOnFault : 0);
  uint32_t wrong = flags_of(d) & ~allowed;
  if ((flags_of(d) & kRecordAlways) && !(flags_of(d) & kRecordValid)) wrong |= kRecordAlways;
  if (wrong != 0) return {.status = kBadFlags, .wrong_bits = wrong};
  if ((d.process >> kProcessBits) != 0 || d.interrupt != 0 || d.reserved != 0 ||
      (d.more[0] | d.more[1] | d.more[2]) != 0 || (is_batch && d.to != 0))
    return {.status = kReservedNotZero};
  if (is_move && (d.size == 0 || d.size > limits_.transfer_max)) return {.status = kBadSize};
  if (is_batch && (d.size < kBatchMin || d.size > limits_.batch_max)) return {.status = kBadCount};
  if (is_batch && d.from % sizeof(Descriptor) != 0) return {.status = kListUnaligned};
  return {};
}

Model::Result Model::execute(const Descriptor& d) noexcept {
  const Result verdict = judge(d, false);
  if (!succeeded(verdict.status) || is(d, Opcode::kNop)) return verdict;
  return is(d, Opcode::kBatch) ? batch(d) : move(d);
}

Model::Result Model::move(const Descriptor& d) noexcept {
  moves_.fetch_add(1, std::memory_order_relaxed);
  Outcome outcome;
  if (forced(false, &outcome)) return stop(d, outcome.status, outcome.completed);
  // Who blocks on faults waits for the page, and then goes on.
  if (!(flags_of(d) & kBlockOnFault) && draw(options_.fault_per_million)) {
    const uint8_t side = random() % 2 ? kStatusWrite : 0;
    return stop(d, kPageFault | side, static_cast<uint32_t>(random() % d.size));
  }
  if (draw(options_.error_per_million)) return stop(d, kHardwareError, 0);
  if (d.to - d.from < d.size || d.from - d.to < d.size) {
    std::memmove(pointer(d.to), pointer(d.from), d.size);
  } else {
    copy_bytes(pointer(d.to), pointer(d.from), d.size);
  }
  return {};
}

// Ends a move with an error after a part of its bytes: the last ones when the destination overlaps
// what it still has to read, and the copy goes backwards.
Model::Result Model::stop(const Descriptor& d, uint8_t status, uint32_t completed) noexcept {
  const bool backwards = d.to - d.from < d.size;
  completed = std::min(completed, d.size);
  const uint32_t at = backwards ? d.size - completed : 0;
  std::memmove(pointer(d.to) + at, pointer(d.from) + at, completed);
  if ((status & kStatusMask) != kPageFault) return {.status = status, .completed = completed};
  const uint64_t base = status & kStatusWrite ? d.to : d.from;
  const uint32_t reached = backwards ? d.size - completed - 1 : completed;
  return {.status = status,
          .result = static_cast<uint8_t>(backwards),
          .completed = completed,
          .fault = base + reached};
}

// Descriptors between two fences in any order; behind a fence nothing is done once one has failed.
Model::Result Model::batch(const Descriptor& d) noexcept {
  const auto* list = reinterpret_cast<const Descriptor*>(d.from);
  uint32_t count = d.size;
  Result result;
  Outcome outcome;
  if (forced(true, &outcome)) {
    count = std::min(outcome.completed, count);
    result = {.status = kBatchPageFault, .fault = d.from + count * sizeof(Descriptor)};
  } else if (draw(options_.fault_per_million)) {
    count = static_cast<uint32_t>(random() % count);
    result = {.status = kBatchPageFault, .fault = d.from + count * sizeof(Descriptor)};
  }
  bool failed = false;
  uint32_t first = 0;
  while (first < count && !(failed && first != 0)) {
    uint32_t end = first + 1;
    while (end < count && !(flags_of(list[end]) & kFence)) ++end;
    failed = !batch_part(list, first, end);
    first = end;
  }
  result.completed = first;
  if (failed && result.status == kSuccess) result.status = kBatchFailed;
  return result;
}

bool Model::batch_part(const Descriptor* list, uint32_t first, uint32_t end) noexcept {
  order_.clear();
  for (uint32_t i = first; i < end; ++i) order_.push_back(i);
  if (options_.reorder) {
    for (size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[random() % i]);
  }
  bool all = true;
  for (const uint32_t i : order_) {
    const Descriptor d = list[i];
    Result r = judge(d, true);
    if (succeeded(r.status) && is(d, Opcode::kMemmove)) r = move(d);
    all &= succeeded(r.status);
    report(d, r);
  }
  return all;
}

// The record, its status last. An error that may not be told there goes to the software error
// register, where no client sees it.
void Model::report(const Descriptor& d, const Result& r) noexcept {
  auto soft = [&](uint8_t status) {
    soft_error_.store(status, std::memory_order_relaxed);
    soft_errors_.fetch_add(1, std::memory_order_relaxed);
  };
  const bool told = (flags_of(d) & kRecordValid) != 0;
  if (told && d.record % alignof(Record) != 0) return soft(kRecordUnaligned);
  if (!told) {
    if (!succeeded(r.status)) soft(r.status);
    return;
  }
  if (succeeded(r.status) && !(flags_of(d) & kRecordAlways)) return;
  auto* record = reinterpret_cast<Record*>(d.record);
  record->result = r.result;
  record->completed = r.completed;
  record->fault = r.fault;
  record->wrong_bits = r.wrong_bits;
  __atomic_store_n(&record->status, r.status, __ATOMIC_RELEASE);
}

uint64_t Model::bytes_of(const Descriptor& d) const noexcept {
  if (!succeeded(judge(d, false).status)) return 0;
  if (!is(d, Opcode::kBatch)) return is(d, Opcode::kMemmove) ? d.size : 0;
  uint64_t all = 0;
  const auto* list = reinterpret_cast<const Descriptor*>(d.from);
  for (uint32_t i = 0; i < d.size; ++i) all += is(list[i], Opcode::kMemmove) ? list[i].size : 0;
  return all;
}

// Rubbish where the bytes will be, so that who looks too early notices.
void Model::poison(const Descriptor& d) const noexcept {
  if (!succeeded(judge(d, false).status) || is(d, Opcode::kNop)) return;
  const bool is_batch = is(d, Opcode::kBatch);
  const auto* list = is_batch ? reinterpret_cast<const Descriptor*>(d.from) : &d;
  for (uint32_t i = 0; i < (is_batch ? d.size : 1); ++i) {
    const Descriptor& one = list[i];
    const bool overlaps = one.to - one.from < one.size || one.from - one.to < one.size;
    if (is(one, Opcode::kMemmove) && succeeded(judge(one, is_batch).status) && !overlaps)
      std::memset(pointer(one.to), kPoison, one.size);
  }
}

namespace {

class ModelPortal final : public Portal {
 public:
  explicit ModelPortal(std::shared_ptr<Model> model) : model_(std::move(model)) {}
  bool submit(const Descriptor& descriptor) noexcept override {
    copy_fence();  // what the instructions of a real portal need before them
    return model_->submit(descriptor);
  }

 private:
  const std::shared_ptr<Model> model_;
};

}  // namespace

Queue model_queue(std::shared_ptr<Model> model, const QueueLimits& limits) {
  return {"queue", limits, std::make_unique<ModelPortal>(std::move(model))};
}

}  // namespace nodeplane::dsa
