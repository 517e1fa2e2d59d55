#include "copy/copy.h"

#include "copy/cpu/cpu.h"

namespace nodeplane {

std::unique_ptr<CopyEngine> open_copy(const CopyOptions& options, std::string* why) {
  why->clear();
  if (options.engine != "cpu") *why = "engine `" + options.engine + "` is not in this build";
  return open_copy_cpu();
}

}  // namespace nodeplane
