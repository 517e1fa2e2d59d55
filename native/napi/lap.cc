#include "napi/lap.h"

#include <cstring>

#include "napi/dataplane.h"
#include "napi/values.h"

namespace nodeplane {
namespace {

PathLap::What what_of(const Napi::Value& value) {
  static constexpr const char* kNames[] = {"corridor", "both", "silent", "empty",
                                           "floor",    "new",  "expire", "reset"};
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
       InstanceMethod<&LapObject::begin_turns>("beginTurns"),
       InstanceMethod<&LapObject::end_turns>("endTurns"),
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

void LapObject::check_free(Napi::Env env) const {
  if (!lap_) throw Napi::Error::New(env, "the lap is closed");
  if (lap_->at_work()) throw Napi::Error::New(env, "the lap's worker is at work");
}

void LapObject::check_strays(Napi::Env env) const {
  if (lap_->strays() != 0)
    throw Napi::Error::New(
        env, std::to_string(lap_->strays()) + " packets of a lap went astray" + lap_->drops());
}

// (what): nanoseconds per packet, or per new connection, of one lap over new packets.
Napi::Value LapObject::lap(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  check_free(env);
  const PathLap::What what = what_of(info[0]);
  if (what == PathLap::What::kBoth && !lap_->has_answers())
    throw Napi::Error::New(env, "this lap knows no answers: it was made without `backward`");
  const double ns = lap_->lap(what);
  check_strays(env);
  return Napi::Number::New(env, ns);
}

// (what, draws, cores, laps): the same of each worker.
Napi::Value LapObject::together(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  check_free(env);
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

// (seconds, expiring, core): a worker is at work until endTurns.
Napi::Value LapObject::begin_turns(const Napi::CallbackInfo& info) {
  check_free(info.Env());
  lap_->begin_turns(info[0].As<Napi::Number>().DoubleValue(),
                    info[1].As<Napi::Number>().Uint32Value(),
                    info[2].As<Napi::Number>().Int32Value());
  return info.Env().Undefined();
}

// How long its turns took, ns.
Napi::Value LapObject::end_turns(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const auto turns = lap_ ? lap_->end_turns() : nullptr;
  if (!turns) throw Napi::Error::New(env, "the lap's worker is not at work");
  check_strays(env);
  Napi::Object o = Napi::Object::New(env);
  const auto set = [&](const char* name, uint64_t n) { o.Set(name, static_cast<double>(n)); };
  set("count", turns->ns.count());
  set("preempted", turns->preempted);
  set("expired", turns->expired);
  set("p50", turns->ns.quantile(0.5));
  set("p99", turns->ns.quantile(0.99));
  set("p9999", turns->ns.quantile(0.9999));
  set("max", turns->ns.max());
  return o;
}

Napi::Value LapObject::close(const Napi::CallbackInfo& info) {
  lap_.reset();
  plane_.reset();
  return info.Env().Undefined();
}

}  // namespace nodeplane
