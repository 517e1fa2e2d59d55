#include "copy/dsa/device.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <fstream>

#include "copy/dsa/engine.h"
#include "copy/model/model.h"
#include "support/copy_kit.h"

// The hardware's path on a machine without the hardware: the portal is a page of a file that may not
// be written, and the instructions trap (as unknown ones, or at that page; some CPUs have them though
// CPUID does not say so) into a handler that hands their 64 bytes to the model.
namespace nodeplane::dsa {
namespace {

constexpr CpuCan kPretended{true, true};

struct FakeDevice {
  explicit FakeDevice(size_t bytes = 4096) {
    const int fd = mkstemp(path);
    if (fd < 0 || ftruncate(fd, static_cast<off_t>(bytes)) != 0) std::abort();
    close(fd);
  }
  ~FakeDevice() { unlink(path); }
  char path[32] = "/tmp/np-wq-XXXXXX";
};

TEST(Device, WantsTheInstruction) {
  Queue queue;
  std::string error;
  const FakeDevice fake;
  EXPECT_FALSE(open_queue({fake.path, false, 16, 8, 4096, false}, {false, true}, &queue, &error));
  EXPECT_EQ(error, std::string(fake.path) + ": this CPU has no MOVDIR64B");
  EXPECT_FALSE(open_queue({fake.path, true, 16, 8, 4096, false}, {true, false}, &queue, &error));
  EXPECT_EQ(error, std::string(fake.path) + ": this CPU has no ENQCMD");
}

#if defined(__x86_64__)

TEST(Device, SaysWhyItDoesNotOpen) {
  Queue queue;
  std::string error;
  EXPECT_FALSE(
      open_queue({"/nonexistent/wq0.0", false, 16, 8, 4096, false}, kPretended, &queue, &error));
  EXPECT_EQ(error, "/nonexistent/wq0.0: there is no such work queue device");
  const FakeDevice fake;
  EXPECT_FALSE(open_queue({fake.path, false, 0, 8, 4096, false}, kPretended, &queue, &error));
  EXPECT_NE(error.find("must not be zero"), std::string::npos);
  EXPECT_FALSE(open_queue({"/tmp", false, 16, 8, 4096, false}, kPretended, &queue, &error));
  EXPECT_EQ(error.rfind("/tmp: open: ", 0), 0u) << error;
  // /dev/null opens, but has nothing to map.
  EXPECT_FALSE(open_queue({"/dev/null", false, 16, 8, 4096, false}, kPretended, &queue, &error));
  EXPECT_EQ(error.rfind("/dev/null: mmap of its portal: ", 0), 0u) << error;
}

// The trap: MOVDIR64B and ENQCMD of rdx's 64 bytes to rax.
constexpr uint8_t kMovdir64b[] = {0x66, 0x0f, 0x38, 0xf8, 0x02};
constexpr uint8_t kEnqcmd[] = {0xf2, 0x0f, 0x38, 0xf8, 0x02};
constexpr greg_t kZeroFlag = 1 << 6;
std::atomic<Model*> trap_model;
std::atomic<uint64_t> trap_count, trap_strange;
std::atomic<uint64_t> trap_lines;  // of the portal page that were used, one bit each

void on_trap(int number, siginfo_t*, void* context) {
  auto& r = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const auto* code = reinterpret_cast<const uint8_t*>(r[REG_RIP]);
  const bool dedicated = std::memcmp(code, kMovdir64b, 5) == 0;
  if (!dedicated && std::memcmp(code, kEnqcmd, 5) != 0) {
    signal(number, SIG_DFL);
    return;
  }
  if (r[REG_RAX] % 64 != 0 || r[REG_RDX] % 64 != 0) trap_strange.fetch_add(1);
  trap_lines.fetch_or(uint64_t{1} << (r[REG_RAX] / 64 % 64));
  trap_count.fetch_add(1);
  Descriptor d;
  std::memcpy(&d, reinterpret_cast<const void*>(r[REG_RDX]), sizeof d);
  const bool taken = trap_model.load()->submit(d);
  if (!dedicated) {
    r[REG_EFL] &= ~kZeroFlag;
    if (!taken) r[REG_EFL] |= kZeroFlag;
  }
  r[REG_RIP] += 5;
}

class ConcurrentDevice : public ::testing::Test {
 protected:
  void SetUp() override {
    struct sigaction action = {};
    action.sa_sigaction = on_trap;
    action.sa_flags = SA_SIGINFO;
    ASSERT_EQ(sigaction(SIGILL, &action, &before_[0]), 0);
    ASSERT_EQ(sigaction(SIGSEGV, &action, &before_[1]), 0);
    trap_count = trap_strange = trap_lines = 0;
  }
  void TearDown() override {
    engine_.reset();
    sigaction(SIGILL, &before_[0], nullptr);
    sigaction(SIGSEGV, &before_[1], nullptr);
  }
  void open(bool shared, uint32_t size, const CopyModelOptions& options) {
    const DsaQueue wish{fake_.path, shared, size, 64, 1 << 20, false};
    std::vector<Queue> queues(1);
    std::string error;
    ASSERT_TRUE(open_queue(wish, kPretended, queues.data(), &error)) << error;
    EXPECT_EQ(queues[0].name.rfind("np-wq-", 0), 0u);
    forbid_portal();
    model_ = std::make_unique<Model>(options, queues[0].limits, -1);
    trap_model = model_.get();
    engine_ = make_engine(std::move(queues), {"dsa", 64, 1});
  }
  void forbid_portal() {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      if (line.find(fake_.path) == std::string::npos) continue;
      auto* page = reinterpret_cast<void*>(std::stoull(line, nullptr, 16));
      ASSERT_EQ(mprotect(page, 4096, PROT_NONE), 0);
      return;
    }
    FAIL() << "the portal is not mapped";
  }
  uint64_t counted(const char* name) { return test::number_in(engine_->stats_json(), name); }

  FakeDevice fake_;
  struct sigaction before_[2] = {};
  std::unique_ptr<Model> model_;
  std::unique_ptr<CopyEngine> engine_;
};

TEST_F(ConcurrentDevice, DedicatedQueueByMovdir64b) {
  open(false, 16,
       {.latency_ns = 2000,
        .reorder = true,
        .poison = true,
        .fault_per_million = 3000,
        .error_per_million = 3000});
  std::string error;
  auto channel = engine_->channel(&error);
  test::Copying user(*channel, 2048, 1000, 4);
  user.run(50000, 48);
  EXPECT_GT(trap_count, 50u);
  EXPECT_EQ(trap_strange, 0u);
  EXPECT_GT(__builtin_popcountll(trap_lines), 1);
  EXPECT_EQ(model_->lost(), 0u);
  EXPECT_GT(counted("errors"), 0u);
  EXPECT_EQ(counted("given_up"), 0u);
  EXPECT_EQ(counted("retries"), 0u);
}

TEST_F(ConcurrentDevice, SharedQueueByEnqcmd) {
  // Our channel believes in 16 entries; others hold all but two of them.
  open(true, 16, {.latency_ns = 300'000, .shared = true, .reorder = true, .poison = true});
  model_ = std::make_unique<Model>(CopyModelOptions{.latency_ns = 300'000, .shared = true},
                                   QueueLimits{2, 64, 1 << 20, true, false}, -1);
  trap_model = model_.get();
  std::string error;
  auto channel = engine_->channel(&error);
  test::Copying user(*channel, 2048, 1000, 4);
  user.run(50000, 48);
  EXPECT_GT(trap_count, 50u);
  EXPECT_EQ(trap_strange, 0u);
  EXPECT_GT(model_->refused(), 0u);
  EXPECT_EQ(counted("retries"), model_->refused());
  EXPECT_GT(counted("full"), 0u);
  EXPECT_EQ(counted("given_up"), 0u);
}

#endif

}  // namespace
}  // namespace nodeplane::dsa
