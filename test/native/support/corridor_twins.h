#pragma once
#include <algorithm>
#include <string>

#include "support/corridor_kit.h"

namespace nodeplane::test {

// The same node twice, the second without the express lane: whatever comes, both must send, count
// and remember the same. Packets of different connections may leave in another order.
struct CorridorTwins {
  CorridorKit fast, plain;

  explicit CorridorTwins(bool host = false, bool pods_masquerade = true)
      : fast(host, pods_masquerade), plain(host, pods_masquerade) {}

  // What differs, or nothing.
  std::string run(const std::vector<CorridorKit::In>& in) {
    walk();
    fast.run(in);
    plain.run(in);
    return difference();
  }
  std::string advance(Time by) {
    fast.advance(by);
    plain.advance(by);
    return difference();
  }
  void publish(bool host, bool pods_masquerade, uint32_t endpoint_count) {
    fast.publish(host, pods_masquerade, endpoint_count);
    plain.publish(host, pods_masquerade, endpoint_count);
  }
  void change(uint32_t told, uint32_t removed, uint32_t endpoint_count, uint32_t shift) {
    fast.change(told, removed, endpoint_count, shift);
    plain.change(told, removed, endpoint_count, shift);
  }
  std::string finish_waiting() {
    fast.finish_waiting();
    plain.finish_waiting();
    const std::string sent = difference();
    return sent.empty() ? compare_flows() : sent;
  }
  std::string compare_flows() {
    if (rows(*fast.flows4, fast.now) != rows(*plain.flows4, plain.now)) return "IPv4 flows";
    if (stamps(*fast.flows4) != stamps(*plain.flows4)) return "IPv4 flows' generations";
    if (rows(*fast.flows6, fast.now) != rows(*plain.flows6, plain.now)) return "IPv6 flows";
    if (stamps(*fast.flows6) != stamps(*plain.flows6)) return "IPv6 flows' generations";
    return {};
  }

 private:
  void walk() {
    fast.states->express.pause = 0;
    plain.states->express.pause = ~0u;
  }
  std::string difference() {
    for (uint32_t port = 0; port < 3; ++port) {
      std::vector<Bytes> a = fast.sent[port], b = plain.sent[port];
      std::sort(a.begin(), a.end());
      std::sort(b.begin(), b.end());
      if (a != b) return "packets sent by port " + std::to_string(port);
    }
    for (uint32_t i = 0; i < kDropCount; ++i)
      if (fast.counters->drops[i] != plain.counters->drops[i])
        return std::string("drop ") + kDropNames[i];
    for (uint32_t i = 0; i < kCounterCount; ++i)
      if (fast.counters->counts[i] != plain.counters->counts[i])
        return std::string("counter ") + kCounterNames[i];
    return {};
  }
  // Of both directions of those that live.
  template <class F>
  static std::vector<uint32_t> stamps(const FlowTable<F>& flows) {
    std::vector<uint32_t> all;
    for (uint32_t record = 0; record < flows.capacity(); ++record)
      for (uint8_t direction = 0; direction < 2; ++direction)
        if (flows.state_of(record) != FlowState::kNone)
          all.push_back(flows.side({record, direction}).generation.load());
    return all;
  }
  template <class F>
  static std::vector<uint8_t> rows(const FlowTable<F>& flows, Time now) {
    std::vector<FlowRow> all(flows.capacity());
    uint32_t cursor = 0;
    all.resize(flows.dump(&cursor, all.data(), flows.capacity(), now));
    const auto* bytes = reinterpret_cast<const uint8_t*>(all.data());
    return {bytes, bytes + all.size() * sizeof(FlowRow)};
  }
};

}  // namespace nodeplane::test
