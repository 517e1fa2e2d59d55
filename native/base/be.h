#pragma once
#include <bit>
#include <cstdint>
#include <cstring>

namespace nodeplane {

// Network byte order, alignment 1, never converted silently. `raw` is the value as it lies in
// memory, which is what keys and sums use; `host` is the number.
struct Be16 {
  uint8_t bytes[2];
  uint16_t raw() const noexcept {
    uint16_t v;
    std::memcpy(&v, bytes, 2);
    return v;
  }
  uint16_t host() const noexcept { return __builtin_bswap16(raw()); }
  void set_raw(uint16_t v) noexcept { std::memcpy(bytes, &v, 2); }
  void set(uint16_t v) noexcept { set_raw(__builtin_bswap16(v)); }
};

struct Be32 {
  uint8_t bytes[4];
  uint32_t raw() const noexcept {
    uint32_t v;
    std::memcpy(&v, bytes, 4);
    return v;
  }
  uint32_t host() const noexcept { return __builtin_bswap32(raw()); }
  void set_raw(uint32_t v) noexcept { std::memcpy(bytes, &v, 4); }
  void set(uint32_t v) noexcept { set_raw(__builtin_bswap32(v)); }
};

static_assert(sizeof(Be16) == 2 && alignof(Be16) == 1);
static_assert(sizeof(Be32) == 4 && alignof(Be32) == 1);
static_assert(std::endian::native == std::endian::little);

constexpr uint16_t swap16(uint16_t v) noexcept { return __builtin_bswap16(v); }
constexpr uint32_t swap32(uint32_t v) noexcept { return __builtin_bswap32(v); }

}  // namespace nodeplane
