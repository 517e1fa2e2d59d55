#pragma once
#include "copy/engine.h"

namespace nodeplane {

// The engine that copies while it is asked to.
std::unique_ptr<CopyEngine> open_copy_cpu();

}  // namespace nodeplane
