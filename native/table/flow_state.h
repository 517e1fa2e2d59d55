#pragma once
#include <cstdint>

#include "base/ip.h"
#include "gen/layout.h"

namespace nodeplane {

constexpr uint32_t flow_bit(FlowState s) noexcept { return 1u << static_cast<uint32_t>(s); }

// States in which a packet without SYN, FIN or RST can still change something, by direction. Every
// other such packet needs no look at the cold line. TCP and other protocols share no state.
inline constexpr uint32_t kFlowStirred[2] = {
    flow_bit(FlowState::kSynReceived) | flow_bit(FlowState::kLastAck),
    flow_bit(FlowState::kPickedUp) | flow_bit(FlowState::kLastAck) |
        flow_bit(FlowState::kUnreplied)};
inline constexpr uint8_t kTcpStirring = kTcpSyn | kTcpFin | kTcpRst;

// A side's copy of its record's state says with it whether every packet of this direction needs a
// look at the cold line.
inline constexpr uint8_t kSideStirred = 0x80;
constexpr uint8_t side_state(uint32_t state, uint32_t direction) noexcept {
  const bool stirred = (kFlowStirred[direction] >> state & 1) != 0;
  return static_cast<uint8_t>(state | (stirred ? kSideStirred : 0));
}

// A finished connection: a new SYN on its tuple is a new connection (RFC 9293 section 3.6.1 allows
// it from TIME-WAIT; the source port's owner knows best).
constexpr bool flow_finished(FlowState s) noexcept {
  return s == FlowState::kTimeWait || s == FlowState::kClosed || s == FlowState::kLastAck;
}

// What a connection is worth when the table is full, least first: the order of eviction.
enum class FlowClass : uint8_t { kClosing, kHalfOpen, kOneWay, kEstablished };
inline constexpr uint32_t kFlowClassCount = 4;

// A stream that was picked up is half-open until its reply is seen.
constexpr FlowClass flow_class(FlowState s) noexcept {
  switch (s) {
    case FlowState::kSynSent:
    case FlowState::kSynReceived:
    case FlowState::kPickedUp:
      return FlowClass::kHalfOpen;
    case FlowState::kUnreplied:
      return FlowClass::kOneWay;
    case FlowState::kEstablished:
    case FlowState::kReplied:
      return FlowClass::kEstablished;
    default:
      return FlowClass::kClosing;
  }
}

// The TCP state machine of a middle box: flags only, no windows, so that a packet whose tuple
// matches is always translated. `other_fin`: the opposite direction has sent FIN.
constexpr FlowState next_tcp_state(FlowState s, uint8_t direction, uint8_t flags,
                                   bool other_fin) noexcept {
  if (flags & kTcpRst) return FlowState::kClosed;
  const bool ack = (flags & kTcpAck) != 0;
  if (flags & kTcpFin) {
    if (flow_finished(s)) return s;
    return other_fin ? FlowState::kLastAck : FlowState::kFinWait;
  }
  switch (s) {
    case FlowState::kSynSent:  // SYN-ACK, or a SYN that crossed ours (simultaneous open)
      return direction == 1 && (flags & kTcpSyn) ? FlowState::kSynReceived : s;
    case FlowState::kSynReceived:
      return direction == 0 && ack ? FlowState::kEstablished : s;
    case FlowState::kPickedUp:
      return direction == 1 ? FlowState::kEstablished : s;
    case FlowState::kLastAck:
      return ack ? FlowState::kTimeWait : s;
    default:
      return s;
  }
}

constexpr FlowState next_flow_state(FlowState s, uint8_t protocol, uint8_t direction, uint8_t flags,
                                    bool other_fin) noexcept {
  if (protocol == kProtocolTcp) return next_tcp_state(s, direction, flags, other_fin);
  return s == FlowState::kUnreplied && direction == 1 ? FlowState::kReplied : s;
}

}  // namespace nodeplane
