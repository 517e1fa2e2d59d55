#pragma once
// What the files of the express lane share.
#include <bit>
#include <cstddef>
#include <cstring>

#include "path/express.h"
#include "table/flow.h"
#include "wire/eth.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"

static_assert(std::endian::native == std::endian::little);

namespace nodeplane::express_lane {

// Packets of one step. Each step reads its packets and asks for their index lines; two steps later
// their records are asked for, again two later they leave. So some 64 lines are always in flight,
// asked for a few at a time between other work, and what is looked at twice is in the first cache.
inline constexpr uint32_t kStep = 16;
inline constexpr uint32_t kHopEnd = 0xffff;  // what no neighbour, or the very last, has
inline constexpr uint32_t kTtlDelta =
    0xfffe;  // one off the TTL, as it adds to a one's complement sum
inline constexpr uint32_t kL3 = sizeof(wire::EthHeader);

template <class T>
T load(const uint8_t* p) noexcept {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class T>
void store(uint8_t* p, T v) noexcept {
  std::memcpy(p, &v, sizeof v);
}

// What a family's header looks like.
template <class F>
struct Header;
template <>
struct Header<V4> {
  static constexpr uint32_t kBytes = wire::kIpv4HeaderMin;
  static constexpr uint32_t kProtocol = 9;
  static constexpr uint16_t kEthertype = 0x0008;  // as it lies
};
template <>
struct Header<V6> {
  static constexpr uint32_t kBytes = wire::kIpv6HeaderLength;
  static constexpr uint32_t kProtocol = 6;
  static constexpr uint16_t kEthertype = 0xdd86;
};

// What packets that leave by a port wear, and where they are listed.
struct alignas(32) Exit {
  uint64_t mac_first;  // the port's MAC as source: its first two bytes behind the destination
  uint32_t mac_rest;
  uint32_t mtu;
  Packet** next;
  uint64_t mac;  // all six bytes, as they lie: for who stores them behind the destination's at once
};

// What a step that was read at once knows besides; a word or half of one for each packet.
struct alignas(64) Wide {
  uint32_t ip[kStep];      // TTL, protocol, checksum of the header
  uint32_t sums[kStep];    // the checksum field of TCP or UDP, in the lower half
  uint32_t sum_at[kStep];  // and where it is, from data
  uint32_t hops[kStep];
  uint8_t* sides[kStep];
  uint64_t ways[kStep];  // NeighbourTable::word
  uint16_t padded;       // a bit for each packet that Ethernet padded
  uint16_t fresh;        // a bit for each with TCP flags that its direction had not yet
  bool is = false;
};

// Packets of one family on their way through the steps.
template <class F>
struct Lane {
  uint32_t count = 0;
  Wide wide;
  Packet* who[kStep];
  uint16_t ip_bytes[kStep];
  uint8_t tcp_flags[kStep];
  uint32_t hashes[kStep];
  uint32_t guesses[kStep];
  typename F::Key keys[kStep];
};

// Reads the family's packets into the lane, from number `next` of the batch up to `stop`, or to the
// first that is not plain and sound: the number of that.
template <class F>
uint32_t read_run(Batch& batch, const ExpressTable::Port* ports, uint32_t next, uint32_t stop,
                  Lane<F>& lane) noexcept;

}  // namespace nodeplane::express_lane
