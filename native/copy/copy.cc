#include "copy/copy.h"

#include <algorithm>
#include <system_error>

#include "copy/cpu/cpu.h"
#include "copy/dsa/device.h"
#include "copy/dsa/engine.h"
#include "copy/model/model.h"
#include "copy/thread/thread.h"

namespace nodeplane {
namespace {

using Made = std::unique_ptr<CopyEngine>;

// What a Sapphire Rapids says of itself.
constexpr uint32_t kModelBatchMax = 1024;
constexpr uint64_t kModelTransferMax = uint64_t{1} << 31;
// Its thread may wait for a core, and then writes all the same: until then the CPU redoes nothing.
constexpr Time kModelSilenceMax = 60 * kSecond;

// The queues that open; the others' reasons in `why`.
Made open_dsa(const CopyOptions& options, std::string* why) {
  std::vector<dsa::Queue> queues;
  for (const DsaQueue& wish : options.queues) {
    dsa::Queue queue;
    std::string error;
    if (dsa::open_queue(wish, dsa::cpu_can(), &queue, &error)) {
      queues.push_back(std::move(queue));
    } else {
      *why += (why->empty() ? "" : "; ") + error;
    }
  }
  if (options.queues.empty()) *why = "no DSA work queue was found";
  if (queues.empty()) return nullptr;
  return dsa::make_engine(std::move(queues), {"dsa", options.bytes_min, options.batch_min});
}

Made open_model(const CopyOptions& options, std::string* why) {
  const CopyModelOptions& m = options.model;
  const uint32_t size = std::clamp(m.size, 1u, dsa::kModelSizeMax);
  const dsa::QueueLimits limits{size, kModelBatchMax, kModelTransferMax, m.shared, false};
  try {
    std::vector<dsa::Queue> queues;
    queues.push_back(
        dsa::model_queue(std::make_shared<dsa::Model>(m, limits, options.core), limits));
    return dsa::make_engine(std::move(queues),
                            {"model", options.bytes_min, options.batch_min, kModelSilenceMax});
  } catch (const std::system_error& e) {
    *why = std::string("no thread to play the device: ") + e.what();
    return nullptr;
  }
}

}  // namespace

Made open_copy(const CopyOptions& options, std::string* why) {
  why->clear();
  Made made;
  if (options.engine == "dsa" || options.engine == "auto") {
    made = open_dsa(options, why);
  } else if (options.engine == "thread") {
    made = open_copy_thread(options.core, options.bytes_min, options.batch_min, why);
  } else if (options.engine == "model") {
    made = open_model(options, why);
  } else if (options.engine != "cpu") {
    *why = "there is no copy engine `" + options.engine + "`";
  }
  return made ? std::move(made) : open_copy_cpu();
}

}  // namespace nodeplane
