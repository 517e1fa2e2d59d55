#pragma once
#include <vector>

#include "copy/engine.h"

namespace nodeplane {

// A DSA work queue as TypeScript found it in sysfs (src/sys/dsa.ts); opened and mapped here.
struct DsaQueue {
  std::string path;  // of the character device
  bool shared = false;
  uint32_t size = 0;          // entries; of a shared queue those usable from user space
  uint32_t batch_max = 0;     // descriptors in a batch; 0 or 1: no batches
  uint64_t transfer_max = 0;  // bytes in one descriptor
  bool block_on_fault = false;
};

// How the software DSA behaves; all faults are per million descriptors.
struct CopyModelOptions {
  uint32_t latency_ns = 1000;
  uint32_t megabytes_per_second = 30000;
  uint32_t size = 128;  // entries
  bool shared =
      false;  // a full queue refuses (ENQCMD) instead of losing the descriptor (MOVDIR64B)
  bool reorder = false;            // finish in random order
  bool poison = false;             // destinations hold rubbish until done
  uint32_t fault_per_million = 0;  // page fault after a part of the bytes
  uint32_t error_per_million = 0;  // hardware error, nothing copied
  uint32_t seed = 1;
};

struct CopyOptions {
  std::string engine = "auto";  // auto, cpu, thread, dsa, model
  int core = -1;                // where `thread` and `model` work; -1: not pinned
  uint32_t bytes_min = 256;     // smaller copies are the CPU's
  uint32_t batch_min = 4;       // fewer than that worth handing over in one submit: the CPU's
  std::vector<DsaQueue> queues;
  CopyModelOptions model;
};

// Never fails: what cannot be had falls back to the CPU, with the reason in `why` (else empty).
std::unique_ptr<CopyEngine> open_copy(const CopyOptions& options, std::string* why);

}  // namespace nodeplane
