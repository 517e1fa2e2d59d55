#include "lap/copy_lap.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>

#include "base/thread.h"
#include "base/ticks.h"
#include "packet/place.h"

namespace nodeplane {

namespace {

constexpr Time kJoinPatience = 60 * kSecond;
constexpr Time kJoinQuiet = 5 * kMillisecond;
constexpr Time kTurnPatience = 60 * kSecond;  // without a packet: they will not come
constexpr Time kCalibrate = 20 * kMillisecond;
constexpr uint32_t kWarmTurns =
    64;  // idle ones before the time begins: the core is awake, code is near
constexpr uint32_t kNumberAt = 12;  // where a packet carries its number: behind the MAC addresses

double measure_ns_per_tick() {
  const Time start = time_now();
  const uint64_t ticks = ticks_now();
  Time now = start;
  while (now < start + kCalibrate) now = time_now();
  return static_cast<double>(now - start) / static_cast<double>(ticks_now() - ticks);
}

template <class What>
void on_core(const char* name, int core, What&& what) {
  std::thread([&] {
    thread_settle(name, core);
    what();
  }).join();
}

}  // namespace

// An engine that tells whether anything was handed over or found finished.
class CopyLap::Watch final : public CopyEngine {
 public:
  explicit Watch(CopyEngine& inner) : inner_(inner) {}
  std::unique_ptr<CopyChannel> channel(std::string* error) override {
    auto channel = inner_.channel(error);
    if (!channel) return nullptr;
    return std::make_unique<Seen>(std::move(channel), moves_);
  }
  bool is_immediate() const noexcept override { return inner_.is_immediate(); }
  std::string description() const override { return inner_.description(); }
  std::string stats_json() const override { return inner_.stats_json(); }
  uint64_t moves() const noexcept { return moves_; }

 private:
  struct Seen final : CopyChannel {
    Seen(std::unique_ptr<CopyChannel> inner, uint64_t& moves)
        : inner(std::move(inner)), moves(moves) {}
    uint64_t submit(const Copy* copies, uint32_t count) noexcept override {
      moves++;
      return inner->submit(copies, count);
    }
    uint64_t poll() noexcept override {
      const uint64_t now = inner->poll();
      moves += now != finished;
      return finished = now;
    }
    void drain() noexcept override { inner->drain(); }
    std::unique_ptr<CopyChannel> inner;
    uint64_t& moves;
    uint64_t finished = 0;
  };
  CopyEngine& inner_;
  uint64_t moves_ = 0;  // of both channels: one worker has them
};

std::unique_ptr<CopyLap> CopyLap::create(const Options& options, std::string* error) {
  std::unique_ptr<CopyLap> lap(new CopyLap);
  lap->options_ = options;
  lap->options_.batch = std::clamp(options.batch, 1u, kBatchSize);
  PortSpec server = options.server;
  if (!options.copy.engine.empty()) {
    lap->engine_ = open_copy(options.copy, &lap->why_);
    lap->watch_ = std::make_unique<Watch>(*lap->engine_);
    server.copy = lap->watch_.get();
  }
  lap->content_ = std::make_unique<uint8_t[]>(options.bytes);
  for (uint32_t i = 0; i < options.bytes; ++i) lap->content_[i] = static_cast<uint8_t>(i * 7 + 1);
  if (!lap->open(lap->server_, server, error) || !lap->open(lap->client_, options.client, error) ||
      !lap->join(error))
    return nullptr;
  lap->ns_per_tick_ = measure_ns_per_tick();
  return lap;
}

CopyLap::~CopyLap() = default;

bool CopyLap::open(Side& side, const PortSpec& spec, std::string* error) {
  side.arena = FrameArena::create({options_.frame_size, options_.frames, true}, error);
  if (!side.arena) return false;
  side.cache = std::make_unique<FrameCache>(*side.arena);
  side.packets = std::make_unique<Packet[]>(options_.frames);
  side.port = open_port(spec, *side.arena, error);
  return side.port != nullptr;
}

// One packet goes over both ways; then the link is up and every buffer is posted.
bool CopyLap::join(std::string* error) {
  const Time end = time_now() + kJoinPatience;
  bool there = false, back = false;
  while (!(there && back) && time_now() < end) {
    if (!there) put(client_, 1);
    there |= collect(server_, server_.packets.get()) != 0;
    if (there && !back) put(server_, 1);
    back |= collect(client_, client_.packets.get()) != 0;
    if (!there || !back) thread_pause(1);
  }
  // What is still under copy comes too.
  for (Time quiet = time_now(); time_now() - quiet < kJoinQuiet;)
    if (collect(server_, server_.packets.get()) + collect(client_, client_.packets.get()) != 0)
      quiet = time_now();
  mangled_ = next_ = 0;
  if (!there || !back) *error = "the two memif ports did not find each other";
  return there && back;
}

bool CopyLap::lay(Side& side, Packet& p, uint32_t number) noexcept {
  p = {};
  if (!place_bytes(p, *side.cache, content_.get(), options_.bytes)) return false;
  std::memcpy(p.data + kNumberAt, &number, sizeof number);
  return true;
}

// Lays packets and transmits them; those that went.
uint32_t CopyLap::put(Side& side, uint32_t packets) noexcept {
  uint32_t sent = 0;
  while (sent < packets) {
    Packet* list[kBatchSize];
    uint32_t n = 0;
    for (; n < kBatchSize && sent + n < packets; ++n) {
      if (!lay(side, side.packets[n], sent + n)) break;
      list[n] = &side.packets[n];
    }
    const uint32_t took = side.port->transmit(0, list, n, *side.cache);
    for (uint32_t i = took; i < n; ++i) side.cache->give_chain(list[i]->frame);
    sent += took - side.port->refused(0);
    side.port->release(0, *side.cache);
    if (took < kBatchSize || side.port->refused(0) != 0) break;
  }
  return sent;
}

// What has come, looked at and given back.
uint32_t CopyLap::collect(Side& side, Packet* packets) noexcept {
  side.port->release(0, *side.cache);
  const uint32_t n = side.port->receive(0, packets, options_.batch, *side.cache, side.counters);
  for (uint32_t i = 0; i < n; ++i) {
    mangled_ += packets[i].length != options_.bytes;
    side.cache->give_chain(packets[i].frame);
  }
  return n;
}

// Everything that lies in the client's ring, its numbers compared.
uint32_t CopyLap::drain_client() noexcept {
  uint32_t all = 0;
  for (uint32_t n = 1; n != 0; all += n) {
    client_.port->release(0, *client_.cache);
    n = client_.port->receive(0, client_.packets.get(), kBatchSize, *client_.cache,
                              client_.counters);
    for (uint32_t i = 0; i < n; ++i) {
      const Packet& p = client_.packets[i];
      uint32_t number;
      std::memcpy(&number, p.data + kNumberAt, sizeof number);
      mangled_ += number != next_++ || p.length != options_.bytes;
      client_.cache->give_chain(p.frame);
    }
  }
  return all;
}

// Turns until all packets are through, timed each by itself.
template <class Turn>
void CopyLap::turns(Result& result, uint32_t packets, uint32_t turn_ns, Turn&& turn) noexcept {
  const auto apart = static_cast<uint64_t>(turn_ns / ns_per_tick_);
  const auto patience = static_cast<uint64_t>(kTurnPatience / ns_per_tick_);
  uint64_t busy = 0, idle = 0;
  uint32_t done = 0;
  const uint64_t first = ticks_now();
  uint64_t moved_at = first, last = first;
  while (done < packets) {
    const uint64_t moves = watch_ ? watch_->moves() : 0;
    const uint64_t start = ticks_now();
    const uint32_t n = turn();
    last = ticks_now();
    done += n;
    if (n != 0 || (watch_ && watch_->moves() != moves)) {
      busy += last - start;
      result.turns++;
      moved_at = last;
    } else {
      idle += last - start;
      result.idle_turns++;
      if (last - moved_at > patience) break;
    }
    while (done < packets && ticks_now() - start < apart) continue;
  }
  result.packets = done;
  result.missing = packets - done;
  result.busy_ns = static_cast<double>(busy) * ns_per_tick_;
  result.idle_ns = static_cast<double>(idle) * ns_per_tick_;
  result.whole_ns = static_cast<double>(last - first) * ns_per_tick_;
}

CopyLap::Result CopyLap::receive(uint32_t packets, uint32_t turn_ns) {
  Result result;
  std::atomic<bool> is_ready{false}, is_filled{false};
  uint32_t filled = 0;
  mangled_ = 0;
  std::thread other([&] {
    thread_settle("np-lap-other", options_.other_core);
    while (!is_ready.load(std::memory_order_acquire)) thread_pause(0);
    filled = put(client_, packets);
    is_filled.store(true, std::memory_order_release);
  });
  std::thread worker([&] {
    thread_settle("np-lap-worker", options_.worker_core);
    for (uint32_t i = 0; i < kWarmTurns; ++i) collect(server_, server_.packets.get());
    is_ready.store(true, std::memory_order_release);
    while (!is_filled.load(std::memory_order_acquire)) continue;
    other.join();
    turns(result, filled, turn_ns,
          [this]() noexcept { return collect(server_, server_.packets.get()); });
  });
  worker.join();
  result.missing += packets - filled;
  result.mangled = mangled_;
  return result;
}

CopyLap::Result CopyLap::send(uint32_t packets, uint32_t turn_ns) {
  Result result;
  on_core("np-lap-other", options_.other_core, [&] { drain_client(); });  // posts the buffers
  next_ = mangled_ = 0;
  on_core("np-lap-worker", options_.worker_core, [&] {
    uint32_t laid = 0;
    while (laid < packets && lay(server_, server_.packets[laid], laid)) laid++;
    for (uint32_t i = 0; i < kWarmTurns; ++i) server_.port->release(0, *server_.cache);
    const auto held = [&]() noexcept { return server_.cache->taken() - server_.cache->given(); };
    const uint64_t each = laid == 0 ? 1 : held() / laid;  // frames of a packet
    uint32_t sent = 0, done = 0;
    turns(result, laid, turn_ns, [&]() noexcept {
      Packet* list[kBatchSize];
      uint32_t n = 0;
      for (; n < options_.batch && sent + n < laid; ++n) list[n] = &server_.packets[sent + n];
      if (n != 0) sent += server_.port->transmit(0, list, n, *server_.cache);
      server_.port->release(0, *server_.cache);
      // A packet is through when its frames are back.
      const uint32_t before = done;
      done = laid - static_cast<uint32_t>(held() / each);
      return done - before;
    });
    for (uint32_t i = sent; i < laid; ++i) server_.cache->give_chain(server_.packets[i].frame);
  });
  uint32_t arrived = 0;
  on_core("np-lap-other", options_.other_core, [&] { arrived = drain_client(); });
  result.missing = packets - std::min(arrived, packets);
  result.mangled = mangled_;
  return result;
}

std::string CopyLap::description() const {
  return watch_ ? watch_->description() : "the port itself";
}
std::string CopyLap::stats_json() const { return watch_ ? watch_->stats_json() : "{}"; }

}  // namespace nodeplane
