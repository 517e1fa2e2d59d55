#include <napi.h>

#include "napi/copy_lap.h"
#include "napi/dataplane.h"
#include "napi/lap.h"
#include "napi/loop_end.h"
#include "napi/peer.h"
#include "napi/round_trip.h"

namespace {
Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("Dataplane", nodeplane::Dataplane::define(env));
  exports.Set("PathLap", nodeplane::LapObject::define(env));
  exports.Set("CopyLap", nodeplane::CopyLapObject::define(env));
  exports.Set("LoopEnd", nodeplane::LoopEndObject::define(env));
  exports.Set("Peer", nodeplane::PeerObject::define(env));
  exports.Set("coreRoundTrip", Napi::Function::New<nodeplane::round_trip>(env, "coreRoundTrip"));
  return exports;
}
}  // namespace

NODE_API_MODULE(nodeplane, init)
