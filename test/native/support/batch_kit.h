#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "packet/batch.h"
#include "packet/chain.h"
#include "path/stage.h"
#include "stage/parse/parse.h"
#include "support/wire_kit.h"

namespace nodeplane::test {

// A batch over an arena of its own, filled from plain bytes and named by the parse stage.
class BatchKit {
 public:
  explicit BatchKit(uint32_t frames = 1024, uint32_t frame_size = 2048) {
    std::string error;
    arena = FrameArena::create({frame_size, frames, false}, &error);
    if (arena == nullptr) std::abort();
    cache = std::make_unique<FrameCache>(*arena);
    batch->frames = cache.get();
    batch->counters = counters.get();
    batch->reset(kSecond);
    for (uint16_t i = 0; i < kPortMax; ++i) {
      PortRow& row = parse.ports[i];
      row = PortRow{};
      row.id = i;
      row.mtu = 1500;
      row.host_port = row.host_of = kPortNone;
      row.checksum_mode = static_cast<uint8_t>(ChecksumMode::kTrust);
      const uint8_t mac[6] = {2, 0, 0, 0, 0, static_cast<uint8_t>(i)};
      std::memcpy(row.mac, mac, 6);
      parse.unknown_partial[i] = false;
    }
    parse.port_count = kPortMax;
  }

  // One more packet; `piece` bytes at most per frame (0: one frame), as if received on `port`.
  Packet& put(const Bytes& bytes, uint16_t port = 1, size_t piece = 0) {
    Packet& p = batch->packets[batch->count];
    p = Packet{};
    const size_t first = piece == 0 || piece > bytes.size() ? bytes.size() : piece;
    p.frame = cache->take();
    p.data = arena->at(p.frame) + kFrameHeadroom;
    p.length = static_cast<uint32_t>(bytes.size());
    p.linear = static_cast<uint16_t>(first);
    p.port_in = port;
    std::memcpy(p.data, bytes.data(), first);
    uint32_t last = p.frame;
    for (size_t at = first; at < bytes.size(); at += piece) {
      const size_t n = std::min(piece, bytes.size() - at);
      const uint32_t frame = cache->take();
      arena->link(last).next = frame;
      arena->link(frame) = {kFrameNone, 7, static_cast<uint16_t>(n)};
      std::memcpy(arena->at(frame) + 7, &bytes[at], n);
      last = frame;
    }
    batch->live[batch->live_count++] = static_cast<uint16_t>(batch->count++);
    return p;
  }
  // Names what was put; returns how many still walk.
  uint32_t name() {
    Parse::State state;
    Parse::run(*batch, parse, state);
    settle(*batch);
    return batch->live_count;
  }
  Bytes bytes(const Packet& p) const {
    Bytes out(p.length);
    EXPECT_TRUE(Chain(*arena, p, 0).copy(out.data(), p.length));
    return out;
  }
  uint64_t count(Counter c) const { return counters->counts[static_cast<uint32_t>(c)]; }
  uint64_t drops(Drop d) const { return counters->drops[static_cast<uint32_t>(d)]; }
  // Gives back what still walks, ends the batch, and expects every frame at home.
  void end() {
    for (uint32_t i = 0; i < batch->live_count; ++i)
      cache->give_chain(batch->packets[batch->live[i]].frame);
    finish(*batch);
    batch->reset(batch->now + kSecond);
    cache->flush();
    EXPECT_EQ(arena->free_count(), arena->count());
  }

  std::unique_ptr<FrameArena> arena;
  std::unique_ptr<FrameCache> cache;
  std::unique_ptr<Counters> counters = std::make_unique<Counters>();
  std::unique_ptr<Batch> batch = std::make_unique<Batch>();
  Parse::Table parse{};
};

}  // namespace nodeplane::test
