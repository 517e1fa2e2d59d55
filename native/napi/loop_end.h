#pragma once
#include <napi.h>

#include <memory>

#include "driver/loop/cable.h"

namespace nodeplane {

// The far end of a loop port's cable, for whoever plays the outside from JavaScript: new
// LoopEnd(name). Packets are copied; this is for tests, examples and the demo, not for the path.
class LoopEndObject : public Napi::ObjectWrap<LoopEndObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit LoopEndObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value inject(const Napi::CallbackInfo& info);   // (Uint8Array) -> boolean
  Napi::Value collect(const Napi::CallbackInfo& info);  // () -> Uint8Array | null
  Napi::Value close(const Napi::CallbackInfo& info);

  std::unique_ptr<LoopEnd> end_;
};

}  // namespace nodeplane
