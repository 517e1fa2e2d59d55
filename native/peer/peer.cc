#include "peer/peer.h"

#include <pthread.h>
#include <time.h>

#include <algorithm>
#include <cstring>

#include "base/thread.h"
#include "wire/eth.h"

namespace nodeplane {

namespace {

constexpr Time kSpinBeforeSleep = 50'000;
constexpr int kSleepMsMax = 100;
// After the last packet of a count was sent, the others may still come for so long.
constexpr Time kLinger = 200 * kMillisecond;
constexpr Time kShareSlice = 10 * kMillisecond;
constexpr uint32_t kSleepersMax = 64;
constexpr Time kAgeMax = 10 * kSecond;  // what seems older bears no time of ours

bool sends(PeerMode mode) noexcept { return mode == PeerMode::kSend || mode == PeerMode::kBoth; }

Time cpu_of(clockid_t clock) noexcept {
  timespec ts;
  if (clock_gettime(clock, &ts) != 0) return 0;
  return static_cast<Time>(ts.tv_sec) * kSecond + static_cast<Time>(ts.tv_nsec);
}

}  // namespace

Peer::Peer(PeerOptions options) : o_(std::move(options)) {}

std::unique_ptr<Peer> Peer::create(PeerOptions options, std::string* error) {
  options.burst = std::clamp(options.burst, 1u, kPeerBurstMax);
  std::unique_ptr<Peer> peer(new Peer(std::move(options)));
  if (!peer->open(error)) return nullptr;
  return peer;
}

bool Peer::open(std::string* error) {
  arena_ = FrameArena::create(o_.frames, error);
  if (!arena_) return false;
  frames_ = std::make_unique<FrameCache>(*arena_);
  counters_ = std::make_unique<Counters>();
  packets_ = std::make_unique<Packet[]>(kBatchSize);
  answers_ = std::make_unique<Packet*[]>(kBatchSize);
  if (sends(o_.mode)) {
    LoadSpec load = o_.load;
    load.stamped = o_.latency;
    if (!(load_ = Load::create(std::move(load), *arena_, error))) return false;
  }
  if (o_.latency) ages_ = std::make_unique<Histogram>();
  if (o_.check) check_ = std::make_unique<Check>(o_.check_first_flow, o_.check_flows);
  wake_fd_ = thread_event();
  if (wake_fd_ < 0) {
    *error = "no eventfd to be had";
    return false;
  }
  std::string why;
  if (o_.copy) copy_ = open_copy(*o_.copy, &why);
  if (!why.empty()) {
    *error = why;
    return false;
  }
  const auto open = [&](PortSpec spec) {
    spec.copy = copy_.get();
    ports_.push_back(open_port(spec, *arena_, error));
  };
  open(o_.port);
  if (ports_[0] && o_.back) open(*o_.back);
  if (!ports_.back()) {
    ports_.pop_back();
    return false;
  }
  caps_ = ports_[0]->caps();
  for (const auto& port : ports_)
    for (uint32_t q = 0; q < port->caps().queues; ++q) places_.push_back({port.get(), q});
  if (o_.mode == PeerMode::kEcho)
    echo_ = std::make_unique<Echo>(o_.addresses, wire::mac_is_zero(o_.mac) ? caps_.mac : o_.mac);
  for (uint32_t q = 0; load_ && q < caps_.queues; ++q) {
    // A flow stays on one queue, so that its order stays.
    const Load::Cursor cursor = load_->share(q, caps_.queues);
    if (cursor.count == 0) continue;
    lanes_.push_back(std::make_unique<Lane>());
    lanes_.back()->place = {ports_[0].get(), q};
    lanes_.back()->cursor = lanes_.back()->before = cursor;
  }
  return true;
}

Peer::~Peer() {
  stop();
  join();
  close();
  thread_event_close(wake_fd_);
}

bool Peer::start() {
  const std::lock_guard<std::mutex> lock(join_lock_);
  if (started_.load() != 0 || stopping_.load()) return false;
  started_.store(time_now());
  running_.store(true);
  thread_ = std::thread([this] { run(); });
  return true;
}

void Peer::stop() noexcept {
  stopping_.store(true, std::memory_order_seq_cst);
  if (wake_fd_ >= 0) thread_wake(wake_fd_);
}

void Peer::rest(bool resting) noexcept {
  resting_.store(resting, std::memory_order_seq_cst);
  thread_wake(wake_fd_);
}

void Peer::join() {
  const std::lock_guard<std::mutex> lock(join_lock_);
  if (thread_.joinable()) thread_.join();
}

bool Peer::close() {
  const std::lock_guard<std::mutex> lock(ports_lock_);
  ports_.clear();
  if (!frames_) return true;
  frames_->flush();
  return arena_->free_count() == arena_->count();
}

std::vector<std::string> Peer::news() {
  const std::lock_guard<std::mutex> lock(ports_lock_);
  std::vector<std::string> all;
  for (const auto& port : ports_)
    for (std::string& line : port->news()) all.push_back(std::move(line));
  return all;
}

std::string Peer::port_stats() {
  const std::lock_guard<std::mutex> lock(ports_lock_);
  std::string all;
  for (const auto& port : ports_) all += (all.empty() ? "" : ",") + port->stats_json();
  return "[" + all + "]";
}

std::string Peer::copy_stats() { return copy_ ? copy_->stats_json() : "{}"; }

Peer::Stats Peer::stats() const noexcept {
  Stats s{};
  s.is_running = running_.load(std::memory_order_acquire);
  for (uint32_t i = 0; i < kPeerCountCount; ++i)
    s.counts[i] = shown_[i].load(std::memory_order_relaxed);
  const auto seconds = [](Time t) { return static_cast<double>(t) / kSecond; };
  const Time started = started_.load();
  if (started == 0) return s;
  s.seconds = seconds((s.is_running ? time_now() : ended_.load()) - started);
  s.active_seconds = seconds(last_.load() - first_.load());
  s.cpu_seconds = seconds(cpu_.load());
  return s;
}

// --- the thread -----------------------------------------------------------------------------------

void Peer::run() noexcept {
  thread_settle("np-peer", o_.core);
  Time now = time_now();
  quiet_since_ = slice_start_ = now;
  while (!stopping_.load(std::memory_order_relaxed) && !is_done(now)) {
    const uint32_t moved = turn(now);
    if (moved != 0) {
      if (first_.load(std::memory_order_relaxed) == 0) first_.store(now, std::memory_order_relaxed);
      last_.store(now, std::memory_order_relaxed);
    }
    show();
    pause(now, moved);
    now = time_now();
  }
  for (const auto& lane : lanes_)
    for (; lane->next < lane->count; ++lane->next)
      frames_->give_chain(lane->list[lane->next]->frame);
  frames_->flush();
  ended_.store(now);
  cpu_.store(cpu_of(CLOCK_THREAD_CPUTIME_ID));
  running_.store(false, std::memory_order_release);
}

bool Peer::is_done(Time now) noexcept {
  const Time ran = now - started_.load(std::memory_order_relaxed);
  if (o_.seconds > 0 && ran >= static_cast<Time>(o_.seconds * kSecond)) return true;
  if (o_.count == 0) return false;
  if (!sends(o_.mode)) return count(PeerCount::kReceived) >= o_.count;
  if (count(PeerCount::kSent) < o_.count) return false;
  if (o_.mode == PeerMode::kSend) return true;
  return count(PeerCount::kReceived) >= o_.count ||
         now - quiet_since_ >= std::max(kLinger, o_.patience);
}

uint32_t Peer::turn(Time now) noexcept {
  uint32_t received = 0, sent = 0;
  for (const Place& place : places_) {
    place.port->release(place.queue, *frames_);
    received += receive(place);
  }
  if (received != 0) quiet_since_ = now;
  for (const auto& lane : lanes_) sent += send(*lane, allowed(now));
  return received + sent;
}

uint32_t Peer::receive(const Place& place) noexcept {
  const uint64_t lost = lost_in_receive(*counters_), given = frames_->given();
  const uint32_t n =
      place.port->receive(place.queue, packets_.get(), kBatchSize, *frames_, *counters_);
  count(PeerCount::kLostInDriver) += lost_in_receive(*counters_) - lost;
  // Frames that came back in receive may have been written to.
  if (load_ && frames_->given() != given) load_->touched_all();
  if (n == 0) return 0;
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < n; ++i) bytes += packets_[i].length;
  count(PeerCount::kReceived) += n;
  count(PeerCount::kReceivedBytes) += bytes;
  if (o_.mode == PeerMode::kBounce || o_.mode == PeerMode::kEcho) {
    answer(place, n);
    return n;
  }
  if (ages_) note_ages(n);
  if (check_) look(n);
  for (uint32_t i = 0; i < n; ++i) {
    if (load_) load_->touched(packets_[i].frame);
    frames_->give_chain(packets_[i].frame);
  }
  return n;
}

void Peer::look(uint32_t n) noexcept {
  for (uint32_t i = 0; i < n; ++i) {
    uint64_t missing = 0;
    switch (check_->see(*arena_, packets_[i], &missing)) {
      case Finding::kGood:
        count(PeerCount::kGood)++;
        count(PeerCount::kLost) += missing;
        break;
      case Finding::kLate:
        count(PeerCount::kReordered)++;
        count(PeerCount::kLost)--;
        break;
      case Finding::kDuplicate:
        count(PeerCount::kDuplicated)++;
        break;
      case Finding::kCorrupt:
        count(PeerCount::kCorrupt)++;
        break;
      case Finding::kStrange:
        count(PeerCount::kStrange)++;
        break;
    }
  }
}

// One look at the clock for all that came at once, as they were there by then.
void Peer::note_ages(uint32_t n) noexcept {
  const Time now = time_now();
  for (uint32_t i = 0; i < n; ++i) {
    const Packet& p = packets_[i];
    const Sums s = read_headers(p);
    if (!s.is_whole || (s.protocol != kProtocolUdp && s.protocol != kProtocolTcp)) continue;
    const size_t at = lay_headers(s.family, s.protocol);
    Time stamp;
    if (at + sizeof stamp > p.linear) continue;
    std::memcpy(&stamp, p.data + at, sizeof stamp);
    if (stamp <= now && now - stamp < kAgeMax) ages_->add(now - stamp);
  }
}

void Peer::answer(const Place& place, uint32_t n) noexcept {
  uint32_t answers = 0;
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < n; ++i) {
    Packet& p = packets_[i];
    bool is_due = false;
    if (echo_) {
      const Echo::Outcome outcome = echo_->answer(*arena_, p);
      is_due = outcome == Echo::Outcome::kAnswered;
      if (outcome == Echo::Outcome::kCorrupt) count(PeerCount::kCorrupt)++;
    } else {
      is_due = bounce(p);
    }
    if (is_due) {
      answers_[answers++] = &p;
      bytes += p.length;
    } else {
      frames_->give_chain(p.frame);
    }
  }
  uint32_t took = 0, refused = 0;
  // A full ring gets one more chance after its finished frames were taken back.
  for (int chance = 0; chance < 2 && took < answers; ++chance) {
    if (chance != 0) place.port->release(place.queue, *frames_);
    took += place.port->transmit(place.queue, answers_.get() + took, answers - took, *frames_);
    refused += place.port->refused(place.queue);
  }
  for (uint32_t i = took; i < answers; ++i) {
    bytes -= answers_[i]->length;
    frames_->give_chain(answers_[i]->frame);
  }
  count(PeerCount::kNotTaken) += answers - took;
  count(PeerCount::kRefused) += refused;
  count(PeerCount::kSent) += took - refused;
  count(PeerCount::kSentBytes) += bytes;
  count(PeerCount::kAnswered) += took - refused;
  count(PeerCount::kDropped) += n - (took - refused);
}

// Packets that may be laid now.
uint64_t Peer::allowed(Time now) noexcept {
  const uint64_t sent = count(PeerCount::kSent) + waiting_;
  if (resting_.load(std::memory_order_relaxed)) {
    has_rested_ = true;
    return 0;
  }
  uint64_t most = ~uint64_t{0};
  if (o_.count != 0) most = o_.count > sent ? o_.count - sent : 0;
  if (o_.packets_per_second > 0) {
    const auto ran = static_cast<double>(now - started_.load(std::memory_order_relaxed));
    const auto due = static_cast<uint64_t>(ran / kSecond * o_.packets_per_second) + 1;
    most = std::min(most, due > sent ? due - sent : 0);
  }
  if (o_.mode == PeerMode::kBoth && o_.window != 0) {
    const uint64_t came =
        count(check_ ? PeerCount::kGood : PeerCount::kReceived) + count(PeerCount::kReordered);
    if (has_rested_) {  // what has not come back meanwhile is lost
      has_rested_ = false;
      sent_before_ = sent;
      came_before_ = came;
    }
    const uint64_t out = sent - sent_before_, back = came - came_before_;
    if (out > back && now - quiet_since_ >= o_.patience && waiting_ == 0) {
      sent_before_ = sent;
      came_before_ = came;
      quiet_since_ = now;
      return std::min<uint64_t>(most, o_.window);
    }
    const uint64_t away = out > back ? out - back : 0;
    most = std::min(most, o_.window > away ? o_.window - away : 0);
  }
  return most;
}

uint32_t Peer::send(Lane& lane, uint64_t allowed) noexcept {
  if (lane.next == lane.count) {
    lane.before = lane.cursor;
    lane.next = lane.count = 0;
    const auto burst = static_cast<uint32_t>(std::min<uint64_t>(allowed, o_.burst));
    const Time stamp = ages_ ? time_now() : 0;
    while (lane.count < burst) {
      Packet& p = lane.packets[lane.count];
      p.flags = 0;
      p.gso = Gso::kNone;
      if (!load_->lay(lane.cursor, p, *frames_, stamp)) break;
      lane.list[lane.count++] = &p;
    }
    waiting_ += lane.count;
  }
  const uint32_t offered = lane.count - lane.next;
  if (offered == 0) return 0;
  const Place& place = lane.place;
  // All packets of a laid load have one length; raw ones are added up before they are the port's.
  uint32_t lengths[kPeerBurstMax];
  for (uint32_t i = lane.next; i < lane.count; ++i) lengths[i] = lane.list[i]->length;
  const uint32_t took = place.port->transmit(place.queue, lane.list + lane.next, offered, *frames_);
  const uint32_t refused = place.port->refused(place.queue);
  waiting_ -= took;
  count(PeerCount::kNotTaken) += offered - took;
  count(PeerCount::kRefused) += refused;
  if (took != 0 && refused == took && lane.next == 0 && took == lane.count) {
    // Nobody was there: these numbers have not been used.
    lane.cursor = lane.before;
    lane.next = lane.count;
    return 0;
  }
  uint64_t bytes = 0;
  for (uint32_t i = lane.next; i < lane.next + took; ++i) bytes += lengths[i];
  lane.next += took;
  count(PeerCount::kSent) += took - refused;
  count(PeerCount::kSentBytes) += bytes;
  return took - refused;
}

void Peer::pause(Time now, uint32_t moved) noexcept {
  if (o_.cpu_share < 1) {
    const auto work = static_cast<Time>(o_.cpu_share * kShareSlice);
    if (now - slice_start_ >= work) {
      thread_pause(std::max(1, static_cast<int>((kShareSlice - work) / kMillisecond)));
      slice_start_ = time_now();
    }
  }
  const bool resting = resting_.load(std::memory_order_relaxed);
  if ((!o_.is_adaptive && !resting) || moved != 0) {
    idle_since_ = 0;
    return;
  }
  if (idle_since_ == 0) idle_since_ = now;
  if (now - idle_since_ < kSpinBeforeSleep) return;
  int fds[kSleepersMax];
  uint32_t n = 0;
  fds[n++] = wake_fd_;
  int ms = load_ && !resting ? 1 : kSleepMsMax;  // no descriptor tells that there is room to send
  for (const Place& place : places_) {
    if (!place.port->arm(place.queue)) return;
    const int fd = place.port->wait_fd(place.queue);
    if (fd >= 0 && n < kSleepersMax)
      fds[n++] = fd;
    else
      ms = 1;
  }
  if (stopping_.load(std::memory_order_seq_cst)) return;
  if (resting_.load(std::memory_order_seq_cst) == resting) thread_sleep(fds, n, ms);
}

void Peer::show() noexcept {
  for (uint32_t i = 0; i < kPeerCountCount; ++i)
    shown_[i].store(counts_[i], std::memory_order_relaxed);
}

}  // namespace nodeplane
