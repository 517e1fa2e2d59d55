#pragma once
#include <napi.h>

#include <string>

#include "driver/driver.h"

namespace nodeplane {

// A NativePortSpec of src/runtime/native_plane.ts. Throws when it is none.
PortSpec port_spec_of(const Napi::Object& o);

}  // namespace nodeplane
