#pragma once
#include "copy/copy.h"
#include "copy/portal.h"

namespace nodeplane::dsa {

// What the CPU can say to a device.
struct CpuCan {
  bool movdir64b = false, enqcmd = false;
};
CpuCan cpu_can() noexcept;

// Opens the work queue's character device and maps its portal. False with a reason for people.
bool open_queue(const DsaQueue& wish, CpuCan cpu, Queue* out, std::string* error);

}  // namespace nodeplane::dsa
