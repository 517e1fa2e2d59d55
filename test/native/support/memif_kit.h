#pragma once
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <string>

#include "driver/memif/hub.h"
#include "driver/memif/socket.h"
#include "support/patience.h"

// A memif peer in a test's hands: its messages one by one, right or wrong.
namespace nodeplane::memif {

inline Message init_message(uint32_t id = 0, const std::string& secret = {}, uint8_t mode = 0) {
  Message message = message_of(MessageType::kInit);
  message.init.version = kVersion;
  message.init.id = id;
  message.init.mode = mode;
  std::memcpy(message.init.secret, secret.data(), secret.size());
  put_text(message.init.name, sizeof message.init.name, "tester");
  return message;
}

inline Message region_message(uint16_t index, uint64_t size) {
  Message message = message_of(MessageType::kAddRegion);
  message.add_region.index = index;
  message.add_region.size = size;
  return message;
}

inline Message ring_message(bool to_server, uint16_t index, uint32_t offset, uint8_t log2 = 5,
                            uint16_t region = 0) {
  Message message = message_of(MessageType::kAddRing);
  message.add_ring.flags = to_server ? kRingToServer : uint16_t{0};
  message.add_ring.index = index;
  message.add_ring.region = region;
  message.add_ring.offset = offset;
  message.add_ring.log2_ring_size = log2;
  return message;
}

inline Fd memory_file(uint64_t bytes, bool sealed = true) {
  Fd fd(memfd_create("peer", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(ftruncate(fd.get(), static_cast<off_t>(bytes)), 0);
  if (sealed) {
    EXPECT_EQ(fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK), 0);
  }
  return fd;
}

inline void put_cookie(const Fd& file, uint64_t offset, uint32_t cookie = kCookie) {
  EXPECT_EQ(pwrite(file.get(), &cookie, sizeof cookie, static_cast<off_t>(offset)),
            static_cast<ssize_t>(sizeof cookie));
}

inline Fd event_file() { return Fd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)); }

inline Heard heard_of(const Message& message, Fd fd = Fd()) {
  Heard heard;
  std::memcpy(heard.bytes, &message, sizeof message);
  heard.size = sizeof message;
  if (fd) heard.fds.push_back(std::move(fd));
  return heard;
}

inline size_t open_descriptors() {
  size_t count = 0;
  DIR* const all = opendir("/proc/self/fd");
  while (readdir(all) != nullptr) ++count;
  closedir(all);
  return count;
}

// Mappings of memory files: what a peer lent, or we made.
inline size_t memory_mappings(const std::string& name) {
  std::ifstream maps("/proc/self/maps");
  size_t count = 0;
  for (std::string line; std::getline(maps, line);) count += line.find(name) != std::string::npos;
  return count;
}

// A port of the hub, as a queue's worker sees it.
struct HubPort {
  explicit HubPort(const Wish& wished) : wish(wished), seat(wished.queues) {
    EXPECT_TRUE(seat.ok());
    hub = Hub::get(&error);
    EXPECT_NE(hub, nullptr) << error;
    added = hub->add(wish, &seat, &error);
  }
  ~HubPort() { close(); }
  void close() {
    for (uint32_t q = 0; q < wish.queues; ++q) seat.leave(q);
    if (added) hub->remove(&seat);
    added = false;
  }
  // The link, taken into use by all queues; null when none came in time.
  Link* take() {
    Link* link = nullptr;
    const bool came = eventually([&] {
      link = seat.wanted();
      bool taken = link != nullptr;
      for (uint32_t q = 0; taken && q < wish.queues; ++q) taken = seat.take(q, link);
      if (!taken) leave();
      return taken;
    });
    return came ? link : nullptr;
  }
  void leave() {
    for (uint32_t q = 0; q < wish.queues; ++q) seat.leave(q);
  }
  bool gone() {
    return eventually([&] { return seat.wanted() == nullptr; });
  }
  uint64_t count(uint64_t Seat::Told::*which) {
    const std::lock_guard hold(seat.told_lock);
    return seat.told.*which;
  }
  std::string reason() {
    const std::lock_guard hold(seat.told_lock);
    return seat.told.last_reason;
  }
  bool has_news(const std::string& part) {
    const std::lock_guard hold(seat.told_lock);
    for (const auto& line : seat.told.news)
      if (line.find(part) != std::string::npos) return true;
    return false;
  }
  Wish wish;
  Seat seat;
  std::shared_ptr<Hub> hub;
  bool added = false;
  std::string error;
};

inline Wish wish_of(Role role, const std::string& socket, uint32_t id = 0) {
  Wish wish;
  wish.port = role == Role::kServer ? "server" : "client";
  wish.role = role;
  wish.socket = socket;
  wish.id = id;
  wish.log2_ring_size = 6;
  return wish;
}

// A name that no other run of the tests uses.
inline std::string socket_name(const std::string& which) {
  return "@np-hub-test-" + std::to_string(getpid()) + "-" + which;
}

// The other end of a socket, spoken to by hand.
class RawPeer {
 public:
  explicit RawPeer(const std::string& socket) {
    Address address;
    std::string why;
    EXPECT_TRUE(parse_address(socket, &address, &why)) << why;
    // Refused while too many wait to be accepted.
    EXPECT_TRUE(eventually([&] {
      fd = connect_to(address, &why);
      return static_cast<bool>(fd);
    })) << why;
  }
  bool hear(Heard* heard, int ms = kPatienceMs) {
    pollfd look{fd.get(), POLLIN, 0};
    return poll(&look, 1, ms) == 1 && receive(fd.get(), heard) == Arrival::kMessage;
  }
  // The next message; type 0: there is none.
  Message hear(int ms = kPatienceMs) {
    Heard heard;
    Message message = message_of(MessageType{0});
    if (hear(&heard, ms)) std::memcpy(static_cast<void*>(&message), heard.bytes, sizeof message);
    return message;
  }
  bool say(const Message& message, int passed = -1) { return send(fd.get(), message, passed); }
  // Says something and expects to be acknowledged.
  void pass(const Message& message, int passed = -1) {
    ASSERT_TRUE(say(message, passed));
    const Message answer = hear();
    ASSERT_EQ(answer.type, MessageType::kAck)
        << text_of(answer.disconnect.text, sizeof answer.disconnect.text);
  }
  // A whole handshake with one ring each way.
  void join(uint32_t id, const Fd& memory, uint64_t bytes) {
    put_cookie(memory, 0);
    put_cookie(memory, ring_bytes(5));
    EXPECT_EQ(hear().type, MessageType::kHello);
    pass(init_message(id));
    pass(region_message(0, bytes), memory.get());
    for (const bool to_server : {true, false}) {
      events[to_server] = event_file();
      pass(ring_message(to_server, 0, to_server ? 0 : static_cast<uint32_t>(ring_bytes(5))),
           events[to_server].get());
    }
    EXPECT_TRUE(say(message_of(MessageType::kConnect)));
    EXPECT_EQ(hear().type, MessageType::kConnected);
  }
  Fd fd;
  Fd events[2];  // of the ring to the client, of the one to the server
};

}  // namespace nodeplane::memif
