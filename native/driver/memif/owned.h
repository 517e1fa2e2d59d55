#pragma once
#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "base/guard.h"
#include "base/memory.h"
#include "driver/memif/link.h"

namespace nodeplane::memif {

// Present from the start, so that the path does not fault: at most so much of what one peer lends.
inline constexpr uint64_t kPopulateBytesMax = uint64_t{64} << 20;

// A descriptor that closes itself.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd() { reset(); }
  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  int release() noexcept {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void reset() noexcept;

 private:
  int fd_ = -1;
};

// A peer's memory, mapped whole. It is a file of shared memory, large enough when it was looked at;
// where the peer can still cut it, a guard stands over it.
class PeerRegion {
 public:
  // The descriptor is not needed any more afterwards. False with a reason.
  bool map(int fd, uint64_t bytes, std::string* why);
  PeerRegion() = default;
  PeerRegion(PeerRegion&& other) noexcept;
  PeerRegion& operator=(PeerRegion&&) = delete;
  ~PeerRegion();
  Region region() const noexcept { return {base_, bytes_}; }
  bool is_same_file(const PeerRegion& other) const noexcept {
    return device_ == other.device_ && inode_ == other.inode_;
  }
  bool is_huge() const noexcept { return huge_; }
  bool guarded() const noexcept { return guard_ != kGuardNone; }
  bool broken() const noexcept { return guard_broken(guard_); }

 private:
  uint8_t* base_ = nullptr;
  uint64_t bytes_ = 0;   // as the peer said
  uint64_t mapped_ = 0;  // in whole pages of the file's kind
  dev_t device_ = 0;
  ino_t inode_ = 0;
  int guard_ = kGuardNone;
  bool huge_ = false;
};

// Whether a descriptor is an eventfd: it is written to by workers, and nothing else a peer can send
// is known not to stall them.
bool is_eventfd(int fd);

// A connection with what it holds: mappings, guards, descriptors go with it.
struct OwnedLink : Link {
  OwnedLink() = default;
  ~OwnedLink();
  OwnedLink(const OwnedLink&) = delete;
  OwnedLink& operator=(const OwnedLink&) = delete;

  SharedMemory made;             // a client's region 0
  std::vector<PeerRegion> lent;  // a server's regions
  std::vector<Fd> events;        // the rings'
  bool broken() const noexcept;  // a guarded region was cut
  bool guarded() const noexcept;
  // An eventfd whose counter the peer has filled up tells nobody anything, and whoever writes to it
  // waits, for the peer may clear O_NONBLOCK (driver/memif/bell.h; where that cannot be had, ringing is
  // writing): says so and empties it, which lets the waiting one go on.
  bool unstall() noexcept;
  // Rings first, then regions up to kPopulateBytesMax. Not those of huge pages: what a peer uses of
  // them is there, filling holes would take pages that the machine is short of.
  void populate() noexcept;
};

}  // namespace nodeplane::memif
