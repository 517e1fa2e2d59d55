#pragma once
#include <cstdint>
#include <memory>
#include <vector>

namespace nodeplane::af_xdp {

// While packets come, the NAPI of an interface looks by a timer and is masked meanwhile, so that who
// sends to it wakes nobody (Documentation/networking/napi.rst, software IRQ coalescing). Without
// packets it is woken by the first, as ever. What was set before is put back at the end.
class Deferral {
 public:
  // Null where the kernel does not tell or let (before Linux 6.13), or where there is no NAPI.
  static std::unique_ptr<Deferral> open(int link_index, uint32_t nanoseconds);
  ~Deferral();
  Deferral(const Deferral&) = delete;
  Deferral& operator=(const Deferral&) = delete;

  struct Napi {
    uint32_t id = 0;
    uint32_t defer_hard_irqs = 0;  // times that it looks in vain before it is woken again
    uint64_t flush_timeout = 0;    // ns between looks
  };
  // What the kernel says of an interface's NAPI in this thread's network namespace.
  static std::vector<Napi> read(int link_index);

 private:
  explicit Deferral(int fd) : fd_(fd) {}
  bool set(const Napi& napi) const;
  std::vector<Napi> list(int link_index) const;
  bool find_family();

  int fd_;  // a socket stays in the network namespace that it was opened in
  uint16_t family_ = 0;
  std::vector<Napi> before_;
};

}  // namespace nodeplane::af_xdp
