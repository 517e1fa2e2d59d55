#pragma once
#include <cstddef>
#include <cstdint>

#include "base/be.h"

namespace nodeplane::wire {

// Every header here is a plain struct of bytes and Be fields with alignment 1, so it may be laid
// over any address. `at` trusts the caller; `check_at` is the border: null when n bytes at p do not
// hold the whole fixed header, else a view whose fields may all be read. What the fields mean
// (versions, lengths that point further) is the caller's to judge.
template <class Header>
const Header* at(const uint8_t* p) noexcept {
  static_assert(alignof(Header) == 1);
  return reinterpret_cast<const Header*>(p);
}
template <class Header>
Header* at(uint8_t* p) noexcept {
  static_assert(alignof(Header) == 1);
  return reinterpret_cast<Header*>(p);
}
template <class Header>
const Header* check_at(const uint8_t* p, size_t n) noexcept {
  return n < sizeof(Header) ? nullptr : at<Header>(p);
}

}  // namespace nodeplane::wire
