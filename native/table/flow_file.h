#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "base/named_file.h"
#include "table/flow_record.h"

namespace nodeplane {

struct FlowFileHeader;

// The file in which both families' records outlive the process (docs/survival.md): on 2 MiB pages of a
// hugetlbfs of our own where there are enough, else where its path says. What an earlier process left is
// there again, to be judged record by record (FlowTable::restore).
class FlowFile {
 public:
  struct Options {
    std::string path;            // locked in any case
    std::string huge_directory;  // where to mount; empty: the records lie at `path`
    uint32_t capacity4 = 65536, capacity6 = 65536;
    std::string boot = boot_id();  // times of another boot mean nothing
  };
  // Null with a reason: not ours, held by another process, no room, or more connections than fit.
  static std::unique_ptr<FlowFile> open(const Options& options, std::string* error);
  ~FlowFile();  // lets go; the file stays as after a crash
  FlowFile(const FlowFile&) = delete;
  FlowFile& operator=(const FlowFile&) = delete;

  template <class F>
  FlowRecords<F> records() const noexcept;
  // An earlier process' records are in it.
  bool found() const noexcept { return found_; }
  // For people: what was found, or what was and could not be used; empty: nothing was.
  const std::string& news() const noexcept { return news_; }
  // For people: where it is, on which pages and why on those.
  std::string description() const;
  // Another one for every file made afresh: what lies beside it and belongs to it names it.
  uint64_t id() const noexcept;
  // Of the tables that the records were last judged by.
  uint32_t generation() const noexcept;
  void set_generation(uint32_t generation) noexcept;

  // The process ends well: the records stay for the next one, or nothing is left behind. They read as
  // zero from now on.
  void close(bool keep) noexcept;

 private:
  explicit FlowFile(const Options& options) : options_(options) {}
  std::string huge_path() const;
  bool take_found(std::unique_ptr<NamedFile> huge, std::string* error);
  bool make_fresh(std::unique_ptr<NamedFile> huge, std::string* error);
  bool migrate(const NamedFile& from, std::string* error);
  std::unique_ptr<NamedFile> make_new(const std::string& ending, std::string* error);
  FlowFileHeader& header() const noexcept;

  Options options_;
  std::unique_ptr<NamedFile> lock_;  // at the path; null when file_ is that one
  std::unique_ptr<NamedFile> file_;
  std::string news_, small_why_;
  bool found_ = false, closed_ = false;
};

}  // namespace nodeplane
