#include "kernel/guess/guess.h"

namespace nodeplane {

void guess_scalar(const GuessLines& lines, const uint32_t* hashes, size_t n,
                  uint32_t* entries) noexcept {
  guess_all(lines, hashes, n, entries, [](const uint8_t* line, uint16_t tag) noexcept {
    return probe_tags(reinterpret_cast<const std::atomic<uint16_t>*>(line), tag);
  });
}

}  // namespace nodeplane
