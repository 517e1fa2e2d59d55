#pragma once
#include <napi.h>

#include <memory>

#include "peer/peer.h"

namespace nodeplane {

// The outside of a port, for benchmarks, tests, the demo and memif-echo: new Peer(options). The
// options are those of src/runtime/native_peer.ts.
class PeerObject : public Napi::ObjectWrap<PeerObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit PeerObject(const Napi::CallbackInfo& info);
  ~PeerObject() override;

 private:
  Napi::Value start(const Napi::CallbackInfo& info);
  Napi::Value stats(const Napi::CallbackInfo& info);     // () -> object
  Napi::Value news(const Napi::CallbackInfo& info);      // () -> string[]
  Napi::Value port(const Napi::CallbackInfo& info);      // () -> {description, mac, mtu, ...}
  Napi::Value finished(const Napi::CallbackInfo& info);  // () -> Promise of stats
  Napi::Value rest(const Napi::CallbackInfo& info);
  Napi::Value stop(const Napi::CallbackInfo& info);  // () -> Promise of stats and `balanced`
  static void at_exit(void* self);

  std::shared_ptr<Peer> peer_;
};

}  // namespace nodeplane
