#pragma once
#include <atomic>
#include <cstdint>

#if defined(__SANITIZE_THREAD__)
#define NODEPLANE_PROBE_PORTABLE 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define NODEPLANE_PROBE_PORTABLE 1
#endif
#endif
#if defined(__SSE2__) && !defined(NODEPLANE_PROBE_PORTABLE)
#include <emmintrin.h>
#endif

namespace nodeplane {

inline constexpr uint32_t kProbeTags = 10;
inline constexpr uint32_t kProbeMask = (1u << kProbeTags) - 1;

// What a line keeps of a hash; 0 is a free place.
inline uint16_t probe_tag(uint32_t hash) noexcept {
  const uint16_t tag = static_cast<uint16_t>(hash);
  return static_cast<uint16_t>(tag + (tag < 1));
}

// A bit for each of the first 10 tags of a 64-byte line that equals `tag`. The meaning:
inline uint32_t probe_tags_scalar(const std::atomic<uint16_t>* line, uint16_t tag) noexcept {
  uint32_t mask = 0;
  for (uint32_t i = 0; i < kProbeTags; ++i) {
    mask |= static_cast<uint32_t>(line[i].load(std::memory_order_acquire) == tag) << i;
  }
  return mask;
}

#if defined(__SSE2__) && !defined(NODEPLANE_PROBE_PORTABLE)
// SSE2 is in the x86-64 baseline, so this needs no dispatch. Vector loads are not atomic as a whole,
// but each 16-bit lane is, and x86 keeps loads in order: what follows the fence is at least as new.
inline uint32_t probe_tags(const std::atomic<uint16_t>* line, uint16_t tag) noexcept {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  const auto* at = reinterpret_cast<const __m128i*>(line);
  const __m128i want = _mm_set1_epi16(static_cast<short>(tag));
  const __m128i low = _mm_cmpeq_epi16(_mm_load_si128(at), want);
  const __m128i high = _mm_cmpeq_epi16(_mm_load_si128(at + 1), want);
  const int mask = _mm_movemask_epi8(_mm_packs_epi16(low, high));
  std::atomic_signal_fence(std::memory_order_seq_cst);
  return static_cast<uint32_t>(mask) & kProbeMask;
}
#else
inline uint32_t probe_tags(const std::atomic<uint16_t>* line, uint16_t tag) noexcept {
  return probe_tags_scalar(line, tag);
}
#endif

}  // namespace nodeplane
