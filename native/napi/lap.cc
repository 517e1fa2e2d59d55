#include "napi/lap.h"

#include <cstring>

#include "napi/dataplane.h"
#include "napi/values.h"

namespace nodeplane {
namespace {

PathLap::What what_of(const Napi::Value& value) {
  static constexpr const char* kNames[] = {"corridor", "empty", "floor", "new", "expire", "reset"};
  const std::string name = value.As<Napi::String>();
  for (uint8_t i = 0; i < std::size(kNames); ++i)
    if (name == kNames[i]) return static_cast<PathLap::What>(i);
  throw Napi::TypeError::New(value.Env(), "no lap is called " + name);
}

PathLap::Draw draw_of(const Napi::Object& o) {
  static constexpr const char* kNames[] = {"forward", "backward", "both"};
  PathLap::Draw draw{number(o, "first"), number(o, "stride"), PathLap::Way::kForward};
  const std::string way = text(o, "way");
  for (uint8_t i = 0; i < std::size(kNames); ++i)
    if (way == kNames[i]) draw.way = static_cast<PathLap::Way>(i);
  return draw;
}

}  // namespace

Napi::Function LapObject::define(Napi::Env env) {
  return DefineClass(
      env, "PathLap",
      {InstanceMethod<&LapObject::lap>("lap"), InstanceMethod<&LapObject::together>("together"),
       InstanceMethod<&LapObject::close>("close")});
}

LapObject::LapObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<LapObject>(info) {
  Napi::Env env = info.Env();
  plane_ = Dataplane::Unwrap(info[0].As<Napi::Object>())->shared_plane();
  const Napi::Object o = info[1].As<Napi::Object>();
  PathLap::Options options;
  options.family = static_cast<uint8_t>(number(o, "family"));
  options.flows = number(o, "flows");
  options.backward = o.Get("backward").ToBoolean();
  // 18 bytes each: address, port in network order.
  const auto bytes = o.Get("services").As<Napi::Uint8Array>();
  options.services.resize(bytes.ByteLength() / 18);
  for (size_t i = 0; i < options.services.size(); ++i) {
    std::memcpy(options.services[i].address.bytes, bytes.Data() + i * 18, 16);
    std::memcpy(&options.services[i].be_port, bytes.Data() + i * 18 + 16, 2);
  }
  std::string error;
  lap_ = PathLap::create(*plane_, std::move(options), &error);
  if (!lap_) throw Napi::Error::New(env, error);
}

void LapObject::check_strays(Napi::Env env) const {
  if (lap_->strays() != 0)
    throw Napi::Error::New(
        env, std::to_string(lap_->strays()) + " packets of a lap went astray" + lap_->drops());
}

// (what): nanoseconds per packet, or per new connection, of one lap over new packets.
Napi::Value LapObject::lap(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!lap_) throw Napi::Error::New(env, "the lap is closed");
  const double ns = lap_->lap(what_of(info[0]));
  check_strays(env);
  return Napi::Number::New(env, ns);
}

// (what, draws, cores, laps): the same of each worker.
Napi::Value LapObject::together(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!lap_) throw Napi::Error::New(env, "the lap is closed");
  std::vector<PathLap::Draw> draws;
  std::vector<int> cores;
  const auto wanted = info[1].As<Napi::Array>(), on = info[2].As<Napi::Array>();
  for (uint32_t i = 0; i < wanted.Length(); ++i)
    draws.push_back(draw_of(wanted.Get(i).As<Napi::Object>()));
  for (uint32_t i = 0; i < on.Length(); ++i)
    cores.push_back(on.Get(i).As<Napi::Number>().Int32Value());
  const auto ns =
      lap_->together(what_of(info[0]), draws, cores, info[3].As<Napi::Number>().Uint32Value());
  check_strays(env);
  const auto result = Napi::Array::New(env, ns.size());
  for (uint32_t i = 0; i < ns.size(); ++i) result.Set(i, ns[i]);
  return result;
}

Napi::Value LapObject::close(const Napi::CallbackInfo& info) {
  lap_.reset();
  plane_.reset();
  return info.Env().Undefined();
}

}  // namespace nodeplane
