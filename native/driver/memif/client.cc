// The handshake of a client: it makes the memory and says one thing at a time.
#include <algorithm>
#include <cstring>

#include "base/thread.h"
#include "driver/memif/handshake.h"

namespace nodeplane::memif {
namespace {

constexpr uint64_t kOffsetEnd = uint64_t{1} << 32;  // offsets are 32 bits wide

// A client's rings stand at the start of region 0, S2M first.
constexpr uint64_t ring_offset(uint64_t ring, uint8_t log2) { return ring * ring_bytes(log2); }
static_assert(ring_bytes(kRingLog2Min) % 64 == 0);

uint64_t buffers_offset(const Wish& wish, uint8_t log2) {
  const uint64_t end = ring_offset(2u * wish.queues, log2);
  return (end + kSmallPage - 1) / kSmallPage * kSmallPage;
}

uint64_t region_bytes(const Wish& wish, uint8_t log2) {
  const uint64_t buffers = wish.lent != nullptr ? 0 : wish.buffer_bytes;
  return buffers_offset(wish, log2) + 2 * (uint64_t{wish.queues} << log2) * buffers;
}

}  // namespace

std::string wish_fault(const Wish& wish) {
  if (wish.queues == 0 || wish.queues > kQueuesMax)
    return "a memif port has 1 to " + std::to_string(kQueuesMax) + " queues";
  if (wish.secret.size() > sizeof Init::secret)
    return "a memif secret has at most " + std::to_string(sizeof Init::secret) + " bytes";
  if (wish.role == Role::kServer) return {};
  if (wish.log2_ring_size < kRingLog2Min || wish.log2_ring_size > kRingLog2Max)
    return "a memif ring has 2^" + std::to_string(kRingLog2Min) + " to 2^" +
           std::to_string(kRingLog2Max) + " slots";
  if (wish.lent == nullptr && wish.buffer_bytes == 0) return "memif buffers have no bytes";
  if (region_bytes(wish, wish.log2_ring_size) > kOffsetEnd)
    return "memif rings and buffers exceed 4 GiB";
  if (wish.lent != nullptr && wish.lent->bytes() > kOffsetEnd)
    return "the frame arena exceeds 4 GiB, a memif peer cannot reach all of it";
  return {};
}

ClientHandshake::ClientHandshake(const Wish& wish) : wish_(wish) {}

Answer ClientHandshake::refuse(std::string why, bool violation) {
  step_ = Step::kOver;
  link_.reset();
  return refusal(std::move(why), violation);
}

Answer ClientHandshake::hear(Heard& heard) {
  if (step_ == Step::kOver) return refuse("it is over", true);
  Message message;
  std::string fault = shape_fault(heard, &message);
  if (!fault.empty()) return refuse(std::move(fault), true);
  if (message.type == MessageType::kDisconnect) {
    Answer answer = refuse(disconnect_reason(message), false);
    answer.send = false;
    return answer;
  }
  const MessageType wanted = step_ == Step::kHello     ? MessageType::kHello
                             : step_ == Step::kConnect ? MessageType::kConnected
                                                       : MessageType::kAck;
  if (message.type != wanted)
    return refuse(std::string(name_of(message.type)) + " instead of " + name_of(wanted), true);
  if (step_ == Step::kHello) return hear_hello(message.hello);
  if (step_ != Step::kConnect) return hear_ack();
  step_ = Step::kOver;
  Answer answer;
  answer.complete = true;
  return answer;
}

Answer ClientHandshake::hear_hello(const Hello& hello) {
  const std::string name = text_of(hello.name, sizeof hello.name);
  if (!name.empty()) peer_ = name;
  if (hello.version_min > kVersion || hello.version_max < kVersion)
    return refuse("unsupported version", false);
  // The limits are highest indexes.
  const uint32_t rings = std::min(hello.s2m_ring_max, hello.m2s_ring_max) + 1u;
  if (rings < wish_.queues)
    return refuse("peer takes " + std::to_string(rings) + " rings each way, the port needs " +
                      std::to_string(wish_.queues),
                  false);
  if (wish_.lent != nullptr && hello.region_max < 1)
    return refuse("peer takes one region, a lent arena needs two", false);
  log2_ring_size_ = std::min(wish_.log2_ring_size, hello.log2_ring_size_max);
  if (log2_ring_size_ < kRingLog2Min)
    return refuse("peer takes rings of 2^" + std::to_string(log2_ring_size_) + " slots only",
                  false);
  Answer answer;
  answer.send = true;
  answer.message = message_of(MessageType::kInit);
  Init& init = answer.message.init;
  init.version = kVersion;
  init.id = wish_.id;
  init.mode = static_cast<uint8_t>(wish_.mode);
  std::memcpy(init.secret, wish_.secret.data(), std::min(wish_.secret.size(), sizeof init.secret));
  put_text(init.name, sizeof init.name, kOurName);
  step_ = Step::kInit;
  return answer;
}

Answer ClientHandshake::hear_ack() {
  if (step_ == Step::kInit) {
    std::string why;
    if (!make(&why)) return refuse(std::move(why), false);
    step_ = Step::kRegion;
    return add_region(0);
  }
  if (step_ == Step::kRegion) {
    if (at_ + 1u < link_->regions.size()) return add_region(static_cast<uint16_t>(at_ + 1));
    step_ = Step::kRing;
    return add_ring(0);
  }
  if (at_ + 1 < 2 * wish_.queues) return add_ring(static_cast<uint16_t>(at_ + 1));
  Answer answer;
  answer.send = true;
  answer.message = message_of(MessageType::kConnect);
  put_text(answer.message.connect.interface, sizeof answer.message.connect.interface, wish_.port);
  step_ = Step::kConnect;
  return answer;
}

// Shared memory and everything in it, before the peer hears of it.
bool ClientHandshake::make(std::string* why) {
  auto link = std::make_unique<OwnedLink>();
  link->role = Role::kClient;
  link->mode = wish_.mode;
  link->peer = peer_;
  const uint64_t bytes = region_bytes(wish_, log2_ring_size_);
  if (!shared_memory_create("nodeplane-memif", bytes, false, &link->made, why)) return false;
  link->regions.push_back({link->made.base, bytes});
  if (wish_.lent != nullptr) link->regions.push_back({wish_.lent->base(), wish_.lent->bytes()});
  for (uint16_t i = 0; i < 2 * wish_.queues; ++i) {
    auto* const head =
        reinterpret_cast<RingHead*>(link->made.base + ring_offset(i, log2_ring_size_));
    head->cookie = kCookie;
    Fd event(thread_event());
    if (!event) {
      *why = "no eventfd for a ring";
      return false;
    }
    (i < wish_.queues ? link->sending : link->receiving)
        .push_back({head, reinterpret_cast<Slot*>(head + 1), 1u << log2_ring_size_, event.get()});
    link->events.push_back(std::move(event));
  }
  if (wish_.lent == nullptr) {
    link->buffer_bytes = wish_.buffer_bytes;
    link->sending_first = buffers_offset(wish_, log2_ring_size_);
    link->receiving_first = link->sending_first + (uint64_t{wish_.queues} << log2_ring_size_) *
                                                      uint64_t{wish_.buffer_bytes};
  }
  link_ = std::move(link);
  return true;
}

Answer ClientHandshake::add_region(uint16_t index) {
  at_ = index;
  Answer answer;
  answer.send = true;
  answer.message = message_of(MessageType::kAddRegion);
  answer.message.add_region.index = index;
  answer.message.add_region.size = link_->regions[index].bytes;
  answer.fd = index == 0 ? link_->made.fd : wish_.lent->fd();
  return answer;
}

// `ring` counts S2M rings, then M2S rings.
Answer ClientHandshake::add_ring(uint16_t ring) {
  at_ = ring;
  const bool to_server = ring < wish_.queues;
  Answer answer;
  answer.send = true;
  answer.message = message_of(MessageType::kAddRing);
  AddRing& add = answer.message.add_ring;
  add.flags = to_server ? kRingToServer : uint16_t{0};
  add.index = static_cast<uint16_t>(to_server ? ring : ring - wish_.queues);
  add.offset = static_cast<uint32_t>(ring_offset(ring, log2_ring_size_));
  add.log2_ring_size = log2_ring_size_;
  answer.fd = link_->events[ring].get();
  return answer;
}

}  // namespace nodeplane::memif
