#include "napi/round_trip.h"

#include "lap/round_trip.h"

namespace nodeplane {

Napi::Value round_trip(const Napi::CallbackInfo& info) {
  const int core = info[0].As<Napi::Number>().Int32Value();
  const int other = info[1].As<Napi::Number>().Int32Value();
  return Napi::Number::New(info.Env(), core_round_trip(core, other));
}

}  // namespace nodeplane
