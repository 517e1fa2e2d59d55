#include "stage/originate/originate.h"

#include "stage/originate/parts.h"

namespace nodeplane {
namespace originating {
namespace {

uint32_t common_bits(const IpAddress& a, const IpAddress& b) noexcept {
  for (uint32_t i = 0; i < 16; ++i) {
    const uint32_t differ = a.bytes[i] ^ b.bytes[i];
    if (differ != 0) return i * 8 + static_cast<uint32_t>(__builtin_clz(differ)) - 24;
  }
  return 128;
}

// A link-local address says nothing to anyone behind a router (RFC 4291 section 2.5.6).
bool fits_scope(const Originate::Address& a, const IpAddress& to) noexcept {
  return a.family == 4 || !wire::ipv6_is_link_local(a.address.bytes) ||
         wire::ipv6_is_link_local(to.bytes);
}

}  // namespace

const IpAddress* Context::nearest(uint16_t port, uint8_t family,
                                  const IpAddress& near) const noexcept {
  const IpAddress* best = nullptr;
  uint32_t best_bits = 0;
  for (const auto& a : table.addresses) {
    if (a.port != port || a.family != family) continue;
    const uint32_t bits = common_bits(a.address, near);
    if (best != nullptr && bits <= best_bits) continue;
    best = &a.address;
    best_bits = bits;
  }
  return best;
}

const IpAddress* Context::error_source(const Packet& asked, uint16_t port) const noexcept {
  const uint8_t* l3 = asked.data + asked.l3;
  const IpAddress to = asked.family == 4
                           ? IpAddress::from_v4(wire::at<wire::Ipv4Header>(l3)->src.raw())
                           : IpAddress::from_bytes(wire::at<wire::Ipv6Header>(l3)->src, 6);
  const IpAddress* node = nullptr;
  for (const auto& a : table.addresses) {
    if (a.family != asked.family || !fits_scope(a, to)) continue;
    if (a.port == port) return &a.address;
    if (a.port == kPortNone && node == nullptr) node = &a.address;
  }
  return node;
}

}  // namespace originating

namespace {

using namespace originating;

constexpr uint64_t kTokensPerError = 1000;
constexpr Time kTokenTime = kSecond / kTokensPerError;

// Holds one second's worth, so a burst of that many passes at once.
void refill(Originate::State& state, uint64_t per_second, Time now) noexcept {
  const uint64_t full = per_second * kTokensPerError;
  const Time passed = now > state.bucket_time ? now - state.bucket_time : 0;
  if (passed >= kSecond || state.bucket_time == 0) {
    state.bucket_tokens = full;
    state.bucket_time = now;
    return;
  }
  const uint64_t tokens = passed * per_second / kTokenTime;
  if (tokens == 0) return;  // the time counts on, nothing is lost to rounding
  state.bucket_tokens = std::min(full, state.bucket_tokens + tokens);
  state.bucket_time = now;
}

// Errors and resets: not to everything, and not faster than the limit.
bool refusal_allowed(Context& context, Originate::State& state, const Owed& owed) noexcept {
  if (!may_refuse(context.asked(owed), owed.what == Owed::What::kIcmpError ? owed.icmp_type : 0))
    return false;
  if (state.bucket_tokens >= kTokensPerError) return true;
  context.batch.not_made(Drop::kOriginateFull);
  return false;
}

bool make(Context& context, Originate::State& state, const Owed& owed) noexcept {
  switch (owed.what) {
    case Owed::What::kArpRequest:
    case Owed::What::kArpReply:
      return make_arp(context, owed);
    case Owed::What::kSolicitation:
      return make_solicitation(context, owed);
    case Owed::What::kAdvertisement:
      return make_advertisement(context, owed);
    case Owed::What::kEchoReply:
      return make_echo_reply(context, owed);
    case Owed::What::kIcmpError:
    case Owed::What::kTcpReset:
      break;
  }
  if (!refusal_allowed(context, state, owed)) return false;
  const bool made = owed.what == Owed::What::kIcmpError ? make_icmp_error(context, owed)
                                                        : make_tcp_reset(context, owed);
  if (made) state.bucket_tokens -= kTokensPerError;
  return made;
}

}  // namespace

void Originate::run(Batch& batch, const Table& table, State& state) noexcept {
  if (batch.owed_count == 0) return;
  refill(state, table.errors_per_second, batch.now);
  Context context{batch, table};
  for (uint32_t i = 0; i < batch.owed_count; ++i) make(context, state, batch.owed[i]);
  batch.owed_count = 0;
}

}  // namespace nodeplane
