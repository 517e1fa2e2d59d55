#pragma once
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <vector>

#include "driver/memif/queue.h"
#include "support/port_kit.h"

// A server's and a client's connection over one piece of plain memory, and queues on them, without
// sockets: what one side's data path does, the other's sees.
namespace nodeplane::memif {

struct PairOptions {
  uint32_t ring_size = 64;
  uint32_t server_ring_size = 0;  // of the other way, 0: the same
  uint32_t buffer_bytes = 2048;
  bool lends = false;
  uint32_t quota = 0;  // 0: twice the ring
  uint32_t frames = 4096;
  uint32_t frame_size = 2048;
  bool posts = true;  // the client's first turn is done
  CopyEngine* server_copy = nullptr;
  CopyEngine* client_copy = nullptr;
};

// One side: its arena, seat, connection and queue.
struct Side {
  Side(const PairOptions& options, Role role) : kit(options.frames, options.frame_size), seat(1) {
    link.role = role;
    link.mode = Mode::kEthernet;
    link.peer = "the other";
  }
  ~Side() { close(); }
  void make(const PairOptions& o, Memory memory, CopyEngine* copy) {
    QueueOptions options;
    options.memory = memory;
    options.ring_size = std::max(o.ring_size, o.server_ring_size);
    options.quota = o.quota != 0 ? o.quota : 2 * options.ring_size;
    queue = std::make_unique<Queue>(seat, *kit.arena, options);
    std::string error;
    ASSERT_TRUE(queue->open(copy, &error)) << error;
    seat.offer(&link);
  }
  // As if the hub had ended the connection.
  void withdraw() {
    seat.withdraw();
    queue->release(*kit.frames);
    EXPECT_FALSE(seat.is_used(&link));
  }
  void close() {
    if (queue != nullptr) queue->close(*kit.frames);
    queue.reset();
  }
  uint32_t receive(uint32_t max = kBatchSize) {
    return queue->receive(kit.packets.data(), max, *kit.frames, *kit.counters);
  }
  std::vector<Bytes> take(uint32_t max = kBatchSize) {
    const uint32_t n = receive(max);
    std::vector<Bytes> all;
    for (uint32_t i = 0; i < n; ++i) all.push_back(kit.bytes(kit.packets[i]));
    kit.give(n);
    return all;
  }
  // How many were taken; the rest is given back.
  uint32_t send(const std::vector<Bytes>& all) {
    std::vector<Packet> made;
    for (const Bytes& one : all) made.push_back(kit.make(one));
    std::vector<Packet*> list;
    for (Packet& p : made) list.push_back(&p);
    const auto count = static_cast<uint32_t>(list.size());
    const uint32_t n = queue->transmit(list.data(), count, *kit.frames);
    for (uint32_t i = n; i < count; ++i) kit.frames->give_chain(made[i].frame);
    return n;
  }
  void release() { queue->release(*kit.frames); }
  const char* violation() const { return link.violation.load(); }

  PortKit kit;
  Seat seat;
  Link link;
  std::unique_ptr<Queue> queue;
};

struct Pair {
  explicit Pair(PairOptions o = {})
      : options(o), server(o, Role::kServer), client(o, Role::kClient) {
    const uint32_t to_server = o.ring_size;
    const uint32_t to_client = o.server_ring_size != 0 ? o.server_ring_size : o.ring_size;
    const uint64_t rings = ring_bytes_of(to_server) + ring_bytes_of(to_client);
    const uint64_t buffers = o.lends ? 0 : uint64_t{to_server + to_client} * o.buffer_bytes;
    bytes = rings + buffers;
    memory.reset(static_cast<uint8_t*>(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096)));
    std::memset(memory.get(), 0, bytes);
    Ring s2m = ring_at(0, to_server), m2s = ring_at(ring_bytes_of(to_server), to_client);
    for (Side* side : {&server, &client}) {
      side->link.regions.push_back({memory.get(), bytes});
      if (o.lends)
        side->link.regions.push_back({client.kit.arena->base(), client.kit.arena->bytes()});
    }
    server.link.receiving = client.link.sending = {s2m};
    server.link.sending = client.link.receiving = {m2s};
    if (!o.lends) {
      client.link.buffer_bytes = o.buffer_bytes;
      client.link.sending_first = rings;
      client.link.receiving_first = rings + uint64_t{to_server} * o.buffer_bytes;
    }
    server.make(o, Memory::kPeers, o.server_copy);
    client.make(o, o.lends ? Memory::kLent : Memory::kOwn, o.client_copy);
    if (o.posts) client.receive();
  }
  ~Pair() {
    server.close();
    client.close();
    for (const int fd : fds) ::close(fd);
  }
  // Both sides connect again, over wiped rings.
  void rejoin() {
    for (const Ring* ring : {&s2m(), &m2s()})
      std::memset(static_cast<void*>(ring->head), 0, ring_bytes_of(ring->size));
    for (Side* side : {&server, &client}) {
      side->link.violation = nullptr;
      side->seat.offer(&side->link);
    }
    client.receive();
  }
  static uint64_t ring_bytes_of(uint32_t slots) { return sizeof(RingHead) + 16ull * slots; }
  Ring ring_at(uint64_t at, uint32_t slots) {
    Ring ring;
    ring.head = reinterpret_cast<RingHead*>(memory.get() + at);
    ring.slots = reinterpret_cast<Slot*>(memory.get() + at + sizeof(RingHead));
    ring.size = slots;
    ring.head->cookie = kCookie;
    ring.fd = eventfd(0, EFD_NONBLOCK);
    fds.push_back(ring.fd);
    return ring;
  }
  Ring& s2m() { return server.link.receiving[0]; }
  Ring& m2s() { return server.link.sending[0]; }

  struct Free {
    void operator()(uint8_t* p) const { std::free(p); }
  };
  PairOptions options;
  std::unique_ptr<uint8_t, Free> memory;
  uint64_t bytes = 0;
  std::vector<int> fds;
  Side server, client;
};

}  // namespace nodeplane::memif
