#pragma once
#include <cstddef>
#include <cstdint>

namespace nodeplane {

uint16_t checksum_scalar(const uint8_t* p, size_t n) noexcept;
uint16_t checksum_avx2(const uint8_t* p, size_t n) noexcept;

}  // namespace nodeplane
