#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "driver/driver.h"
#include "packet/place.h"

namespace nodeplane {

using Bytes = std::vector<uint8_t>;

// An arena, a cache and counters, for tests that hold a port in their hands. Made before the ports,
// so that it outlives them; says at its end whether every frame came back.
struct PortKit {
  explicit PortKit(uint32_t frames_count = 4096, uint32_t frame_size = 2048) {
    FrameArena::Options options;
    options.count = frames_count;
    options.frame_size = frame_size;
    options.huge = false;
    std::string error;
    arena = FrameArena::create(options, &error);
    EXPECT_NE(arena, nullptr) << error;
    frames = std::make_unique<FrameCache>(*arena);
    counters = std::make_unique<Counters>();
    std::memset(static_cast<void*>(counters.get()), 0, sizeof *counters);
    packets.resize(kBatchSize);
  }
  ~PortKit() {
    frames->flush();
    EXPECT_EQ(arena->free_count(), arena->count()) << "frames were lost";
  }
  uint64_t drops(Drop why) const { return counters->drops[static_cast<uint32_t>(why)]; }
  uint64_t count(Counter which) const { return counters->counts[static_cast<uint32_t>(which)]; }

  uint32_t receive(Port& port, uint32_t queue = 0, uint32_t max = kBatchSize) {
    std::memset(static_cast<void*>(packets.data()), 0, packets.size() * sizeof(Packet));
    return port.receive(queue, packets.data(), max, *frames, *counters);
  }
  Bytes bytes(const Packet& p) const {
    Bytes out(p.length);
    copy_out(*arena, p, out.data());
    return out;
  }
  void give(uint32_t n) {
    for (uint32_t i = 0; i < n; ++i) frames->give_chain(packets[i].frame);
  }
  // Receives one batch and takes its bytes out.
  std::vector<Bytes> take(Port& port, uint32_t queue = 0, uint32_t max = kBatchSize) {
    const uint32_t n = receive(port, queue, max);
    std::vector<Bytes> all;
    for (uint32_t i = 0; i < n; ++i) all.push_back(bytes(packets[i]));
    give(n);
    return all;
  }
  Packet make(const Bytes& from) {
    Packet p;
    std::memset(static_cast<void*>(&p), 0, sizeof p);
    EXPECT_TRUE(place_bytes(p, *frames, from.data(), static_cast<uint32_t>(from.size())));
    return p;
  }
  // Sends packets; what the port does not take is given back. Says how many it took.
  uint32_t send(Port& port, const std::vector<Bytes>& all, uint32_t queue = 0) {
    std::vector<Packet> made;
    for (const Bytes& one : all) made.push_back(make(one));
    std::vector<Packet*> list;
    for (Packet& p : made) list.push_back(&p);
    const auto count = static_cast<uint32_t>(list.size());
    const uint32_t n = port.transmit(queue, list.data(), count, *frames);
    for (uint32_t i = n; i < count; ++i) frames->give_chain(made[i].frame);
    return n;
  }

  std::unique_ptr<FrameArena> arena;
  std::unique_ptr<FrameCache> frames;
  std::unique_ptr<Counters> counters;
  std::vector<Packet> packets;
};

inline PortSpec port_spec(const std::string& driver, const std::string& interface,
                          std::map<std::string, std::string> options = {}) {
  PortSpec spec;
  spec.name = "port";
  spec.driver = driver;
  spec.interface = interface;
  spec.id = 3;
  spec.options = std::move(options);
  return spec;
}

// Bytes that differ from place to place, so that a piece in the wrong place shows: byte i is
// i * 31 + i / 256 * 17 + seed * 101. Every 256 of them are the multiples of 31 from some place on.
inline Bytes pattern(uint32_t length, uint32_t seed = 1) {
  constexpr uint32_t kRow = 256, kInverse = 223;  // 31 * 223 = 1 mod 256
  static const auto multiples = [] {
    std::array<uint8_t, 2 * kRow> all;
    for (uint32_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint8_t>(i * 31);
    return all;
  }();
  Bytes out(length);
  for (uint32_t i = 0; i < length; i += kRow) {
    const uint32_t from = (i / kRow * 17 + seed * 101) * kInverse % kRow;
    std::memcpy(out.data() + i, multiples.data() + from, std::min(kRow, length - i));
  }
  return out;
}

}  // namespace nodeplane
