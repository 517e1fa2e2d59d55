#pragma once
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "support/patience.h"

namespace nodeplane {

// A network namespace without a name: it goes, with its interfaces, when the last descriptor does,
// however the test ends. The calling thread is moved, so one thread per test.
class NetNs {
 public:
  NetNs() : home_(open_own()) {
    EXPECT_EQ(unshare(CLONE_NEWNET), 0) << strerror(errno);
    fd_ = open_own();
    run("ip link set lo up");
    // No router solicitations and the like: only what a test sends is on the wire.
    run("for i in all default; do echo 1 > /proc/sys/net/ipv6/conf/$i/disable_ipv6; done");
    leave();
  }
  ~NetNs() {
    leave();
    close(fd_);
    close(home_);
  }
  NetNs(const NetNs&) = delete;
  NetNs& operator=(const NetNs&) = delete;

  void enter() const { EXPECT_EQ(setns(fd_, CLONE_NEWNET), 0) << strerror(errno); }
  void leave() const { EXPECT_EQ(setns(home_, CLONE_NEWNET), 0) << strerror(errno); }
  // For commands of iproute2.
  std::string path() const {
    return "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(fd_);
  }
  // Runs a command in the calling thread's namespace.
  static void run(const std::string& command) {
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
  }
  void run_in(const std::string& command) const {
    enter();
    run(command);
    leave();
  }

 private:
  static int open_own() { return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC); }
  int home_;
  int fd_ = -1;
};

// While it lives, the thread is in the namespace.
struct InNetNs {
  explicit InNetNs(const NetNs& ns) : ns_(ns) { ns_.enter(); }
  ~InNetNs() { ns_.leave(); }
  const NetNs& ns_;
};

// Two namespaces and a veth pair: np0 in node, np1 in peer, both up.
struct Wire {
  explicit Wire(uint32_t queues = 1, const std::string& more = "") {
    const std::string numbers =
        " numrxqueues " + std::to_string(queues) + " numtxqueues " + std::to_string(queues);
    node.run_in("ip link add np0 address 02:00:00:00:00:01" + numbers +
                " type veth peer name np1 address 02:00:00:00:00:02" + numbers + " netns " +
                peer.path());
    if (!more.empty()) node.run_in(more);
    node.run_in("ip link set np0 up");
    peer.run_in("ip link set np1 up");
  }
  NetNs node;
  NetNs peer;
};

// A packet socket on an interface of a namespace: what is on the wire, as it is.
class RawSocket {
 public:
  RawSocket(const NetNs& ns, const char* interface) {
    InNetNs in(ns);
    fd_ = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(if_nametoindex(interface));
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const int bytes = 16 << 20;
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
    setsockopt(fd_, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes);
  }
  ~RawSocket() { close(fd_); }
  RawSocket(const RawSocket&) = delete;
  RawSocket& operator=(const RawSocket&) = delete;

  bool send(const std::vector<uint8_t>& bytes) const {
    return ::send(fd_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size());
  }
  // The next packet that came in (not those that went out), empty when none does in time.
  std::vector<uint8_t> receive(int wait_ms = kPatienceMs) const {
    for (;;) {
      pollfd waiting{fd_, POLLIN, 0};
      if (poll(&waiting, 1, wait_ms) <= 0) return {};
      std::vector<uint8_t> bytes(65536);
      sockaddr_ll from{};
      socklen_t length = sizeof from;
      const ssize_t n = recvfrom(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT,
                                 reinterpret_cast<sockaddr*>(&from), &length);
      if (n < 0 || from.sll_pkttype == PACKET_OUTGOING) continue;
      bytes.resize(static_cast<size_t>(n));
      return bytes;
    }
  }

 private:
  int fd_;
};

}  // namespace nodeplane
