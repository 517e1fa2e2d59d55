// The corridor's laps for callgrind (bench/instructions.ts), which counts what it executes:
//   path_count TABLES SERVICES FAMILY FLOWS LAPS known|stages|new
// TABLES is a file of what compile() makes, SERVICES one of 18 bytes per service (packServices).
// Everything is fixed: the hash's seed, the flows drawn, pages of 4 KiB. Instrumentation begins when
// the flows are open and one lap has warmed up; counting is left to --toggle-collect.
// Says how many packets were counted, the kernels in use, and the compiler. stages: known flows once
// more, with the express lane closed.
#include <valgrind/callgrind.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "kernel/kernels.h"
#include "lap/path_lap.h"

namespace nodeplane {
namespace {

constexpr uint32_t kServiceBytes = 18;
#ifdef __clang__
constexpr const char* kCompiler = "clang";
#else
constexpr const char* kCompiler = "GCC";
#endif

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "path_count: %s\n", why.c_str());
  std::exit(EXIT_FAILURE);
}

std::vector<uint8_t> bytes_of(const char* file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) fail(std::string("cannot read ") + file);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<PathLap::Service> services_of(const char* file) {
  const std::vector<uint8_t> bytes = bytes_of(file);
  std::vector<PathLap::Service> services(bytes.size() / kServiceBytes);
  for (size_t i = 0; i < services.size(); ++i) {
    std::memcpy(services[i].address.bytes, &bytes[i * kServiceBytes], 16);
    std::memcpy(&services[i].be_port, &bytes[i * kServiceBytes + 16], 2);
  }
  return services;
}

std::unique_ptr<Plane> open_plane(const char* tables, uint32_t flows) {
  PlaneOptions options;
  options.huge = false;
  options.seed = {0x0123456789abcdef, 0xfedcba9876543210};
  options.flow_capacity4 = options.flow_capacity6 = flows;
  std::string error;
  std::unique_ptr<Plane> plane = Plane::create(options, &error);
  if (!plane) fail(error);
  for (const char* name : {"clients", "endpoints"}) {
    PortSpec spec;
    spec.name = name;
    spec.driver = "loop";
    spec.interface = std::string("path-count-") + name;
    if (plane->open_port(spec, &error) < 0) fail(error);
  }
  const std::vector<uint8_t> bytes = bytes_of(tables);
  if (plane->publish(bytes.data(), bytes.size(), &error) == 0) fail(error);
  return plane;
}

void walk(PathLap& lap, bool is_new) {
  lap.lap(is_new ? PathLap::What::kNew : PathLap::What::kCorridor);
  if (lap.strays() != 0) fail(std::to_string(lap.strays()) + " packets went astray");
}

}  // namespace
}  // namespace nodeplane

int main(int count, char** arguments) {
  using namespace nodeplane;
  if (count != 7) fail("see the head of path_count.cc");
  const auto family = static_cast<uint8_t>(std::atoi(arguments[3]));
  const auto flows = static_cast<uint32_t>(std::atoi(arguments[4]));
  const int laps = std::atoi(arguments[5]);
  const std::string what = arguments[6];
  const uint32_t spare = flows / 4 + static_cast<uint32_t>(laps + 1) * kLapFrames;
  const std::unique_ptr<Plane> plane = open_plane(arguments[1], flows + spare);
  std::string error;
  PathLap::Options options;
  options.family = family;
  options.flows = flows;
  options.services = services_of(arguments[2]);
  const std::unique_ptr<PathLap> lap = PathLap::create(*plane, std::move(options), &error);
  if (!lap) fail(error);
  if (what == "stages") lap->close_express();
  walk(*lap, what == "new");
  CALLGRIND_START_INSTRUMENTATION;
  for (int i = 0; i < laps; ++i) walk(*lap, what == "new");
  CALLGRIND_STOP_INSTRUMENTATION;
  std::printf("%u %s %s %s\n", static_cast<uint32_t>(laps) * kLapFrames, kernels().name, kCompiler,
              __VERSION__);
}
