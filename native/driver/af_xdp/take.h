#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "driver/af_xdp/xdp_take.h"
#include "driver/driver.h"

namespace nodeplane::af_xdp {

// A BPF map and what was written to it, so that a new set touches only what differs.
template <typename Key, typename Value>
class MapMirror {
 public:
  struct Entry {
    Key key;
    Value value;
  };
  void open(int fd) { fd_ = fd; }
  // Both take the wanted entries sorted by key, without doubles. write before erase.
  bool write(const std::vector<Entry>& wanted, std::string* error);
  bool erase(std::vector<Entry>&& wanted, std::string* error);
  uint64_t changes() const { return changes_; }

 private:
  int fd_ = -1;
  uint64_t changes_ = 0;
  bool unsure_ = false;  // a write failed half-way: compare with nothing, write everything
  std::vector<Entry> held_;
};

// The maps that tell the program of a shared interface what is ours. Control's thread only.
class TakeMaps {
 public:
  struct Fds {
    int settings = -1, hosts = -1, prefixes = -1, ports = -1;
  };
  void open(const Fds& fds, uint32_t rows_max);
  // Makes the maps say `rows` and nothing else. What is in the old and the new set stays ours all
  // the time. After a failure (false with a reason) the maps hold some of both.
  bool replace(const TakeRow* rows, uint32_t count, std::string* error);
  // Entries written and removed so far.
  uint64_t changes() const { return hosts_.changes() + prefixes_.changes() + ports_.changes(); }

 private:
  Fds fds_;
  uint32_t rows_max_ = 0;
  MapMirror<take_host, take_what> hosts_;
  MapMirror<take_prefix, take_what> prefixes_;
  MapMirror<take_port, uint8_t> ports_;
};

}  // namespace nodeplane::af_xdp
