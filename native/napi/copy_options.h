#pragma once
#include <napi.h>

#include "copy/copy.h"

namespace nodeplane {

// A NativeCopy of src/runtime/native_plane.ts. Throws when it is none.
CopyOptions copy_options_of(const Napi::Object& o);

}  // namespace nodeplane
