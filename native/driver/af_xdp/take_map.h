#pragma once
#include <bpf/bpf.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "driver/af_xdp/link.h"

namespace nodeplane::af_xdp {

// A BPF map and what is wished for of each key, which several rows may share: a change writes the
// entries that it makes other, however many there are. Keys have no padding that is not written.
// Wish says by is_wanted() whether there is an entry at all and by value() what is in it.
template <class Key, class Wish>
class TakeMap {
 public:
  using Value = decltype(std::declval<Wish>().value());

  void open(int fd) { fd_ = fd; }
  // A change: what is wished for becomes other, and is written before anything is erased. Whoever does
  // not get to the end begins anew with all keys.
  void begin() {
    touched_.clear();
    ++round_;
  }
  // To be counted up or down.
  Wish& touch(const Key& key) {
    const auto [entry, is_new] = held_.try_emplace(key);
    return touch(*entry);
  }
  // All that is wished for is forgotten. `unsure`: whatever of it may be in the map.
  void forget(bool unsure) {
    unsure_ = unsure;
    for (auto& entry : held_) touch(entry).clear();
  }
  bool is_overfull() const {
    for (const Touched& t : touched_)
      if (t.entry->second.wish.is_overfull()) return true;
    return false;
  }
  // Entries there are to be.
  size_t size() const {
    size_t n = held_.size();
    for (const Touched& t : touched_) n -= !t.entry->second.wish.is_wanted();
    return n;
  }
  bool write(std::string* error) {
    for (const Touched& t : touched_) {
      const Wish& wish = t.entry->second.wish;
      if (!wish.is_wanted()) continue;
      const Value value = wish.value();
      if (!unsure_ && t.was_wanted && std::memcmp(&value, &t.was, sizeof value) == 0) continue;
      ++changes_;
      if (bpf_map_update_elem(fd_, &t.entry->first, &value, BPF_ANY) == 0) continue;
      *error = "writing what is to be taken: " + error_text(errno);
      return false;
    }
    return true;
  }
  bool erase(std::string* error) {
    for (const Touched& t : touched_) {
      if (t.entry->second.wish.is_wanted()) continue;
      const Key key = t.entry->first;
      if (unsure_ || t.was_wanted) {
        ++changes_;
        if (bpf_map_delete_elem(fd_, &key) != 0 && errno != ENOENT) {
          *error = "removing what is no longer taken: " + error_text(errno);
          return false;
        }
      }
      held_.erase(key);
    }
    touched_ = {};
    unsure_ = false;
    return true;
  }
  uint64_t changes() const { return changes_; }

 private:
  struct Held {
    uint32_t round = 0;  // that touched it last
    Wish wish;
  };
  using Entry = std::pair<const Key, Held>;
  struct Touched {
    Entry* entry;
    Value was;
    bool was_wanted;
  };
  struct Hash {
    size_t operator()(const Key& key) const {
      return std::hash<std::string_view>()({reinterpret_cast<const char*>(&key), sizeof key});
    }
  };
  struct Same {
    bool operator()(const Key& a, const Key& b) const { return !std::memcmp(&a, &b, sizeof a); }
  };
  Wish& touch(Entry& entry) {
    Held& held = entry.second;
    if (held.round != round_) {
      held.round = round_;
      touched_.push_back({&entry, held.wish.value(), held.wish.is_wanted()});
    }
    return held.wish;
  }

  int fd_ = -1;
  uint32_t round_ = 0;
  uint64_t changes_ = 0;
  bool unsure_ = false;
  std::unordered_map<Key, Held, Hash, Same> held_;  // entries stay where they are
  std::vector<Touched> touched_;
};

}  // namespace nodeplane::af_xdp
