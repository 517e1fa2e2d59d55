#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "driver/af_xdp/link.h"
#include "driver/af_xdp/take.h"

struct bpf_object;

namespace nodeplane::af_xdp {

enum class Mode : uint8_t { kNative, kGeneric };

// A program of ours that a killed process left on the interface.
struct LeftOver {
  int fd = -1;  // -1: none
  uint32_t id = 0;
  Mode mode = Mode::kNative;
  LeftOver() = default;
  LeftOver(const LeftOver&) = delete;
  LeftOver& operator=(const LeftOver&) = delete;
  ~LeftOver();
};

// False with a reason when somebody else's program is attached.
bool find_left_over(const Link& link, LeftOver* left_over, std::string* error);

// Our XDP program with its maps (xdp_program.bpf.c). It is attached by netlink, so that it outlives
// a killed process and goes on dropping what is ours; a clean end detaches it.
class Program {
 public:
  // `take_max`: addresses, and ports, that take may name (take: services), 0: everything is ours.
  static std::unique_ptr<Program> load(uint32_t take_max, std::string* error);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  bool add_socket(uint32_t queue, int socket_fd, std::string* error);
  // Takes the left-over's place, in one step if both have the same mode.
  bool attach(const Link& link, Mode mode, const LeftOver& left_over, std::string* error);
  TakeMaps& take_maps() { return take_maps_; }
  int fd() const { return fd_; }

 private:
  Program() = default;
  // Runs `what` in the namespace that the program was loaded in: take and the destructor may be
  // called by a thread that is elsewhere, and an interface's index means nothing there.
  void at_home(const std::function<void()>& what) const;
  bpf_object* object_ = nullptr;
  int netns_ = -1;
  int fd_ = -1;
  int sockets_fd_ = -1;
  int attached_index_ = 0;  // of the interface, 0: not attached
  uint32_t attached_flags_ = 0;
  TakeMaps take_maps_;
};

// What libbpf and libxdp said on this thread since the last call: the kernel's own words for why
// something was refused arrive only there.
std::string library_words();

}  // namespace nodeplane::af_xdp
