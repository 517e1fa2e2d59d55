#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace nodeplane::test {

// Memory whose end is the end of a page with nothing behind it: one byte read too far crashes.
class Guarded {
 public:
  explicit Guarded(size_t capacity) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    bytes_ = (capacity + page - 1) / page * page;
    base_ = static_cast<uint8_t*>(
        mmap(nullptr, bytes_ + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (base_ == MAP_FAILED || mprotect(base_ + bytes_, page, PROT_NONE) != 0) std::abort();
    mapped_ = bytes_ + page;
  }
  ~Guarded() { munmap(base_, mapped_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  uint8_t* end() const { return base_ + bytes_; }
  size_t capacity() const { return bytes_; }
  // A copy of n bytes that ends where the memory does.
  uint8_t* put(const void* from, size_t n) {
    if (n > bytes_) std::abort();
    if (n != 0) std::memcpy(end() - n, from, n);
    return end() - n;
  }

 private:
  uint8_t* base_;
  size_t bytes_;
  size_t mapped_;
};

}  // namespace nodeplane::test
