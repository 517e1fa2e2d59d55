#pragma once
#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "driver/memif/wire.h"
#include "packet/frame.h"

// The border between the control channel (hub, one thread for all ports) and the data path (the
// port's queues, their workers).
namespace nodeplane::memif {

enum class Role : uint8_t { kServer, kClient };
enum class Mode : uint8_t { kEthernet = 0, kIp = 1 };

inline constexpr uint32_t kQueuesMax = 16;                       // rings each way
inline constexpr uint32_t kRegionsMax = 256;                     // of one peer
inline constexpr uint64_t kRegionBytesMax = uint64_t{64} << 30;  // all of them together

// Memory that both sides have mapped.
struct Region {
  uint8_t* base = nullptr;
  uint64_t bytes = 0;
};

// A ring that lies within its region, is aligned and overlaps no other: the hub has looked.
struct Ring {
  RingHead* head = nullptr;
  Slot* slots = nullptr;
  uint32_t size = 0;  // slots, a power of two
  int fd = -1;        // eventfd of the ring
};

// One connection. The hub makes and ends it; while a queue uses it nothing in it changes but the
// violation.
struct Link {
  Role role;  // ours
  Mode mode;
  std::string peer;             // what it calls itself
  std::vector<Region> regions;  // a client's: 0 its rings (and buffers), 1 the arena if lent
  std::vector<Ring> receiving;  // by queue; a server's S2M, a client's M2S
  std::vector<Ring> sending;    // by queue
  // A copying client's buffers, all in region 0: slot s of the ring r (receiving and sending counted
  // apart) has its buffer at first + (r * size + s) * buffer_bytes.
  uint32_t buffer_bytes = 0;  // 0: server, or the arena is lent
  uint64_t sending_first = 0, receiving_first = 0;
  std::atomic<const char*> violation{nullptr};  // a sentence; the first one stays
};

// What a port wants of the hub.
struct Wish {
  std::string port;  // its name, told to the peer
  Role role = Role::kServer;
  Mode mode = Mode::kEthernet;
  std::string socket;  // a path, or abstract:NAME or @NAME
  uint32_t id = 0;
  std::string secret;  // at most 24 bytes
  uint16_t queues = 1;
  uint8_t log2_ring_size = 10;   // a client's wish
  uint32_t buffer_bytes = 2048;  // a copying client's
  FrameArena* lent = nullptr;    // a zero-copy client's
};

// One port's place where the hub puts a connection and takes it away again. A queue's worker calls
// queue functions, the hub's thread hub functions; nobody waits for anybody.
class Seat {
 public:
  explicit Seat(uint32_t queues);  // queues' wake-up descriptors; ok() says whether there were any
  ~Seat();
  Seat(const Seat&) = delete;
  Seat& operator=(const Seat&) = delete;
  bool ok() const noexcept { return ok_; }

  // Queue. The connection that should be in use; the caller compares it with what it uses.
  Link* wanted() const noexcept { return wanted_.load(std::memory_order_acquire); }
  // Queue. Takes `link` into use; false: it was taken away meanwhile.
  bool take(uint32_t queue, Link* link) noexcept {
    in_use_[queue].link.store(link, std::memory_order_seq_cst);
    if (wanted_.load(std::memory_order_seq_cst) == link) return true;
    in_use_[queue].link.store(nullptr, std::memory_order_release);
    return false;
  }
  // Queue. Nothing of the connection is touched from here on.
  void leave(uint32_t queue) noexcept {
    in_use_[queue].link.store(nullptr, std::memory_order_release);
    call_hub();
  }
  // Queue. The peer broke a rule: the hub shall end this connection.
  void violate(Link& link, const char* why) noexcept {
    const char* none = nullptr;
    link.violation.compare_exchange_strong(none, why);
    call_hub();
  }
  // A descriptor that is readable when a ring of the queue has been rung or the connection changed.
  // Level-triggered; `hush` makes it quiet.
  int wait_fd(uint32_t queue) const noexcept { return in_use_[queue].epoll; }
  void hush(uint32_t queue) noexcept;

  // Hub. Puts a connection in place (its rings' descriptors join the queues' wait descriptors).
  void offer(Link* link);
  // Hub. Takes it away and wakes the queues; then asks until nobody uses it.
  void withdraw();
  bool is_used(const Link* link) const noexcept;
  void set_hub(int fd) noexcept { hub_fd_ = fd; }

  // For people; under the lock.
  struct Told {
    uint64_t connects = 0, disconnects = 0, violations = 0, refused = 0;
    std::string peer;               // of the present connection, else empty
    std::string last_reason;        // why the last connection ended or could not begin
    std::vector<std::string> news;  // lines for the log, oldest first
  };
  static constexpr size_t kNewsMax = 64;
  std::mutex told_lock;
  Told told;

 private:
  void call_hub() noexcept;
  struct alignas(64) Use {
    std::atomic<Link*> link{nullptr};
    int epoll = -1;
    int wake = -1;
  };
  alignas(64) std::atomic<Link*> wanted_{nullptr};
  std::vector<Use> in_use_;
  Link* offered_ = nullptr;
  std::atomic<int> hub_fd_{-1};
  bool ok_ = false;
};

}  // namespace nodeplane::memif
