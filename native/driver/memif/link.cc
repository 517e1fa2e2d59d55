#include "driver/memif/link.h"

#include <sys/epoll.h>
#include <unistd.h>

#include "base/thread.h"

namespace nodeplane::memif {
namespace {

// Edge-triggered, so that nobody ever reads a ring's eventfd: the peer shares its file description
// and may clear O_NONBLOCK at any time, a read could then stall a worker. Every write to an eventfd
// is an edge (eventfd(2), epoll(7)); a counter that only grows fills up in 2^64 writes.
bool watch(int epoll, int fd) noexcept {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.fd = fd;
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

}  // namespace

Seat::Seat(uint32_t queues) : in_use_(queues) {
  ok_ = queues != 0;
  for (Use& use : in_use_) {
    use.epoll = epoll_create1(EPOLL_CLOEXEC);
    use.wake = thread_event();
    ok_ = ok_ && use.epoll >= 0 && use.wake >= 0 && watch(use.epoll, use.wake);
  }
}

Seat::~Seat() {
  for (Use& use : in_use_) {
    if (use.epoll >= 0) close(use.epoll);
    thread_event_close(use.wake);
  }
}

void Seat::hush(uint32_t queue) noexcept {
  epoll_event events[4];  // the queue's own and its ring's
  [[maybe_unused]] const int n = epoll_wait(in_use_[queue].epoll, events, 4, 0);
}

void Seat::offer(Link* link) {
  offered_ = link;
  for (size_t q = 0; q < in_use_.size() && q < link->receiving.size(); ++q)
    watch(in_use_[q].epoll, link->receiving[q].fd);
  wanted_.store(link, std::memory_order_seq_cst);
  for (Use& use : in_use_) thread_wake(use.wake);
}

void Seat::withdraw() {
  wanted_.store(nullptr, std::memory_order_seq_cst);
  for (size_t q = 0; offered_ != nullptr && q < in_use_.size() && q < offered_->receiving.size();
       ++q)
    epoll_ctl(in_use_[q].epoll, EPOLL_CTL_DEL, offered_->receiving[q].fd, nullptr);
  offered_ = nullptr;
  for (Use& use : in_use_) thread_wake(use.wake);
}

bool Seat::is_used(const Link* link) const noexcept {
  for (const Use& use : in_use_)
    if (use.link.load(std::memory_order_seq_cst) == link) return true;
  return false;
}

void Seat::call_hub() noexcept {
  const int fd = hub_fd_.load(std::memory_order_acquire);
  if (fd >= 0) thread_wake(fd);
}

}  // namespace nodeplane::memif
