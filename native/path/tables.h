#pragma once
#include <memory>

#include "path/express.h"
#include "stage/conntrack/conntrack.h"
#include "stage/nat/nat.h"
#include "stage/originate/originate.h"
#include "stage/output/output.h"
#include "stage/parse/parse.h"
#include "stage/rewrite/rewrite.h"
#include "stage/route/route.h"
#include "stage/service/service.h"

namespace nodeplane {

// Every stage's table of one generation. Immutable once published; freed when every worker has
// passed a quiescent point.
struct Tables {
  uint32_t generation = 0;
  uint32_t route_generation = 0;  // since when next hops stand: that of the last whole set
  ExpressTable express;
  Parse::Table parse;
  ConntrackTable conntrack;
  Service::Table service;
  Nat::Table nat;
  Route::Table route;
  Rewrite::Table rewrite;
  Originate::Table originate;
  Output::Table output;
  // what the stages' tables point to
  std::shared_ptr<ServiceTable> services;
  std::shared_ptr<const Lpm> lpm;
  SnatSources snat_sources;  // for endpoints that a change adds
};

// One worker's own state of every stage.
struct States {
  ExpressState express;
  Parse::State parse;
  ConntrackState conntrack;
  Service::State service;
  Nat::State nat;
  Route::State route;
  Rewrite::State rewrite;
  Originate::State originate;
  Output::State output;
};

}  // namespace nodeplane
