#pragma once
#include <concepts>

#include "packet/batch.h"

namespace nodeplane {

// The one shape of a stage: a name, an immutable table, this worker's own state, and a run over the
// batch's live packets that neither throws nor allocates.
// clang-format off
template <class S>
concept Stage = requires(Batch& b, const typename S::Table& t, typename S::State& s) {
  { S::kName } -> std::convertible_to<const char*>;
  { S::run(b, t, s) } noexcept -> std::same_as<void>;
};
// clang-format on

// Takes what left off the live list and counts it. The one place where leaving is counted.
void settle(Batch& batch) noexcept;

// The batch's end: gives back the frames of what was dropped or consumed. Not earlier, because an
// answer made by originate quotes the packet it answers.
void finish(Batch& batch) noexcept;

// Every live packet passes.
template <Stage S>
void pass(Batch& batch, const typename S::Table& table, typename S::State& state) noexcept {
  if (batch.live_count == 0 && batch.owed_count == 0) return;
  S::run(batch, table, state);
  settle(batch);
}

// Only packets without a connection pass (batch.fresh).
template <Stage S>
void fresh(Batch& batch, const typename S::Table& table, typename S::State& state) noexcept {
  if (batch.fresh_count == 0) return;
  S::run(batch, table, state);
  settle(batch);
}

}  // namespace nodeplane
