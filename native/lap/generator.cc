#include "lap/generator.h"

#include <algorithm>

#include "base/thread.h"
#include "base/time.h"

namespace nodeplane {

namespace {
constexpr uint32_t kFrames = 4096;
}

std::unique_ptr<Generator> Generator::create(const PortSpec& spec, std::string* error) {
  std::unique_ptr<Generator> g(new Generator);
  g->arena_ = FrameArena::create({2048, kFrames, false}, error);
  if (!g->arena_) return nullptr;
  g->port_ = open_port(spec, *g->arena_, error);
  if (!g->port_) return nullptr;
  return g;
}

Generator::Result Generator::run(const Options& o) {
  FrameCache frames(*arena_);
  Result result;
  LaySpec spec = o.packet;
  const auto length = static_cast<uint16_t>(lay_bytes(spec.family));
  const Time start = time_now();
  const Time end = start + static_cast<Time>(o.seconds * kSecond);
  Packet packets[kGeneratorBurst];
  Packet* list[kGeneratorBurst];
  Time now = start;
  for (; now < end; now = time_now()) {
    if (o.packets_per_second > 0) {
      const double due = static_cast<double>(now - start) / kSecond * o.packets_per_second;
      if (static_cast<double>(result.sent) > due) {
        thread_pause(1);
        continue;
      }
    }
    uint32_t n = 0;
    for (; n < kGeneratorBurst; ++n) {
      Packet& p = packets[n];
      p = {};
      p.frame = frames.take();
      if (p.frame == kFrameNone) break;
      p.data = arena_->at(p.frame) + kFrameHeadroom;
      p.length = p.linear = length;
      lay_packet(p.data, spec);
      spec.flow = (spec.flow + 1) % o.flows;
      list[n] = &p;
    }
    const uint32_t took = port_->transmit(0, list, n, frames);
    for (uint32_t i = took; i < n; ++i) frames.give_chain(list[i]->frame);
    result.sent += took;
    port_->release(0, frames);
  }
  result.seconds = static_cast<double>(now - start) / kSecond;
  return result;
}

}  // namespace nodeplane
