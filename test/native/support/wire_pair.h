#pragma once
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>

#include "support/netspace.h"
#include "support/patience.h"
#include "support/port_kit.h"

namespace nodeplane {

// Joins two ports as a wire would, on a thread of its own, and keeps sums.
class Forwarder {
 public:
  Forwarder(PortKit& kit, Port& a, Port& b, std::function<void(Packet&)> look = {})
      : kit_(kit), look_(std::move(look)), thread_([this, &a, &b] { serve(a, b); }) {}
  ~Forwarder() { stop(); }
  void stop() {
    if (!thread_.joinable()) return;
    ending_ = true;
    thread_.join();
  }
  uint64_t in = 0, out = 0, refused = 0, full = 0, partial = 0, gso = 0, gso_udp = 0;

 private:
  void serve(Port& a, Port& b) {
    while (!ending_) {
      bool busy = false;
      for (uint32_t q = 0; q < a.caps().queues; ++q) busy |= pass(a, b, q);
      for (uint32_t q = 0; q < b.caps().queues; ++q) busy |= pass(b, a, q);
      if (!busy) {
        std::vector<pollfd> fds;
        for (uint32_t q = 0; q < a.caps().queues; ++q) fds.push_back({a.wait_fd(q), POLLIN, 0});
        for (uint32_t q = 0; q < b.caps().queues; ++q) fds.push_back({b.wait_fd(q), POLLIN, 0});
        poll(fds.data(), fds.size(), 20);
      }
    }
  }
  bool pass(Port& from, Port& to, uint32_t queue) {
    const uint32_t n =
        from.receive(queue, kit_.packets.data(), kBatchSize, *kit_.frames, *kit_.counters);
    Packet* list[kBatchSize];
    for (uint32_t i = 0; i < n; ++i) {
      Packet& p = kit_.packets[i];
      list[i] = &p;
      if (p.flags & kFlagPartialChecksum) partial++;
      if (p.gso != Gso::kNone) gso++;
      if (p.gso == Gso::kUdp) gso_udp++;
      if (look_) look_(p);
    }
    const uint32_t lane = queue % to.caps().queues;
    const uint32_t sent = to.transmit(lane, list, n, *kit_.frames);
    refused += to.refused(lane);
    in += n;
    out += sent - to.refused(lane);
    full += n - sent;
    for (uint32_t i = sent; i < n; ++i) kit_.frames->give_chain(list[i]->frame);
    return n != 0;
  }

  PortKit& kit_;
  std::function<void(Packet&)> look_;
  std::atomic<bool> ending_{false};
  std::thread thread_;
};

// Sends `bytes` bytes of a pattern over TCP from one namespace to the other and says whether the
// same arrived.
inline bool transfer(NetSpace& server, NetSpace& client, const std::string& address, bool v6,
                     uint32_t bytes) {
  const Bytes data = pattern(bytes);
  Bytes got;
  int listener = -1;
  sockaddr_storage at{};
  socklen_t size = v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  if (v6) {
    auto* in6 = reinterpret_cast<sockaddr_in6*>(&at);
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(8080);
    inet_pton(AF_INET6, address.c_str(), &in6->sin6_addr);
  } else {
    auto* in4 = reinterpret_cast<sockaddr_in*>(&at);
    in4->sin_family = AF_INET;
    in4->sin_port = htons(8080);
    inet_pton(AF_INET, address.c_str(), &in4->sin_addr);
  }
  const auto* to = reinterpret_cast<const sockaddr*>(&at);
  const timeval patience{kPatienceMs / 1000, 0};
  server.run([&] {
    listener = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    EXPECT_EQ(bind(listener, to, size), 0) << strerror(errno);
    EXPECT_EQ(listen(listener, 1), 0);
  });
  std::thread receiver([&] {
    const int fd = accept(listener, nullptr, nullptr);
    if (fd < 0) return;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    Bytes buffer(65536);
    for (ssize_t n; (n = recv(fd, buffer.data(), buffer.size(), 0)) > 0;)
      got.insert(got.end(), buffer.begin(), buffer.begin() + n);
    close(fd);
  });
  client.run([&] {
    const int fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, to, size) == 0) {
      for (uint32_t done = 0; done < bytes;) {
        const ssize_t n = send(fd, data.data() + done, bytes - done, MSG_NOSIGNAL);
        if (n <= 0) break;
        done += static_cast<uint32_t>(n);
      }
    } else {
      ADD_FAILURE() << "connect: " << strerror(errno);
    }
    close(fd);
  });
  receiver.join();
  close(listener);
  return got == data;
}

// Hands the kernel UDP datagrams of `size` bytes as one large packet (UDP_SEGMENT, udp(7)), and says
// how many came to the other namespace as they were.
inline uint32_t send_udp_segments(NetSpace& server, NetSpace& client, const std::string& address,
                                  uint32_t size, uint32_t datagrams) {
  constexpr int kUdpSegment = 103;
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(8081);
  inet_pton(AF_INET, address.c_str(), &at.sin_addr);
  const auto* to = reinterpret_cast<const sockaddr*>(&at);
  const Bytes data = pattern(size * datagrams);
  const timeval patience{kPatienceMs / 1000, 0};
  int fd = -1;
  server.run([&] {
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    EXPECT_EQ(bind(fd, to, sizeof at), 0) << strerror(errno);
  });
  client.run([&] {
    const int out = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const int segment = static_cast<int>(size);
    EXPECT_EQ(setsockopt(out, IPPROTO_UDP, kUdpSegment, &segment, sizeof segment), 0);
    EXPECT_EQ(sendto(out, data.data(), data.size(), 0, to, sizeof at),
              static_cast<ssize_t>(data.size()));
    close(out);
  });
  uint32_t good = 0;
  Bytes one(65536);
  for (uint32_t i = 0; i < datagrams; ++i) {
    const ssize_t n = recv(fd, one.data(), one.size(), 0);
    if (n < 0) break;
    if (n == static_cast<ssize_t>(size) &&
        std::memcmp(one.data(), data.data() + i * size, size) == 0)
      good++;
  }
  close(fd);
  return good;
}

// One of the kernel's counters in /proc/net/snmp or snmp6, e.g. "Tcp:" "InCsumErrors".
inline long snmp(NetSpace& space, const std::string& group, const std::string& name) {
  long value = -1;
  space.run([&] {
    std::ifstream file("/proc/thread-self/net/snmp");
    std::string names, values;
    while (std::getline(file, names) && std::getline(file, values)) {
      if (names.rfind(group, 0) != 0) continue;
      std::istringstream a(names), b(values);
      std::string word, number;
      while (a >> word && b >> number)
        if (word == name) value = std::stol(number);
    }
  });
  return value;
}

}  // namespace nodeplane
