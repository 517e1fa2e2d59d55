#include "driver/af_xdp/take.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/be.h"
#include "driver/af_xdp/link.h"

namespace nodeplane::af_xdp {
namespace {

// Keys have no padding that is not written (their `pad` members are zero).
template <typename Key>
int compare(const Key& a, const Key& b) {
  return std::memcmp(&a, &b, sizeof(Key));
}

template <typename Entry>
void sort_by_key(std::vector<Entry>& entries) {
  const auto before = [](const Entry& a, const Entry& b) { return compare(a.key, b.key) < 0; };
  if (!std::is_sorted(entries.begin(), entries.end(), before))
    std::sort(entries.begin(), entries.end(), before);
}

// Joins entries of one key into the first of them. False: an address has too many port ranges.
template <typename Entry>
bool join(std::vector<Entry>& entries) {
  size_t kept = 0;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (kept == 0 || compare(entries[kept - 1].key, entries[i].key) != 0) {
      entries[kept++] = entries[i];
      continue;
    }
    take_what& to = entries[kept - 1].value;
    const take_what& from = entries[i].value;
    to.whole |= from.whole;
    to.ports |= from.ports;
    for (uint8_t r = 0; r < from.count; ++r) {
      const auto same = [&](const take_range& range) {
        return std::memcmp(&range, &from.ranges[r], sizeof range) == 0;
      };
      if (std::any_of(to.ranges, to.ranges + to.count, same)) continue;
      if (to.count == TAKE_RANGE_MAX) return false;
      to.ranges[to.count++] = from.ranges[r];
    }
  }
  entries.resize(kept);
  return true;
}

bool is_valid(const TakeRow& row) {
  const bool family = row.family == 4 || row.family == 6;
  return family && row.source <= 1 && row.prefix_length <= (row.family == 4 ? 32 : 128) &&
         row.port_low <= row.port_high;
}

bool any_port(const TakeRow& row) { return row.port_low == 0 && row.port_high == 0; }

// A single port of a single address has its own map; everything else is said with the address.
bool is_single_port(const TakeRow& row) {
  return row.protocol != 0 && !any_port(row) && row.port_low == row.port_high &&
         row.prefix_length == (row.family == 4 ? 32 : 128);
}

take_what what_of(const TakeRow& row) {
  take_what what{};
  if (row.protocol == 0 && any_port(row)) {
    what.whole = 1;
  } else if (is_single_port(row)) {
    what.ports = 1;
  } else {
    what.count = 1;
    what.ranges[0] = {row.port_low, any_port(row) ? uint16_t{0xffff} : row.port_high, row.protocol,
                      0};
  }
  return what;
}

void copy_prefix(const TakeRow& row, uint8_t* to) {
  std::memcpy(to, row.address, row.family == 4 ? 4 : 16);
  for (uint32_t bit = row.prefix_length; bit < 128; ++bit)
    to[bit / 8] &= static_cast<uint8_t>(~(0x80 >> (bit % 8)));
}

}  // namespace

template <typename Key, typename Value>
bool MapMirror<Key, Value>::write(const std::vector<Entry>& wanted, std::string* error) {
  size_t at = 0;
  for (const Entry& entry : wanted) {
    while (at < held_.size() && compare(held_[at].key, entry.key) < 0) ++at;
    const bool same = !unsure_ && at < held_.size() && compare(held_[at].key, entry.key) == 0 &&
                      std::memcmp(&held_[at].value, &entry.value, sizeof(Value)) == 0;
    if (same) continue;
    ++changes_;
    if (bpf_map_update_elem(fd_, &entry.key, &entry.value, BPF_ANY) == 0) continue;
    *error = "writing what is to be taken: " + error_text(errno);
    // Whatever of both sets may be there now, the next call removes what it does not want.
    held_.insert(held_.end(), wanted.begin(), wanted.end());
    sort_by_key(held_);
    unsure_ = true;
    return false;
  }
  return true;
}

template <typename Key, typename Value>
bool MapMirror<Key, Value>::erase(std::vector<Entry>&& wanted, std::string* error) {
  size_t at = 0;
  for (const Entry& entry : held_) {
    while (at < wanted.size() && compare(wanted[at].key, entry.key) < 0) ++at;
    if (at < wanted.size() && compare(wanted[at].key, entry.key) == 0) continue;
    ++changes_;
    if (bpf_map_delete_elem(fd_, &entry.key) == 0 || errno == ENOENT) continue;
    *error = "removing what is no longer taken: " + error_text(errno);
    unsure_ = true;
    return false;
  }
  held_ = std::move(wanted);
  unsure_ = false;
  return true;
}

void TakeMaps::open(const Fds& fds, uint32_t rows_max) {
  fds_ = fds;
  rows_max_ = rows_max;
  hosts_.open(fds.hosts);
  prefixes_.open(fds.prefixes);
  ports_.open(fds.ports);
}

bool TakeMaps::replace(const TakeRow* rows, uint32_t count, std::string* error) {
  std::vector<MapMirror<take_host, take_what>::Entry> hosts;
  std::vector<MapMirror<take_prefix, take_what>::Entry> prefixes;
  std::vector<MapMirror<take_port, uint8_t>::Entry> ports;
  for (const TakeRow* row = rows; row != rows + count; ++row) {
    if (!is_valid(*row)) {
      *error = "row " + std::to_string(row - rows) + " of what is to be taken is invalid";
      return false;
    }
    if (row->prefix_length == (row->family == 4 ? 32 : 128)) {
      take_host host{{}, row->family, row->source, {}};
      std::memcpy(host.address, row->address, row->family == 4 ? 4 : 16);
      hosts.push_back({host, what_of(*row)});
    } else {
      take_prefix prefix{
          uint32_t{TAKE_PREFIX_BITS} + row->prefix_length, row->family, row->source, {}, {}};
      copy_prefix(*row, prefix.address);
      prefixes.push_back({prefix, what_of(*row)});
    }
    if (is_single_port(*row)) {
      take_port port{{}, row->family, row->source, row->protocol, 0, swap16(row->port_low), 0};
      std::memcpy(port.address, row->address, row->family == 4 ? 4 : 16);
      ports.push_back({port, 1});
    }
  }
  sort_by_key(hosts);
  sort_by_key(prefixes);
  sort_by_key(ports);
  const auto same_port = [](const auto& a, const auto& b) { return compare(a.key, b.key) == 0; };
  ports.erase(std::unique(ports.begin(), ports.end(), same_port), ports.end());
  if (!join(hosts) || !join(prefixes)) {
    *error = "an address has more than " + std::to_string(TAKE_RANGE_MAX) +
             " port ranges that are to be taken";
    return false;
  }
  if (const size_t most = std::max({hosts.size(), prefixes.size(), ports.size()});
      most > rows_max_) {
    *error = std::to_string(most) + " addresses or ports are to be taken, takeMax allows " +
             std::to_string(rows_max_);
    return false;
  }
  // An address points to its ports: they come before it and go after it.
  const take_settings settings{static_cast<uint32_t>(prefixes.size())};
  const uint32_t zero = 0;
  if (!ports_.write(ports, error) || !prefixes_.write(prefixes, error) ||
      !hosts_.write(hosts, error))
    return false;
  if (bpf_map_update_elem(fds_.settings, &zero, &settings, BPF_ANY) != 0) {
    *error = "writing the settings of what is to be taken: " + error_text(errno);
    return false;
  }
  return hosts_.erase(std::move(hosts), error) && prefixes_.erase(std::move(prefixes), error) &&
         ports_.erase(std::move(ports), error);
}

}  // namespace nodeplane::af_xdp
