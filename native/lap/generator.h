#pragma once
#include <memory>
#include <string>

#include "driver/driver.h"
#include "lap/lay.h"

namespace nodeplane {

inline constexpr uint32_t kGeneratorBurst = 64;

// Sends UDP or TCP packets of many flows to one service through a port of its own, as fast as the
// port takes them or at a given rate, for a bounded time.
class Generator {
 public:
  struct Options {
    LaySpec packet;  // flow is counted up
    uint32_t flows = 1;
    double seconds = 1;
    double packets_per_second = 0;  // 0: as fast as it goes
  };
  struct Result {
    uint64_t sent = 0;
    double seconds = 0;
  };
  static std::unique_ptr<Generator> create(const PortSpec& spec, std::string* error);
  Result run(const Options& options);

 private:
  std::unique_ptr<FrameArena> arena_;  // outlives the port
  std::unique_ptr<Port> port_;
};

}  // namespace nodeplane
