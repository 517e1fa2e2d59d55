#include "table/neighbours.h"

#include <bit>

#include "base/check.h"
#include "base/cpu.h"
#include "base/memory.h"
#include "table/flow.h"
#include "table/mix.h"

namespace nodeplane {
namespace {

constexpr uint32_t kSlots = 8;
constexpr uint32_t kReuseScanMax = 64;  // entries looked at for one to reuse

uint64_t hop_word(NeighbourState state, uint16_t port, const uint8_t* mac) noexcept {
  uint64_t word = 0;
  if (mac) std::memcpy(&word, mac, 6);
  return word | uint64_t{port} << 48 | static_cast<uint64_t>(state) << 56;
}
constexpr Time kGrace = kNeighbourGraceMs * kMillisecond;
bool is_recent(Time at, Time now, Time than) noexcept { return at != 0 && now < at + than; }
uint16_t port_of(uint64_t word) noexcept { return static_cast<uint16_t>(word >> 48 & 0xff); }

}  // namespace

// Entry numbers by hash, eight to a line: (tag << 32) | (number + 1), 0 free. Two lines per name.
struct alignas(64) NeighbourTable::Bucket {
  std::atomic<uint64_t> slots[kSlots];
};

struct NeighbourTable::Name {
  IpAddress address;
  uint32_t name;
  uint64_t hash;

  Name(uint32_t port_and_family, const IpAddress& a) noexcept
      : address(a), name(port_and_family), hash(mix_address(mix_in(0, name), 6, a.bytes)) {}
  Name(uint16_t port, uint8_t family, const IpAddress& a) noexcept
      : Name(uint32_t{port} << 8 | family, a) {}
  uint16_t port() const noexcept { return static_cast<uint16_t>(name >> 8); }
  uint32_t line(uint32_t which, uint32_t mask) const noexcept {
    return static_cast<uint32_t>(which == 0 ? hash : hash >> 20) & mask;
  }
  uint64_t slot(uint32_t index) const noexcept {
    return (hash >> 32 << 32) | (uint64_t{index} + 1);
  }
};

struct NeighbourTable::Guard {
  explicit Guard(std::atomic<bool>& lock) noexcept : lock_(lock) {
    while (lock_.exchange(true, std::memory_order_acquire)) cpu_relax();
  }
  ~Guard() { lock_.store(false, std::memory_order_release); }
  std::atomic<bool>& lock_;
};

NeighbourTable::NeighbourTable(uint32_t capacity) : capacity_(capacity) {
  check(capacity > 0 && capacity <= kNeighbourMax, "neighbour capacity");
  const uint32_t lines = std::bit_ceil(capacity / (kSlots / 2) + 1);
  bucket_mask_ = lines - 1;
  entries_ = static_cast<Entry*>(memory_map(size_t{capacity} * sizeof(Entry), false, nullptr));
  buckets_ = static_cast<Bucket*>(memory_map(size_t{lines} * sizeof(Bucket), false, nullptr));
  check(entries_ && buckets_, "memory for neighbours");
}

NeighbourTable::~NeighbourTable() {
  memory_unmap(entries_, size_t{capacity_} * sizeof(Entry));
  memory_unmap(buckets_, (size_t{bucket_mask_} + 1) * sizeof(Bucket));
}

// Acquire and release on every word, so that whoever saw a new word also sees the odd sequence that
// was stored before it; no fence is needed then.
NeighbourTable::Name NeighbourTable::name_of(const Entry& e) const noexcept {
  for (;;) {
    const uint32_t before = e.sequence.load(std::memory_order_acquire);
    const uint64_t words[2] = {e.address[0].load(std::memory_order_acquire),
                               e.address[1].load(std::memory_order_acquire)};
    const uint32_t name = e.name.load(std::memory_order_acquire);
    if (before % 2 != 0 || e.sequence.load(std::memory_order_relaxed) != before) {
      cpu_relax();
      continue;
    }
    IpAddress address;
    std::memcpy(address.bytes, words, 16);
    return Name(name, address);
  }
}

bool NeighbourTable::is(const Entry& e, const Name& name) const noexcept {
  const Name other = name_of(e);
  return other.name == name.name && other.address == name.address;
}

uint32_t NeighbourTable::find_name(const Name& name) const noexcept {
  for (uint32_t which = 0; which < 2; ++which) {
    const Bucket& line = buckets_[name.line(which, bucket_mask_)];
    for (const auto& s : line.slots) {
      const uint64_t slot = s.load(std::memory_order_acquire);
      if (slot >> 32 != name.hash >> 32 || static_cast<uint32_t>(slot) == 0) continue;
      const uint32_t index = static_cast<uint32_t>(slot) - 1;
      if (is(entries_[index], name)) return index;
    }
  }
  return kNextHopNone;
}

bool NeighbourTable::link(const Name& name, uint32_t index) noexcept {
  for (uint32_t which = 0; which < 2; ++which)
    for (auto& s : buckets_[name.line(which, bucket_mask_)].slots) {
      if (s.load(std::memory_order_relaxed) != 0) continue;
      s.store(name.slot(index), std::memory_order_release);
      return true;
    }
  return false;
}

void NeighbourTable::unlink(const Name& name, uint32_t index) noexcept {
  for (uint32_t which = 0; which < 2; ++which)
    for (auto& s : buckets_[name.line(which, bucket_mask_)].slots)
      if (s.load(std::memory_order_relaxed) == name.slot(index)) {
        s.store(0, std::memory_order_release);
        return;
      }
}

// A new entry, or the next one that is neither pinned nor asked just now. Its use is kChanging until
// it has a new name, so that nobody pins it in between.
uint32_t NeighbourTable::make_room(Time now) noexcept {
  const uint32_t count = count_.load(std::memory_order_relaxed);
  if (count < capacity_) {
    entries_[count].use.store(kChanging, std::memory_order_relaxed);
    count_.store(count + 1, std::memory_order_release);
    return count;
  }
  for (uint32_t i = 0; i < kReuseScanMax; ++i) {
    const uint32_t index = hand_;
    hand_ = hand_ + 1 == capacity_ ? 0 : hand_ + 1;
    Entry& e = entries_[index];
    if (is_recent(e.asked_at.load(std::memory_order_relaxed), now, kGrace)) continue;
    uint8_t use = kLoose;
    if (!e.use.compare_exchange_strong(use, kChanging, std::memory_order_seq_cst)) continue;
    if (is_recent(e.held_at.load(std::memory_order_seq_cst), now, kGrace)) {
      e.use.store(kLoose, std::memory_order_release);
      continue;
    }
    unlink(name_of(e), index);
    return index;
  }
  return kNextHopNone;
}

void NeighbourTable::set_name(Entry& e, const Name& name) noexcept {
  uint64_t words[2];
  std::memcpy(words, name.address.bytes, 16);
  const uint32_t sequence = e.sequence.load(std::memory_order_relaxed);
  e.sequence.store(sequence + 1, std::memory_order_relaxed);
  e.address[0].store(words[0], std::memory_order_release);
  e.address[1].store(words[1], std::memory_order_release);
  e.name.store(name.name, std::memory_order_release);
  e.sequence.store(sequence + 2, std::memory_order_release);
}

uint32_t NeighbourTable::find_or_add_locked(const Name& name, Time now) noexcept {
  const uint32_t known = find_name(name);
  if (known != kNextHopNone) return known;
  const uint32_t index = make_room(now);
  if (index == kNextHopNone) return kNextHopNone;
  Entry& e = entries_[index];
  // Incomplete first: a reader that still knows the old name must not send to a new one's MAC.
  e.hop.store(hop_word(NeighbourState::kIncomplete, name.port(), nullptr),
              std::memory_order_release);
  e.asked.store(0, std::memory_order_relaxed);
  e.asked_at.store(0, std::memory_order_relaxed);
  e.held_at.store(0, std::memory_order_relaxed);
  set_name(e, name);
  e.use.store(kLoose, std::memory_order_release);
  return link(name, index) ? index : kNextHopNone;  // both lines full: the entry waits for reuse
}

bool NeighbourTable::pin(uint32_t index, uint16_t port, uint8_t family,
                         const IpAddress& address) noexcept {
  Entry& e = entries_[index];
  // A pinned one stays so: its line is not written by everybody who comes by.
  uint8_t use = e.use.load(std::memory_order_acquire);
  if (use == kLoose) e.use.compare_exchange_strong(use, kPinned, std::memory_order_acq_rel);
  if (use == kChanging) return false;
  return is(e, Name(port, family, address));
}

// Told before the look at the entry's use, as make_room looks at it behind its claim: one of both sees the
// other. Mostly it was told lately, and the line is not written.
bool NeighbourTable::hold(uint32_t index, uint16_t port, uint8_t family, const IpAddress& address,
                          Time now) noexcept {
  Entry& e = entries_[index];
  if (!is_recent(e.held_at.load(std::memory_order_relaxed), now, kGrace / 2))
    e.held_at.store(now == 0 ? 1 : now, std::memory_order_seq_cst);
  if (e.use.load(std::memory_order_seq_cst) == kChanging) return false;
  return is(e, Name(port, family, address));
}

uint32_t NeighbourTable::find(uint16_t port, uint8_t family,
                              const IpAddress& address) const noexcept {
  return find_name(Name(port, family, address));
}

uint32_t NeighbourTable::find_or_add(uint16_t port, uint8_t family, const IpAddress& address,
                                     Time now) noexcept {
  const Name name(port, family, address);
  const uint32_t known = find_name(name);
  if (known != kNextHopNone) return known;
  Guard guard(locked_);
  return find_or_add_locked(name, now);
}

IpAddress NeighbourTable::address(uint32_t index, uint8_t* family) const noexcept {
  const Name name = name_of(entries_[index]);
  *family = static_cast<uint8_t>(name.name);
  return name.address;
}

bool NeighbourTable::names(uint32_t index, uint16_t port, uint8_t family,
                           const IpAddress& address) const noexcept {
  return is(entries_[index], Name(port, family, address));
}

bool NeighbourTable::learn(uint16_t port, uint8_t family, const IpAddress& address,
                           const uint8_t mac[6], bool create, bool override_known,
                           Time now) noexcept {
  const Name name(port, family, address);
  const uint64_t news = hop_word(NeighbourState::kReachable, port, mac);
  uint32_t index = find_name(name);
  if (index == kNextHopNone && !create) return false;
  Guard guard(locked_);
  // Again, now that nobody can reuse the entry.
  index = create ? find_or_add_locked(name, now) : find_name(name);
  if (index == kNextHopNone) return false;
  Entry& e = entries_[index];
  const uint64_t known = e.hop.load(std::memory_order_relaxed);
  if (state_of(known) == NeighbourState::kStatic) return false;
  const bool reachable = state_of(known) == NeighbourState::kReachable;
  if (reachable && known != news && !override_known) return false;  // RFC 4861 section 7.2.5
  e.confirmed.store(now, std::memory_order_relaxed);
  e.asked.store(0, std::memory_order_relaxed);
  e.asked_at.store(0, std::memory_order_relaxed);
  e.hop.store(news, std::memory_order_release);
  if (!reachable) changes_.fetch_add(1, std::memory_order_release);
  return known != news;
}

void NeighbourTable::set_static(uint16_t port, uint8_t family, const IpAddress& address,
                                const uint8_t mac[6]) noexcept {
  Guard guard(locked_);
  const uint32_t index = find_or_add_locked(Name(port, family, address), 0);
  if (index == kNextHopNone) return;
  Entry& e = entries_[index];
  e.use.store(kPinned, std::memory_order_relaxed);
  e.round.store(round_, std::memory_order_relaxed);
  const uint64_t word = hop_word(NeighbourState::kStatic, port, mac);
  if (e.hop.exchange(word, std::memory_order_acq_rel) != word)
    changes_.fetch_add(1, std::memory_order_release);
}

void NeighbourTable::begin_statics() noexcept {
  Guard guard(locked_);
  round_++;
}

void NeighbourTable::end_statics() noexcept {
  Guard guard(locked_);
  const uint32_t count = count_.load(std::memory_order_relaxed);
  for (uint32_t i = 0; i < count; ++i) {
    Entry& e = entries_[i];
    const uint64_t word = e.hop.load(std::memory_order_relaxed);
    if (state_of(word) != NeighbourState::kStatic) continue;
    if (e.round.load(std::memory_order_relaxed) == round_) continue;
    e.asked.store(0, std::memory_order_relaxed);
    e.asked_at.store(0, std::memory_order_relaxed);
    e.hop.store(hop_word(NeighbourState::kIncomplete, port_of(word), nullptr),
                std::memory_order_release);
  }
}

bool NeighbourTable::ask(uint32_t index, Time now, uint32_t retry_ms, uint32_t tries,
                         uint32_t reachable_ms) noexcept {
  Entry& e = entries_[index];
  uint64_t word = e.hop.load(std::memory_order_acquire);
  const NeighbourState state = state_of(word);
  if (state == NeighbourState::kStatic) return false;
  if (state == NeighbourState::kReachable && !is_old(index, now, reachable_ms)) return false;
  const bool failed = state == NeighbourState::kFailed;
  uint64_t asked_at = e.asked_at.load(std::memory_order_relaxed);
  const Time pause = (failed ? kNeighbourFailedMs : retry_ms) * kMillisecond;
  if (asked_at != 0 && now < asked_at + pause) return false;
  // Whoever moves the time asks, or finds that enough was asked.
  if (!e.asked_at.compare_exchange_strong(asked_at, now == 0 ? 1 : now, std::memory_order_relaxed))
    return false;
  const uint32_t asked = failed ? 0 : e.asked.load(std::memory_order_relaxed);
  const bool give_up = asked >= tries;
  e.asked.store(give_up ? 0 : asked + 1, std::memory_order_relaxed);
  if (!give_up && !failed) return true;
  const auto next = give_up ? NeighbourState::kFailed : NeighbourState::kIncomplete;
  const bool moved = e.hop.compare_exchange_strong(word, hop_word(next, port_of(word), nullptr),
                                                   std::memory_order_acq_rel);
  if (give_up && moved) changes_.fetch_add(1, std::memory_order_release);
  return !give_up && moved;
}

uint32_t NeighbourTable::dump(uint32_t* cursor, NeighbourStateRow* rows,
                              uint32_t max) const noexcept {
  const uint32_t count = count_.load(std::memory_order_acquire);
  uint32_t written = 0;
  for (; *cursor < count && written < max; ++*cursor) {
    const Entry& e = entries_[*cursor];
    const Name name = name_of(e);
    const NextHop hop = read(*cursor);
    if (name.name == 0) continue;  // being named for the first time
    auto& row = rows[written++];
    row = {};
    std::memcpy(row.address, name.address.bytes, 16);
    row.family = static_cast<uint8_t>(name.name);
    row.state = static_cast<uint8_t>(hop.state);
    row.port = hop.port;
    std::memcpy(row.mac, hop.mac, 6);
  }
  if (*cursor >= count) *cursor = ~0u;
  return written;
}

}  // namespace nodeplane
