#include <immintrin.h>

#include "kernel/guess/guess.h"

namespace nodeplane {

// Each 16-bit lane of the load is atomic, and x86 keeps loads in order (probe.h).
void guess_avx2(const GuessLines& lines, const uint32_t* hashes, size_t n,
                uint32_t* entries) noexcept {
  guess_all(lines, hashes, n, entries, [](const uint8_t* line, uint16_t tag) noexcept {
    const __m256i tags = _mm256_load_si256(reinterpret_cast<const __m256i*>(line));
    const __m256i equal = _mm256_cmpeq_epi16(tags, _mm256_set1_epi16(static_cast<short>(tag)));
    const __m128i bytes =
        _mm_packs_epi16(_mm256_castsi256_si128(equal), _mm256_extracti128_si256(equal, 1));
    return static_cast<uint32_t>(_mm_movemask_epi8(bytes)) & kProbeMask;
  });
}

}  // namespace nodeplane
