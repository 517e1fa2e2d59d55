#pragma once
#include <algorithm>

#include "base/ip.h"
#include "table/cow_index.h"
#include "table/mix.h"

namespace nodeplane {

// Addresses of networks, each with how often it was added; shared between generations.
class AddressSet {
 public:
  bool has(uint16_t network, uint8_t family, const IpAddress& address) const noexcept {
    return find(network, family, address) != CowIndex::kNone;
  }
  // Fetches the line that any of these will read first.
  void prefetch(uint16_t network, uint8_t family, const IpAddress& address) const noexcept {
    index_.prefetch(hash_of(network, family, address));
  }
  void reserve(uint32_t addresses) {
    index_.reserve(addresses);
    rows_.grow(addresses);
  }
  void add(uint16_t network, uint8_t family, const IpAddress& address) {
    const uint32_t known = find(network, family, address);
    if (known != CowIndex::kNone) {
      rows_.touch(known).uses++;
      return;
    }
    const uint32_t row = new_row();
    rows_.touch(row) = {address, 1, network, family, 0};
    index_.add(hash_of(network, family, address), row, Hashes{*this});
  }
  // It must have been added.
  void remove(uint16_t network, uint8_t family, const IpAddress& address) {
    const uint32_t row = find(network, family, address);
    Row& r = rows_.touch(row);
    if (--r.uses != 0) return;
    index_.remove(hash_of(network, family, address), row, Hashes{*this});
    std::memcpy(r.address.bytes, &free_, sizeof free_);
    free_ = row + 1;
  }
  void commit(AddressSet& original) {
    rows_.commit(original.rows_);
    index_.commit(original.index_);
  }

 private:
  struct Row {
    IpAddress address;  // of a free row: one more than the next free one, or 0
    uint32_t uses;
    uint16_t network;
    uint8_t family, pad;
  };
  static uint64_t hash_of(uint16_t network, uint8_t family, const IpAddress& address) noexcept {
    const uint64_t rest = uint64_t{network} | uint64_t{family} << 16;
    return mix_address(mix_in(1, rest), family, address.bytes);
  }
  struct Hashes {
    const AddressSet& set;
    uint64_t operator()(uint32_t row) const noexcept {
      const Row& r = set.rows_[row];
      return hash_of(r.network, r.family, r.address);
    }
  };
  uint32_t find(uint16_t network, uint8_t family, const IpAddress& address) const noexcept {
    return index_.find(hash_of(network, family, address), [&](uint32_t row) {
      const Row& r = rows_[row];
      return r.network == network && r.family == family && r.address == address;
    });
  }
  uint32_t new_row() {
    if (free_ != 0) {
      const uint32_t row = free_ - 1;
      std::memcpy(&free_, rows_[row].address.bytes, sizeof free_);
      return row;
    }
    if (used_ == rows_.size()) rows_.grow(std::max(used_ * 2, used_ + 1));
    return used_++;
  }

  CowArray<Row, 128> rows_;
  CowIndex index_;
  uint32_t free_ = 0;  // one more than the first free row, or 0
  uint32_t used_ = 0;
};

}  // namespace nodeplane
