#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace nodeplane::test {

using Bytes = std::vector<uint8_t>;

inline void put16(Bytes& b, size_t at, uint32_t v) {
  b.at(at) = static_cast<uint8_t>(v >> 8);
  b.at(at + 1) = static_cast<uint8_t>(v);
}

}  // namespace nodeplane::test
