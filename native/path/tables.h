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
  std::unique_ptr<ServiceTable> services;
  std::unique_ptr<Lpm> lpm;
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
