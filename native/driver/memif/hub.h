#pragma once
#include <memory>
#include <string>

#include "driver/memif/link.h"

namespace nodeplane::memif {

// The control channel of all memif ports of this process: listens, connects, shakes hands, ends
// connections. One thread, started with the first port and ended with the last. Several ids share
// one listening socket.
class Hub {
 public:
  // The process's hub, made if there is none.
  static std::shared_ptr<Hub> get(std::string* error);
  virtual ~Hub() = default;
  // A server's socket listens from here on; a client connects, and again for ever with back-off.
  // False with a reason: path unusable, socket in use by another process, id taken. One process may
  // be server and client of the same socket.
  virtual bool add(const Wish& wish, Seat* seat, std::string* error) = 0;
  // Ends the connection and forgets the port; returns when nothing of it is mapped any more. No
  // queue uses the seat's link then (workers are gone or have left).
  virtual void remove(Seat* seat) = 0;
};

}  // namespace nodeplane::memif
