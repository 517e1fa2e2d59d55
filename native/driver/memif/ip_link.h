#pragma once
#include <cstdint>

#include "packet/frame.h"
#include "packet/packet.h"

namespace nodeplane::memif {

inline constexpr uint32_t kAnswersMax = 64;
inline constexpr uint32_t kEthernetBytes = 14;

// Ip mode of one queue: nothing but IP packets is on the ring, so the Ethernet that nodeplane works
// with is put on here and taken off here. Nobody at the other end could answer who has an address:
// this does, with one MAC for all of them.
class IpLink {
 public:
  IpLink(const uint8_t* mac, const uint8_t* peer_mac) noexcept;

  enum class Kind : uint8_t { kIp, kArpRequest, kSolicitation, kOther };
  static Kind kind_of(const Packet& p) noexcept;
  // The Ethernet header of an IP packet.
  static void take_off(Packet& p) noexcept { move(p, static_cast<int32_t>(kEthernetBytes)); }
  static void put_back(Packet& p) noexcept { move(p, -static_cast<int32_t>(kEthernetBytes)); }
  // Takes a question for a MAC: its frame becomes the answer, or is given back.
  void answer(Packet& p, Kind kind, FrameCache& frames) noexcept;
  // Packets as received: the type follows the first nibble; parse drops what is neither 4 nor 6.
  void put_on(Packet* packets, uint32_t count) const noexcept;
  // Answers that wait to be received.
  uint32_t answers(Packet* packets, uint32_t max, const FrameArena& arena) noexcept;
  bool has_answers() const noexcept { return first_ != end_; }
  void close(FrameCache& frames) noexcept;

 private:
  static void move(Packet& p, int32_t bytes) noexcept {
    p.data += bytes;
    p.length -= static_cast<uint32_t>(bytes);
    p.linear = static_cast<uint16_t>(p.linear - bytes);
  }
  bool answer_arp(Packet& p) const noexcept;
  bool answer_solicitation(Packet& p, const FrameArena& arena) const noexcept;
  bool keep(const Packet& p) noexcept;

  struct Answer {
    uint8_t* data;
    uint32_t frame;
    uint16_t bytes;
  };
  uint8_t mac_[6];
  uint8_t peer_mac_[6];
  uint32_t first_ = 0, end_ = 0;
  Answer answers_[kAnswersMax];
};

}  // namespace nodeplane::memif
