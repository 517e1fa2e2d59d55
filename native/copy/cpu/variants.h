#pragma once
#include <cstddef>
#include <cstdint>

namespace nodeplane {

// Every one copies more than kCopyInlineMax bytes between buffers that do not overlap.
void copy_libc(uint8_t* to, const uint8_t* from, size_t bytes) noexcept;
#if defined(__x86_64__)
void copy_avx2(uint8_t* to, const uint8_t* from, size_t bytes) noexcept;
void copy_far_avx2(uint8_t* to, const uint8_t* from, size_t bytes) noexcept;
void copy_avx512(uint8_t* to, const uint8_t* from, size_t bytes) noexcept;
void copy_far_avx512(uint8_t* to, const uint8_t* from, size_t bytes) noexcept;
#endif

}  // namespace nodeplane
