#pragma once
#include <cstddef>
#include <cstdint>

// What memif puts on the socket and into shared memory, protocol version 2.0. Host byte order.
namespace nodeplane::memif {

inline constexpr uint16_t kVersion = 0x0200;
inline constexpr uint32_t kCookie = 0x03E31F20;
inline constexpr uint32_t kMessageBytes = 128;
inline constexpr uint32_t kRingLog2Min = 5;  // peers refill in lots of 32
inline constexpr uint32_t kRingLog2Max = 14;
inline constexpr uint16_t kRingMaskInterrupt = 1;  // of RingHead::flags, the receiver's
inline constexpr uint16_t kSlotNext = 1;           // of Slot::flags: goes on in the next slot
inline constexpr uint16_t kRingToServer = 1;       // of AddRing::flags

enum class MessageType : uint16_t {
  kAck = 1,
  kHello = 2,
  kInit = 3,
  kAddRegion = 4,
  kAddRing = 5,
  kConnect = 6,
  kConnected = 7,
  kDisconnect = 8,
};

struct [[gnu::packed]] Hello {
  uint8_t name[32];
  uint16_t version_min, version_max;
  uint16_t region_max, m2s_ring_max, s2m_ring_max;  // highest index
  uint8_t log2_ring_size_max;
};
struct [[gnu::packed]] Init {
  uint16_t version;
  uint32_t id;
  uint8_t mode;  // 0 Ethernet, 1 IP
  uint8_t secret[24];
  uint8_t name[32];
};
struct [[gnu::packed]] AddRegion {
  uint16_t index;
  uint64_t size;
};
struct [[gnu::packed]] AddRing {
  uint16_t flags, index, region;
  uint32_t offset;
  uint8_t log2_ring_size;
  uint16_t private_header_size;
};
struct [[gnu::packed]] Connect {  // and Connected
  uint8_t interface[32];
};
struct [[gnu::packed]] Disconnect {
  uint32_t code;
  uint8_t text[96];
};
struct [[gnu::packed]] Message {
  MessageType type;
  union {
    Hello hello;
    Init init;
    AddRegion add_region;
    AddRing add_ring;
    Connect connect;
    Disconnect disconnect;
    uint8_t bytes[kMessageBytes - 2];
  };
};
static_assert(sizeof(Message) == kMessageBytes);
static_assert(offsetof(Message, hello.version_min) == 34);
static_assert(offsetof(Message, hello.log2_ring_size_max) == 44);
static_assert(offsetof(Message, init.id) == 4 && offsetof(Message, init.secret) == 9 &&
              offsetof(Message, init.name) == 33);
static_assert(offsetof(Message, add_region.size) == 4);
static_assert(offsetof(Message, add_ring.offset) == 8 &&
              offsetof(Message, add_ring.private_header_size) == 13);
static_assert(offsetof(Message, disconnect.text) == 6);

struct Slot {
  uint16_t flags;
  uint16_t region;
  uint32_t length;
  uint32_t offset;
  uint32_t metadata;
};
static_assert(sizeof(Slot) == 16);

// The head of a ring; its slots follow. The client writes every ring's head, the server every tail.
struct RingHead {
  uint32_t cookie;
  uint16_t flags;
  uint16_t head;
  uint8_t pad0[56];
  uint16_t tail;
  uint8_t pad1[62];
};
static_assert(sizeof(RingHead) == 128 && offsetof(RingHead, tail) == 64);

constexpr uint64_t ring_bytes(uint32_t log2) noexcept {
  return sizeof(RingHead) + (sizeof(Slot) << log2);
}

}  // namespace nodeplane::memif
