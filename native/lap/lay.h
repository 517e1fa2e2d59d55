#pragma once
#include <cstddef>
#include <cstdint>

#include "base/ip.h"

namespace nodeplane {

inline constexpr uint32_t kLayFlowsPerAddress = 32768;
inline constexpr uint16_t kLayPortFirst = 1024;

// A client's packet to a service, whole and with right sums. The client's address and port follow
// from the flow's number: 172.16.0.1 or fd00:c::1 and on, kLayFlowsPerAddress ports each.
struct LaySpec {
  uint8_t family = 4;
  uint8_t protocol = kProtocolTcp;  // TCP or UDP
  uint8_t tcp_flags = kTcpAck;
  uint8_t dst_mac[6] = {};
  uint8_t src_mac[6] = {0x02};
  uint32_t flow = 0;
  IpAddress service{};
  uint16_t be_service_port = 0;
};

// Bytes of every laid packet: 64 for IPv4 (an Ethernet frame of 60 and 4 of payload), 74 for IPv6.
constexpr size_t lay_bytes(uint8_t family) noexcept { return family == 4 ? 64 : 74; }
void lay_packet(uint8_t* data, const LaySpec& spec) noexcept;

// The answer of whoever receives it: a copy at `data` with source and destination exchanged.
void lay_answer(uint8_t* data, const uint8_t* packet, const uint8_t* dst_mac, uint8_t family,
                uint8_t tcp_flags) noexcept;

}  // namespace nodeplane
