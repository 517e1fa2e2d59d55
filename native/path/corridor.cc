#include "path/corridor.h"

#include "path/express.h"

namespace nodeplane {

// The whole way of a packet. The order is written here and nowhere else.
// (classify would stand before service, policy between service and nat.)
// clang-format off
void corridor(Batch& batch, const Tables& tables, States& states) noexcept {
  batch.generation = tables.generation;
  batch.route_generation = tables.route_generation;
  express        (batch, tables, states);                      // known and calm: all of it in one go
  pass<Parse>    (batch, tables.parse,     states.parse);      // bytes -> names
  pass<Find>     (batch, tables.conntrack, states.conntrack);  // have we met?
  fresh<Service> (batch, tables.service,   states.service);    // who answers?
  fresh<Nat>     (batch, tables.nat,       states.nat);        // as whom?
  fresh<Keep>    (batch, tables.conntrack, states.conntrack);  // remember it
  pass<Route>    (batch, tables.route,     states.route);      // to which neighbour? may it live, does it fit?
  pass<Rewrite>  (batch, tables.rewrite,   states.rewrite);    // names -> bytes, Ethernet and TTL included
  pass<Originate>(batch, tables.originate, states.originate);  // answers we owe: ARP, ICMP errors, RST
  pass<Output>   (batch, tables.output,    states.output);     // through which port?
  finish(batch);
}

void corridor_resume(Batch& batch, const Tables& tables, States& states) noexcept {
  batch.generation = tables.generation;
  batch.route_generation = tables.route_generation;
  batch.live_count = batch.count;
  for (uint32_t i = 0; i < batch.count; ++i) batch.live[i] = static_cast<uint16_t>(i);
  pass<Route>    (batch, tables.route,     states.route);
  pass<Rewrite>  (batch, tables.rewrite,   states.rewrite);
  pass<Originate>(batch, tables.originate, states.originate);
  pass<Output>   (batch, tables.output,    states.output);
  finish(batch);
}
// clang-format on

}  // namespace nodeplane
