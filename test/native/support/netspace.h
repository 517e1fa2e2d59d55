#pragma once
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace nodeplane {

// A network namespace without a name, held by a thread of its own: what run() is given happens
// inside. It goes, with all that is in it, when the thread and the last socket made there do.
class NetSpace {
 public:
  NetSpace() : thread_([this] { serve(); }) {
    wait([this] { return ready_; });
  }
  ~NetSpace() {
    {
      const std::lock_guard<std::mutex> lock(lock_);
      ending_ = true;
      changed_.notify_all();
    }
    thread_.join();
  }
  bool works() const { return works_; }
  // For `ip link ... netns`.
  std::string path() const { return path_; }

  void run(const std::function<void()>& work) {
    {
      const std::lock_guard<std::mutex> lock(lock_);
      work_ = &work;
      changed_.notify_all();
    }
    wait([this] { return work_ == nullptr; });
  }
  // A shell command inside; true if it succeeded.
  bool shell(const std::string& command) {
    int status = -1;
    run([&] { status = std::system(command.c_str()); });
    return status == 0;
  }

 private:
  void wait(const std::function<bool()>& until) {
    std::unique_lock<std::mutex> lock(lock_);
    changed_.wait(lock, until);
  }
  void serve() {
    works_ = unshare(CLONE_NEWNET) == 0;
    path_ = "/proc/" + std::to_string(getpid()) + "/task/" + std::to_string(syscall(SYS_gettid)) +
            "/ns/net";
    if (works_) works_ = std::system("ip link set lo up") == 0;
    std::unique_lock<std::mutex> lock(lock_);
    ready_ = true;
    changed_.notify_all();
    for (;;) {
      changed_.wait(lock, [this] { return work_ != nullptr || ending_; });
      if (work_ == nullptr) return;
      lock.unlock();
      (*work_)();
      lock.lock();
      work_ = nullptr;
      changed_.notify_all();
    }
  }

  std::mutex lock_;
  std::condition_variable changed_;
  const std::function<void()>* work_ = nullptr;
  bool ready_ = false;
  bool ending_ = false;
  bool works_ = false;
  std::string path_;
  std::thread thread_;
};

}  // namespace nodeplane
