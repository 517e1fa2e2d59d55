#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/ip.h"

namespace nodeplane {

// Ports that share their interface with the host leave ARP and neighbour discovery to the kernel
// (take: services), so what they know of neighbours comes from it: its table is read, and it is asked
// to find those that are missing. rtnetlink(7), RTM_GETNEIGH and NTF_USE (linux/neighbour.h).
class KernelNeighbours {
 public:
  struct Seen {
    uint16_t port;
    uint8_t family;
    IpAddress address;
    uint8_t mac[6];
  };
  static std::unique_ptr<KernelNeighbours> open(std::string* error);
  ~KernelNeighbours();

  // False with a reason when there is no such interface.
  bool add(uint16_t port, const std::string& interface, std::string* error);
  // Calls `seen` for every neighbour on an added port's interface whose address the kernel knows.
  // False: the kernel did not answer in time; what was told until then is right.
  bool read(const std::function<void(const Seen&)>& seen);
  // Asks the kernel to find a neighbour; read tells when it has.
  void resolve(uint16_t port, uint8_t family, const IpAddress& address);

 private:
  struct Interface {
    uint16_t port;
    int index;
  };
  explicit KernelNeighbours(int fd) : fd_(fd) {}
  const int fd_;
  uint32_t sequence_ = 0;
  std::vector<Interface> interfaces_;
};

}  // namespace nodeplane
