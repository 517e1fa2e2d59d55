#include <algorithm>

#include "stage/route/parts.h"

namespace nodeplane::routing {
namespace {

int compare(const Route::Local& l, uint16_t network, uint8_t family,
            const IpAddress& address) noexcept {
  if (l.network != network) return l.network < network ? -1 : 1;
  if (l.family != family) return l.family < family ? -1 : 1;
  return std::memcmp(l.address.bytes, address.bytes, 16);
}

// Whether a station with this address can stand on the port's link.
bool is_connected(const Route::Table& table, const Packet& p, uint8_t family,
                  const IpAddress& address) noexcept {
  if (family == 6 && is_link_local6(address.bytes)) return true;
  const RouteEntry* route = table.lpm->find(p.network, family, address);
  return route != nullptr && !route->has_via && route->port == p.port_in;
}

const Route::Local* find_local(const Route::Table& table, uint16_t network, uint8_t family,
                               const IpAddress& address) noexcept {
  const auto at = std::lower_bound(table.locals.begin(), table.locals.end(), address,
                                   [&](const Route::Local& l, const IpAddress& a) {
                                     return compare(l, network, family, a) < 0;
                                   });
  if (at == table.locals.end() || compare(*at, network, family, address) != 0) return nullptr;
  return &*at;
}

bool is_virtual(const Route::Table& table, uint16_t network, uint8_t family,
                const IpAddress& address) noexcept {
  return table.services != nullptr && table.services->is_virtual(network, family, address);
}

// RFC 826: what is known is brought up to date by anyone's message; new ones come only from those
// who ask for us, so that a stranger's chatter fills nothing. RFC 4861 section 7.2.3: a
// solicitation's MAC replaces the known one; 7.2.5: an advertisement never adds.
void learn(Context& c, const Packet& p, const LinkNews& news, bool asks_for_us) noexcept {
  static constexpr uint8_t kNoMac[6] = {};
  if (!news.has_mac || news.is_probe || std::memcmp(news.mac, kNoMac, 6) == 0) return;
  if (is_local(c.table, p.network, news.family, news.sender)) return;
  const bool create = asks_for_us && is_connected(c.table, p, news.family, news.sender);
  const bool replace = news.override_flag || news.what == LinkNews::What::kRequest;
  c.table.neighbours->learn(p.port_in, news.family, news.sender, news.mac, create, replace,
                            c.batch.now);
}

}  // namespace

bool is_local(const Route::Table& table, uint16_t network, uint8_t family,
              const IpAddress& address) noexcept {
  return find_local(table, network, family, address) != nullptr ||
         is_virtual(table, network, family, address);
}

bool answers_for(const Route::Table& table, uint16_t network, uint8_t family, uint16_t port,
                 const IpAddress& address) noexcept {
  const Route::Local* local = find_local(table, network, family, address);
  const Route::Local* end = table.locals.data() + table.locals.size();
  if (local == nullptr) return is_virtual(table, network, family, address);
  for (; local != end && compare(*local, network, family, address) == 0; ++local)
    if (local->port == port) return true;
  return false;
}

void pass_through(Packet& p, uint16_t port) noexcept {
  p.flags |= kFlagPassThrough;
  if (p.side == nullptr) p.flags |= kFlagUntranslated;
  p.next_hop = kNextHopNone;
  p.port_out = port;
}

void hear(Context& c, uint16_t index, Packet& p) noexcept {
  const LinkNews& news = c.batch.links[p.link];
  const bool asks_for_us = news.what == LinkNews::What::kRequest &&
                           answers_for(c.table, p.network, news.family, p.port_in, news.target);
  learn(c, p, news, asks_for_us);
  if (asks_for_us) {
    Owed owed{};
    owed.what = p.kind == Kind::kArp ? Owed::What::kArpReply : Owed::What::kAdvertisement;
    owed.family = news.family;
    owed.packet = index;
    owed.port = p.port_in;
    owed.target = news.target;
    c.batch.owe(owed);
    return c.batch.consume(p);
  }
  // The host has neighbours of its own: it hears answers too.
  const uint16_t host = c.port(p.port_in).host_port;
  if (host != kPortNone) return pass_through(p, host);
  c.batch.consume(p);
}

}  // namespace nodeplane::routing
