#include "table/flow_file.h"

#include <cinttypes>
#include <cstdio>
#include <random>
#include <utility>

#include "table/flow_layout.h"

namespace nodeplane {
namespace {

uint64_t new_id() {
  std::random_device random;
  return uint64_t{random()} << 32 | random();
}

}  // namespace

std::unique_ptr<FlowFile> FlowFile::open(const Options& o, std::string* error) {
  std::unique_ptr<FlowFile> f(new FlowFile(o));
  f->lock_ = NamedFile::open(o.path, NamedFile::Missing::kMake, error);
  if (!f->lock_) return nullptr;
  if (f->lock_->huge()) {
    *error = o.path + ": a hugetlbfs cannot hold the files beside it; 2 MiB pages are used without";
    return nullptr;
  }
  std::unique_ptr<NamedFile> huge;
  if (!o.huge_directory.empty()) {
    if (!huge_mount(o.huge_directory, &f->small_why_)) f->options_.huge_directory.clear();
  }
  if (!f->options_.huge_directory.empty()) {
    huge = NamedFile::open(f->huge_path(), NamedFile::Missing::kLeave, error);
    if (!huge && !error->empty()) return nullptr;
  }
  if (!f->take_found(std::move(huge), error)) return nullptr;
  f->header().clean.store(0, std::memory_order_relaxed);
  return f;
}

FlowFile::~FlowFile() = default;

// One mount for all dataplanes: the name tells where the file would have been.
std::string FlowFile::huge_path() const {
  uint64_t h = 0;
  for (const char c : options_.path) h = mix_in(h, static_cast<uint8_t>(c));
  char name[17];
  std::snprintf(name, sizeof name, "%016" PRIx64, h);
  return options_.huge_directory + "/" + name;
}

bool FlowFile::take_found(std::unique_ptr<NamedFile> huge, std::string* error) {
  std::string why;
  FlowVerdict verdict = huge ? flow_file_judge(*huge, options_.boot, &why) : FlowVerdict::kEmpty;
  bool in_huge = verdict == FlowVerdict::kGood;
  if (!in_huge && verdict != FlowVerdict::kForeign) {
    const FlowVerdict other = flow_file_judge(*lock_, options_.boot, &why);
    if (other != FlowVerdict::kEmpty) verdict = other;
  }
  if (verdict == FlowVerdict::kForeign) {
    *error = why;
    return false;
  }
  if (verdict != FlowVerdict::kGood) {
    if (verdict == FlowVerdict::kUseless) news_ = why + ": started afresh";
    return make_fresh(std::move(huge), error);
  }
  NamedFile& good = in_huge ? *huge : *lock_;
  if (!good.map(error)) return false;
  const auto& h = flow_header(good);
  found_ = true;
  news_ = good.path() + (h.clean.load(std::memory_order_relaxed) ? ": left by a clean exit"
                                                                 : ": left by a crash");
  if (h.capacity[0] != options_.capacity4 || h.capacity[1] != options_.capacity6) {
    if (!migrate(good, error)) return false;
    if (huge && !file_->huge()) {
      huge->remove();
      huge.reset();
      huge_unmount(options_.huge_directory);
    }
    return true;
  }
  file_ = std::move(in_huge ? huge : lock_);
  if (in_huge) lock_->clear();
  return true;
}

// A file of the configured size, under its name with `ending`: on 2 MiB pages if there are enough.
std::unique_ptr<NamedFile> FlowFile::make_new(const std::string& ending, std::string* error) {
  const uint64_t bytes = flow_file_bytes(options_.capacity4, options_.capacity6);
  if (!options_.huge_directory.empty()) {
    auto file = NamedFile::open(huge_path() + ending, NamedFile::Missing::kMake, &small_why_);
    if (file && file->make(bytes, &small_why_)) return file;
    if (file) file->remove();
  }
  std::unique_ptr<NamedFile> file;
  if (ending.empty())
    file = std::move(lock_);
  else
    file = NamedFile::open(options_.path + ending, NamedFile::Missing::kMake, error);
  if (!file || file->make(bytes, error)) return file;
  file->remove();
  return nullptr;
}

bool FlowFile::make_fresh(std::unique_ptr<NamedFile> huge, std::string* error) {
  if (huge) huge->remove();
  huge.reset();
  file_ = make_new("", error);
  if (!options_.huge_directory.empty() && !(file_ && file_->huge()))
    huge_unmount(options_.huge_directory);
  if (!file_) return false;
  if (lock_) lock_->clear();
  flow_header_write(*file_, options_.capacity4, options_.capacity6, new_id(), 0, options_.boot);
  return true;
}

// Another capacity: the records move to a file of that size, which then takes the old one's name.
bool FlowFile::migrate(const NamedFile& from, std::string* error) {
  const std::string ending = ".new";
  auto to = make_new(ending, error);
  if (!to) return false;
  const auto& h = flow_header(from);
  flow_header_write(*to, options_.capacity4, options_.capacity6, h.id,
                    h.generation.load(std::memory_order_relaxed), options_.boot);
  const std::string path = to->path().substr(0, to->path().size() - ending.size());
  if (!flow_records_copy<V4>(from, *to, error) || !flow_records_copy<V6>(from, *to, error) ||
      !to->move_to(path, error)) {
    to->remove();
    return false;
  }
  news_ += ", moved to another capacity";
  file_ = std::move(to);
  if (file_->path() == options_.path)
    lock_.reset();
  else
    lock_->clear();
  return true;
}

FlowFileHeader& FlowFile::header() const noexcept { return flow_header(*file_); }

template <class F>
FlowRecords<F> FlowFile::records() const noexcept {
  return flow_records<F>(*file_);
}
template FlowRecords<V4> FlowFile::records<V4>() const noexcept;
template FlowRecords<V6> FlowFile::records<V6>() const noexcept;

std::string FlowFile::description() const {
  std::string text = file_->path() + (file_->huge() ? " on 2 MiB pages" : " on 4 KiB pages");
  if (!file_->huge() && !small_why_.empty()) text += " (" + small_why_ + ")";
  if (!file_->in_memory()) text += "; it lies on a disk, a tmpfs is meant";
  return text;
}

uint64_t FlowFile::id() const noexcept { return header().id; }
uint32_t FlowFile::generation() const noexcept {
  return header().generation.load(std::memory_order_relaxed);
}
void FlowFile::set_generation(uint32_t generation) noexcept {
  header().generation.store(generation, std::memory_order_release);
}

void FlowFile::close(bool keep) noexcept {
  if (closed_) return;
  closed_ = true;
  if (keep) {
    header().clean.store(1, std::memory_order_release);
  } else {
    file_->remove();
  }
  file_->let_go();
  if (!options_.huge_directory.empty()) huge_unmount(options_.huge_directory);
  if (!lock_) return;
  if (!keep) lock_->remove();
  lock_->let_go();
}

}  // namespace nodeplane
