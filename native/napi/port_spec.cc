#include "napi/port_spec.h"

#include "napi/values.h"

namespace nodeplane {

PortSpec port_spec_of(const Napi::Object& o) {
  PortSpec spec;
  spec.name = text(o, "name");
  spec.driver = text(o, "driver");
  spec.interface = text(o, "interface");
  spec.queues = static_cast<uint16_t>(number(o, "queues"));
  spec.mtu = number(o, "mtu");
  const Napi::Object options = o.Get("options").As<Napi::Object>();
  const Napi::Array keys = options.GetPropertyNames();
  for (uint32_t i = 0; i < keys.Length(); ++i) {
    const std::string key = keys.Get(i).As<Napi::String>();
    spec.options[key] = text(options, key.c_str());
  }
  return spec;
}

}  // namespace nodeplane
