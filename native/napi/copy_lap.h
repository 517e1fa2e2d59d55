#pragma once
#include <napi.h>

#include <memory>

#include "lap/copy_lap.h"

namespace nodeplane {

// The laps of bench copy: new CopyLap(options); the options are those of src/runtime/native_lap.ts.
// receive and send wait for their lap, a few milliseconds.
class CopyLapObject : public Napi::ObjectWrap<CopyLapObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit CopyLapObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value receive(const Napi::CallbackInfo& info);  // (packets, turnNs) -> result
  Napi::Value send(const Napi::CallbackInfo& info);
  Napi::Value info(const Napi::CallbackInfo& info);  // () -> {engine, why, stats}
  Napi::Value close(const Napi::CallbackInfo& info);
  CopyLap& lap(Napi::Env env);

  std::unique_ptr<CopyLap> lap_;
};

}  // namespace nodeplane
