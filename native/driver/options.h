#pragma once
#include <cerrno>
#include <cstdlib>
#include <string>

#include "driver/driver.h"

namespace nodeplane {

// A driver's own keys. TypeScript has checked them; what a driver cannot read takes its default.
inline std::string option(const PortSpec& spec, const char* key, const char* otherwise = "") {
  const auto found = spec.options.find(key);
  return found != spec.options.end() ? found->second : otherwise;
}

inline bool option_flag(const PortSpec& spec, const char* key, bool otherwise) {
  const std::string value = option(spec, key);
  if (value == "true" || value == "1" || value == "on") return true;
  if (value == "false" || value == "0" || value == "off") return false;
  return otherwise;
}

inline uint64_t option_number(const PortSpec& spec, const char* key, uint64_t otherwise) {
  const std::string value = option(spec, key);
  char* end = nullptr;
  errno = 0;
  const uint64_t number = std::strtoull(value.c_str(), &end, 10);
  return value.empty() || *end != 0 || errno != 0 ? otherwise : number;
}

}  // namespace nodeplane
