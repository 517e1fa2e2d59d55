#include "copy/cpu/cpu.h"

#include "copy/copy_bytes.h"
#include "copy/counts.h"
#include "copy/distance.h"

namespace nodeplane {
namespace {

class CpuChannel final : public CopyChannel {
 public:
  explicit CpuChannel(CopyLedger& ledger) : ledger_(ledger), counts_(ledger.open()) {}
  ~CpuChannel() override { ledger_.close(counts_); }

  uint64_t submit(const Copy* copies, uint32_t count) noexcept override {
    uint64_t bytes = 0;
    uint32_t far = 0;
    for (uint32_t i = 0; i < count; ++i) {
      const Copy& c = copies[i];
      bytes += c.bytes;
      if (distance_.is_far(c.to, c.bytes)) {
        copy_bytes_far(c.to, c.from, c.bytes);
        ++far;
      } else {
        copy_bytes(c.to, c.from, c.bytes);
      }
    }
    if (far != 0) copy_fence();
    counts_->add(CopyCount::kCopies, count);
    counts_->add(CopyCount::kBytes, bytes);
    counts_->add(CopyCount::kByCpu, count);
    counts_->add(CopyCount::kFar, far);
    return submitted_ += count;
  }
  uint64_t poll() noexcept override { return submitted_; }
  void drain() noexcept override {}

 private:
  CopyLedger& ledger_;
  CopyCounts* counts_;
  uint64_t submitted_ = 0;
  Distance distance_;
};

class CpuEngine final : public CopyEngine {
 public:
  std::unique_ptr<CopyChannel> channel(std::string*) override {
    return std::make_unique<CpuChannel>(ledger_);
  }
  bool is_immediate() const noexcept override { return true; }
  std::string description() const override { return std::string("cpu ") + copy_kernels().name; }
  std::string stats_json() const override { return ledger_.json(); }

 private:
  CopyLedger ledger_;
};

}  // namespace

std::unique_ptr<CopyEngine> open_copy_cpu() { return std::make_unique<CpuEngine>(); }

}  // namespace nodeplane
