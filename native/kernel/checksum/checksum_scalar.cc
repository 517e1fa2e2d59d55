#include "kernel/checksum/checksum.h"

#include <cstring>

#include "base/sum.h"

namespace nodeplane {

// RFC 1071 section 2: the sum may be taken over words of any size (2^64 - 1 is a multiple of
// 2^16 - 1) and in memory order, and carries come back in at the low end.
uint16_t checksum_scalar(const uint8_t* p, size_t n) noexcept {
  uint64_t sum = 0;
  for (; n >= 8; p += 8, n -= 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    sum += word;
    sum += sum < word;
  }
  uint64_t rest = 0;  // as if zeros followed it
  if (n & 4) {
    uint32_t word;
    std::memcpy(&word, p, 4);
    rest += word;
    p += 4;
  }
  if (n & 2) {
    uint16_t word;
    std::memcpy(&word, p, 2);
    rest += word;
    p += 2;
  }
  if (n & 1) rest += *p;
  sum += rest;
  sum += sum < rest;
  return sum_fold(sum);
}

}  // namespace nodeplane
