#pragma once
#include <napi.h>

#include <memory>

#include "lap/path_lap.h"

namespace nodeplane {

// The corridor's laps for bench/: new PathLap(dataplane, {family, flows, services, backward}).
class LapObject : public Napi::ObjectWrap<LapObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit LapObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value lap(const Napi::CallbackInfo& info);
  Napi::Value together(const Napi::CallbackInfo& info);
  Napi::Value begin_turns(const Napi::CallbackInfo& info);
  Napi::Value end_turns(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);
  void check_free(Napi::Env env) const;
  void check_strays(Napi::Env env) const;

  std::shared_ptr<Plane> plane_;  // outlives the lap that borrows it
  std::unique_ptr<PathLap> lap_;
};

}  // namespace nodeplane
