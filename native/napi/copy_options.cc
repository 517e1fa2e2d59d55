#include "napi/copy_options.h"

#include "napi/values.h"

namespace nodeplane {

namespace {

DsaQueue queue_of(const Napi::Object& o) {
  DsaQueue queue;
  queue.path = o.Get("path").ToString();
  queue.shared = o.Get("shared").ToBoolean();
  queue.size = number(o, "size");
  queue.batch_max = number(o, "batchMax");
  queue.transfer_max = static_cast<uint64_t>(o.Get("transferMax").As<Napi::Number>().Int64Value());
  queue.block_on_fault = o.Get("blockOnFault").ToBoolean();
  return queue;
}

CopyModelOptions model_of(const Napi::Object& o) {
  CopyModelOptions model;
  model.latency_ns = number(o, "latencyNs");
  model.megabytes_per_second = number(o, "megabytesPerSecond");
  model.size = number(o, "size");
  model.shared = o.Get("shared").ToBoolean();
  model.reorder = o.Get("reorder").ToBoolean();
  model.poison = o.Get("poison").ToBoolean();
  model.fault_per_million = number(o, "faultPerMillion");
  model.error_per_million = number(o, "errorPerMillion");
  model.seed = number(o, "seed");
  return model;
}

}  // namespace

CopyOptions copy_options_of(const Napi::Object& o) {
  CopyOptions copy;
  copy.engine = o.Get("engine").ToString();
  copy.core = o.Get("core").As<Napi::Number>().Int32Value();
  copy.bytes_min = number(o, "bytesMin");
  copy.batch_min = number(o, "batchMin");
  const Napi::Array queues = o.Get("queues").As<Napi::Array>();
  for (uint32_t i = 0; i < queues.Length(); ++i)
    copy.queues.push_back(queue_of(queues.Get(i).As<Napi::Object>()));
  copy.model = model_of(o.Get("model").As<Napi::Object>());
  return copy;
}

}  // namespace nodeplane
