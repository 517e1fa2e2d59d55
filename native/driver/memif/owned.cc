#include "driver/memif/owned.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14
#endif

namespace nodeplane::memif {

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this == &other) return *this;
  reset();
  fd_ = other.release();
  return *this;
}

void Fd::reset() noexcept {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

bool is_eventfd(int fd) {
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  char kind[32];
  const ssize_t n = readlink(path.c_str(), kind, sizeof kind);
  return n > 0 && std::string(kind, static_cast<size_t>(n)) == "anon_inode:[eventfd]";
}

// Only memory is mapped: a file of another file system could keep a worker waiting in a page fault
// for as long as its owner likes (FUSE, a network's).
bool PeerRegion::map(int fd, uint64_t bytes, std::string* why) {
  struct stat file {};
  struct statfs system {};
  if (fstat(fd, &file) != 0 || fstatfs(fd, &system) != 0) {
    *why = std::string("region: ") + std::strerror(errno);
    return false;
  }
  const bool huge = system.f_type == HUGETLBFS_MAGIC;
  if (!S_ISREG(file.st_mode) || !(huge || system.f_type == TMPFS_MAGIC)) {
    *why = "region is not a file of shared memory";
    return false;
  }
  if (static_cast<uint64_t>(file.st_size) < bytes) {
    *why = "region of " + std::to_string(bytes) + " bytes in a file of " +
           std::to_string(file.st_size);
    return false;
  }
  const uint64_t page = huge ? static_cast<uint64_t>(system.f_bsize) : kSmallPage;
  const uint64_t mapped = (bytes + page - 1) / page * page;
  void* const base = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (base == MAP_FAILED) {
    *why = std::string("region cannot be mapped: ") + std::strerror(errno);
    return false;
  }
  // A sealed file keeps its size; but huge pages can be missing in it all the same.
  const int seals = fcntl(fd, F_GET_SEALS);
  const bool sealed = !huge && seals >= 0 && (seals & F_SEAL_SHRINK) != 0;
  const int guard = sealed ? kGuardNone : guard_add(base, mapped);
  if (!sealed && guard == kGuardNone) {
    munmap(base, mapped);
    *why = "no room to guard another unsealed region";
    return false;
  }
  base_ = static_cast<uint8_t*>(base);
  bytes_ = bytes;
  mapped_ = mapped;
  device_ = file.st_dev;
  inode_ = file.st_ino;
  guard_ = guard;
  huge_ = huge;
  return true;
}

PeerRegion::PeerRegion(PeerRegion&& other) noexcept
    : base_(other.base_),
      bytes_(other.bytes_),
      mapped_(other.mapped_),
      device_(other.device_),
      inode_(other.inode_),
      guard_(other.guard_),
      huge_(other.huge_) {
  other.base_ = nullptr;
  other.guard_ = kGuardNone;
}

PeerRegion::~PeerRegion() {
  guard_remove(guard_);
  if (base_ != nullptr) munmap(base_, mapped_);
}

OwnedLink::~OwnedLink() { shared_memory_close(made); }

bool OwnedLink::broken() const noexcept {
  return std::any_of(lent.begin(), lent.end(), [](const auto& r) { return r.broken(); });
}

bool OwnedLink::guarded() const noexcept {
  return std::any_of(lent.begin(), lent.end(), [](const auto& r) { return r.guarded(); });
}

bool OwnedLink::unstall() noexcept {
  bool stalled = false;
  for (const Ring& ring : sending) {
    pollfd look{ring.fd, POLLOUT, 0};
    // A counter at its very end, where only the kernel can bring it, is an error besides (eventfd(2)).
    if (poll(&look, 1, 0) != 0 && (look.revents & POLLOUT) != 0) continue;
    stalled = true;
    uint64_t counter;
    iovec into{&counter, sizeof counter};
    // Not to be stalled ourselves: RWF_NOWAIT does not ask the peer's O_NONBLOCK.
    [[maybe_unused]] const ssize_t n = preadv2(ring.fd, &into, 1, -1, RWF_NOWAIT);
  }
  return stalled;
}

void OwnedLink::populate() noexcept {
  for (const auto* rings : {&receiving, &sending}) {
    for (const Ring& ring : *rings) {
      const auto first = reinterpret_cast<uintptr_t>(ring.head) & ~(kSmallPage - 1);
      const auto end = reinterpret_cast<uintptr_t>(ring.slots + ring.size);
      madvise(reinterpret_cast<void*>(first), end - first, MADV_POPULATE_WRITE);
    }
  }
  uint64_t left = kPopulateBytesMax;
  for (const PeerRegion& one : lent) {
    if (one.is_huge()) continue;
    const uint64_t bytes = std::min(left, one.region().bytes);
    madvise(one.region().base, bytes, MADV_POPULATE_WRITE);
    left -= bytes;
  }
}

}  // namespace nodeplane::memif
