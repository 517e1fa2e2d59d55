#include "driver/af_xdp/take.h"

#include <algorithm>

#include "base/be.h"
#include "base/check.h"

namespace nodeplane::af_xdp {
namespace {

uint8_t bits_of(uint8_t family) { return family == 4 ? 32 : 128; }

bool is_valid(const TakeRow& row) {
  const bool family = row.family == 4 || row.family == 6;
  return family && row.source <= 1 && row.prefix_length <= bits_of(row.family) &&
         row.port_low <= row.port_high;
}

bool are_valid(std::span<const TakeRow> rows, std::string* error) {
  for (const TakeRow& row : rows) {
    if (is_valid(row)) continue;
    *error = "row " + std::to_string(&row - rows.data()) + " of what is to be taken is invalid";
    return false;
  }
  return true;
}

bool any_port(const TakeRow& row) { return row.port_low == 0 && row.port_high == 0; }
bool is_host(const TakeRow& row) { return row.prefix_length == bits_of(row.family); }

// A single port of a single address has its own map; everything else is said with the address.
bool is_single_port(const TakeRow& row) {
  return row.protocol != 0 && !any_port(row) && row.port_low == row.port_high && is_host(row);
}

void copy_address(const TakeRow& row, uint8_t* to) {
  std::memcpy(to, row.address, row.family == 4 ? 4 : 16);
}

take_prefix prefix_of(const TakeRow& row) {
  take_prefix prefix{
      uint32_t{TAKE_PREFIX_BITS} + row.prefix_length, row.family, row.source, {}, {}};
  copy_address(row, prefix.address);
  for (uint32_t bit = row.prefix_length; bit < 128; ++bit)
    prefix.address[bit / 8] &= static_cast<uint8_t>(~(0x80 >> (bit % 8)));
  return prefix;
}

}  // namespace

void TakeParts::count(const TakeRow& row, int by) {
  const auto add = [by](uint32_t& uses) {
    check(by > 0 || uses > 0, "what goes has come");
    uses += static_cast<uint32_t>(by);
  };
  if (row.protocol == 0 && any_port(row)) return add(whole_);
  if (is_single_port(row)) return add(ports_);
  const take_range range{row.port_low, any_port(row) ? uint16_t{0xffff} : row.port_high,
                         row.protocol, 0};
  const auto same = [&](const Range& r) { return !std::memcmp(&r.range, &range, sizeof range); };
  auto known = std::find_if(ranges_.begin(), ranges_.end(), same);
  if (known == ranges_.end()) known = ranges_.insert(known, {range, 0});
  add(known->uses);
  if (known->uses == 0) ranges_.erase(known);
}

take_what TakeParts::value() const {
  take_what what{};
  what.whole = whole_ != 0;
  what.ports = ports_ != 0;
  what.count = static_cast<uint8_t>(std::min<size_t>(ranges_.size(), TAKE_RANGE_MAX));
  for (uint8_t r = 0; r < what.count; ++r) what.ranges[r] = ranges_[r].range;
  return what;
}

void TakeMaps::open(const Fds& fds, uint32_t rows_max) {
  fds_ = fds;
  rows_max_ = rows_max;
  hosts_.open(fds.hosts);
  prefixes_.open(fds.prefixes);
  ports_.open(fds.ports);
}

void TakeMaps::begin() {
  hosts_.begin();
  prefixes_.begin();
  ports_.begin();
}

void TakeMaps::count(const TakeRow& row, int by) {
  if (is_host(row)) {
    take_host host{{}, row.family, row.source, {}};
    copy_address(row, host.address);
    hosts_.touch(host).count(row, by);
  } else {
    prefixes_.touch(prefix_of(row)).count(row, by);
  }
  if (is_single_port(row)) {
    take_port port{{}, row.family, row.source, row.protocol, 0, swap16(row.port_low), 0};
    copy_address(row, port.address);
    ports_.touch(port).count(by);
  }
}

bool TakeMaps::replace(std::span<const TakeRow> rows, std::string* error) {
  if (!are_valid(rows, error)) return false;
  begin();
  hosts_.forget(unsure_);
  prefixes_.forget(unsure_);
  ports_.forget(unsure_);
  for (const TakeRow& row : rows) count(row, 1);
  return finish(error);
}

bool TakeMaps::change(std::span<const TakeRow> come, std::span<const TakeRow> gone,
                      std::string* error) {
  check(!unsure_, "what is taken changes from a known state");
  if (!are_valid(come, error) || !are_valid(gone, error)) return false;
  begin();
  for (const TakeRow& row : come) count(row, 1);
  for (const TakeRow& row : gone) count(row, -1);
  return finish(error);
}

bool TakeMaps::limits_ok(std::string* error) const {
  if (hosts_.is_overfull() || prefixes_.is_overfull()) {
    *error = "an address has more than " + std::to_string(TAKE_RANGE_MAX) +
             " port ranges that are to be taken";
    return false;
  }
  const size_t most = std::max({hosts_.size(), prefixes_.size(), ports_.size()});
  if (most <= rows_max_) return true;
  *error = std::to_string(most) + " addresses or ports are to be taken, takeMax allows " +
           std::to_string(rows_max_);
  return false;
}

// An address points to its ports: they come before it and go after it.
bool TakeMaps::finish(std::string* error) {
  unsure_ = true;
  if (!limits_ok(error) || !ports_.write(error) || !prefixes_.write(error) || !hosts_.write(error))
    return false;
  const take_settings settings{static_cast<uint32_t>(prefixes_.size())};
  const uint32_t zero = 0;
  if (bpf_map_update_elem(fds_.settings, &zero, &settings, BPF_ANY) != 0) {
    *error = "writing the settings of what is to be taken: " + error_text(errno);
    return false;
  }
  if (!hosts_.erase(error) || !prefixes_.erase(error) || !ports_.erase(error)) return false;
  unsure_ = false;
  return true;
}

}  // namespace nodeplane::af_xdp
