// The path: one queue's rings. No allocation, no lock; system calls only to wake the kernel.
#include <sys/socket.h>

#include <bit>
#include <cerrno>

#include "base/check.h"
#include "driver/af_xdp/socket.h"

namespace nodeplane::af_xdp {
namespace {

constexpr uint32_t kEtherHeader = 14;
// Kicks of one transmit call: enough for a batch at the 32 packets that a sendto of copy mode moves
// on kernels without XDP_MAX_TX_SKB_BUDGET.
constexpr uint32_t kKicksMax = (kBatchRoom + 31) / 32;

}  // namespace

Queue::Queue(FrameArena& arena, Held* held, const RingSizes& sizes, bool needs_wakeup)
    : base_(arena.base()),
      held_(held),
      frame_size_(arena.frame_size()),
      frame_shift_(static_cast<uint32_t>(std::countr_zero(arena.frame_size()))),
      in_flight_max_(sizes.completion),
      needs_wakeup_(needs_wakeup) {}

uint32_t Queue::receive(Packet* packets, uint32_t max, FrameCache& frames,
                        Counters& counters) noexcept {
  refill(frames);
  uint32_t index = 0;
  const uint32_t count = xsk_ring_cons__peek(&rx_, max, &index);
  if (count == 0) {
    wake_fill();
    return 0;
  }
  // What has no replacement and would eat into the reserve is dropped here: a fill ring that runs
  // dry stops the queue for good, since nothing would wake us to refill it.
  const uint32_t spare = posted_ > fill_reserve_ ? posted_ - fill_reserve_ : 0;
  const uint32_t given = count < spare ? count : spare;
  for (uint32_t i = 0; i < given; ++i) {
    const xdp_desc* desc = xsk_ring_cons__rx_desc(&rx_, index + i);
    const auto frame = static_cast<uint32_t>(desc->addr >> frame_shift_);
    Packet& p = packets[i];
    p.data = base_ + desc->addr;
    p.frame = frame;
    p.length = desc->len;
    p.linear = static_cast<uint16_t>(desc->len);
    p.flags = 0;  // they may stand there from a port with a virtio-net header
    p.gso = Gso::kNone;
    check(held_[frame] == Held::kFill, "af_xdp: received a frame that was not in the fill ring");
    held_[frame] = Held::kNo;
  }
  posted_ -= given;
  if (given < count) {
    recycle(index + given, count - given);
    counters.drops[static_cast<uint32_t>(Drop::kNoFrame)] += count - given;
    rx_no_frame_.add(count - given);
  }
  xsk_ring_cons__release(&rx_, count);
  refill(frames);
  wake_fill();
  return given;
}

// There is always room: the ring never holds more than posted_, which is at most its size.
void Queue::recycle(uint32_t index, uint32_t count) noexcept {
  uint32_t to = 0;
  check(xsk_ring_prod__reserve(&fill_, count, &to) == count, "af_xdp: fill ring overflow");
  for (uint32_t i = 0; i < count; ++i) {
    const uint64_t address = xsk_ring_cons__rx_desc(&rx_, index + i)->addr;
    *xsk_ring_prod__fill_addr(&fill_, to + i) = address & ~uint64_t{frame_size_ - 1};
  }
  xsk_ring_prod__submit(&fill_, count);
}

void Queue::refill(FrameCache& frames) noexcept {
  const uint32_t want = fill_target_ - posted_;
  uint32_t index = 0;
  if (want == 0 || xsk_ring_prod__reserve(&fill_, want, &index) == 0) return;
  uint32_t got = 0;
  for (; got < want; ++got) {
    const uint32_t frame = frames.take();
    if (frame == kFrameNone) break;
    held_[frame] = Held::kFill;
    *xsk_ring_prod__fill_addr(&fill_, index + got) = uint64_t{frame} << frame_shift_;
  }
  if (got < want) {
    fill_.cached_prod -= want - got;
    fill_short_.add(1);
  }
  xsk_ring_prod__submit(&fill_, got);
  posted_ += got;
}

void Queue::wake_fill() noexcept {
  if (needs_wakeup_ && xsk_ring_prod__needs_wakeup(&fill_))
    recvfrom(fd_, nullptr, 0, MSG_DONTWAIT, nullptr, nullptr);
}

bool Queue::fits(const Packet& p) const noexcept {
  const auto offset = static_cast<uint32_t>(p.data - base_) & (frame_size_ - 1);
  return p.length == p.linear && p.length >= kEtherHeader && offset + p.length <= frame_size_;
}

uint32_t Queue::transmit(Packet* const* packets, uint32_t count, FrameCache& frames) noexcept {
  reclaim(frames);
  uint32_t room = xsk_prod_nb_free(&tx_, count);
  if (room > in_flight_max_ - in_flight_) room = in_flight_max_ - in_flight_;
  const uint32_t taken = count < room ? count : room;
  uint32_t index = 0;
  if (taken > 0) xsk_ring_prod__reserve(&tx_, taken, &index);
  uint32_t put = 0;
  for (uint32_t i = 0; i < taken; ++i) {
    const Packet& p = *packets[i];
    // The kernel would skip the descriptor and never complete it. caps() says that such packets
    // cannot be sent, so they do not come; one that does ends here and is counted.
    if (!fits(p)) {
      frames.give_chain(p.frame);
      continue;
    }
    check(held_[p.frame] == Held::kNo, "af_xdp: a frame was sent twice");
    held_[p.frame] = Held::kTransmit;
    *xsk_ring_prod__tx_desc(&tx_, index + put) = {static_cast<uint64_t>(p.data - base_), p.length,
                                                  0};
    ++put;
  }
  refused_ = taken - put;
  if (refused_ > 0) {
    tx_.cached_prod -= refused_;
    tx_refused_.add(refused_);
  }
  xsk_ring_prod__submit(&tx_, put);
  in_flight_ += put;
  kick();
  return taken;
}

uint32_t Queue::tx_pending() const noexcept {
  return *tx_.producer - __atomic_load_n(tx_.consumer, __ATOMIC_ACQUIRE);
}

// The kernel may take only a part, for its budget's sake or for lack of memory (EAGAIN, ENOBUFS,
// EBUSY): go on while that helps. What is left goes with the next call.
void Queue::kick() noexcept {
  uint32_t pending = tx_pending();
  for (uint32_t i = 0; i < kKicksMax && pending > 0; ++i) {
    if (needs_wakeup_ && !xsk_ring_prod__needs_wakeup(&tx_)) return;
    tx_kicks_.add(1);
    const bool ok = sendto(fd_, nullptr, 0, MSG_DONTWAIT, nullptr, 0) >= 0;
    if (!ok && errno != EAGAIN && errno != EBUSY && errno != ENOBUFS && errno != EINTR) {
      tx_kick_errors_.add(1);
      return;
    }
    const uint32_t left = tx_pending();
    if (left == pending) return;
    pending = left;
  }
}

void Queue::reclaim(FrameCache& frames) noexcept {
  uint32_t index = 0;
  const uint32_t count = xsk_ring_cons__peek(&completion_, in_flight_, &index);
  if (count == 0) return;
  for (uint32_t i = 0; i < count; ++i) {
    const uint64_t address = *xsk_ring_cons__comp_addr(&completion_, index + i);
    const auto frame = static_cast<uint32_t>(address >> frame_shift_);
    check(held_[frame] == Held::kTransmit, "af_xdp: completed a frame that was not sent");
    held_[frame] = Held::kNo;
    frames.give(frame);
  }
  xsk_ring_cons__release(&completion_, count);
  in_flight_ -= count;
}

void Queue::release(FrameCache& frames) noexcept {
  reclaim(frames);
  refill(frames);
  if (tx_pending() > 0) kick();
}

bool Queue::arm() noexcept {
  const auto waiting = [this] {
    return __atomic_load_n(rx_.producer, __ATOMIC_ACQUIRE) != *rx_.consumer;
  };
  if (waiting()) return false;
  const uint32_t pending = tx_pending();
  if (pending > 0) {
    kick();
    if (tx_pending() != pending) return false;
  }
  wake_fill();
  return !waiting();
}

}  // namespace nodeplane::af_xdp
