#pragma once
#include <vector>

#include "packet/batch.h"
#include "table/neighbours.h"

namespace nodeplane {

// originate: the answers we owe (ARP, NDP, echo, ICMP errors, resets), made in fresh frames at the
// batch's end. An ICMP error quotes the packet as it came, and goes back by the port and to the MAC it came from.
// reads   batch.owed, the frames they answer     writes  new packets with kFlagOurs and port_out
// table   ports, their addresses                 state   the error rate limit
// drops   originate_full no_frame (counted; the answer is not made)
// why     RFC 826, 4861, 792, 4443 (2.4: what must not be answered), 1812 4.3.2, 9293 3.10.7.1
struct Originate {
  static constexpr const char* kName = "originate";
  struct Address {
    IpAddress address;
    uint16_t port;
    uint8_t family;
  };
  struct Table {
    PortRow ports[kPortMax];
    uint32_t port_count = 0;
    std::vector<Address> addresses;  // first one of a port and family is the source of errors
    uint32_t errors_per_second = 1000;
    FrameArena* arena = nullptr;
  };
  struct State {
    Time bucket_time = 0;
    uint64_t bucket_tokens = 0;  // thousandths of an error
  };
  static void run(Batch& batch, const Table& table, State& state) noexcept;
};

}  // namespace nodeplane
