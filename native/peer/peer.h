#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "copy/copy.h"
#include "driver/driver.h"
#include "peer/answer.h"
#include "peer/check.h"
#include "peer/histogram.h"
#include "peer/load.h"

namespace nodeplane {

enum class PeerMode : uint8_t {
  kSend,    // the load, as fast as the port takes it or at a rate; what comes is counted
  kSink,    // counts what comes
  kBoth,    // sends and counts what comes back, with so many on the way
  kBounce,  // MAC addresses exchanged, and back
  kEcho,    // a host that answers (peer/answer.h)
};

// What a peer counts. Those up to kRefused are of all modes.
enum class PeerCount : uint8_t {
  kReceived,
  kReceivedBytes,
  kSent,  // taken by the port and not refused
  kSentBytes,
  kNotTaken,      // times a packet was offered and the port had no room
  kRefused,       // taken by the port and lost there: no peer, its quota, the kernel's refusal
  kLostInDriver,  // came and got no further than the driver
  // Of received packets, when they are checked: what they are (peer/check.h).
  kGood,
  kDuplicated,
  kReordered,
  kCorrupt,
  kStrange,
  kLost,      // numbers that are missing between those that came
  kAnswered,  // bounce and echo
  kDropped,   // received and not answered
};
inline constexpr uint32_t kPeerCountCount = 15;
inline constexpr const char* kPeerCountNames[] = {
    "received", "receivedBytes", "sent", "sentBytes",  "notTaken",
    "refused",  "lostInDriver",  "good", "duplicated", "reordered",
    "corrupt",  "strange",       "lost", "answered",   "dropped"};
static_assert(sizeof kPeerCountNames / sizeof *kPeerCountNames == kPeerCountCount);

inline constexpr uint32_t kPeerBurstMax = kBatchSize;

struct PeerOptions {
  PortSpec port;
  std::optional<PortSpec>
      back;  // a second port that packets may come back by; nothing is sent there
  PeerMode mode = PeerMode::kSink;
  int core = -1;                  // -1: not pinned
  bool is_adaptive = false;       // sleeps when idle; else polls
  double cpu_share = 1;           // of its core, at most
  double seconds = 0;             // 0: until stopped
  uint64_t count = 0;             // packets to send, or to receive when nothing is sent; 0: no end
  double packets_per_second = 0;  // 0: as fast as it goes
  uint32_t window = 0;            // both: packets on the way at most; 0: no limit
  // Packets that have not come back for so long are lost: the window opens again.
  Time patience = 20 * kMillisecond;
  uint32_t burst = 64;
  FrameArena::Options frames;
  std::optional<CopyOptions> copy;  // for ports that copy; else they do it themselves
  LoadSpec load;                    // send and both
  bool check = false;               // sink and both: packets are marked ones of the load's flows
  uint32_t check_first_flow = 0, check_flows = 1;
  bool latency = false;  // what is sent bears its time; of what comes its age is noted
  std::vector<Echo::Address> addresses;  // echo
  uint8_t mac[6] = {};                   // echo; zero: the port's
};

// The outside of a port: a port of any driver with frames of its own, on a thread of its own.
class Peer {
 public:
  struct Stats {
    uint64_t counts[kPeerCountCount];
    double seconds;         // that it has run
    double active_seconds;  // from the first turn with packets to the last one
    double cpu_seconds;     // of its thread, told at its end
    bool is_running;
  };
  // Opens the ports. Null with a reason.
  static std::unique_ptr<Peer> create(PeerOptions options, std::string* error);
  ~Peer();
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  bool start();          // false: it was started before
  void stop() noexcept;  // asks; the thread ends soon
  // Lays nothing new and goes on receiving, asleep when nothing comes; or goes on as before.
  void rest(bool resting) noexcept;
  // Until the thread has ended: stopped, or at its time or count. From any thread.
  void join();
  // After join. Closes the ports; true: every frame came back.
  bool close();
  Stats stats() const noexcept;  // from any thread, at any time
  // Ages of received packets, ns. After join; null without `latency`.
  const Histogram* latency() const noexcept { return ages_.get(); }
  const PortCaps& caps() const noexcept { return caps_; }
  std::vector<std::string> news();  // of the ports; none after close
  std::string port_stats();         // what the drivers count: a JSON array
  std::string copy_stats();         // and the copy engine: a JSON object

 private:
  struct Place {  // one queue of one port
    Port* port;
    uint32_t queue;
  };
  struct Lane {  // one queue that is sent by
    Place place;
    Load::Cursor cursor, before;  // `before` the packets that wait
    uint32_t next = 0, count = 0;
    Packet packets[kPeerBurstMax];
    Packet* list[kPeerBurstMax];
  };
  explicit Peer(PeerOptions options);
  bool open(std::string* error);
  void run() noexcept;
  uint32_t turn(Time now) noexcept;
  uint32_t receive(const Place& place) noexcept;
  void look(uint32_t n) noexcept;
  void note_ages(uint32_t n) noexcept;
  void answer(const Place& place, uint32_t n) noexcept;
  uint32_t send(Lane& lane, uint64_t allowed) noexcept;
  uint64_t allowed(Time now) noexcept;
  bool is_done(Time now) noexcept;
  void pause(Time now, uint32_t moved) noexcept;
  void show() noexcept;
  uint64_t& count(PeerCount c) noexcept { return counts_[static_cast<uint32_t>(c)]; }

  const PeerOptions o_;
  PortCaps caps_;
  std::unique_ptr<FrameArena> arena_;  // outlives the ports
  std::unique_ptr<CopyEngine> copy_;   // so does this
  std::unique_ptr<FrameCache> frames_;
  std::mutex ports_lock_;
  std::vector<std::unique_ptr<Port>> ports_;
  std::vector<Place> places_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::unique_ptr<Load> load_;
  std::unique_ptr<Check> check_;
  std::unique_ptr<Histogram> ages_;
  std::unique_ptr<Echo> echo_;
  std::unique_ptr<Counters> counters_;  // for the drivers
  std::unique_ptr<Packet[]> packets_;   // received
  std::unique_ptr<Packet*[]> answers_;

  // The thread's own.
  uint64_t counts_[kPeerCountCount] = {};
  uint64_t waiting_ = 0;      // laid and not yet taken
  uint64_t sent_before_ = 0;  // sent when the window was last given up
  uint64_t came_before_ = 0;  // and what had come back
  bool has_rested_ = false;
  Time quiet_since_ = 0;  // last time that something came, or was first sent
  Time slice_start_ = 0;  // of the CPU share
  Time idle_since_ = 0;

  int wake_fd_ = -1;
  std::mutex join_lock_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> resting_{false};
  std::atomic<bool> running_{false};
  std::atomic<uint64_t> shown_[kPeerCountCount] = {};
  std::atomic<Time> started_{0}, ended_{0}, first_{0}, last_{0};
  std::atomic<Time> cpu_{0};  // at the thread's end
};

}  // namespace nodeplane
