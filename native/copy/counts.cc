#include "copy/counts.h"

#include <algorithm>

namespace nodeplane {

namespace {
constexpr const char* kNames[] = {"copies", "bytes",   "by_cpu", "full",    "errors",
                                  "faults", "retries", "far",    "given_up"};
static_assert(std::size(kNames) == kCopyCounts);
}  // namespace

CopyCounts* CopyLedger::open() {
  const std::lock_guard hold(lock_);
  return open_.emplace_back(std::make_unique<CopyCounts>()).get();
}

void CopyLedger::close(CopyCounts* counts) {
  const std::lock_guard hold(lock_);
  for (size_t i = 0; i < kCopyCounts; ++i) gone_.at[i] += counts->at[i];
  std::erase_if(open_, [&](const auto& c) { return c.get() == counts; });
}

uint64_t CopyLedger::sum(CopyCount what) const {
  const auto i = static_cast<size_t>(what);
  const std::lock_guard hold(lock_);
  uint64_t all = gone_.at[i];
  for (const auto& c : open_) all += c->at[i].load(std::memory_order_relaxed);
  return all;
}

std::string CopyLedger::json(const std::string& more) const {
  std::string out = "{";
  for (size_t i = 0; i < kCopyCounts; ++i) {
    if (i != 0) out += ',';
    out += '"' + std::string(kNames[i]) + "\":" + std::to_string(sum(static_cast<CopyCount>(i)));
  }
  if (!more.empty()) out += ',' + more;
  return out + '}';
}

}  // namespace nodeplane
