// Generated from schema/counters.json by scripts/generate.mjs. Do not edit.
#pragma once
#include <cstdint>

namespace nodeplane {

enum class Counter : uint8_t {
  kPacketsIn,
  kPacketsOut,
  kConsumed,
  kOriginated,
  kHeld,
  kHandedOver,
  kBatches,
  kFlowHit,
  kFlowNew,
  kFlowExpired,
  kFlowForgotten,
  kFlowEvicted,
  kFlowLostRace,
  kServiceNewFlow,
  kServicePickedUp,
  kSnatPortTaken,
  kSnatPortGivenBack,
  kRoutedPlain,
  kChecksumCompleted,
  kSegmented,
  kArpRequestSent,
  kArpReplySent,
  kIcmpErrorSent,
  kIcmpErrorTranslated,
  kKernelDropped,
  kFramesTaken,
  kFramesGiven,
};
inline constexpr uint32_t kCounterCount = 27;
inline constexpr const char* kCounterNames[] = {
    "packets_in",
    "packets_out",
    "consumed",
    "originated",
    "held",
    "handed_over",
    "batches",
    "flow_hit",
    "flow_new",
    "flow_expired",
    "flow_forgotten",
    "flow_evicted",
    "flow_lost_race",
    "service_new_flow",
    "service_picked_up",
    "snat_port_taken",
    "snat_port_given_back",
    "routed_plain",
    "checksum_completed",
    "segmented",
    "arp_request_sent",
    "arp_reply_sent",
    "icmp_error_sent",
    "icmp_error_translated",
    "kernel_dropped",
    "frames_taken",
    "frames_given",
};

}  // namespace nodeplane
