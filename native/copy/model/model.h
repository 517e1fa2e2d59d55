#pragma once
#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include "base/doze.h"
#include "base/time.h"
#include "copy/copy.h"
#include "copy/portal.h"

namespace nodeplane::dsa {

inline constexpr uint32_t kModelSizeMax = 4096;  // entries

// A work queue of a DSA and the engine behind it, in software: takes 64-byte descriptors as the
// device does, and executes no-op, memory move and batches of them on a thread of its own, in its
// own time and, if so wished, order. Everything else is answered with the status that the
// specification has for it.
class Model {
 public:
  Model(const CopyModelOptions& options, const QueueLimits& limits, int core);
  ~Model();  // unfinished descriptors are forgotten
  // As MOVDIR64B: always true, and lost when the queue is full. As ENQCMD: false when it is full.
  // From any thread, and from signal handlers.
  bool submit(const Descriptor& descriptor) noexcept;

  // What becomes of a memory move (kBatchPageFault: of a batch), after `after` others.
  struct Outcome {
    uint32_t after = 0;
    uint8_t status = kHardwareError;  // with kStatusWrite if the destination faulted
    uint32_t completed = 0;           // bytes or descriptors done before
  };
  void force(const Outcome& outcome);
  void hang(bool on) noexcept { hung_.store(on); }  // finishes nothing any more

  // Descriptors that a dedicated queue lost; those a shared one refused.
  uint64_t lost() const noexcept { return lost_.load(); }
  uint64_t refused() const noexcept { return refused_.load(); }
  uint64_t moves() const noexcept { return moves_.load(); }
  // Errors that no completion record could tell, and the last one's status.
  uint64_t soft_errors() const noexcept { return soft_errors_.load(); }
  uint8_t soft_error() const noexcept { return soft_error_.load(); }

 private:
  struct alignas(64) Cell {
    Descriptor descriptor;
    std::atomic<uint64_t> ready{0};  // ticket + 1 when it is filled
  };
  struct Pending {
    Descriptor descriptor;
    Time due;
  };
  struct Result {
    uint8_t status = kSuccess;
    uint8_t result = 0;
    uint32_t completed = 0;
    uint64_t fault = 0;
    uint32_t wrong_bits = 0;
  };
  void run() noexcept;
  void accept(Time now);
  bool finish_one(Time now);
  Result judge(const Descriptor& d, bool inner) const noexcept;
  Result execute(const Descriptor& d) noexcept;
  Result move(const Descriptor& d) noexcept;
  Result stop(const Descriptor& d, uint8_t status, uint32_t completed) noexcept;
  Result batch(const Descriptor& d) noexcept;
  bool batch_part(const Descriptor* list, uint32_t first, uint32_t end) noexcept;
  void report(const Descriptor& d, const Result& r) noexcept;
  void poison(const Descriptor& d) const noexcept;
  uint64_t bytes_of(const Descriptor& d) const noexcept;
  bool draw(uint32_t per_million) noexcept;
  bool forced(bool batch, Outcome* out);
  uint64_t random() noexcept;

  const CopyModelOptions options_;
  const QueueLimits limits_;
  const int core_;
  std::vector<Cell> cells_;
  alignas(64) std::atomic<uint64_t> tickets_{0};
  std::atomic<uint32_t> occupied_{0};
  alignas(64) std::atomic<uint64_t> lost_{0}, refused_{0}, moves_{0}, soft_errors_{0};
  std::atomic<uint8_t> soft_error_{0};
  std::atomic<bool> hung_{false}, stopping_{false};
  Doze doze_;
  // The thread's own.
  uint64_t taken_ = 0;
  std::vector<Pending> pending_;
  std::vector<uint32_t> order_;
  Time busy_until_ = 0;
  uint64_t random_state_;
  std::atomic<uint32_t> forced_count_{0};
  std::mutex forced_lock_;
  std::vector<Outcome> forced_;
  std::thread thread_;  // last: it uses all the others
};

// The model as a queue. What it has not finished when the portal goes is forgotten.
Queue model_queue(std::shared_ptr<Model> model, const QueueLimits& limits);

}  // namespace nodeplane::dsa
