#pragma once
#include <napi.h>

#include <memory>

#include "control/plane.h"

namespace nodeplane {

// The JavaScript face of a Plane: bytes and numbers, no opinions. Arguments were checked above;
// what is still wrong throws a TypeError or Error with the reason.
class Dataplane : public Napi::ObjectWrap<Dataplane> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit Dataplane(const Napi::CallbackInfo& info);
  ~Dataplane() override;
  std::shared_ptr<Plane> shared_plane() const { return plane_; }

 private:
  Napi::Value open_port(const Napi::CallbackInfo& info);
  Napi::Value publish(const Napi::CallbackInfo& info);
  Napi::Value start(const Napi::CallbackInfo& info);
  Napi::Value stop(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);
  Napi::Value replay(const Napi::CallbackInfo& info);
  Napi::Value counters(const Napi::CallbackInfo& info);
  Napi::Value flows(const Napi::CallbackInfo& info);
  Napi::Value zones(const Napi::CallbackInfo& info);
  Napi::Value read_neighbours(const Napi::CallbackInfo& info);
  Napi::Value neighbours(const Napi::CallbackInfo& info);
  Napi::Value copy(const Napi::CallbackInfo& info);
  Napi::Value know_ids(const Napi::CallbackInfo& info);
  Napi::Value flow_file(const Napi::CallbackInfo& info);
  Napi::Value port_stats(const Napi::CallbackInfo& info);
  Napi::Value news(const Napi::CallbackInfo& info);
  Napi::Value info(const Napi::CallbackInfo& info);

  Plane& plane(Napi::Env env);
  static void at_exit(void* self);

  std::shared_ptr<Plane> plane_;  // shared with what outlives a call: replay, the counters' buffer
  bool replaying_ = false;
  friend class ReplayWork;
};

}  // namespace nodeplane
