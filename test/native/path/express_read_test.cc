#include <gtest/gtest.h>

#include "path/express_lane.h"
#include "support/guarded.h"
#include "support/packets.h"

namespace nodeplane::test {
namespace {

using express_lane::Lane;
using express_lane::read_run;

// Of the family's packets with `payload` bytes behind the IP header, at the end of readable memory: how
// many are read.
template <class F>
uint32_t reads(uint8_t protocol, const Bytes& payload) {
  Bytes packet;
  if constexpr (F::kFamily == 4) {
    Ip4 ip;
    ip.protocol = protocol;
    packet = eth(0x0800, ipv4(ip, payload));
  } else {
    Ip6 ip;
    ip.next = protocol;
    packet = eth(0x86dd, ipv6(ip, payload));
  }
  Guarded memory(256);
  auto batch = std::make_unique<Batch>();
  Packet& p = batch->packets[0];
  p.data = memory.put(packet.data(), packet.size());
  p.length = static_cast<uint32_t>(packet.size());
  p.linear = static_cast<uint16_t>(packet.size());
  p.port_in = 0;
  p.flags = 0;
  p.gso = Gso::kNone;
  batch->count = 1;
  ExpressTable::Port ports[1];
  ports[0].mac_in = 0;
  std::memcpy(&ports[0].mac_in, packet.data(), 6);
  Lane<F> lane;
  return read_run<F>(*batch, ports, 0, 1, lane);
}

template <class F>
void cut_short() {
  for (uint8_t fill : {0x00, 0x50, 0xf0, 0xff}) {
    for (size_t length = 0; length <= 64; ++length) {
      const Bytes payload(length, fill);
      // A header length of 5 or 15 words, and as many bytes.
      const size_t header = fill == 0x50 ? 20 : fill == 0x00 ? 65 : 60;
      EXPECT_EQ(reads<F>(kProtocolTcp, payload), length >= header ? 1u : 0u) << length;
      Bytes datagram = payload;
      if (length >= 8) datagram[4] = 0, datagram[5] = static_cast<uint8_t>(length);
      EXPECT_EQ(reads<F>(kProtocolUdp, datagram), length >= 8 ? 1u : 0u) << length;
    }
  }
}

TEST(ExpressRead, NeverReadsPastAPacketV4) { cut_short<V4>(); }
TEST(ExpressRead, NeverReadsPastAPacketV6) { cut_short<V6>(); }

}  // namespace
}  // namespace nodeplane::test
