#include "driver/fault/fault.h"

#include <cstdlib>
#include <sstream>

#include "driver/holder.h"
#include "driver/options.h"
#include "packet/place.h"

namespace nodeplane {

namespace {

constexpr uint32_t kHeldMax = 4096;  // packets on their way, per queue
constexpr uint32_t kPullMax = kBatchSize;
constexpr Time kDelayMax = 60 * kSecond;
constexpr Time kLateMax = kMillisecond;  // a packet to be overtaken waits no longer than this

struct Harm {
  double drop = 0, duplicate = 0, corrupt = 0, reorder = 0, txfull = 0;
  Time delay = 0;
  uint64_t seed = 1;
};

// splitmix64 (Steele, Lea, Flood 2014): small, and any seed will do.
class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed) {}
  uint64_t next() noexcept {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  bool falls(double chance) noexcept {
    return chance > 0 && static_cast<double>(next() >> 11) * 0x1p-53 < chance;
  }
  uint32_t below(uint32_t n) noexcept { return static_cast<uint32_t>(next() % n); }

 private:
  uint64_t state_;
};

struct Held {
  Packet packet;
  Time due;
};

// One queue's packets on their way: a ring in order of their time, and one that is to be overtaken.
struct Queue {
  explicit Queue(uint64_t seed)
      : dice(seed), ring(new Held[kHeldMax]), fresh(new Packet[kPullMax]) {}
  Dice dice;
  uint64_t head = 0, tail = 0;
  bool has_late = false;
  Held late;
  std::unique_ptr<Held[]> ring;
  std::unique_ptr<Packet[]> fresh;

  uint32_t count() const noexcept { return static_cast<uint32_t>(tail - head); }
  bool empty() const noexcept { return head == tail && !has_late; }
  Held& first() noexcept { return ring[head % kHeldMax]; }
  void push(const Packet& p, Time due) noexcept { ring[tail++ % kHeldMax] = {p, due}; }
};

bool copy_packet(const Packet& from, FrameCache& frames, Packet* to) noexcept {
  *to = from;
  if (!place_bytes(*to, frames, from.data, from.linear)) return false;
  bool all = true;
  bool is_first = true;
  each_piece(frames.arena(), from, [&](const uint8_t* bytes, uint32_t length) {
    if (!is_first) all = all && append_bytes(*to, frames, bytes, length);
    is_first = false;
  });
  if (!all) frames.give_chain(to->frame);
  return all;
}

class Fault final : public Holder {
 public:
  Fault(std::unique_ptr<Port> inner, const PortSpec& spec, FrameArena& arena, const Harm& harm)
      : Holder(std::move(inner)), arena_(arena), harm_(harm) {
    is_offline_ = inner_->next_time().has_value();
    for (uint32_t q = 0; q < caps_.queues; ++q) queues_.emplace_back(harm.seed + q);
    caps_.description += ", with faults " + option(spec, "fault");
  }
  ~Fault() override {
    FrameCache frames(arena_);
    for (Queue& queue : queues_) {
      for (; queue.head != queue.tail; queue.head++) frames.give_chain(queue.first().packet.frame);
      if (queue.has_late) frames.give_chain(queue.late.packet.frame);
    }
  }
  uint32_t receive(uint32_t queue, Packet* packets, uint32_t max, FrameCache& frames,
                   Counters& counters) noexcept override;
  uint32_t transmit(uint32_t queue, Packet* const* packets, uint32_t count,
                    FrameCache& frames) noexcept override;
  bool arm(uint32_t queue) noexcept override {
    return queues_[queue].empty() && inner_->arm(queue);
  }
  std::optional<Time> next_time() noexcept override;

 private:
  void admit(Queue& queue, Packet& p, Time now, FrameCache& frames, Counters& counters) noexcept;
  FrameArena& arena_;
  Harm harm_;
  bool is_offline_;
  std::vector<Queue> queues_;
};

void Fault::admit(Queue& queue, Packet& p, Time now, FrameCache& frames,
                  Counters& counters) noexcept {
  const Time due = now + harm_.delay;
  if (queue.dice.falls(harm_.drop)) {
    count_lost(counters, Drop::kFaultInjected);
    frames.give_chain(p.frame);
    return;
  }
  if (queue.dice.falls(harm_.corrupt) && p.linear != 0)
    p.data[queue.dice.below(p.linear)] ^= static_cast<uint8_t>(1u << queue.dice.below(8));
  Packet twin;
  const bool has_twin = queue.dice.falls(harm_.duplicate) && copy_packet(p, frames, &twin);
  if (!queue.has_late && queue.dice.falls(harm_.reorder)) {
    queue.late = {p, due + kLateMax};
    queue.has_late = true;
    if (has_twin) queue.push(twin, due);
    return;
  }
  queue.push(p, due);
  if (has_twin) queue.push(twin, due);
  if (queue.has_late) queue.push(queue.late.packet, due);
  queue.has_late = false;
}

uint32_t Fault::receive(uint32_t index, Packet* packets, uint32_t max, FrameCache& frames,
                        Counters& counters) noexcept {
  Queue& queue = queues_[index];
  Time now = 0;
  bool may_pull = true;
  if (is_offline_) {
    const std::optional<Time> next = next_time();
    if (!next) return 0;
    now = *next;
    may_pull = inner_->next_time() == next;
  } else if (harm_.delay != 0 || harm_.reorder > 0) {
    now = time_now();
  }
  // Each may be doubled, and one that was late joins them.
  const uint32_t room = (kHeldMax - queue.count() - 1) / 2;
  const uint32_t pull = std::min({max, kPullMax, room});
  if (may_pull && pull != 0) {
    const uint32_t got = inner_->receive(index, queue.fresh.get(), pull, frames, counters);
    for (uint32_t i = 0; i < got; ++i) admit(queue, queue.fresh[i], now, frames, counters);
  }
  uint32_t n = 0;
  for (; n < max && queue.count() != 0 && queue.first().due <= now; queue.head++)
    packets[n++] = queue.first().packet;
  if (n < max && queue.count() == 0 && queue.has_late && queue.late.due <= now) {
    packets[n++] = queue.late.packet;
    queue.has_late = false;
  }
  return n;
}

uint32_t Fault::transmit(uint32_t index, Packet* const* packets, uint32_t count,
                         FrameCache& frames) noexcept {
  if (count != 0 && queues_[index].dice.falls(harm_.txfull))
    count = queues_[index].dice.below(count);
  return inner_->transmit(index, packets, count, frames);
}

std::optional<Time> Fault::next_time() noexcept {
  std::optional<Time> next = inner_->next_time();
  const auto sooner = [&next](Time time) { next = next ? std::min(*next, time) : time; };
  if (!is_offline_) return next;
  for (Queue& queue : queues_) {
    if (queue.count() != 0) {
      sooner(queue.first().due);
    } else if (queue.has_late) {
      sooner(queue.late.due);
    }
  }
  return next;
}

bool read_delay(const std::string& text, Time* delay) {
  char* unit = nullptr;
  const double number = std::strtod(text.c_str(), &unit);
  const std::string name = unit;
  const double scale = name == "us" ? 1e3 : name == "ms" ? 1e6 : name == "s" ? 1e9 : 0;
  if (unit == text.c_str() || scale == 0 || !(number >= 0)) return false;
  if (number * scale > static_cast<double>(kDelayMax)) return false;
  *delay = static_cast<Time>(number * scale);
  return true;
}

bool read_chance(const std::string& text, double* chance) {
  char* end = nullptr;
  *chance = std::strtod(text.c_str(), &end);
  return end != text.c_str() && *end == 0 && *chance >= 0 && *chance <= 1;
}

bool read_harm(const std::string& text, Harm* harm, std::string* error) {
  const std::pair<const char*, double*> chances[] = {{"drop", &harm->drop},
                                                     {"duplicate", &harm->duplicate},
                                                     {"corrupt", &harm->corrupt},
                                                     {"reorder", &harm->reorder},
                                                     {"txfull", &harm->txfull}};
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    const size_t equals = part.find('=');
    const std::string key = part.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : part.substr(equals + 1);
    bool is_known = key == "delay" || key == "seed";
    bool is_good = key == "delay" && read_delay(value, &harm->delay);
    if (key == "seed") {
      char* end = nullptr;
      harm->seed = std::strtoull(value.c_str(), &end, 10);
      is_good = !value.empty() && *end == 0;
    }
    for (const auto& [name, chance] : chances) {
      if (key != name) continue;
      is_known = true;
      is_good = read_chance(value, chance);
    }
    if (is_good) continue;
    *error = is_known
                 ? "fault: '" + part + "': chances are 0 to 1, delay is up to 60s with us, ms or s"
                 : "fault: unknown '" + key +
                       "'; known are drop, duplicate, corrupt, reorder, delay, txfull, seed";
    return false;
  }
  return true;
}

}  // namespace

std::unique_ptr<Port> hold_fault(std::unique_ptr<Port> inner, const PortSpec& spec,
                                 FrameArena& arena, std::string* error) {
  Harm harm;
  if (!read_harm(option(spec, "fault"), &harm, error)) return nullptr;
  return std::make_unique<Fault>(std::move(inner), spec, arena, harm);
}

}  // namespace nodeplane
