#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace nodeplane {

// Shared memory in a memfd, all of it present from the start. On 2 MiB pages when the machine has
// reserved enough of them, else on 4 KiB pages with a plea for transparent huge ones.
struct SharedMemory {
  uint8_t* base = nullptr;
  size_t bytes = 0;  // rounded up to whole pages
  int fd = -1;
  bool huge = false;
};
inline constexpr size_t kHugePage = size_t{2} << 20;
inline constexpr size_t kSmallPage = 4096;

// False with a reason for people in `error`.
bool shared_memory_create(const char* name, size_t bytes, bool huge, SharedMemory* out,
                          std::string* error);
void shared_memory_close(SharedMemory& memory) noexcept;

// Private zeroed memory, touched lazily; on 2 MiB pages when `huge` is asked for and the machine has
// them reserved (`got_huge`, may be null, says so), else transparent ones are pleaded for. Null: none.
void* memory_map(size_t bytes, bool huge, bool* got_huge) noexcept;
void memory_unmap(void* base, size_t bytes) noexcept;  // the same bytes as asked for

}  // namespace nodeplane
