#pragma once
#include <napi.h>

namespace nodeplane {

// generate({interface, driver, family, protocol, dstMac, service, servicePort, flows, seconds,
// packetsPerSecond}) -> Promise<{sent, seconds}>: the benchmark's packets, sent on a thread aside.
Napi::Value generate(const Napi::CallbackInfo& info);

}  // namespace nodeplane
