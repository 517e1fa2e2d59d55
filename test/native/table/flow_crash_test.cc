// A process that ends at any instruction leaves whole connections. A child does one operation, step by step
// (ptrace); after every instruction that changed the records a copy of them is recovered. So every store
// is stopped at, by whichever way the compiler chose to write it, and the product needs no hook.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <random>
#include <set>
#include <thread>

#include "support/patience.h"
#include "support/remains.h"

namespace nodeplane {
namespace {

using Numbers = std::set<uint32_t>;  // of make_flow

template <class F>
Numbers numbers_of(const Revived<F>& revived, Time now) {
  Numbers all;
  for (const auto& [key, row] : revived.rows(now))
    all.insert(swap16(row.original_source_port) - 1024u);
  return all;
}

// What a child tells while it is stepped.
struct Progress {
  volatile uint32_t phase;  // 1: the operation is under way, 2: it is done
};

template <class F>
class Stepper {
 public:
  explicit Stepper(const Remains<F>& remains) : remains_(remains) {
    progress_ = static_cast<Progress*>(
        mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  }
  ~Stepper() { munmap(progress_, sizeof(Progress)); }

  uint32_t stops = 0;  // at how many stores a copy was recovered

  // The connections after each change of memory; what lies there must be whole every time.
  std::vector<Numbers> run(Time now, const std::function<void()>& operation) {
    std::vector<Numbers> seen;
    progress_->phase = 0;
    const pid_t child = fork();
    if (child == 0) {
      ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
      raise(SIGSTOP);
      progress_->phase = 1;
      operation();
      progress_->phase = 2;
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSTOPPED(status));
    std::vector<uint8_t> before(remains_.base(), remains_.base() + remains_.bytes());
    while (progress_->phase < 2 && WIFSTOPPED(status)) {
      if (ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) != 0) break;
      waitpid(child, &status, 0);
      if (progress_->phase == 0) continue;
      if (std::memcmp(before.data(), remains_.base(), before.size()) == 0) continue;
      std::memcpy(before.data(), remains_.base(), before.size());
      seen.push_back(recover(now));
      if (testing::Test::HasFatalFailure()) break;
    }
    EXPECT_EQ(progress_->phase, 2u) << "the operation did not come to its end";
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return seen;
  }

  Numbers recover(Time now) {
    ++stops;
    const Remains<F> copy(remains_);
    const Revived<F> revived(copy, now);
    EXPECT_EQ(revived.counts.damaged, 0u) << "a connection that is not whole";
    EXPECT_EQ(revived.counts.doubled, 0u) << "two connections of one key";
    expect_whole(revived, copy);
    return numbers_of(revived, now);
  }

 private:
  const Remains<F>& remains_;
  Progress* progress_;
};

template <class F>
class FlowCrashTest : public testing::Test {
 protected:
  static constexpr uint32_t kCapacity = 16;
  FlowRef keep(uint32_t n) {
    FlowRef ref;
    EXPECT_EQ(table->keep(0, make_flow<F>(n), kTestStart, &ref), KeepResult::kKept);
    return ref;
  }
  // Each is one of the allowed, in their order, and all of them come.
  void expect_steps(const std::vector<Numbers>& seen, const std::vector<Numbers>& allowed) {
    ASSERT_FALSE(seen.empty());
    size_t at = 0;
    for (const Numbers& numbers : seen) {
      while (at < allowed.size() && numbers != allowed[at]) ++at;
      ASSERT_LT(at, allowed.size()) << "connections that should not be there, or are missing";
    }
    EXPECT_EQ(at, allowed.size() - 1) << "the operation's end was not seen";
  }

  Remains<F> remains{kCapacity};
  Epochs epochs;
  std::unique_ptr<FlowTable<F>> table = remains.table(epochs, 2);
  Stepper<F> stepper{remains};
};

using Families = testing::Types<V4, V6>;
TYPED_TEST_SUITE(FlowCrashTest, Families);

TYPED_TEST(FlowCrashTest, AtEveryStoreOfAnInsert) {
  this->keep(1);
  const auto seen = this->stepper.run(kTestStart, [&] { this->keep(2); });
  this->expect_steps(seen, {{1}, {1, 2}});
  EXPECT_GT(this->stepper.stops, 20u);
}

TYPED_TEST(FlowCrashTest, AtEveryStoreOfAnInsertIntoAUsedRecord) {
  Gone gone;
  for (uint32_t n = 0; n < this->kCapacity; ++n) this->keep(n);
  for (uint32_t r = 0; r < this->kCapacity; r += 2) {
    ASSERT_TRUE(this->table->forget(0, r, &gone));
  }
  Numbers before;
  for (uint32_t n = 1; n < this->kCapacity; n += 2) before.insert(n);
  Numbers after = before;
  after.insert(99);
  const auto seen = this->stepper.run(kTestStart, [&] { this->keep(99); });
  this->expect_steps(seen, {before, after});
}

TYPED_TEST(FlowCrashTest, AtEveryStoreOfARemoval) {
  this->keep(1);
  const FlowRef ref = this->keep(2);
  for (const uint32_t worker : {1u, 0u}) {  // by another worker, and by the one that kept it
    const Remains<TypeParam> saved(this->remains);
    Gone gone;
    const auto seen =
        this->stepper.run(kTestStart, [&] { this->table->forget(worker, ref.record, &gone); });
    this->expect_steps(seen, {{1, 2}, {1}});
    std::memcpy(this->remains.base(), saved.base(), saved.bytes());
  }
}

// A decision that has changed: the old connection ends, then the new one with the same key begins.
TYPED_TEST(FlowCrashTest, AtEveryStoreOfAReplacement) {
  this->keep(1);
  const FlowRef ref = this->keep(2);
  const auto seen = this->stepper.run(kTestStart, [&] {
    Gone gone;
    FlowRef now;
    this->table->forget(0, ref.record, &gone);
    this->table->keep(0, make_flow<TypeParam>(2, kProtocolTcp, 9), kTestStart, &now);
  });
  this->expect_steps(seen, {{1, 2}, {1}, {1, 2}});
}

TYPED_TEST(FlowCrashTest, AtEveryStoreOfAnExpiry) {
  this->keep(1);
  const FlowRef young = this->keep(2);
  const Time late = kTestStart + 61 * kSecond;
  this->table->touch(0, young, 100, kTcpSyn, kProtocolTcp, kTestStart + 30 * kSecond);
  // Recovered as of before: else the old one is over in any case.
  const auto seen = this->stepper.run(kTestStart, [&] { expire_all(*this->table, 0, late); });
  this->expect_steps(seen, {{1, 2}, {2}});
}

// A full table: the oldest half-open one gives way to a newcomer.
TYPED_TEST(FlowCrashTest, AtEveryStoreOfAnEviction) {
  constexpr uint32_t kFull = 8;
  this->table = this->remains.table(this->epochs, 1, kFull);
  Numbers before;
  for (uint32_t n = 0; n < kFull; ++n) {
    this->keep(n);
    before.insert(n);
  }
  Numbers between = before, after;
  between.erase(0);
  after = between;
  after.insert(99);
  const auto seen = this->stepper.run(kTestStart, [&] {
    FlowRef ref;
    Gone gone;
    if (this->table->keep(0, make_flow<TypeParam>(99), kTestStart, &ref) != KeepResult::kFull)
      return;
    if (this->table->evict(0, 0, &gone)) this->keep(99);
  });
  this->expect_steps(seen, {before, between, after});
}

TYPED_TEST(FlowCrashTest, AtEveryStoreOfPacketsAndRefusals) {
  const FlowRef ref = this->keep(1);
  for (uint32_t n = 2; n < this->kCapacity; ++n) this->keep(n);
  Numbers all;
  for (uint32_t n = 1; n < this->kCapacity; ++n) all.insert(n);
  const auto seen = this->stepper.run(kTestStart, [&] {
    FlowRef other;
    this->table->touch(0, {ref.record, 1}, 60, kTcpSyn | kTcpAck, kProtocolTcp, kTestStart);
    this->table->touch(1, {ref.record, 0}, 60, kTcpAck, kProtocolTcp, kTestStart);
    this->table->touch(1, {ref.record, 0}, 60, kTcpFin | kTcpAck, kProtocolTcp, kTestStart);
    this->table->keep(0, make_flow<TypeParam>(1), kTestStart, &other);  // is there already
    auto clash = make_flow<TypeParam>(77);
    clash.reply = make_flow<TypeParam>(3).reply;
    clash.reply_hash = hash_of(clash.reply);
    this->table->keep(0, clash, kTestStart, &other);  // its answers are another's
  });
  this->expect_steps(seen, {all});
}

// Two workers that insert, use and remove, and a kill wherever they happen to be.
TYPED_TEST(FlowCrashTest, KilledInTheMiddleOfMuch) {
  constexpr uint32_t kRounds = 25, kMany = 8192, kFlows = 200, kWarm = 2000;
  std::mt19937 random(7);
  uint64_t recovered = 0;
  for (uint32_t round = 0; round < kRounds; ++round) {
    const Remains<TypeParam> all(kMany);
    const Remains<TypeParam> notes(1);  // where the child counts what it has done
    auto* done = reinterpret_cast<std::atomic<uint64_t>*>(notes.base());
    const pid_t child = fork();
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      Epochs epochs;
      const auto t = all.table(epochs, 2);
      const auto work = [&](uint32_t worker) {
        std::mt19937 choice(round * 2 + worker);
        for (;;) {
          epochs.quiescent(worker);
          done[worker].fetch_add(1);
          const uint32_t n = choice() % kFlows;
          const auto f = make_flow<TypeParam>(n, kProtocolTcp, 1 + choice() % 9);
          const FlowRef ref = t->find(f.original, f.original_hash);
          FlowRef kept;
          Gone gone[kExpireBatchMax];
          bool more;
          if (ref.record == kRecordNone)
            t->keep(worker, f, kTestStart, &kept);
          else if (choice() % 3 == 0)
            t->forget(worker, ref.record, gone);
          else
            t->touch(worker, ref, 60, kTcpAck, kProtocolTcp, kTestStart);
          t->expire(worker, kTestStart, 16, gone, &more);
        }
      };
      std::thread other(work, 1);
      work(0);
    }
    EXPECT_TRUE(eventually([&] { return done[0].load() >= kWarm && done[1].load() >= kWarm; }));
    usleep(random() % 3000);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    Revived<TypeParam> revived(all, kTestStart, 3);
    EXPECT_EQ(revived.counts.rejected(), 0u);
    expect_whole(revived, all);
    if (this->HasFatalFailure()) FAIL() << "round " << round;
    recovered += revived.counts.recovered;
  }
  EXPECT_GT(recovered, kRounds * 20u);
}

}  // namespace
}  // namespace nodeplane
