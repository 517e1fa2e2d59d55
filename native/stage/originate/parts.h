#pragma once
#include <algorithm>
#include <cstring>

#include "packet/chain.h"
#include "stage/originate/originate.h"
#include "wire/eth.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"

// What originate's files share with one another and nobody else.
namespace nodeplane::originating {

inline constexpr uint8_t kTtl = 64;           // RFC 1700, what hosts send with
inline constexpr uint8_t kTosControl = 0xc0;  // internetwork control (RFC 1812 section 4.3.2.5)

struct Context {
  Batch& batch;
  const Originate::Table& table;

  const Packet& asked(const Owed& owed) const noexcept { return batch.packets[owed.packet]; }
  const uint8_t* mac(uint16_t port) const noexcept { return table.ports[port].mac; }
  // The address of `port` that shares most leading bits with `near`; null: it has none.
  const IpAddress* nearest(uint16_t port, uint8_t family, const IpAddress& near) const noexcept;
  // What an error about `asked` calls itself; null: nothing fits.
  const IpAddress* error_source(const Packet& asked, uint16_t port) const noexcept;
};

// A packet being written in a fresh frame. It counts as made once it was sent.
class Draft {
 public:
  Draft(Context& context, uint16_t port) noexcept;
  ~Draft();  // gives the frame back if it was not sent
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;

  explicit operator bool() const noexcept { return packet_ != nullptr; }
  // The next `bytes` of the packet, zeroed.
  uint8_t* add(uint32_t bytes) noexcept;
  // Copies from a packet's chain, into further frames where the first is full. False: no frame, or
  // the chain is too short.
  bool copy(Chain from, uint32_t bytes) noexcept;
  // One's complement sum of everything from `at`, which add gave, to the end.
  uint16_t sum_from(const uint8_t* at) const noexcept;
  bool is_linear() const noexcept { return packet_->linear == packet_->length; }
  void send() noexcept;

 private:
  bool extend() noexcept;
  Context& context_;
  Packet* packet_ = nullptr;
  uint32_t room_ = 0;
  uint32_t last_ = kFrameNone;
  bool sent_ = false;
};

// -- layers: each adds a header to the draft --
void add_ethernet(Draft& draft, const uint8_t* dst, const uint8_t* src, uint16_t type) noexcept;
// Back to where `asked` came from, with its VLAN tags.
wire::EthHeader* add_ethernet_back(Draft& draft, const Packet& asked,
                                   const uint8_t* own_mac) noexcept;
wire::Ipv4Header* add_ipv4(Draft& draft, uint32_t src, uint32_t dst, uint8_t protocol,
                           uint32_t payload, uint8_t tos) noexcept;
wire::Ipv6Header* add_ipv6(Draft& draft, const uint8_t* src, const uint8_t* dst, uint8_t protocol,
                           uint32_t payload, uint8_t hop_limit) noexcept;
// RFC 8200 section 8.1 and RFC 9293 section 3.1, raw order.
uint32_t pseudo_sum4(uint32_t src, uint32_t dst, uint8_t protocol, uint32_t bytes) noexcept;
uint32_t pseudo_sum6(const wire::Ipv6Header& ip, uint8_t protocol, uint32_t bytes) noexcept;

// -- makers: true if an answer was made; what was not made for want of room is counted --
bool make_arp(Context& context, const Owed& owed) noexcept;
bool make_solicitation(Context& context, const Owed& owed) noexcept;
bool make_advertisement(Context& context, const Owed& owed) noexcept;
bool make_echo_reply(Context& context, const Owed& owed) noexcept;
bool make_icmp_error(Context& context, const Owed& owed) noexcept;
bool make_tcp_reset(Context& context, const Owed& owed) noexcept;

// Whether a packet may be answered by an error at all (RFC 1122 section 3.2.2, RFC 4443 section
// 2.4 e; a reset likewise only goes to one sender).
bool may_refuse(const Packet& p, uint8_t icmp_type) noexcept;

}  // namespace nodeplane::originating
