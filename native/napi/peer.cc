#include "napi/peer.h"

#include <cstring>
#include <string>
#include <utility>

#include "napi/copy_options.h"
#include "napi/port_spec.h"

namespace nodeplane {

namespace {

constexpr size_t kServiceBytes = 18;  // address (IPv4 in the first 4 of 16), port in network order
constexpr const char* kModes[] = {"send", "sink", "both", "bounce", "echo"};  // as PeerMode

// A key that may be missing.
double number(const Napi::Object& o, const char* key, double otherwise = 0) {
  const Napi::Value v = o.Get(key);
  return v.IsNumber() ? v.As<Napi::Number>().DoubleValue() : otherwise;
}
bool flag(const Napi::Object& o, const char* key) { return o.Get(key).ToBoolean(); }

Napi::Uint8Array bytes(const Napi::Value& v, const char* key, size_t length = 0) {
  if (!v.IsTypedArray() || v.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array ||
      (length != 0 && v.As<Napi::TypedArray>().ByteLength() != length))
    throw Napi::TypeError::New(v.Env(), std::string(key) + " must be " +
                                            (length ? std::to_string(length) + " bytes" : "bytes"));
  return v.As<Napi::Uint8Array>();
}

LoadSpec load_of(const Napi::Object& o) {
  LoadSpec load;
  LaySpec& p = load.packet;
  p.family = static_cast<uint8_t>(number(o, "family", 4));
  p.protocol = static_cast<uint8_t>(number(o, "protocol", kProtocolUdp));
  p.tcp_flags = static_cast<uint8_t>(number(o, "tcpFlags", kTcpAck));
  p.bytes = static_cast<uint32_t>(number(o, "bytes"));
  std::memcpy(p.dst_mac, bytes(o.Get("dstMac"), "dstMac", 6).Data(), 6);
  if (!o.Get("srcMac").IsUndefined())
    std::memcpy(p.src_mac, bytes(o.Get("srcMac"), "srcMac", 6).Data(), 6);
  load.flows = static_cast<uint32_t>(number(o, "flows", 1));
  load.first_flow = static_cast<uint32_t>(number(o, "firstFlow"));
  load.marked = flag(o, "sequence");
  const auto services = bytes(o.Get("services"), "services");
  for (size_t at = 0; at + kServiceBytes <= services.ByteLength(); at += kServiceBytes) {
    LoadSpec::Service s;
    std::memcpy(s.address.bytes, services.Data() + at, 16);
    std::memcpy(&s.be_port, services.Data() + at + 16, 2);
    load.services.push_back(s);
  }
  return load;
}

PeerOptions options_of(const Napi::Object& o) {
  PeerOptions p;
  p.port = port_spec_of(o.Get("port").As<Napi::Object>());
  if (o.Get("back").IsObject()) p.back = port_spec_of(o.Get("back").As<Napi::Object>());
  const std::string mode = o.Get("mode").ToString();
  size_t m = 0;
  while (m < std::size(kModes) && mode != kModes[m]) ++m;
  if (m == std::size(kModes))
    throw Napi::TypeError::New(o.Env(), "mode is send, sink, both, bounce or echo");
  p.mode = static_cast<PeerMode>(m);
  p.core = static_cast<int>(number(o, "core", -1));
  p.is_adaptive = flag(o, "adaptive");
  p.cpu_share = number(o, "cpuShare", 1);
  p.seconds = number(o, "seconds");
  p.count = static_cast<uint64_t>(number(o, "count"));
  p.packets_per_second = number(o, "packetsPerSecond");
  p.window = static_cast<uint32_t>(number(o, "window"));
  p.patience = static_cast<Time>(number(o, "patienceMs", p.patience / kMillisecond)) * kMillisecond;
  p.burst = static_cast<uint32_t>(number(o, "burst", p.burst));
  p.frames.count = static_cast<uint32_t>(number(o, "frames", 8192));
  p.frames.frame_size = static_cast<uint32_t>(number(o, "frameSize", p.frames.frame_size));
  p.frames.huge = flag(o, "hugePages");
  if (o.Get("copy").IsObject()) p.copy = copy_options_of(o.Get("copy").As<Napi::Object>());
  if (o.Get("load").IsObject()) p.load = load_of(o.Get("load").As<Napi::Object>());
  if (o.Get("packets").IsArray()) {
    const auto list = o.Get("packets").As<Napi::Array>();
    for (uint32_t i = 0; i < list.Length(); ++i) {
      const auto one = bytes(list.Get(i), "packets");
      p.load.raw.emplace_back(one.Data(), one.Data() + one.ByteLength());
    }
  }
  if (o.Get("check").IsObject()) {
    const auto check = o.Get("check").As<Napi::Object>();
    p.check = true;
    p.check_first_flow = static_cast<uint32_t>(number(check, "firstFlow"));
    p.check_flows = static_cast<uint32_t>(number(check, "flows", 1));
  }
  p.latency = flag(o, "latency");
  if (o.Get("addresses").IsArray()) {
    const auto list = o.Get("addresses").As<Napi::Array>();
    for (uint32_t i = 0; i < list.Length(); ++i) {
      const auto one = bytes(list.Get(i), "addresses");
      if (one.ByteLength() != 4 && one.ByteLength() != 16)
        throw Napi::TypeError::New(o.Env(), "an address has 4 or 16 bytes");
      const uint8_t family = one.ByteLength() == 4 ? 4 : 6;
      p.addresses.push_back({IpAddress::from_bytes(one.Data(), family), family});
    }
  }
  if (!o.Get("mac").IsUndefined()) std::memcpy(p.mac, bytes(o.Get("mac"), "mac", 6).Data(), 6);
  return p;
}

Napi::Object object_of(Napi::Env env, const Peer::Stats& s) {
  Napi::Object out = Napi::Object::New(env);
  for (uint32_t i = 0; i < kPeerCountCount; ++i)
    out.Set(kPeerCountNames[i], static_cast<double>(s.counts[i]));
  out.Set("seconds", s.seconds);
  out.Set("activeSeconds", s.active_seconds);
  out.Set("cpuSeconds", s.cpu_seconds);
  out.Set("running", s.is_running);
  return out;
}

// Nanoseconds.
Napi::Object object_of(Napi::Env env, const Histogram& h) {
  Napi::Object out = Napi::Object::New(env);
  const auto set = [&](const char* key, uint64_t v) { out.Set(key, static_cast<double>(v)); };
  set("count", h.count());
  set("min", h.min());
  set("p50", h.quantile(0.5));
  set("p90", h.quantile(0.9));
  set("p99", h.quantile(0.99));
  set("p999", h.quantile(0.999));
  set("max", h.max());
  return out;
}

// Waits for the thread's end aside; for a stop it closes the ports too.
class EndWork : public Napi::AsyncWorker {
 public:
  EndWork(Napi::Env env, std::shared_ptr<Peer> peer, bool closes)
      : Napi::AsyncWorker(env, "nodeplane:peer"),
        deferred_(Napi::Promise::Deferred::New(env)),
        peer_(std::move(peer)),
        closes_(closes) {}
  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    peer_->join();
    if (closes_) balanced_ = peer_->close();
  }
  void OnOK() override {
    Napi::Object out = object_of(Env(), peer_->stats());
    if (peer_->latency() != nullptr) out.Set("latency", object_of(Env(), *peer_->latency()));
    if (closes_) out.Set("balanced", balanced_);
    deferred_.Resolve(out);
  }

 private:
  Napi::Promise::Deferred deferred_;
  std::shared_ptr<Peer> peer_;
  const bool closes_;
  bool balanced_ = false;
};

Napi::Value end(Napi::Env env, const std::shared_ptr<Peer>& peer, bool closes) {
  auto* work = new EndWork(env, peer, closes);
  const Napi::Promise promise = work->promise();
  work->Queue();
  return promise;
}

}  // namespace

Napi::Function PeerObject::define(Napi::Env env) {
  return DefineClass(
      env, "Peer",
      {InstanceMethod<&PeerObject::start>("start"), InstanceMethod<&PeerObject::stats>("stats"),
       InstanceMethod<&PeerObject::news>("news"), InstanceMethod<&PeerObject::port>("port"),
       InstanceMethod<&PeerObject::finished>("finished"), InstanceMethod<&PeerObject::rest>("rest"),
       InstanceMethod<&PeerObject::stop>("stop")});
}

PeerObject::PeerObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<PeerObject>(info) {
  if (!info[0].IsObject()) throw Napi::TypeError::New(info.Env(), "a peer has options");
  std::string error;
  peer_ = Peer::create(options_of(info[0].As<Napi::Object>()), &error);
  if (!peer_) throw Napi::Error::New(info.Env(), error);
  napi_add_env_cleanup_hook(info.Env(), at_exit, this);
}

PeerObject::~PeerObject() {
  if (peer_) napi_remove_env_cleanup_hook(Env(), at_exit, this);
}

void PeerObject::at_exit(void* self) {
  Peer& peer = *static_cast<PeerObject*>(self)->peer_;
  peer.stop();
  peer.join();
  peer.close();
}

Napi::Value PeerObject::start(const Napi::CallbackInfo& info) {
  if (!peer_->start()) throw Napi::Error::New(info.Env(), "a peer starts once");
  return info.Env().Undefined();
}

Napi::Value PeerObject::stats(const Napi::CallbackInfo& info) {
  return object_of(info.Env(), peer_->stats());
}

Napi::Value PeerObject::news(const Napi::CallbackInfo& info) {
  const std::vector<std::string> lines = peer_->news();
  Napi::Array out = Napi::Array::New(info.Env(), lines.size());
  for (uint32_t i = 0; i < lines.size(); ++i) out.Set(i, lines[i]);
  return out;
}

Napi::Value PeerObject::port(const Napi::CallbackInfo& info) {
  const PortCaps& caps = peer_->caps();
  Napi::Object out = Napi::Object::New(info.Env());
  auto mac = Napi::Uint8Array::New(info.Env(), 6);
  std::memcpy(mac.Data(), caps.mac, 6);
  out.Set("mac", mac);
  out.Set("mtu", caps.mtu);
  out.Set("queues", caps.queues);
  out.Set("description", caps.description);
  out.Set("stats", peer_->port_stats());
  out.Set("copy", peer_->copy_stats());
  return out;
}

Napi::Value PeerObject::finished(const Napi::CallbackInfo& info) {
  return end(info.Env(), peer_, false);
}

Napi::Value PeerObject::rest(const Napi::CallbackInfo& info) {
  peer_->rest(!info[0].IsBoolean() || info[0].As<Napi::Boolean>().Value());
  return info.Env().Undefined();
}

Napi::Value PeerObject::stop(const Napi::CallbackInfo& info) {
  peer_->stop();
  return end(info.Env(), peer_, true);
}

}  // namespace nodeplane
