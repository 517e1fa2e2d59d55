#include "napi/loop_end.h"

#include <cstring>
#include <string>
#include <vector>

namespace nodeplane {

Napi::Function LoopEndObject::define(Napi::Env env) {
  return DefineClass(env, "LoopEnd",
                     {InstanceMethod<&LoopEndObject::inject>("inject"),
                      InstanceMethod<&LoopEndObject::collect>("collect"),
                      InstanceMethod<&LoopEndObject::close>("close")});
}

LoopEndObject::LoopEndObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<LoopEndObject>(info) {
  if (!info[0].IsString()) throw Napi::TypeError::New(info.Env(), "a cable has a name");
  std::string error;
  end_ = LoopEnd::open(loop_cable(info[0].As<Napi::String>()), 1, &error);
  if (!end_) throw Napi::Error::New(info.Env(), error);
}

Napi::Value LoopEndObject::inject(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!end_) throw Napi::Error::New(env, "the loop end is closed");
  if (!info[0].IsTypedArray()) throw Napi::TypeError::New(env, "inject takes a Uint8Array");
  const auto bytes = info[0].As<Napi::Uint8Array>();
  const bool in = bytes.ByteLength() <= kLoopPacketMax &&
                  end_->inject(bytes.Data(), static_cast<uint32_t>(bytes.ByteLength()));
  return Napi::Boolean::New(env, in);
}

Napi::Value LoopEndObject::collect(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!end_) throw Napi::Error::New(env, "the loop end is closed");
  std::vector<uint8_t> bytes;
  if (!end_->collect(&bytes)) return env.Null();
  auto out = Napi::Uint8Array::New(env, bytes.size());
  if (!bytes.empty()) std::memcpy(out.Data(), bytes.data(), bytes.size());
  return out;
}

Napi::Value LoopEndObject::close(const Napi::CallbackInfo& info) {
  end_.reset();
  return info.Env().Undefined();
}

}  // namespace nodeplane
