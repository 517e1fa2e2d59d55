#include "napi/lap.h"

#include <cstring>

#include "napi/dataplane.h"

namespace nodeplane {

Napi::Function LapObject::define(Napi::Env env) {
  return DefineClass(
      env, "PathLap",
      {InstanceMethod<&LapObject::lap>("lap"), InstanceMethod<&LapObject::close>("close")});
}

LapObject::LapObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<LapObject>(info) {
  Napi::Env env = info.Env();
  plane_ = Dataplane::Unwrap(info[0].As<Napi::Object>())->shared_plane();
  const Napi::Object o = info[1].As<Napi::Object>();
  const auto family = static_cast<uint8_t>(o.Get("family").As<Napi::Number>().Uint32Value());
  const uint32_t flows = o.Get("flows").As<Napi::Number>().Uint32Value();
  // 18 bytes each: address, port in network order.
  const auto bytes = o.Get("services").As<Napi::Uint8Array>();
  std::vector<PathLap::Service> services(bytes.ByteLength() / 18);
  for (size_t i = 0; i < services.size(); ++i) {
    std::memcpy(services[i].address.bytes, bytes.Data() + i * 18, 16);
    std::memcpy(&services[i].be_port, bytes.Data() + i * 18 + 16, 2);
  }
  std::string error;
  lap_ = PathLap::create(*plane_, family, flows, std::move(services), &error);
  if (!lap_) throw Napi::Error::New(env, error);
}

// "corridor", "empty", "floor" or "new": nanoseconds per packet of one lap over new packets.
Napi::Value LapObject::lap(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!lap_) throw Napi::Error::New(env, "the lap is closed");
  const std::string what = info[0].As<Napi::String>();
  double ns = 0;
  if (what == "new") {
    ns = lap_->lap_new();
  } else {
    lap_->refill();
    ns = lap_->lap(what == "empty"   ? PathLap::What::kEmpty
                   : what == "floor" ? PathLap::What::kFloor
                                     : PathLap::What::kCorridor);
  }
  if (lap_->strays() != 0)
    throw Napi::Error::New(env, std::to_string(lap_->strays()) + " packets of a lap went astray");
  return Napi::Number::New(env, ns);
}

Napi::Value LapObject::close(const Napi::CallbackInfo& info) {
  lap_.reset();
  plane_.reset();
  return info.Env().Undefined();
}

}  // namespace nodeplane
