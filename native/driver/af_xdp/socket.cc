#include "driver/af_xdp/socket.h"

#include <net/if.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <cerrno>

#include "driver/af_xdp/program.h"

namespace nodeplane::af_xdp {
namespace {

// Linux 6.17, not in Debian's headers: packets that one sendto of copy mode moves, 32 without it.
constexpr int kXdpMaxTxSkbBudget = 9;
constexpr uint32_t kTxBudgetMin = 32;

// A queue that was just closed is freed a little later by a kernel worker: EBUSY until then.
constexpr uint32_t kBindTries = 200;
constexpr long kBindPauseNs = 50'000'000;
// Zero-copy hardware may write until that kernel worker has told it to stop.
constexpr long kZeroCopyGraceNs = 200'000'000;

constexpr uint32_t kFillReserve = 64;
constexpr uint32_t kFillMin = 2 * kFillReserve;
constexpr int kSendBufferBytes = 64 << 20;  // of skbs on their way in copy mode

void pause_ns(long ns) {
  const timespec pause{0, ns};
  nanosleep(&pause, nullptr);
}

std::string mib(uint64_t bytes) { return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB"; }

std::string explain_umem(int error_number, uint64_t bytes) {
  std::string text = "registering " + mib(bytes) + " of frames (UMEM): ";
  if (error_number == EPERM) return text + "needs CAP_NET_RAW";
  if (error_number != ENOBUFS) return text + error_text(error_number);
  rlimit limit{};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  return text + "the memory lock limit is too low: " + std::to_string(bytes) +
         " bytes are needed for this port, RLIMIT_MEMLOCK is " + std::to_string(limit.rlim_cur) +
         " for all ports of this user: raise it (ulimit -l, LimitMEMLOCK=) or give CAP_IPC_LOCK";
}

std::string explain_bind(const Link& link, uint32_t queue, CopyMode copy, int error_number) {
  std::string text = "binding queue " + std::to_string(queue) + " of " + link.name + ": ";
  switch (error_number) {
    case EBUSY:
      return text + "it is in use by another AF_XDP socket (tried for " +
             std::to_string(kBindTries * (kBindPauseNs / 1'000'000)) + " ms)";
    case EINVAL:
      return text + "there may be no such queue, see ethtool -l " + link.name +
             " and ethtool -L (EINVAL)";
    case EOPNOTSUPP:
      return text + (copy == CopyMode::kZeroCopy
                         ? "the driver " + link.driver + " does not support zero-copy; copy: auto"
                         : error_text(error_number));
    case EPERM:
      return text + "needs CAP_NET_RAW";
    case ENOBUFS:
      return text + explain_umem(error_number, 0);
    default:
      return text + error_text(error_number);
  }
}

}  // namespace

std::unique_ptr<Sockets> Sockets::open(const Link& link, const Options& options, FrameArena& arena,
                                       std::string* error) {
  std::unique_ptr<Sockets> sockets(new Sockets(arena));
  sockets->held_ = std::make_unique<Held[]>(arena.count());
  // Without CAP_SYS_RESOURCE this fails, and the limit as it is must do.
  const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_MEMLOCK, &unlimited);
  int result = 0;
  for (uint32_t i = 0; i < kBindTries; ++i) {
    if (i > 0) pause_ns(kBindPauseNs);
    result = sockets->bind_all(link, options, error);
    if (result != EBUSY) break;
    sockets->unbind_all();
  }
  if (result != 0) return nullptr;
  if (!sockets->post_frames(options, error)) return nullptr;
  return sockets;
}

// 0, or the error number with its explanation.
int Sockets::bind_all(const Link& link, const Options& options, std::string* error) {
  for (uint32_t i = 0; i < options.queues; ++i)
    queues_.push_back(
        std::make_unique<Queue>(arena_, held_.get(), options.rings, options.needs_wakeup));
  // Received packets start at XDP_PACKET_HEADROOM, 256, into their frame, which is kFrameHeadroom.
  static_assert(kFrameHeadroom == 256);
  xsk_umem_config config{};
  config.fill_size = options.rings.fill;
  config.comp_size = options.rings.completion;
  config.frame_size = arena_.frame_size();
  const uint64_t bytes = uint64_t{arena_.count()} * arena_.frame_size();
  int result = -xsk_umem__create(&umem_, arena_.base(), bytes, &queues_[0]->fill_,
                                 &queues_[0]->completion_, &config);
  if (result != 0) {
    umem_ = nullptr;
    *error = explain_umem(result, bytes);
    return result;
  }
  for (uint32_t i = 0; i < options.queues; ++i) {
    result = bind_queue(link, i, options);
    if (result == 0) continue;
    *error = explain_bind(link, i, options.copy, result);
    return result;
  }
  xdp_options got{};
  socklen_t length = sizeof got;
  zero_copy_ = getsockopt(queues_[0]->fd_, SOL_XDP, XDP_OPTIONS, &got, &length) == 0 &&
               (got.flags & XDP_OPTIONS_ZEROCOPY) != 0;
  set_tx_budget(options);
  return 0;
}

int Sockets::bind_queue(const Link& link, uint32_t index, const Options& options) {
  xsk_socket_config config{};
  config.rx_size = options.rings.rx;
  config.tx_size = options.rings.tx;
  config.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD;
  if (options.needs_wakeup) config.bind_flags |= XDP_USE_NEED_WAKEUP;
  // Without either flag the kernel tries zero-copy and falls back to copying.
  if (options.copy == CopyMode::kCopy) config.bind_flags |= XDP_COPY;
  if (options.copy == CopyMode::kZeroCopy) config.bind_flags |= XDP_ZEROCOPY;
  Queue& queue = *queues_[index];
  xsk_socket* socket = nullptr;
  const int result =
      index == 0 ? xsk_socket__create(&socket, link.name.c_str(), 0, umem_, &queue.rx_, &queue.tx_,
                                      &config)
                 : xsk_socket__create_shared(&socket, link.name.c_str(), index, umem_, &queue.rx_,
                                             &queue.tx_, &queue.fill_, &queue.completion_, &config);
  if (result != 0) return -result;
  sockets_.push_back(socket);
  queue.fd_ = xsk_socket__fd(socket);
  // In copy mode every packet is an skb on this socket's account. FORCE needs CAP_NET_ADMIN.
  setsockopt(queue.fd_, SOL_SOCKET, SO_SNDBUFFORCE, &kSendBufferBytes, sizeof kSendBufferBytes);
  return 0;
}

void Sockets::set_tx_budget(const Options& options) {
  const uint32_t wanted = options.tx_budget != 0 ? options.tx_budget : options.rings.tx;
  const uint32_t budget = std::clamp(wanted, kTxBudgetMin, options.rings.tx);
  tx_budget_ = budget;
  for (const auto& queue : queues_) {
    if (setsockopt(queue->fd_, SOL_XDP, kXdpMaxTxSkbBudget, &budget, sizeof budget) != 0)
      tx_budget_ = 0;
  }
}

// A port takes at most half of the frames that are free when it opens: others want some too.
bool Sockets::post_frames(const Options& options, std::string* error) {
  const uint32_t share = arena_.free_count() / (2 * options.queues);
  const uint32_t target = std::min(options.rings.fill, share);
  if (target < kFillMin) {
    *error = "too few free frames: " + std::to_string(arena_.free_count()) + " are left for " +
             std::to_string(options.queues) + " queues, at least " +
             std::to_string(2 * options.queues * kFillMin) + " are needed: raise frames";
    return false;
  }
  FrameCache frames(arena_);
  for (const auto& queue : queues_) {
    queue->fill_target_ = target;
    queue->fill_reserve_ = kFillReserve;
    queue->refill(frames);
  }
  return true;
}

void Sockets::unbind_all() {
  for (xsk_socket* socket : sockets_) xsk_socket__delete(socket);
  sockets_.clear();
  if (umem_ != nullptr) xsk_umem__delete(umem_);
  umem_ = nullptr;
  queues_.clear();
}

Sockets::~Sockets() {
  unbind_all();
  if (zero_copy_) pause_ns(kZeroCopyGraceNs);
  FrameCache frames(arena_);
  for (uint32_t frame = 0; held_ && frame < arena_.count(); ++frame) {
    if (held_[frame] != Held::kNo) frames.give(frame);
  }
}

std::string Queue::stats_json() const {
  xdp_statistics kernel{};
  socklen_t length = sizeof kernel;
  getsockopt(fd_, SOL_XDP, XDP_STATISTICS, &kernel, &length);
  const struct {
    const char* name;
    uint64_t value;
  } rows[] = {{"rxDropped", kernel.rx_dropped},
              {"rxRingFull", kernel.rx_ring_full},
              {"rxInvalidDescriptors", kernel.rx_invalid_descs},
              {"fillRingEmpty", kernel.rx_fill_ring_empty_descs},
              {"txInvalidDescriptors", kernel.tx_invalid_descs},
              {"txRingEmpty", kernel.tx_ring_empty_descs},
              {"rxNoFrame", rx_no_frame_.value.load(std::memory_order_relaxed)},
              {"fillShort", fill_short_.value.load(std::memory_order_relaxed)},
              {"txRefused", tx_refused_.value.load(std::memory_order_relaxed)},
              {"txKicks", tx_kicks_.value.load(std::memory_order_relaxed)},
              {"txKickErrors", tx_kick_errors_.value.load(std::memory_order_relaxed)}};
  std::string text;
  for (const auto& row : rows)
    text +=
        (text.empty() ? "{\"" : ",\"") + std::string(row.name) + "\":" + std::to_string(row.value);
  return text + "}";
}

}  // namespace nodeplane::af_xdp
