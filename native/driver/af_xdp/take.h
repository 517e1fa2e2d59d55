#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "driver/af_xdp/take_map.h"
#include "driver/af_xdp/xdp_take.h"
#include "driver/driver.h"

namespace nodeplane::af_xdp {

// Of an address: how many rows wish for what.
class TakeParts {
 public:
  void count(const TakeRow& row, int by);
  void clear() { *this = {}; }
  bool is_wanted() const { return whole_ != 0 || ports_ != 0 || !ranges_.empty(); }
  bool is_overfull() const { return ranges_.size() > TAKE_RANGE_MAX; }
  take_what value() const;

 private:
  struct Range {
    take_range range;
    uint32_t uses;
  };
  uint32_t whole_ = 0, ports_ = 0;
  std::vector<Range> ranges_;
};

// Of a single port: how many rows wish for it.
class TakeUses {
 public:
  void count(int by) { uses_ += static_cast<uint32_t>(by); }
  void clear() { uses_ = 0; }
  bool is_wanted() const { return uses_ != 0; }
  bool is_overfull() const { return false; }
  uint8_t value() const { return 1; }

 private:
  uint32_t uses_ = 0;
};

// The maps that tell the program of a shared interface what is ours. Control's thread only.
class TakeMaps {
 public:
  struct Fds {
    int settings = -1, hosts = -1, prefixes = -1, ports = -1;
  };
  void open(const Fds& fds, uint32_t rows_max);
  // Makes the maps say `rows` and nothing else. What is in the old and the new set stays ours all
  // the time. After a failure (false with a reason) the maps may hold some of both.
  bool replace(std::span<const TakeRow> rows, std::string* error);
  // The same for what differs, each row as often as it comes or goes; all that go have come before.
  // After a failure the next must be replace.
  bool change(std::span<const TakeRow> come, std::span<const TakeRow> gone, std::string* error);
  // Entries written and removed so far.
  uint64_t changes() const { return hosts_.changes() + prefixes_.changes() + ports_.changes(); }

 private:
  void begin();
  void count(const TakeRow& row, int by);
  bool finish(std::string* error);
  bool limits_ok(std::string* error) const;

  Fds fds_;
  uint32_t rows_max_ = 0;
  bool unsure_ = false;  // a change did not get to its end: whatever may be in the maps
  TakeMap<take_host, TakeParts> hosts_;
  TakeMap<take_prefix, TakeParts> prefixes_;
  TakeMap<take_port, TakeUses> ports_;
};

}  // namespace nodeplane::af_xdp
