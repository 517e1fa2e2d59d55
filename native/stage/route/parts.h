#pragma once
#include "stage/route/route.h"

// What route's files share with one another and nobody else.
namespace nodeplane::routing {

inline constexpr uint8_t kPortFlagServicesOnly = 1;  // PortRow.flags: not ours goes to the host
inline constexpr uint8_t kPortFlagQuiet = 2;         // nothing is sent unasked

// One run's means.
struct Context {
  Batch& batch;
  const Route::Table& table;
  Route::State& state;

  const PortRow& port(uint16_t id) const noexcept { return table.ports[id]; }
};

// fe80::/10 (RFC 4291 section 2.5.6).
inline bool is_link_local6(const uint8_t* a) noexcept {
  return a[0] == 0xfe && (a[1] & 0xc0) == 0x80;
}
// Whether an address is delivered here.
bool is_local(const Route::Table& table, uint16_t network, uint8_t family,
              const IpAddress& address) noexcept;
// Whether ARP and NDP requests for it by this port are ours to answer.
bool answers_for(const Route::Table& table, uint16_t network, uint8_t family, uint16_t port,
                 const IpAddress& address) noexcept;

// To the other side of a port and its host: as it came, or only with its addresses translated.
void pass_through(Packet& p, uint16_t port) noexcept;

// ARP and NDP: learns, answers, consumes or hands on to the host.
void hear(Context& context, uint16_t index, Packet& p) noexcept;

// Asks for the neighbour if it is due.
void ask(Batch& batch, const Route::Table& table, uint32_t neighbour, uint16_t port, uint8_t family,
         const IpAddress& target) noexcept;
// Whether packets that came earlier still wait for a neighbour that has answered in this very batch:
// the packet goes behind them, if there is room.
bool is_behind(const Route::State& state, uint32_t neighbour) noexcept;
// Keeps the packet until its neighbour answers, or drops it. Few may wait for an answer; those that
// go behind, until the batch's end only.
void hold(Context& context, Packet& p, uint32_t neighbour, uint16_t port, const IpAddress& target,
          bool behind) noexcept;

}  // namespace nodeplane::routing
