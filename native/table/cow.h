#pragma once
#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>
#include <vector>

namespace nodeplane {

// Rows by number, in pages that successive generations share. A copy begins with all of its
// original's pages and copies one when it first writes to it, so a change costs what it touches and
// eight bytes per page. Readers see a page table that never changes: no lock, one more load.
//
// One line of generations: of all copies of an array at most one is committed. What is not committed
// leaves no trace; what a committed copy has replaced is freed with its original, whose readers may
// still look at it. One thread builds; rows begin as zeros.
template <class T, uint32_t kRows>
class CowArray {
  static_assert(std::is_trivially_copyable_v<T> && (kRows & (kRows - 1)) == 0);
  struct Page {
    T rows[kRows];
    uint64_t serial;  // of the array that made it
  };

 public:
  CowArray() noexcept = default;
  CowArray(const CowArray& original)
      : pages_(original.pages_), serial_(original.serial_ + 1), is_newest_(false) {}
  CowArray& operator=(const CowArray&) = delete;
  ~CowArray() {
    for (Page* page : is_newest_ ? pages_ : made_) delete page;
    for (Page* page : left_) delete page;
  }

  uint32_t size() const noexcept { return static_cast<uint32_t>(pages_.size()) * kRows; }
  const T& operator[](uint32_t i) const noexcept { return pages_[i / kRows]->rows[i % kRows]; }
  void prefetch(uint32_t i) const noexcept { __builtin_prefetch(&(*this)[i]); }

  // A row to be written to.
  T& touch(uint32_t i) {
    Page*& page = pages_[i / kRows];
    if (page->serial != serial_) {
      replaced_.push_back(page);
      page = new Page(*page);
      keep(page);
    }
    return page->rows[i % kRows];
  }
  // Room for `rows` rows.
  void grow(uint32_t rows) {
    while (size() < rows) {
      pages_.push_back(new Page{});
      keep(pages_.back());
    }
  }
  // Empty again; what was shared stays its owners'.
  void clear() {
    for (Page* page : pages_) {
      if (page->serial == serial_)
        delete page;
      else
        replaced_.push_back(page);
    }
    pages_.clear();
    made_.clear();
  }
  // From now on the original is the past, and frees what only it shows.
  void commit(CowArray& original) {
    original.left_ = std::move(replaced_);
    original.is_newest_ = false;
    made_.clear();
    is_newest_ = true;
  }

 private:
  void keep(Page* page) {
    page->serial = serial_;
    if (!is_newest_) made_.push_back(page);
  }

  std::vector<Page*> pages_;
  std::vector<Page*> made_;      // by this copy, until it is committed
  std::vector<Page*> replaced_;  // of the original, until this copy is committed
  std::vector<Page*> left_;      // replaced by the committed copy
  uint64_t serial_ = 1;
  bool is_newest_ = true;
};

}  // namespace nodeplane
