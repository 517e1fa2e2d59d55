#include "napi/dataplane.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include "kernel/kernels.h"
#include "napi/copy_options.h"
#include "napi/port_spec.h"
#include "napi/values.h"

namespace nodeplane {

namespace {

PlaneOptions plane_options(const Napi::Object& o) {
  PlaneOptions p;
  p.workers = number(o, "workers");
  p.frames = number(o, "frames");
  p.frame_size = number(o, "frameSize");
  p.huge = o.Get("hugePages").ToBoolean();
  p.bridge = o.Get("bridge").ToBoolean();
  p.flow_capacity4 = number(o, "flowCapacity4");
  p.flow_capacity6 = number(o, "flowCapacity6");
  p.snat_port_low = static_cast<uint16_t>(number(o, "snatPortLow"));
  p.snat_port_high = static_cast<uint16_t>(number(o, "snatPortHigh"));
  p.hash = text(o, "hash") == "crc32c" ? HashKind::kCrc32c : HashKind::kSip13;
  const std::string mode = text(o, "mode");
  p.mode = mode == "polling"     ? WorkerMode::kPolling
           : mode == "interrupt" ? WorkerMode::kInterrupt
                                 : WorkerMode::kAdaptive;
  p.copy = copy_options_of(o.Get("copy").As<Napi::Object>());
  p.flow_file = text(o, "flowFile");
  p.flow_huge_directory = text(o, "flowHugeDirectory");
  const Napi::Value seed = o.Get("hashSeed");
  if (!seed.IsTypedArray() || seed.As<Napi::TypedArray>().ByteLength() != sizeof(HashSeed))
    throw Napi::TypeError::New(o.Env(), "hashSeed must be 16 bytes");
  std::memcpy(&p.seed, seed.As<Napi::Uint8Array>().Data(), sizeof p.seed);
  const Napi::Array pin = o.Get("pin").As<Napi::Array>();
  for (uint32_t i = 0; i < pin.Length(); ++i)
    p.pin.push_back(pin.Get(i).As<Napi::Number>().Int32Value());
  return p;
}

constexpr uint32_t kPageRowsMax = 1 << 16;

// One page of rows from a table that is walked by cursor.
template <class Row, class Dump>
Napi::Value page(const Napi::CallbackInfo& info, Dump dump) {
  Napi::Env env = info.Env();
  uint32_t cursor = info[0].As<Napi::Number>().Uint32Value();
  const uint32_t max = std::min(info[1].As<Napi::Number>().Uint32Value(), kPageRowsMax);
  std::vector<Row> rows(max);
  const uint32_t n = dump(&cursor, rows.data(), max);
  Napi::Object out = Napi::Object::New(env);
  out.Set("cursor", Napi::Number::New(env, cursor));
  auto bytes = Napi::Uint8Array::New(env, n * sizeof(Row));
  if (n) std::memcpy(bytes.Data(), rows.data(), n * sizeof(Row));
  out.Set("rows", bytes);
  return out;
}

}  // namespace

// A replay runs aside, so that JavaScript may show progress meanwhile.
class ReplayWork : public Napi::AsyncWorker {
 public:
  ReplayWork(Dataplane* owner, std::shared_ptr<Plane> plane, std::vector<uint16_t> ports)
      : Napi::AsyncWorker(owner->Env(), "nodeplane:replay"),
        deferred_(Napi::Promise::Deferred::New(owner->Env())),
        owner_(owner),
        plane_(std::move(plane)),
        ports_(std::move(ports)) {
    owner_->Ref();
  }
  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    std::string error;
    if (!plane_->replay(ports_, &error)) SetError(error);
  }
  void OnOK() override {
    done();
    deferred_.Resolve(Env().Undefined());
  }
  void OnError(const Napi::Error& e) override {
    done();
    deferred_.Reject(e.Value());
  }

 private:
  void done() {
    owner_->replaying_ = false;
    owner_->Unref();
  }
  Napi::Promise::Deferred deferred_;
  Dataplane* owner_;
  std::shared_ptr<Plane> plane_;
  std::vector<uint16_t> ports_;
};

Napi::Function Dataplane::define(Napi::Env env) {
  return DefineClass(
      env, "Dataplane",
      {InstanceMethod<&Dataplane::open_port>("openPort"),
       InstanceMethod<&Dataplane::publish>("publish"), InstanceMethod<&Dataplane::start>("start"),
       InstanceMethod<&Dataplane::stop>("stop"), InstanceMethod<&Dataplane::close>("close"),
       InstanceMethod<&Dataplane::replay>("replay"),
       InstanceMethod<&Dataplane::counters>("counters"), InstanceMethod<&Dataplane::flows>("flows"),
       InstanceMethod<&Dataplane::read_neighbours>("readNeighbours"),
       InstanceMethod<&Dataplane::neighbours>("neighbours"),
       InstanceMethod<&Dataplane::copy>("copy"), InstanceMethod<&Dataplane::know_ids>("knowIds"),
       InstanceMethod<&Dataplane::flow_file>("flowFile"),
       InstanceMethod<&Dataplane::port_stats>("portStats"),
       InstanceMethod<&Dataplane::news>("news"), InstanceMethod<&Dataplane::info>("info"),
       InstanceMethod<&Dataplane::zones>("zones")});
}

Dataplane::Dataplane(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Dataplane>(info) {
  std::string error;
  plane_ = Plane::create(plane_options(info[0].As<Napi::Object>()), &error);
  if (!plane_) throw Napi::Error::New(info.Env(), error);
  // Runs at a natural end and when a worker_thread ends; process.exit is the close of JavaScript.
  napi_add_env_cleanup_hook(info.Env(), at_exit, this);
}

Dataplane::~Dataplane() {
  napi_remove_env_cleanup_hook(Env(), at_exit, this);
  if (plane_) plane_->close();
}

void Dataplane::at_exit(void* self) {
  auto* d = static_cast<Dataplane*>(self);
  if (d->plane_) d->plane_->close();
}

Plane& Dataplane::plane(Napi::Env env) {
  if (!plane_) throw Napi::Error::New(env, "the dataplane is closed");
  if (replaying_) throw Napi::Error::New(env, "a replay is running");
  return *plane_;
}

Napi::Value Dataplane::open_port(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const PortSpec spec = port_spec_of(info[0].As<Napi::Object>());
  std::string error;
  const int id = plane(env).open_port(spec, &error);
  if (id < 0) throw Napi::Error::New(env, error);
  const PortCaps& caps = plane_->port(static_cast<uint32_t>(id)).caps();
  Napi::Object out = Napi::Object::New(env);
  out.Set("id", id);
  auto mac = Napi::Uint8Array::New(env, 6);
  std::memcpy(mac.Data(), caps.mac, 6);
  out.Set("mac", mac);
  out.Set("mtu", caps.mtu);
  out.Set("queues", caps.queues);
  out.Set("description", caps.description);
  return out;
}

Napi::Value Dataplane::publish(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!info[0].IsTypedArray()) throw Napi::TypeError::New(env, "publish takes a Uint8Array");
  const auto bytes = info[0].As<Napi::Uint8Array>();
  std::string error;
  if (reinterpret_cast<uintptr_t>(bytes.Data()) % 8 != 0)
    throw Napi::TypeError::New(env, "the table set must be 8-byte aligned");
  const uint32_t generation = plane(env).publish(bytes.Data(), bytes.ByteLength(), &error);
  if (generation == 0) throw Napi::Error::New(env, error);
  return Napi::Number::New(env, generation);
}

Napi::Value Dataplane::start(const Napi::CallbackInfo& info) {
  std::string error;
  if (!plane(info.Env()).start(&error)) throw Napi::Error::New(info.Env(), error);
  return info.Env().Undefined();
}

Napi::Value Dataplane::stop(const Napi::CallbackInfo& info) {
  plane(info.Env()).stop();
  return info.Env().Undefined();
}

Napi::Value Dataplane::close(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), plane(info.Env()).close(info[0].ToBoolean()));
}

// By id: the earlier process' generation in which it got its meaning.
Napi::Value Dataplane::know_ids(const Napi::CallbackInfo& info) {
  BornIds born;
  std::vector<uint32_t>* const lists[] = {&born.services, &born.endpoints};
  for (size_t i = 0; i < 2; ++i) {
    if (!info[i].IsTypedArray() ||
        info[i].As<Napi::TypedArray>().TypedArrayType() != napi_uint32_array)
      throw Napi::TypeError::New(info.Env(), "knowIds takes two Uint32Arrays");
    const auto array = info[i].As<Napi::Uint32Array>();
    lists[i]->assign(array.Data(), array.Data() + array.ElementLength());
  }
  plane(info.Env()).know_ids(std::move(born));
  return info.Env().Undefined();
}

Napi::Value Dataplane::flow_file(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Plane& p = plane(env);
  const FlowFile* file = p.flow_file();
  if (file == nullptr) return env.Null();
  Napi::Object o = Napi::Object::New(env);
  o.Set("description", file->description());
  o.Set("news", file->news());
  o.Set("found", file->found());
  char id[17];
  std::snprintf(id, sizeof id, "%016llx", static_cast<unsigned long long>(file->id()));
  o.Set("id", id);
  const FlowRestored& r = p.restored();
  Napi::Object restored = Napi::Object::New(env);
  restored.Set("recovered", r.recovered);
  restored.Set("damaged", r.damaged);
  restored.Set("unknown", r.unknown);
  restored.Set("doubled", r.doubled);
  restored.Set("portless", r.portless);
  restored.Set("expired", r.expired);
  restored.Set("milliseconds", p.restore_ms());
  o.Set("restored", restored);
  return o;
}

Napi::Value Dataplane::replay(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  plane(env);
  std::vector<uint16_t> ports;
  const Napi::Array list = info[0].As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); ++i) {
    const uint32_t port = list.Get(i).As<Napi::Number>().Uint32Value();
    if (port >= plane_->port_count()) throw Napi::TypeError::New(env, "no such port");
    ports.push_back(static_cast<uint16_t>(port));
  }
  replaying_ = true;
  auto* work = new ReplayWork(this, plane_, std::move(ports));
  const Napi::Promise promise = work->promise();
  work->Queue();
  return promise;
}

// The workers' own counters, without a copy. The buffer keeps the memory alive after close.
Napi::Value Dataplane::counters(const Napi::CallbackInfo& info) {
  auto* keep = new std::shared_ptr<Plane>(plane_);
  return Napi::ArrayBuffer::New(
      info.Env(), plane_->counters(), plane_->counters_bytes(),
      [](Napi::Env, void*, std::shared_ptr<Plane>* held) { delete held; }, keep);
}

Napi::Value Dataplane::flows(const Napi::CallbackInfo& info) {
  Plane& p = plane(info.Env());
  const Time now = p.clock();
  const bool v6 = info[2].ToBoolean();
  return page<FlowRow>(info, [&](uint32_t* cursor, FlowRow* rows, uint32_t max) {
    return v6 ? p.flows6().dump(cursor, rows, max, now) : p.flows4().dump(cursor, rows, max, now);
  });
}

// ZoneStateRows, one for each zone there can be, of one family.
Napi::Value Dataplane::zones(const Napi::CallbackInfo& info) {
  Plane& p = plane(info.Env());
  const bool v6 = info[0].ToBoolean();
  auto rows = Napi::ArrayBuffer::New(info.Env(), kZoneMax * sizeof(ZoneStateRow));
  for (uint8_t z = 0; z < kZoneMax; ++z) {
    auto* row = static_cast<ZoneStateRow*>(rows.Data()) + z;
    if (v6)
      p.flows6().zone_state(z, row);
    else
      p.flows4().zone_state(z, row);
  }
  return rows;
}

Napi::Value Dataplane::read_neighbours(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), plane(info.Env()).read_neighbours());
}

Napi::Value Dataplane::neighbours(const Napi::CallbackInfo& info) {
  Plane& p = plane(info.Env());
  return page<NeighbourStateRow>(info,
                                 [&](uint32_t* cursor, NeighbourStateRow* rows, uint32_t max) {
                                   return p.neighbours().dump(cursor, rows, max);
                                 });
}

Napi::Value Dataplane::copy(const Napi::CallbackInfo& info) {
  Plane& p = plane(info.Env());
  Napi::Object o = Napi::Object::New(info.Env());
  o.Set("engine", p.copy_description());
  o.Set("why", p.copy_why());
  o.Set("stats", p.copy_stats());
  return o;
}

Napi::Value Dataplane::port_stats(const Napi::CallbackInfo& info) {
  Plane& p = plane(info.Env());
  const uint32_t port = info[0].As<Napi::Number>().Uint32Value();
  if (port >= p.port_count()) throw Napi::TypeError::New(info.Env(), "no such port");
  return Napi::String::New(info.Env(), p.port(port).stats_json());
}

Napi::Value Dataplane::news(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Plane& p = plane(env);
  Napi::Array out = Napi::Array::New(env);
  for (uint32_t port = 0; port < p.port_count(); ++port) {
    for (const std::string& line : p.port(port).news()) {
      Napi::Object item = Napi::Object::New(env);
      item.Set("port", port);
      item.Set("text", line);
      out.Set(out.Length(), item);
    }
  }
  return out;
}

Napi::Value Dataplane::info(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Plane& p = plane(env);
  Napi::Object o = Napi::Object::New(env);
  o.Set("workers", p.options().workers);
  o.Set("countersStride", static_cast<uint32_t>(sizeof(Counters)));
  o.Set("framesTotal", p.arena().count());
  o.Set("framesFree", p.arena().free_count());
  o.Set("frameSize", p.arena().frame_size());
  o.Set("hugePages", p.arena().huge());
  o.Set("flows4", p.flows4().live());
  o.Set("flows6", p.flows6().live());
  o.Set("flowCapacity4", p.flows4().capacity());
  o.Set("flowCapacity6", p.flows6().capacity());
  o.Set("flowBytes", static_cast<double>(p.flows4().bytes() + p.flows6().bytes()));
  o.Set("snatInUse", static_cast<double>(p.snat_ports().in_use()));
  o.Set("kernel", kernels().name);
  o.Set("generation", p.generation());
  o.Set("running", p.running());
  return o;
}

}  // namespace nodeplane
