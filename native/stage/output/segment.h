#pragma once
#include "stage/output/output.h"

namespace nodeplane {

// Cuts a large packet into ones of gso_size payload bytes, each with its own headers and full sums,
// in fresh frames at the end of the outgoing list. kNone: done; else why not, and nothing was made.
Drop segment(Batch& batch, const Output::Table& table, Output::State& state, Packet& p) noexcept;

}  // namespace nodeplane
