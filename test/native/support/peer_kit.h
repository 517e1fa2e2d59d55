#pragma once
#include <gtest/gtest.h>

#include "base/be.h"
#include "peer/peer.h"
#include "support/patience.h"
#include "support/port_kit.h"

namespace nodeplane {

inline uint64_t of(const Peer::Stats& s, PeerCount c) { return s.counts[static_cast<uint32_t>(c)]; }

inline PeerOptions peer_options(PeerMode mode, const std::string& cable) {
  PeerOptions o;
  o.mode = mode;
  o.port = port_spec("loop", cable);
  o.frames = {2048, 2048, false};
  return o;
}

inline LoadSpec load_spec(uint32_t flows, uint32_t bytes, bool marked, uint8_t family = 4,
                          uint8_t protocol = kProtocolUdp) {
  LoadSpec load;
  load.packet.family = family;
  load.packet.protocol = protocol;
  load.packet.bytes = bytes;
  for (uint8_t i = 1; i <= 3; ++i) {
    LoadSpec::Service s{};
    s.address.bytes[0] = 10;
    s.address.bytes[family == 4 ? 3 : 15] = i;
    s.be_port = swap16(static_cast<uint16_t>(80 + i));
    load.services.push_back(s);
  }
  load.flows = flows;
  load.marked = marked;
  return load;
}

inline std::unique_ptr<Peer> make_peer(PeerOptions o) {
  std::string error;
  auto peer = Peer::create(std::move(o), &error);
  EXPECT_NE(peer, nullptr) << error;
  return peer;
}

// The counts at the end; every frame must have come back.
inline Peer::Stats end_of(Peer& peer) {
  peer.stop();
  peer.join();
  EXPECT_TRUE(peer.close()) << "frames were lost";
  return peer.stats();
}

}  // namespace nodeplane
