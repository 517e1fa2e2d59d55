#pragma once
#include <cstdint>
#include <string>

#include "base/time.h"
#include "gen/layout.h"
#include "kernel/kernels.h"

namespace nodeplane {

class PortPool;

// What the records of an earlier process are judged by and what they get anew.
struct FlowRestore {
  HashKind hash = HashKind::kSip13;
  HashSeed seed{};
  // The earlier process' generation in which each id got its present meaning; 0, or beyond the end: it
  // has none. A direction that was last validated before that belongs to the id's former meaning.
  const uint32_t* service_born = nullptr;
  uint32_t service_count = 0;
  const uint32_t* endpoint_born = nullptr;
  uint32_t endpoint_count = 0;
  uint32_t generation = 0;  // stamped: older than the first tables, so every first packet is judged
  PortPool* ports = nullptr;  // where masqueraded ones take their port again
  Time now = 0;
};

// What became of them.
struct FlowRestored {
  uint32_t recovered = 0;
  uint32_t damaged = 0;   // check word, state, or keys that no two directions have
  uint32_t unknown = 0;   // of a service or endpoint that the directory does not know
  uint32_t doubled = 0;   // another one has a key of theirs and was seen later
  uint32_t portless = 0;  // their port for masquerade is not to be had
  uint32_t expired = 0;

  uint32_t rejected() const noexcept { return damaged + unknown + doubled + portless + expired; }
  FlowRestored& operator+=(const FlowRestored& o) noexcept {
    recovered += o.recovered;
    damaged += o.damaged;
    unknown += o.unknown;
    doubled += o.doubled;
    portless += o.portless;
    expired += o.expired;
    return *this;
  }
};

}  // namespace nodeplane
