#pragma once
#include <cstdint>
#include <string>

namespace nodeplane::af_xdp {

// What the kernel says of an interface in this thread's network namespace.
struct Link {
  std::string name;
  int index = 0;
  uint32_t mtu = 0;
  bool up = false;
  uint8_t mac[6] = {};
  uint32_t rx_queues = 0;  // active ones, 0: the driver does not say
  uint32_t tx_queues = 0;
  std::string driver;  // e.g. "veth", empty if unknown
};

// False with a reason: there is no such interface.
bool read_link(const std::string& name, Link* link, std::string* error);

// The capabilities that an AF_XDP port needs and this thread lacks, "" if none, separated by ", ".
std::string missing_capabilities();

// A lock on the interface that lasts until the descriptor is closed or the process dies. -1 with a
// reason when another process holds it.
int lock_link(const Link& link, std::string* error);

// "reason (errno name)" for people.
std::string error_text(int error_number);

}  // namespace nodeplane::af_xdp
