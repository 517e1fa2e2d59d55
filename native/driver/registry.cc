#include "driver/registry.h"

#include "driver/af_packet/af_packet.h"
#include "driver/af_xdp/af_xdp.h"
#include "driver/loop/loop.h"
#include "driver/pcap/pcap.h"
#include "driver/tap/tap.h"

namespace nodeplane {

namespace {

// All drivers. A new one is a row here and its include above.
constexpr DriverRow kDrivers[] = {
    {"af_xdp", open_af_xdp},
    {"af_packet", open_af_packet},
    {"tap", open_tap},
    {"pcap", open_pcap},
    {"loop", open_loop},
};

std::string join(const std::vector<std::string>& words) {
  std::string all;
  for (const std::string& word : words) all += (all.empty() ? "" : ", ") + word;
  return all;
}

std::unique_ptr<Port> open_driver(const PortSpec& spec, FrameArena& arena, std::string* error) {
  for (const DriverRow& row : kDrivers)
    if (spec.driver == row.name) return row.open(spec, arena, error);
  *error = "unknown driver '" + spec.driver + "'; known are " + join(driver_names());
  return nullptr;
}

}  // namespace

std::vector<std::string> driver_names() {
  std::vector<std::string> names;
  for (const DriverRow& row : kDrivers) names.emplace_back(row.name);
  return names;
}

std::unique_ptr<Port> open_port(const PortSpec& spec, FrameArena& arena, std::string* error) {
  return open_driver(spec, arena, error);
}

}  // namespace nodeplane
