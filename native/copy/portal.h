#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "copy/descriptor.h"

namespace nodeplane::dsa {

// Where descriptors are handed to a work queue; from any thread.
class Portal {
 public:
  virtual ~Portal() = default;
  // The 64 bytes are taken when it returns, and everything written before is visible to the device.
  // A shared queue may answer false: not now. A dedicated one always takes, and loses what
  // is more than its size.
  virtual bool submit(const Descriptor& descriptor) noexcept = 0;
};

struct QueueLimits {
  uint32_t size = 0;          // entries
  uint32_t batch_max = 0;     // descriptors in a batch; below 2: no batches
  uint64_t transfer_max = 0;  // bytes in one descriptor
  bool shared = false;
  bool block_on_fault = false;
};

struct Queue {
  std::string name;
  QueueLimits limits;
  std::unique_ptr<Portal> portal;
};

}  // namespace nodeplane::dsa
