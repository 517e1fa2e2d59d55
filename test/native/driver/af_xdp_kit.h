#pragma once
#include <linux/if_xdp.h>
#include <poll.h>
#include <sys/wait.h>

#include <functional>
#include <string>

#include "driver/af_xdp/af_xdp.h"
#include "driver/af_xdp/link.h"
#include "support/netns.h"
#include "support/port_kit.h"

namespace nodeplane {

// Why AF_XDP cannot be tested here, empty if it can.
inline std::string no_af_xdp() {
  if (geteuid() != 0) return "not root";
  if (const std::string missing = af_xdp::missing_capabilities(); !missing.empty())
    return "lacks " + missing;
  const int fd = socket(AF_XDP, SOCK_RAW, 0);
  if (fd < 0) return "this kernel has no AF_XDP";
  close(fd);
  return "";
}

#define NEEDS_AF_XDP() \
  if (const std::string why = no_af_xdp(); !why.empty()) GTEST_SKIP() << "AF_XDP: " << why

struct OpenedPort {
  std::unique_ptr<Port> port;
  std::string error;
};

inline OpenedPort open_in(const NetNs& ns, FrameArena& arena,
                          std::map<std::string, std::string> options = {}, uint16_t queues = 1) {
  PortSpec spec = port_spec("af_xdp", "np0", std::move(options));
  spec.queues = queues;
  OpenedPort opened;
  InNetNs in(ns);
  opened.port = open_af_xdp(spec, arena, &opened.error);
  return opened;
}

// Runs `body` in a child process; its exit status is what body returns.
inline pid_t fork_child(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  return child;
}
inline int status_of(pid_t child) {
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Polls the port until it has given `count` packets or nothing came for `wait_ms`.
inline std::vector<Bytes> receive_all(PortKit& kit, Port& port, size_t count,
                                      int wait_ms = kPatienceMs) {
  std::vector<Bytes> all;
  while (all.size() < count) {
    uint32_t came = 0;
    for (uint32_t q = 0; q < port.caps().queues; ++q) {
      port.release(q, *kit.frames);
      for (Bytes& one : kit.take(port, q)) {
        all.push_back(std::move(one));
        ++came;
      }
    }
    if (came > 0) continue;
    std::vector<pollfd> fds;
    for (uint32_t q = 0; q < port.caps().queues; ++q) fds.push_back({port.wait_fd(q), POLLIN, 0});
    if (poll(fds.data(), fds.size(), wait_ms) <= 0) break;
  }
  return all;
}

// An Ethernet frame of an EtherType nobody knows, with a number that can be found again.
inline Bytes numbered(uint32_t number, uint32_t length = 64) {
  Bytes bytes = pattern(length, number);
  const uint8_t header[14] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5};
  std::memcpy(bytes.data(), header, sizeof header);
  std::memcpy(bytes.data() + 14, &number, sizeof number);
  return bytes;
}

// One number of the port's statistics, by name, of queue 0.
inline uint64_t stat_of(const Port& port, const std::string& name) {
  const std::string json = port.stats_json();
  const size_t at = json.find("\"" + name + "\":");
  EXPECT_NE(at, std::string::npos) << json;
  return std::strtoull(json.c_str() + at + name.size() + 3, nullptr, 10);
}

}  // namespace nodeplane
