#include "napi/generator.h"

#include <cstring>
#include <memory>

#include "base/be.h"
#include "lap/generator.h"

namespace nodeplane {

namespace {

class GenerateWork : public Napi::AsyncWorker {
 public:
  GenerateWork(Napi::Env env, std::unique_ptr<Generator> generator, Generator::Options options)
      : Napi::AsyncWorker(env, "nodeplane:generate"),
        deferred_(Napi::Promise::Deferred::New(env)),
        generator_(std::move(generator)),
        options_(options) {}
  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override { result_ = generator_->run(options_); }
  void OnOK() override {
    Napi::Object out = Napi::Object::New(Env());
    out.Set("sent", static_cast<double>(result_.sent));
    out.Set("seconds", result_.seconds);
    deferred_.Resolve(out);
  }

 private:
  Napi::Promise::Deferred deferred_;
  std::unique_ptr<Generator> generator_;
  Generator::Options options_;
  Generator::Result result_;
};

}  // namespace

Napi::Value generate(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const Napi::Object o = info[0].As<Napi::Object>();
  auto number = [&](const char* key) { return o.Get(key).As<Napi::Number>().DoubleValue(); };
  auto bytes = [&](const char* key, void* out, size_t n) {
    const auto a = o.Get(key).As<Napi::Uint8Array>();
    if (a.ByteLength() != n)
      throw Napi::TypeError::New(env, std::string(key) + " has a wrong length");
    std::memcpy(out, a.Data(), n);
  };
  PortSpec spec;
  spec.name = "generator";
  spec.driver = o.Get("driver").As<Napi::String>();
  spec.interface = o.Get("interface").As<Napi::String>();
  Generator::Options options;
  options.packet.family = static_cast<uint8_t>(number("family"));
  options.packet.protocol = static_cast<uint8_t>(number("protocol"));
  bytes("dstMac", options.packet.dst_mac, 6);
  bytes("service", options.packet.service.bytes, 16);
  options.packet.be_service_port = swap16(static_cast<uint16_t>(number("servicePort")));
  options.flows = static_cast<uint32_t>(number("flows"));
  options.seconds = number("seconds");
  options.packets_per_second = number("packetsPerSecond");
  if (options.flows == 0) throw Napi::TypeError::New(env, "flows must be at least 1");
  std::string error;
  auto generator = Generator::create(spec, &error);
  if (!generator) throw Napi::Error::New(env, error);
  auto* work = new GenerateWork(env, std::move(generator), options);
  const Napi::Promise promise = work->promise();
  work->Queue();
  return promise;
}

}  // namespace nodeplane
