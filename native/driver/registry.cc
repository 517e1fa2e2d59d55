#include "driver/registry.h"

#include <fstream>

#include "driver/af_packet/af_packet.h"
#include "driver/af_xdp/af_xdp.h"
#include "driver/af_xdp/link.h"
#include "driver/fault/fault.h"
#include "driver/holder.h"
#include "driver/loop/loop.h"
#include "driver/memif/memif.h"
#include "driver/options.h"
#include "driver/pcap/pcap.h"
#include "driver/tap/tap.h"
#include "driver/trace/trace.h"

namespace nodeplane {

namespace {

constexpr const char* kAuto = "auto";

// All drivers. A new one is a row here and its include above. Those that work on an interface of
// the kernel's are tried by `auto`, the fastest first.
constexpr DriverRow kDrivers[] = {
    {"af_xdp", open_af_xdp, true}, {"af_packet", open_af_packet, true},
    {"tap", open_tap, false},      {"pcap", open_pcap, false},
    {"loop", open_loop, false},    {"memif", open_memif, false},
};

// What `auto` chose, and why.
class Chosen final : public Holder {
 public:
  Chosen(std::unique_ptr<Port> inner, const std::string& why) : Holder(std::move(inner)) {
    caps_.description += " (auto" + why + ")";
  }
};

// Wishes that af_xdp alone can grant.
bool asks_for_af_xdp(const PortSpec& spec) {
  for (const char* key : {"mode", "copy", "needWakeup", "rxRing", "txRing", "fillRing",
                          "completionRing", "txBudget", "takeMax"})
    if (!option(spec, key).empty()) return true;
  return option(spec, "take") == "services";
}

bool kernel_forwards(const std::string& interface) {
  for (const char* family : {"ipv4", "ipv6"}) {
    std::ifstream file("/proc/sys/net/" + std::string(family) + "/conf/" + interface +
                       "/forwarding");
    if (int value = 0; file >> value && value != 0) return true;
  }
  return false;
}

// The other end of a veth sends packets of up to 64 KiB, until an XDP program is attached here: then
// they come cut up, which costs bulk TCP more than half of its speed (bench veth_bulk), though small
// packets cost half (bench veth). So af_packet is first there. It leaves a copy of each packet to the kernel,
// which must not forward it too.
bool keeps_large_packets(const PortSpec& spec) {
  af_xdp::Link link;
  std::string error;
  return !asks_for_af_xdp(spec) && af_xdp::read_link(spec.interface, &link, &error) &&
         link.driver == "veth" && !kernel_forwards(spec.interface);
}

std::unique_ptr<Port> open_auto(const PortSpec& spec, FrameArena& arena, std::string* error) {
  std::string why;
  if (keeps_large_packets(spec))
    if (auto port = open_af_packet(spec, arena, error))
      return std::make_unique<Chosen>(std::move(port), ": on veth it keeps large packets whole");
  for (const DriverRow& row : kDrivers) {
    if (!row.is_automatic) continue;
    std::string reason;
    if (auto port = row.open(spec, arena, &reason))
      return std::make_unique<Chosen>(std::move(port),
                                      why.empty() ? ": the fastest" : ", since " + why);
    why += (why.empty() ? "" : "; ") + std::string(row.name) + ": " + reason;
  }
  *error = "no driver works on " + spec.interface + ": " + why;
  return nullptr;
}

std::unique_ptr<Port> open_driver(const PortSpec& spec, FrameArena& arena, std::string* error) {
  if (spec.driver == kAuto) return open_auto(spec, arena, error);
  for (const DriverRow& row : kDrivers)
    if (spec.driver == row.name) return row.open(spec, arena, error);
  *error = "unknown driver '" + spec.driver + "'; known are";
  for (const std::string& name : driver_names()) *error += " " + name;
  return nullptr;
}

}  // namespace

std::vector<std::string> driver_names() {
  std::vector<std::string> names = {kAuto};
  for (const DriverRow& row : kDrivers) names.emplace_back(row.name);
  return names;
}

// The trace is outermost: it shows what nodeplane saw, harm included.
std::unique_ptr<Port> open_port(const PortSpec& spec, FrameArena& arena, std::string* error) {
  std::unique_ptr<Port> port = open_driver(spec, arena, error);
  if (port != nullptr && !option(spec, "fault").empty())
    port = hold_fault(std::move(port), spec, arena, error);
  if (port != nullptr && !option(spec, "trace").empty())
    port = hold_trace(std::move(port), spec, error);
  return port;
}

}  // namespace nodeplane
