#pragma once
#include <linux/aio_abi.h>

#include <cstdint>

namespace nodeplane::memif {

inline constexpr uint32_t kBellRoom = 64;  // rung and not yet taken note of

// Rings a peer's eventfd, and never waits. The peer shares the descriptor's file: it may fill the
// counter up and clear O_NONBLOCK, and a write would then wait for as long as the peer likes. So the
// kernel rings: a read of nothing, submitted with io_submit(2) and aio_resfd, is finished at once,
// and that adds 1 to the counter unless it is full. One owner.
class Bell {
 public:
  Bell() noexcept;
  ~Bell();
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;
  // False: the system has no room for asynchronous reads (aio-max-nr) or forbids them, so ring
  // writes; the hub looks for whom that keeps waiting.
  bool never_waits() const noexcept { return context_ != 0; }
  void ring(int fd) noexcept;

 private:
  aio_context_t context_ = 0;
  int nothing_ = -1;
};

}  // namespace nodeplane::memif
