#pragma once
#include <vector>

#include "base/ip.h"
#include "packet/packet.h"

namespace nodeplane {

// A host that answers for some addresses: ARP, neighbour solicitations, ICMP and ICMPv6 echo, UDP
// (addresses and ports exchanged). The answer stands where the packet stood.
class Echo {
 public:
  struct Address {
    IpAddress address;
    uint8_t family;
  };
  Echo(std::vector<Address> addresses, const uint8_t* mac);
  enum class Outcome : uint8_t { kAnswered, kNotForUs, kCorrupt };
  Outcome answer(const FrameArena& arena, Packet& p) const noexcept;

 private:
  bool has(const uint8_t* address, uint8_t family) const noexcept;
  bool answer_arp(Packet& p) const noexcept;
  bool answer_solicitation(const FrameArena& arena, Packet& p) const noexcept;
  void turn_link(Packet& p) const noexcept;

  std::vector<Address> addresses_;
  uint8_t mac_[6];
};

// MAC addresses exchanged. False: the packet is too short to have any.
bool bounce(Packet& p) noexcept;

}  // namespace nodeplane
