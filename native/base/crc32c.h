#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace nodeplane {

// CRC32C (Castagnoli) as SCTP uses it (RFC 9260 appendix A), bits reflected. Cold code only: one
// byte at a time. Start with kCrc32cInit, invert the end; the field holds it in little-endian.
inline constexpr uint32_t kCrc32cInit = 0xffffffff;
inline constexpr uint32_t kCrc32cPolynomial = 0x82f63b78;

inline constexpr auto kCrc32cTable = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? (crc >> 1) ^ kCrc32cPolynomial : crc >> 1;
    table[i] = crc;
  }
  return table;
}();

constexpr uint32_t crc32c(uint32_t crc, const uint8_t* p, size_t n) noexcept {
  for (size_t i = 0; i < n; ++i) crc = (crc >> 8) ^ kCrc32cTable[(crc ^ p[i]) & 0xff];
  return crc;
}

// The product of two polynomials modulo the CRC's; the top bit is the constant term.
constexpr uint32_t crc32c_multiply(uint32_t a, uint32_t b) noexcept {
  uint32_t product = 0;
  for (uint32_t bit = 0x80000000; bit != 0; bit >>= 1) {
    if (a & bit) product ^= b;
    b = b & 1 ? (b >> 1) ^ kCrc32cPolynomial : b >> 1;
  }
  return product;
}

// x^(2^i), to raise x to any power.
inline constexpr auto kCrc32cPowers = [] {
  std::array<uint32_t, 32> powers{};
  uint32_t power = 0x40000000;
  for (auto& p : powers) {
    p = power;
    power = crc32c_multiply(power, power);
  }
  return powers;
}();

// The state after `bytes` zero bytes. CRCs are linear: of two messages of one length they differ by
// the CRC (started at 0) of their difference, so a change near the front costs only this.
constexpr uint32_t crc32c_zeros(uint32_t crc, uint32_t bytes) noexcept {
  for (uint32_t i = 3; bytes != 0; ++i, bytes >>= 1)
    if (bytes & 1) crc = crc32c_multiply(kCrc32cPowers[i], crc);
  return crc;
}

}  // namespace nodeplane
