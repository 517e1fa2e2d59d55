#pragma once
#include <vector>

#include "packet/packet.h"

namespace nodeplane {

// What a packet turned out to be.
enum class Finding : uint8_t {
  kGood,       // marked (peer/mark.h), whole, new
  kDuplicate,  // as good, but it was here already, or came so late that nobody can tell
  kLate,       // as good, overtaken by a later one of its flow; was counted as lost before
  kCorrupt,    // a sum or a byte is wrong
  kStrange,    // nothing that a load sends: ARP, other flows, ...
};
inline constexpr uint32_t kCheckWindow = 64;  // packets of a flow that one may be late

// Sums of a packet that may lie in several frames.
struct Sums {
  uint16_t l3, l4;   // offsets; of what was found
  uint8_t family;    // 0: not IP over Ethernet, or a fragment, or an extension header
  uint8_t protocol;  // TCP, UDP, ICMP, ICMPv6; 0: another
  uint32_t l4_bytes;
  bool is_whole;  // lengths fit and the IPv4 header's sum is right
};
// Reads as far as the L4 header; Ethernet without tags. Never past the first frame.
Sums read_headers(const Packet& p) noexcept;
// Of l4_bytes, with the pseudo-header of TCP, UDP and ICMPv6; 0xffff: the sum is right.
uint16_t l4_sum(const FrameArena& arena, const Packet& p, const Sums& s) noexcept;

// A receiver's memory of a load's flows.
class Check {
 public:
  Check(uint32_t first_flow, uint32_t flows) : first_(first_flow), seen_(flows) {}
  // `missing`: packets between the last one of this flow and this one, lost until they come.
  Finding see(const FrameArena& arena, const Packet& p, uint64_t* missing) noexcept;

 private:
  struct Seen {
    uint32_t next = 0;    // sequence that should come
    uint64_t window = 0;  // bit i: next - 1 - i was here
  };
  Finding note(Seen& seen, uint32_t sequence, uint64_t* missing) noexcept;
  uint32_t first_;
  std::vector<Seen> seen_;
  uint8_t scratch_[65536];  // a payload that lies in several frames
};

}  // namespace nodeplane
