#pragma once
#include <cstddef>
#include <cstdint>

#include "base/ip.h"

namespace nodeplane {

inline constexpr uint32_t kLayFlowsPerAddress = 32768;
inline constexpr uint16_t kLayPortFirst = 1024;
inline constexpr uint32_t kLayBytesMin = 60;  // Ethernet's least, without its check sequence
inline constexpr uint32_t kLayBytesMax = 9216;

// A client's packet to a service, whole and with right sums. The client's address and port follow
// from the flow's number: 172.16.0.1 or fd00:c::1 and on, kLayFlowsPerAddress ports each.
struct LaySpec {
  uint8_t family = 4;
  uint8_t protocol = kProtocolTcp;  // TCP or UDP
  uint8_t tcp_flags = kTcpAck;
  uint8_t dst_mac[6] = {};
  uint8_t src_mac[6] = {0x02};
  uint32_t flow = 0;
  uint32_t bytes = 0;  // of the frame; 0: lay_bytes(family)
  IpAddress service{};
  uint16_t be_service_port = 0;
};

// Bytes of a laid packet unless others are asked for: 64 for IPv4, 74 for IPv6.
constexpr size_t lay_bytes(uint8_t family) noexcept { return family == 4 ? 64 : 74; }
constexpr size_t lay_bytes(const LaySpec& spec) noexcept {
  return spec.bytes != 0 ? spec.bytes : lay_bytes(spec.family);
}
// Where the payload begins.
constexpr size_t lay_headers(uint8_t family, uint8_t protocol) noexcept {
  return 14u + (family == 4 ? 20 : 40) + (protocol == kProtocolTcp ? 20 : 8);
}

inline constexpr uint32_t kLayNet4 = 0xac100000;
constexpr uint32_t lay_host(uint32_t flow) noexcept { return flow / kLayFlowsPerAddress + 1; }
constexpr uint16_t lay_port(uint32_t flow) noexcept {
  return static_cast<uint16_t>(kLayPortFirst + flow % kLayFlowsPerAddress);
}

void lay_packet(uint8_t* data, const LaySpec& spec) noexcept;

// The answer of whoever receives a packet of lay_bytes(family): a copy at `data` with source and
// destination exchanged.
void lay_answer(uint8_t* data, const uint8_t* packet, const uint8_t* dst_mac, uint8_t family,
                uint8_t tcp_flags) noexcept;

}  // namespace nodeplane
