#include "napi/copy_lap.h"

#include <string>

#include "napi/copy_options.h"
#include "napi/port_spec.h"

namespace nodeplane {

namespace {

Napi::Object object_of(Napi::Env env, const CopyLap::Result& r) {
  if (r.missing != 0 || r.mangled != 0)
    throw Napi::Error::New(env, "of a lap's packets " + std::to_string(r.missing) +
                                    " did not arrive and " + std::to_string(r.mangled) +
                                    " arrived otherwise than sent");
  Napi::Object out = Napi::Object::New(env);
  out.Set("packets", r.packets);
  out.Set("turns", r.turns);
  out.Set("idleTurns", r.idle_turns);
  out.Set("busyNs", r.busy_ns);
  out.Set("idleNs", r.idle_ns);
  out.Set("wholeNs", r.whole_ns);
  return out;
}

}  // namespace

Napi::Function CopyLapObject::define(Napi::Env env) {
  return DefineClass(
      env, "CopyLap",
      {InstanceMethod<&CopyLapObject::receive>("receive"),
       InstanceMethod<&CopyLapObject::send>("send"), InstanceMethod<&CopyLapObject::info>("info"),
       InstanceMethod<&CopyLapObject::close>("close")});
}

CopyLapObject::CopyLapObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<CopyLapObject>(info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  const auto number = [&](const char* key) { return o.Get(key).As<Napi::Number>().Int32Value(); };
  CopyLap::Options options;
  options.server = port_spec_of(o.Get("server").As<Napi::Object>());
  options.client = port_spec_of(o.Get("client").As<Napi::Object>());
  options.copy = copy_options_of(o.Get("copy").As<Napi::Object>());
  options.bytes = static_cast<uint32_t>(number("bytes"));
  options.frame_size = static_cast<uint32_t>(number("frameSize"));
  options.frames = static_cast<uint32_t>(number("frames"));
  options.batch = static_cast<uint32_t>(number("batch"));
  options.worker_core = number("workerCore");
  options.other_core = number("otherCore");
  std::string error;
  lap_ = CopyLap::create(options, &error);
  if (!lap_) throw Napi::Error::New(info.Env(), error);
}

CopyLap& CopyLapObject::lap(Napi::Env env) {
  if (!lap_) throw Napi::Error::New(env, "the lap is closed");
  return *lap_;
}

Napi::Value CopyLapObject::receive(const Napi::CallbackInfo& info) {
  return object_of(info.Env(), lap(info.Env())
                                   .receive(info[0].As<Napi::Number>().Uint32Value(),
                                            info[1].As<Napi::Number>().Uint32Value()));
}

Napi::Value CopyLapObject::send(const Napi::CallbackInfo& info) {
  return object_of(info.Env(), lap(info.Env())
                                   .send(info[0].As<Napi::Number>().Uint32Value(),
                                         info[1].As<Napi::Number>().Uint32Value()));
}

Napi::Value CopyLapObject::info(const Napi::CallbackInfo& info) {
  CopyLap& l = lap(info.Env());
  Napi::Object out = Napi::Object::New(info.Env());
  out.Set("engine", l.description());
  out.Set("why", l.why());
  out.Set("stats", l.stats_json());
  return out;
}

Napi::Value CopyLapObject::close(const Napi::CallbackInfo& info) {
  lap_.reset();
  return info.Env().Undefined();
}

}  // namespace nodeplane
