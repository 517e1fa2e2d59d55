#pragma once
#include <vector>

#include "base/time.h"
#include "copy/engine.h"
#include "copy/portal.h"

namespace nodeplane::dsa {

inline constexpr uint32_t kSlotsPerChannel = 16;  // descriptors or batches in flight of a channel
inline constexpr uint32_t kListMax = 256;         // descriptors in a batch, if the queue takes more
inline constexpr Time kSilenceMax = kSecond;      // no completion for so long: the device is dead

struct EngineOptions {
  std::string name;  // of the engine, for people
  uint32_t bytes_min = 0;
  uint32_t batch_min = 0;
  Time silence_max = kSilenceMax;
};

// Copies by 64-byte descriptors, whoever is behind the portals. A dedicated queue's entries are
// shared out among channels as they come; a channel for which none are left copies on the CPU.
std::unique_ptr<CopyEngine> make_engine(std::vector<Queue> queues, const EngineOptions& options);

}  // namespace nodeplane::dsa
