#pragma once
#include <cstring>
#include <memory>
#include <string>

#include "base/be.h"
#include "kernel/kernels.h"
#include "table/flow_table.h"

namespace nodeplane {

inline constexpr HashSeed kTestSeed{0x0123456789abcdef, 0xfedcba9876543210};
inline constexpr Time kTestStart = 1000 * kSecond;
inline constexpr uint32_t kServerPort = 8080, kVirtualPort = 80;

inline uint32_t hash_of(const KeyV4& key) noexcept {
  uint32_t h;
  kernels().hash_v4(&key, 1, kTestSeed, &h);
  return h;
}
inline uint32_t hash_of(const KeyV6& key) noexcept {
  uint32_t h;
  kernels().hash_v6(&key, 1, kTestSeed, &h);
  return h;
}

// Addresses that differ by a number, of either family. `net` tells clients from servers.
inline void set_address(uint32_t& a, uint8_t net, uint32_t n) noexcept {
  a = swap32(uint32_t{net} << 24 | (n & 0xffffff));
}
inline void set_address(uint8_t (&a)[16], uint8_t net, uint32_t n) noexcept {
  std::memset(a, 0, 16);
  a[0] = 0xfd;
  a[1] = net;
  const uint32_t be = swap32(n);
  std::memcpy(a + 12, &be, 4);
}

template <class F>
typename F::Key make_key(uint8_t src_net, uint32_t src, uint16_t sport, uint8_t dst_net,
                         uint32_t dst, uint16_t dport, uint8_t protocol) noexcept {
  typename F::Key k{};
  set_address(k.src, src_net, src);
  set_address(k.dst, dst_net, dst);
  k.sport = swap16(sport);
  k.dport = swap16(dport);
  k.protocol = protocol;
  return k;
}

// Client n (10.x) to the virtual address (96.0.0.1:80), answered by server (20.0.0.s:8080).
template <class F>
NewFlow<F> make_flow(uint32_t n, uint8_t protocol = kProtocolTcp, uint32_t server = 1) noexcept {
  NewFlow<F> f{};
  const uint16_t port = static_cast<uint16_t>(1024 + n % 60000);
  const uint32_t client = 1 + n / 60000;
  f.original = make_key<F>(10, client, port, 96, 1, kVirtualPort, protocol);
  f.reply = make_key<F>(20, server, kServerPort, 10, client, port, protocol);
  f.original_hash = hash_of(f.original);
  f.reply_hash = hash_of(f.reply);
  f.service = 7;
  f.endpoint = 100 + server;
  f.generation = 1;
  f.snat_grant = ~0u;
  f.state = protocol == kProtocolTcp ? FlowState::kSynSent : FlowState::kUnreplied;
  return f;
}

inline FlowTimers test_timers() noexcept {
  FlowTimers t{};
  const auto set = [&](FlowState s, uint32_t ms) { t.by_state[static_cast<uint32_t>(s)] = ms; };
  set(FlowState::kSynSent, 60'000);
  set(FlowState::kSynReceived, 50'000);
  set(FlowState::kEstablished, 7'200'000);
  set(FlowState::kFinWait, 120'000);
  set(FlowState::kLastAck, 30'000);
  set(FlowState::kTimeWait, 20'000);
  set(FlowState::kClosed, 10'000);
  set(FlowState::kPickedUp, 300'000);
  t.udp_unreplied = 30'000;
  t.udp_replied = 180'000;
  t.icmp = 25'000;
  t.sctp = 600'000;
  return t;
}

template <class F>
std::unique_ptr<FlowTable<F>> make_table(Epochs& epochs, uint32_t capacity, uint32_t workers = 1) {
  std::string error;
  auto t = FlowTable<F>::create({capacity, workers, false}, epochs, &error);
  if (t) t->set_timers(test_timers());
  return t;
}

// Everything that is due for this worker; how many went.
template <class F>
uint32_t expire_all(FlowTable<F>& t, uint32_t worker, Time now) {
  Gone gone[kExpireBatchMax];
  uint32_t count = 0;
  for (bool more = true; more;) count += t.expire(worker, now, kExpireBatchMax, gone, &more);
  return count;
}

}  // namespace nodeplane
