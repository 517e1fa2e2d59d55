#include "table/flow_file.h"

#include <array>
#include <cinttypes>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <random>
#include <utility>

#include "table/flow_check.h"

namespace nodeplane {

namespace {

constexpr uint64_t kMagic = 0x0a53574f4c46504e;  // "NPFLOWS\n"
constexpr size_t kPage = 4096;                   // what each part begins on
constexpr size_t kBootBytes = 32;

// How records look: a layout that differs anywhere has another hash.
constexpr uint64_t kLayoutHash = [] {
  uint64_t h = kFlowLayout;
  for (const uint64_t word : {sizeof(SideV4),
                              offsetof(SideV4, new_src),
                              offsetof(SideV4, next_hop),
                              offsetof(SideV4, generation),
                              offsetof(SideV4, last_seen),
                              offsetof(SideV4, state),
                              offsetof(SideV4, tcp_flags),
                              offsetof(SideV4, packets),
                              offsetof(SideV4, bytes),
                              sizeof(SideV6),
                              offsetof(SideV6, new_src),
                              offsetof(SideV6, next_hop),
                              offsetof(SideV6, generation),
                              offsetof(SideV6, last_seen),
                              offsetof(SideV6, state),
                              offsetof(SideV6, tcp_flags),
                              offsetof(SideV6, packets),
                              offsetof(SideV6, bytes),
                              sizeof(FlowCold),
                              offsetof(FlowCold, state),
                              offsetof(FlowCold, service),
                              offsetof(FlowCold, endpoint),
                              offsetof(FlowCold, zone),
                              offsetof(FlowCold, snat),
                              offsetof(FlowCold, check),
                              size_t{kFlowStateCount}})
    h = mix_in(h, word);
  return h;
}();

struct Place {
  uint64_t at, bytes;
};
// Sides and cold lines of one family, then of the other, each from a page's start.
struct Places {
  Place sides4, cold4, sides6, cold6;
  uint64_t end;
};

Places places_of(uint32_t capacity4, uint32_t capacity6) noexcept {
  uint64_t at = kPage;
  auto next = [&](uint64_t bytes) {
    const Place place{at, bytes};
    at += (bytes + kPage - 1) / kPage * kPage;
    return place;
  };
  Places p;
  p.sides4 = next(sizeof(SideV4) * 2 * uint64_t{capacity4});
  p.cold4 = next(sizeof(FlowCold) * uint64_t{capacity4});
  p.sides6 = next(sizeof(SideV6) * 2 * uint64_t{capacity6});
  p.cold6 = next(sizeof(FlowCold) * uint64_t{capacity6});
  p.end = at;
  return p;
}

}  // namespace

// What is said once stands before `check`, which is stored last; what changes stands behind it.
struct FlowFileHeader {
  uint64_t magic;
  uint32_t layout;
  uint32_t side_bytes[2], cold_bytes;
  uint64_t layout_hash;
  uint32_t capacity[2];
  uint64_t bytes;
  uint64_t id;
  char boot[kBootBytes];
  std::atomic<uint64_t> check;
  std::atomic<uint32_t> generation;
  std::atomic<uint32_t> clean;

  uint64_t sum() const noexcept {
    std::array<uint64_t, offsetof(FlowFileHeader, check) / 8> words;
    std::memcpy(words.data(), this, sizeof words);
    uint64_t h = 0;
    for (const uint64_t w : words) h = mix_in(h, w);
    return h;
  }
};
static_assert(offsetof(FlowFileHeader, check) % 8 == 0 && sizeof(FlowFileHeader) <= kPage);

namespace {

const FlowFileHeader& header_in(const NamedFile& file) noexcept {
  return *reinterpret_cast<const FlowFileHeader*>(file.base());
}

template <class F>
FlowRecords<F> records_in(const NamedFile& file) noexcept {
  const auto& capacity = header_in(file).capacity;
  const Places p = places_of(capacity[0], capacity[1]);
  constexpr bool kV4 = F::kFamily == 4;
  return {reinterpret_cast<typename F::Side*>(file.base() + (kV4 ? p.sides4 : p.sides6).at),
          reinterpret_cast<FlowCold*>(file.base() + (kV4 ? p.cold4 : p.cold6).at),
          capacity[kV4 ? 0 : 1]};
}

void write_header(NamedFile& file, const FlowFile::Options& o, uint64_t id, uint32_t generation) {
  auto& h = *reinterpret_cast<FlowFileHeader*>(file.base());
  h.magic = kMagic;
  h.layout = kFlowLayout;
  h.side_bytes[0] = sizeof(SideV4);
  h.side_bytes[1] = sizeof(SideV6);
  h.cold_bytes = sizeof(FlowCold);
  h.layout_hash = kLayoutHash;
  h.capacity[0] = o.capacity4;
  h.capacity[1] = o.capacity6;
  h.bytes = places_of(o.capacity4, o.capacity6).end;
  h.id = id;
  std::memset(h.boot, 0, sizeof h.boot);
  o.boot.copy(h.boot, sizeof h.boot);
  h.generation.store(generation, std::memory_order_relaxed);
  h.check.store(h.sum(), std::memory_order_release);
}

enum class Verdict : uint8_t { kEmpty, kGood, kUseless, kForeign };

// Whether records can be read from it; if not, why.
Verdict judge(const NamedFile& file, const std::string& boot, std::string* why) {
  if (file.size() == 0) return Verdict::kEmpty;
  alignas(FlowFileHeader) uint8_t bytes[sizeof(FlowFileHeader)] = {};
  const size_t read = file.read(bytes, sizeof bytes);
  const auto& h = *reinterpret_cast<const FlowFileHeader*>(bytes);
  auto useless = [&](const std::string& what) {
    *why = file.path() + ": " + what;
    return Verdict::kUseless;
  };
  if (read == sizeof bytes && h.magic == 0 && h.sum() == FlowFileHeader{}.sum())
    return useless("was never finished");
  if (read < sizeof h.magic || h.magic != kMagic) {
    *why = file.path() + ": is no flow file, and is left alone";
    return Verdict::kForeign;
  }
  if (read < sizeof bytes) return useless("is cut short");
  if (h.layout != kFlowLayout)
    return useless("is of layout " + std::to_string(h.layout) + ", and this program's is " +
                   std::to_string(kFlowLayout));
  if (h.check.load(std::memory_order_relaxed) != h.sum()) return useless("its header is damaged");
  if (h.layout_hash != kLayoutHash || h.side_bytes[0] != sizeof(SideV4) ||
      h.side_bytes[1] != sizeof(SideV6) || h.cold_bytes != sizeof(FlowCold))
    return useless("its records look otherwise than this program's");
  if (boot.compare(0, kBootBytes, std::string(h.boot, kBootBytes)) != 0)
    return useless("is of another boot: its connections' times mean nothing now");
  if (h.bytes != places_of(h.capacity[0], h.capacity[1]).end || file.size() < h.bytes)
    return useless("is cut short: " + std::to_string(file.size()) + " of " +
                   std::to_string(h.bytes) + " bytes");
  return Verdict::kGood;
}

// Whole records move up to the front; what they are is judged later.
template <class F>
bool copy_records(const NamedFile& from, const NamedFile& to, std::string* error) {
  const auto source = records_in<F>(from), target = records_in<F>(to);
  uint32_t count = 0;
  for (uint32_t r = 0; r < source.capacity; ++r) {
    const auto state = source.cold[r].state.load(std::memory_order_relaxed);
    if (state == static_cast<uint32_t>(FlowState::kNone)) continue;
    if (count < target.capacity) {
      std::memcpy(static_cast<void*>(target.sides + 2 * size_t{count}),
                  source.sides + 2 * size_t{r}, 2 * sizeof(typename F::Side));
      std::memcpy(static_cast<void*>(target.cold + count), source.cold + r, sizeof(FlowCold));
    }
    ++count;
  }
  if (count <= target.capacity) return true;
  *error = from.path() + ": holds " + std::to_string(count) + " IPv" + std::to_string(F::kFamily) +
           " connections, more than the capacity of " + std::to_string(target.capacity) +
           ": raise it, or remove the file and lose them";
  return false;
}

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
  Verdict verdict = huge ? judge(*huge, options_.boot, &why) : Verdict::kEmpty;
  bool in_huge = verdict == Verdict::kGood;
  if (!in_huge && verdict != Verdict::kForeign) {
    const Verdict other = judge(*lock_, options_.boot, &why);
    if (other != Verdict::kEmpty) verdict = other;
  }
  if (verdict == Verdict::kForeign) {
    *error = why;
    return false;
  }
  if (verdict != Verdict::kGood) {
    if (verdict == Verdict::kUseless) news_ = why + ": started afresh";
    return make_fresh(std::move(huge), error);
  }
  NamedFile& good = in_huge ? *huge : *lock_;
  if (!good.map(error)) return false;
  const auto& h = header_in(good);
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
  const uint64_t bytes = places_of(options_.capacity4, options_.capacity6).end;
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
  write_header(*file_, options_, new_id(), 0);
  return true;
}

// Another capacity: the records move to a file of that size, which then takes the old one's name.
bool FlowFile::migrate(const NamedFile& from, std::string* error) {
  const std::string ending = ".new";
  auto to = make_new(ending, error);
  if (!to) return false;
  const auto& h = header_in(from);
  write_header(*to, options_, h.id, h.generation.load(std::memory_order_relaxed));
  const std::string path = to->path().substr(0, to->path().size() - ending.size());
  if (!copy_records<V4>(from, *to, error) || !copy_records<V6>(from, *to, error) ||
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

FlowFileHeader& FlowFile::header() const noexcept {
  return *reinterpret_cast<FlowFileHeader*>(file_->base());
}

template <class F>
FlowRecords<F> FlowFile::records() const noexcept {
  return records_in<F>(*file_);
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
