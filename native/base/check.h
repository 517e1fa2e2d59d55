#pragma once
#include <cstdio>
#include <cstdlib>

namespace nodeplane {

// Ours, not the world's: a broken promise between two of our rooms stops the program, loudly.
inline void check(bool holds, const char* what, const char* file = __builtin_FILE(),
                  int line = __builtin_LINE()) noexcept {
  if (__builtin_expect(holds, 1)) return;
  std::fprintf(stderr, "nodeplane: check failed at %s:%d: %s\n", file, line, what);
  std::abort();
}

}  // namespace nodeplane
