#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14
#endif

namespace nodeplane {
namespace {

constexpr size_t round_up(size_t bytes, size_t page) { return (bytes + page - 1) / page * page; }

bool fail(const char* call, int error_number, std::string* error) {
  *error = std::string(call) + ": " + std::strerror(error_number);
  return false;
}

// A page that cannot be had must be found here, not by a signal on the path: fallocate and
// hugetlbfs' reservation at mmap both answer with an error.
bool create(const char* name, size_t bytes, bool huge, SharedMemory* out, std::string* error) {
  const size_t rounded = round_up(bytes, huge ? kHugePage : kSmallPage);
  const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING | (huge ? MFD_HUGETLB | MFD_HUGE_2MB : 0u);
  const int fd = memfd_create(name, flags);
  if (fd < 0) return fail("memfd_create", errno, error);
  void* base = MAP_FAILED;
  const char* call = "ftruncate";
  if (ftruncate(fd, static_cast<off_t>(rounded)) == 0) {
    call = "fallocate";
    if (fallocate(fd, 0, 0, static_cast<off_t>(rounded)) == 0) {
      // Whoever gets the descriptor (a memif peer) can neither take the memory away nor forbid
      // mapping it: memfd_create(2), file sealing. A kernel without seals for it does without.
      fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
      call = "mmap";
      base = mmap(nullptr, rounded, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
  }
  if (base == MAP_FAILED) {
    const int error_number = errno;
    close(fd);
    return fail(call, error_number, error);
  }
  if (!huge) madvise(base, rounded, MADV_HUGEPAGE);  // a wish: shmem may refuse it
  if (madvise(base, rounded, MADV_POPULATE_WRITE) != 0) std::memset(base, 0, rounded);
  *out = SharedMemory{static_cast<uint8_t*>(base), rounded, fd, huge};
  return true;
}

}  // namespace

bool shared_memory_create(const char* name, size_t bytes, bool huge, SharedMemory* out,
                          std::string* error) {
  if (huge && create(name, bytes, true, out, error)) return true;
  return create(name, bytes, false, out, error);
}

void shared_memory_close(SharedMemory& memory) noexcept {
  if (memory.base != nullptr) munmap(memory.base, memory.bytes);
  if (memory.fd >= 0) close(memory.fd);
  memory = SharedMemory{};
}

namespace {
// Every mapping is a whole number of huge pages, so that unmap needs no memory of what it got.
size_t whole_pages(size_t bytes) noexcept {
  const size_t page = bytes < kHugePage ? kSmallPage : kHugePage;
  return (bytes + page - 1) / page * page;
}
}  // namespace

void* memory_map(size_t bytes, bool huge, bool* got_huge) noexcept {
  const size_t whole = whole_pages(bytes);
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS;
  const bool worth = huge && whole % kHugePage == 0;
  if (got_huge) *got_huge = false;
  if (worth) {
    // Populated at once: a missing huge page would otherwise be a SIGBUS on the path.
    void* p =
        mmap(nullptr, whole, PROT_READ | PROT_WRITE, kFlags | MAP_HUGETLB | MAP_POPULATE, -1, 0);
    if (p != MAP_FAILED) {
      if (got_huge) *got_huge = true;
      return p;
    }
  }
  void* p = mmap(nullptr, whole, PROT_READ | PROT_WRITE, kFlags | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) return nullptr;
  if (worth) madvise(p, whole, MADV_HUGEPAGE);
  return p;
}

void memory_unmap(void* base, size_t bytes) noexcept { munmap(base, whole_pages(bytes)); }

}  // namespace nodeplane
