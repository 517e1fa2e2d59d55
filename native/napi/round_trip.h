#pragma once
#include <napi.h>

namespace nodeplane {

// coreRoundTrip(core, other): nanoseconds (lap/round_trip.h). Waits for it, about 2 ms.
Napi::Value round_trip(const Napi::CallbackInfo& info);

}  // namespace nodeplane
