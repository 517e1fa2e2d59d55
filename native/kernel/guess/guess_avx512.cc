#include <immintrin.h>

#include "kernel/guess/guess.h"

namespace nodeplane {

// Each 16-bit lane of the load is atomic, and x86 keeps loads in order (probe.h).
void guess_avx512(const GuessLines& lines, const uint32_t* hashes, size_t n,
                  uint32_t* entries) noexcept {
  guess_all(lines, hashes, n, entries, [](const uint8_t* line, uint16_t tag) noexcept {
    const __m256i tags = _mm256_load_si256(reinterpret_cast<const __m256i*>(line));
    const __mmask16 equal =
        _mm256_mask_cmpeq_epi16_mask(kProbeMask, tags, _mm256_set1_epi16(static_cast<short>(tag)));
    return static_cast<uint32_t>(equal);
  });
}

}  // namespace nodeplane
