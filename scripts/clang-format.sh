#!/usr/bin/env bash
# clang-format 14 over the C++ that people write (generated files are as the generator writes them).
set -euo pipefail
cd "$(dirname "$0")/.."
find native test bench -name gen -prune -o \( -name '*.cc' -o -name '*.h' -o -name '*.bpf.c' \) -print0 |
  xargs -0 -r "$(command -v clang-format-14 || command -v clang-format)" "$@"
