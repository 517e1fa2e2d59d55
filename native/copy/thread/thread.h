#pragma once
#include "copy/engine.h"

namespace nodeplane {

// One thread that copies for all channels, on a core of its own (core < 0: where the scheduler puts
// it). Copies below bytes_min, submits with fewer than batch_min others and what finds the ring full
// are the caller's. Null with a reason.
std::unique_ptr<CopyEngine> open_copy_thread(int core, uint32_t bytes_min, uint32_t batch_min,
                                             std::string* error);

}  // namespace nodeplane
