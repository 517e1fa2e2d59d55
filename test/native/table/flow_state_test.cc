#include "table/flow_state.h"

#include <gtest/gtest.h>

namespace nodeplane {
namespace {

using enum FlowState;
constexpr uint8_t kSyn = kTcpSyn, kAck = kTcpAck, kFin = kTcpFin | kTcpAck, kRst = kTcpRst;
constexpr uint8_t kSynAndAck = kTcpSyn | kTcpAck, kData = kTcpAck | kTcpPsh;

struct Row {
  FlowState from;
  uint8_t direction;
  uint8_t flags;
  bool other_fin;
  FlowState to;
};

// RFC 9293 section 3.3.2 as a box in the middle sees it.
constexpr Row kRows[] = {
    {kSynSent, 0, kSyn, false, kSynSent},
    {kSynSent, 0, kAck, false, kSynSent},
    {kSynSent, 1, kSynAndAck, false, kSynReceived},
    {kSynSent, 1, kSyn, false, kSynReceived},    // simultaneous open
    {kSynSent, 1, kAck, false, kSynSent},        // a challenge ACK
    {kSynSent, 1, kRst | kAck, false, kClosed},  // refused
    {kSynReceived, 1, kSynAndAck, false, kSynReceived},
    {kSynReceived, 0, kSyn, false, kSynReceived},
    {kSynReceived, 0, kAck, false, kEstablished},
    {kSynReceived, 0, kData, false, kEstablished},
    {kSynReceived, 0, kSynAndAck, false, kEstablished},  // simultaneous open
    {kSynReceived, 0, kFin, false, kFinWait},
    {kEstablished, 0, kData, false, kEstablished},
    {kEstablished, 1, kAck, false, kEstablished},
    {kEstablished, 0, kSyn, false, kEstablished},
    {kEstablished, 0, kFin, false, kFinWait},
    {kEstablished, 1, kFin, false, kFinWait},
    {kEstablished, 1, kRst, false, kClosed},
    {kFinWait, 0, kFin, false, kFinWait},  // again
    {kFinWait, 1, kData, true, kFinWait},
    {kFinWait, 1, kFin, true, kLastAck},
    {kFinWait, 0, kFin, true, kLastAck},
    {kLastAck, 1, kFin, true, kLastAck},
    {kLastAck, 0, kAck, true, kTimeWait},
    {kLastAck, 0, kRst, true, kClosed},
    {kTimeWait, 1, kFin, true, kTimeWait},
    {kTimeWait, 0, kAck, true, kTimeWait},
    {kTimeWait, 0, kRst, true, kClosed},
    {kClosed, 0, kAck, false, kClosed},
    {kClosed, 1, kFin, false, kClosed},
    {kPickedUp, 0, kData, false, kPickedUp},
    {kPickedUp, 1, kAck, false, kEstablished},
    {kPickedUp, 0, kFin, false, kFinWait},
    {kPickedUp, 0, kRst, false, kClosed},
};

TEST(FlowState, TcpTable) {
  for (const Row& r : kRows) {
    EXPECT_EQ(next_flow_state(r.from, kProtocolTcp, r.direction, r.flags, r.other_fin), r.to)
        << kFlowStateNames[static_cast<int>(r.from)] << " direction " << int{r.direction}
        << " flags " << int{r.flags};
  }
}

TEST(FlowState, OthersAreRepliedByTheReply) {
  for (const uint8_t p : {kProtocolUdp, kProtocolIcmp, kProtocolIcmp6, kProtocolSctp}) {
    EXPECT_EQ(next_flow_state(kUnreplied, p, 0, 0, false), kUnreplied);
    EXPECT_EQ(next_flow_state(kUnreplied, p, 1, 0, false), kReplied);
    EXPECT_EQ(next_flow_state(kReplied, p, 0, 0, false), kReplied);
    EXPECT_EQ(next_flow_state(kReplied, p, 1, 0, false), kReplied);
  }
}

// The fast path skips the state machine; it may do so only where nothing would change.
TEST(FlowState, StirredCoversEveryChange) {
  for (uint32_t s = 1; s < kFlowStateCount; ++s) {
    for (uint8_t direction = 0; direction < 2; ++direction) {
      for (uint32_t flags = 0; flags < 64; ++flags) {
        if ((flags & kTcpStirring) != 0 || ((kFlowStirred[direction] >> s) & 1) != 0) continue;
        const auto from = static_cast<FlowState>(s);
        for (const bool fin : {false, true}) {
          const bool tcp = from != kUnreplied && from != kReplied;
          EXPECT_EQ(next_flow_state(from, tcp ? kProtocolTcp : kProtocolUdp, direction,
                                    static_cast<uint8_t>(flags), fin),
                    from);
        }
      }
    }
  }
}

}  // namespace
}  // namespace nodeplane
