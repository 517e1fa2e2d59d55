#pragma once
#include <sys/socket.h>

#include <memory>
#include <optional>

#include "driver/memif/slot.h"
#include "support/memif_kit.h"
#include "support/port_kit.h"

// Peers that know the protocol and then do with it, and with their memory, what a test wants.
namespace nodeplane::memif {

inline constexpr bool kToServer = true, kToClient = false;

struct Shape {
  uint32_t id = 1;
  uint8_t log2 = 5;
  uint32_t buffer = 2048;
  bool sealed = true;
  uint64_t slack = 0;  // bytes of the region behind the buffers
};

// Both rings and the buffers of one connection with one ring each way, as this process sees them.
class SharedRings {
 public:
  ~SharedRings() { unmap(); }
  void unmap() {
    if (base != nullptr) munmap(base, bytes);
    base = nullptr;
  }
  void map(int fd, uint64_t size) {
    unmap();
    void* const at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ASSERT_NE(at, MAP_FAILED);
    base = static_cast<uint8_t*>(at);
    bytes = size;
  }
  RingHead& ring(bool to_server) const {
    return *reinterpret_cast<RingHead*>(base + offset[to_server]);
  }
  Slot* slots(bool to_server) const { return reinterpret_cast<Slot*>(&ring(to_server) + 1); }
  Slot& slot(bool to_server, uint16_t index) const { return slots(to_server)[index & (size - 1)]; }
  uint16_t head(bool to_server) const { return load_index(&ring(to_server).head); }
  uint16_t tail(bool to_server) const { return load_index(&ring(to_server).tail); }
  void set_head(bool to_server, uint16_t v) const { store_index(&ring(to_server).head, v); }
  void set_tail(bool to_server, uint16_t v) const { store_index(&ring(to_server).tail, v); }

  uint8_t* base = nullptr;
  uint64_t bytes = 0;
  uint32_t offset[2] = {};
  uint32_t size = 0;
};

// --- a client, against a port that is a server --------------------------------------------------

class HostileClient : public RawPeer, public SharedRings {
 public:
  HostileClient(const std::string& socket, const Shape& wanted = {})
      : RawPeer(socket), shape(wanted) {
    size = 1u << shape.log2;
    offset[kToServer] = 0;
    offset[kToClient] = static_cast<uint32_t>(ring_bytes(shape.log2));
    buffers = (2 * ring_bytes(shape.log2) + 4095) / 4096 * 4096;
    const uint64_t all = buffers + uint64_t{2} * size * shape.buffer + shape.slack;
    memory = memory_file(all, shape.sealed);
    map(memory.get(), all);
    for (const bool to_server : {true, false}) {
      ring(to_server).cookie = kCookie;
      events[to_server] = event_file();
    }
  }
  // The handshake as far as `steps` messages of ours, all of them good. False: it did not work. The
  // last connection's end may be waited for, `meanwhile` the port must go on.
  static constexpr int kSteps = 5;  // INIT, ADD_REGION, two times ADD_RING, CONNECT
  bool join(int steps = kSteps, const std::function<void()>& meanwhile = {}) {
    const auto wait = [&] {
      for (int ms = 0; meanwhile && ms < kPatienceMs; ++ms, meanwhile())
        if (pollfd look{fd.get(), POLLIN, 0}; poll(&look, 1, 1) == 1) break;
      return hear();
    };
    if (wait().type != MessageType::kHello) return false;
    for (int step = 0; step < steps; ++step) {
      if (!say(message(step), passed(step))) return false;
      const Message answer = wait();
      const bool is_last = step + 1 == kSteps;
      if (answer.type != (is_last ? MessageType::kConnected : MessageType::kAck)) return false;
    }
    return true;
  }
  Message message(int step) const {
    switch (step) {
      case 0:
        return init_message(shape.id);
      case 1:
        return region_message(0, bytes);
      case 2:
        return ring_message(true, 0, offset[kToServer], shape.log2);
      case 3:
        return ring_message(false, 0, offset[kToClient], shape.log2);
      default:
        return message_of(MessageType::kConnect);
    }
  }
  int passed(int step) const {
    return step == 1   ? memory.get()
           : step == 2 ? events[1].get()
           : step == 3 ? events[0].get()
                       : -1;
  }
  uint32_t buffer_at(bool to_server, uint16_t index) const {
    return static_cast<uint32_t>(buffers + ((to_server ? 0 : size) + (index & (size - 1))) *
                                               uint64_t{shape.buffer});
  }
  // Buffers for the server to fill, in all slots.
  void post() {
    for (uint16_t i = head(kToClient); distance(taken, i) < size; ++i) {
      write_slot(slot(kToClient, i), 0, 0, shape.buffer, buffer_at(kToClient, i));
      set_head(kToClient, static_cast<uint16_t>(i + 1));
    }
  }
  // One packet in one slot, not published.
  void lay(const Bytes& packet, uint16_t flags = 0) {
    const uint32_t at = buffer_at(kToServer, laid);
    if (!packet.empty()) std::memcpy(base + at, packet.data(), packet.size());
    write_slot(slot(kToServer, laid), flags, 0, static_cast<uint32_t>(packet.size()), at);
    laid++;
  }
  void publish() { set_head(kToServer, laid); }
  void send(const Bytes& packet) {
    lay(packet);
    publish();
  }
  // The next packet that the server has sent, of one slot.
  std::optional<Bytes> take() {
    if (tail(kToClient) == taken) return std::nullopt;
    const SlotCopy s = read_slot(slot(kToClient, taken++));
    const uint8_t* const at = base + s.offset();
    return Bytes(at, at + s.length());
  }

  const Shape shape;
  Fd memory;
  uint64_t buffers = 0;  // where they begin
  uint16_t laid = 0;     // slots filled, to the server
  uint16_t taken = 0;    // slots read, to the client
};

// --- a server, against a port that is a client --------------------------------------------------

class HostileServer : public SharedRings {
 public:
  explicit HostileServer(const std::string& socket) {
    Address address;
    std::string why;
    EXPECT_TRUE(parse_address(socket, &address, &why)) << why;
    EXPECT_TRUE(listener.open(socket, address, &why)) << why;
  }
  // The next client's connection; it waits for HELLO.
  bool accept(int ms = kPatienceMs) {
    leave();
    pollfd look{listener.fd(), POLLIN, 0};
    if (poll(&look, 1, ms) != 1) return false;
    fd = listener.accept();
    return static_cast<bool>(fd);
  }
  static Message hello(uint16_t ring_max = 0, uint8_t log2_max = kRingLog2Max) {
    Message message = message_of(MessageType::kHello);
    put_text(message.hello.name, sizeof message.hello.name, "tester");
    message.hello.version_min = message.hello.version_max = kVersion;
    message.hello.region_max = 255;
    message.hello.m2s_ring_max = message.hello.s2m_ring_max = ring_max;
    message.hello.log2_ring_size_max = log2_max;
    return message;
  }
  bool say(const Message& message, int passed = -1) {
    return memif::send(fd.get(), message, passed);
  }
  bool hear(Heard* heard, int ms = kPatienceMs) {
    pollfd look{fd.get(), POLLIN, 0};
    return poll(&look, 1, ms) == 1 && receive(fd.get(), heard) == Arrival::kMessage;
  }
  // Takes part in the handshake until it has heard `steps` messages, all but the last answered.
  // Those of a client with a lent arena are one more.
  bool join(int steps = 100) {
    regions.clear();
    for (Fd& event : events) event.reset();
    if (!say(hello())) return false;
    for (int step = 0; step < steps; ++step) {
      Heard heard;
      Message message;
      if (!hear(&heard)) return false;
      std::memcpy(static_cast<void*>(&message), heard.bytes, sizeof message);
      if (message.type == MessageType::kAddRegion) {
        regions.push_back({std::move(heard.fds.at(0)), message.add_region.size});
      } else if (message.type == MessageType::kAddRing) {
        const bool to_server = (message.add_ring.flags & kRingToServer) != 0;
        offset[to_server] = message.add_ring.offset;
        size = 1u << message.add_ring.log2_ring_size;
        events[to_server] = std::move(heard.fds.at(0));
      }
      if (step + 1 == steps) return true;
      if (message.type == MessageType::kConnect) {
        map(regions.at(0).file.get(), regions.at(0).bytes);
        sent = taken = 0;
        return say(message_of(MessageType::kConnected));
      }
      if (!say(message_of(MessageType::kAck))) return false;
    }
    return true;
  }
  void leave() {
    fd.reset();
    unmap();
    regions.clear();
    for (Fd& event : events) event.reset();
  }
  // Where a slot's bytes are, for an honest server.
  uint8_t* bytes_of(const SlotCopy& s) {
    if (s.region() == 0) return base + s.offset();
    if (lent.base == nullptr) lent.map(regions.at(1).file.get(), regions.at(1).bytes);
    return lent.base + s.offset();
  }
  bool send(const Bytes& packet) {
    if (head(kToClient) == sent) return false;
    Slot& slot = this->slot(kToClient, sent);
    const SlotCopy s = read_slot(slot);
    std::memcpy(bytes_of(s), packet.data(), packet.size());
    write_low(slot, slot_low(0, s.region(), static_cast<uint32_t>(packet.size())));
    set_tail(kToClient, ++sent);
    return true;
  }
  std::optional<Bytes> take() {
    if (head(kToServer) == taken) return std::nullopt;
    const SlotCopy s = read_slot(slot(kToServer, taken));
    const uint8_t* const at = bytes_of(s);
    Bytes packet(at, at + s.length());
    set_tail(kToServer, ++taken);
    return packet;
  }

  struct Given {
    Fd file;
    uint64_t bytes;
  };
  Listener listener;
  Fd fd;
  Fd events[2];
  std::vector<Given> regions;
  SharedRings lent;  // a lent arena
  uint16_t sent = 0, taken = 0;
};

// Why the other side has ended it: its DISCONNECT's text, "(end)" for a bare end; empty: it has not.
inline std::string ended(int fd) {
  for (pollfd look{fd, POLLIN, 0}; poll(&look, 1, 0) == 1;) {
    Heard heard;
    if (receive(fd, &heard) != Arrival::kMessage) return "(end)";
    Message message;
    std::memcpy(static_cast<void*>(&message), heard.bytes, sizeof message);
    if (heard.size == kMessageBytes && message.type == MessageType::kDisconnect)
      return text_of(message.disconnect.text, sizeof message.disconnect.text);
  }
  return {};
}

}  // namespace nodeplane::memif
