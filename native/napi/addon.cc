#include <napi.h>

#include "napi/dataplane.h"

namespace {
Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("Dataplane", nodeplane::Dataplane::define(env));
  return exports;
}
}  // namespace

NODE_API_MODULE(nodeplane, init)
