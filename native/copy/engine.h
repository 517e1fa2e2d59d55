#pragma once
#include <cstdint>
#include <memory>
#include <string>

namespace nodeplane {

// One copy. Source and destination do not overlap; both stay mapped, and the destination unread,
// until it is finished.
struct Copy {
  void* to;
  const void* from;
  uint32_t bytes;
};

inline constexpr uint32_t kCopyBatchMax = 1024;     // copies in one submit
inline constexpr uint32_t kCopyPendingMax = 16384;  // copies of one channel that may be unfinished

// A stream of copies with one owner at a time: one direction of one queue of a port. Copies are
// numbered in the order of submission, and finished ones are told as a prefix of that order,
// whatever order the engine works in. Nothing here allocates, locks or throws.
class CopyChannel {
 public:
  virtual ~CopyChannel() = default;  // after drain
  // Takes all count copies (<= kCopyBatchMax; the caller keeps unfinished ones <= kCopyPendingMax).
  // What the engine has no room for, or what is too small to be worth it, is copied here and now.
  // The number of copies ever submitted, these included.
  virtual uint64_t submit(const Copy* copies, uint32_t count) noexcept = 0;
  // All copies below the answer are finished and visible to whoever sees a release store after it.
  virtual uint64_t poll() noexcept = 0;
  // Waits until poll() would answer everything submitted. Before memory is unmapped.
  virtual void drain() noexcept = 0;
};

// Who moves bytes between memories. Shared by all ports of a dataplane, outlives their channels.
class CopyEngine {
 public:
  virtual ~CopyEngine() = default;
  // A new channel, for when a port opens; from any thread. Null with a reason in `error`.
  virtual std::unique_ptr<CopyChannel> channel(std::string* error) = 0;
  // True: submit has finished everything when it returns, so nobody need keep a list.
  virtual bool is_immediate() const noexcept = 0;
  // For people: `dsa wq0.0 dedicated, 128 entries`.
  virtual std::string description() const = 0;
  // What it counted, as one JSON object; from any thread. Every engine has at least copies, bytes,
  // by_cpu (copies it left to the CPU), full (for want of room), errors.
  virtual std::string stats_json() const = 0;
};

}  // namespace nodeplane
