#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/time.h"
#include "packet/packet.h"
#include "peer/lay.h"

namespace nodeplane {

// What a sender sends: laid packets (peer/lay.h) of many flows in turn, or bytes as given.
struct LoadSpec {
  struct Service {
    IpAddress address;
    uint16_t be_port;
  };
  LaySpec packet;                 // its flow and service are the load's to set
  std::vector<Service> services;  // flow i asks service i % count
  uint32_t flows = 1;
  uint32_t first_flow = 0;
  bool marked = false;                    // payloads say flow and sequence (peer/mark.h)
  bool stamped = false;                   // payloads begin with the time that lay() is told
  std::vector<std::vector<uint8_t>> raw;  // instead of all above: these packets in turn
};

// Packets are prepared once. Headers are written anew for each, one or two lines; payloads that are
// all alike stay in their frames, and a frame is written in full only when something else was in it.
class Load {
 public:
  // Where a sender stands in its share of the flows.
  struct Cursor {
    uint32_t first = 0, count = 0;  // flows of this share, counted from first_flow
    uint32_t at = 0;                // next flow of the share
    uint32_t sequence = 0;
  };
  // Null with a reason when the wish makes no sense.
  static std::unique_ptr<Load> create(LoadSpec spec, const FrameArena& arena, std::string* error);

  // Share `index` of `shares`: no flow is in two of them. A share may be empty.
  Cursor share(uint32_t index, uint32_t shares) const noexcept;
  // The cursor's next packet in fresh frames. False: no frame.
  bool lay(Cursor& cursor, Packet& p, FrameCache& frames, Time stamp = 0) noexcept;
  // Somebody else has written into the frames of this packet, or into nobody knows which.
  void touched(uint32_t first) noexcept {
    for (uint32_t f = first; f != kFrameNone; f = arena_.link(f).next) laid_[f] = 0;
  }
  void touched_all() noexcept { laid_.assign(laid_.size(), 0); }

 private:
  // What is a flow's own in its packets' headers.
  struct Face {
    uint32_t source;   // what varies of the client's address, raw
    uint32_t service;  // index
    uint16_t sport;    // raw
    uint16_t l3_check;
    uint16_t l4_sum;  // of all but the payload, not inverted
  };
  Load(LoadSpec spec, const FrameArena& arena);
  void make_model();
  void make_faces();
  bool lay_raw(Cursor& cursor, Packet& p, FrameCache& frames) noexcept;
  bool lay_rest(Packet& p, FrameCache& frames, const uint8_t* from, bool always) noexcept;
  bool lay_marked(Packet& p, FrameCache& frames, const Face& face, uint64_t mark) noexcept;
  void lay_head(uint8_t* data, const Face& face, uint16_t l4_sum) const noexcept;

  const FrameArena& arena_;
  LoadSpec spec_;
  uint32_t bytes_ = 0;    // of a packet
  uint32_t linear_ = 0;   // of them in the first frame
  uint32_t headers_ = 0;  // where the payload begins
  uint32_t head_ = 0;     // bytes written anew: whole lines over the headers
  bool v4_ = true, tcp_ = false;
  std::vector<Face> faces_;       // by flow
  std::vector<uint8_t> model_;    // one packet, addresses, ports and sums zero; and slack
  std::vector<uint8_t> scratch_;  // a marked packet that needs several frames
  std::vector<uint8_t> laid_;     // by frame: 1 + which piece of the packet it holds
};

}  // namespace nodeplane
