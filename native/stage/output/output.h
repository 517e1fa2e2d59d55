#pragma once
#include "packet/batch.h"

namespace nodeplane {

inline constexpr uint32_t kSegmentsMax = 128;        // of one large packet: 64 KiB by 536 bytes
inline constexpr uint32_t kSegmentsBatchMax = 1024;  // of one batch

// output: through which port? Sorts the batch into one list per port, in order; segments large
// packets for ports that cannot take them.
// reads   port_out gso                    writes  the lists, verdict kSent
// table   ports' capabilities             state   the lists, copies of segmented packets
// drops   not_transmittable segment_failed no_frame
// why     style: the only stage that knows that ports differ
struct Output {
  static constexpr const char* kName = "output";
  struct Table {
    bool open[kPortMax] = {};
    bool gso[kPortMax] = {};
    bool chains[kPortMax] = {};
    uint32_t mtu[kPortMax] = {};
    uint32_t port_count = 0;
    FrameArena* arena = nullptr;
  };
  static constexpr uint32_t kListRoom = kBatchRoom + kSegmentsBatchMax;
  struct List {
    uint32_t count = 0;
    Packet* packets[kListRoom];
  };
  struct State {
    List lists[kPortMax];
    Packet segments[kSegmentsBatchMax];  // descriptors of segments made in this batch
    uint32_t segment_count = 0;
  };
  static void run(Batch& batch, const Table& table, State& state) noexcept;
};

}  // namespace nodeplane
