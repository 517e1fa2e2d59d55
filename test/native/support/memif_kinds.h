#pragma once
#include "support/memif_scene.h"

// The ways in which a memif port may work, for tests that go through all of them.
namespace nodeplane::memif {

struct Kind {
  const char* name;
  const char* role;
  const char* engine;
  bool lends = false;
  friend void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

  std::map<std::string, std::string> options(uint32_t ring_size) const {
    std::map<std::string, std::string> all = {{"ringSize", std::to_string(ring_size)}};
    if (lends) all["zeroCopy"] = "true";
    return all;
  }
};
inline const Kind kKinds[] = {
    {"ServerByCpu", "server", "cpu"},     {"ServerByThread", "server", "thread"},
    {"ServerByModel", "server", "model"}, {"ClientByCpu", "client", "cpu"},
    {"ClientByModel", "client", "model"}, {"ClientLends", "client", "cpu", true}};
inline std::string kind_name(const testing::TestParamInfo<Kind>& info) { return info.param.name; }

}  // namespace nodeplane::memif
