#include "driver/memif/handshake.h"

#include <algorithm>
#include <cstring>

#include "base/thread.h"

namespace nodeplane::memif {
namespace {

constexpr char kName[] = "nodeplane";
constexpr uint64_t kOffsetEnd = uint64_t{1} << 32;  // offsets are 32 bits wide

const char* name_of(MessageType type) {
  constexpr const char* kNames[] = {"",         "ACK",     "HELLO",     "INIT",      "ADD_REGION",
                                    "ADD_RING", "CONNECT", "CONNECTED", "DISCONNECT"};
  const auto index = static_cast<size_t>(type);
  return index >= 1 && index < std::size(kNames) ? kNames[index] : "an unknown message";
}

bool carries_fd(MessageType type) {
  return type == MessageType::kAddRegion || type == MessageType::kAddRing;
}

// What holds for every message, whatever is expected. Empty: it does.
std::string shape_fault(const Heard& heard, Message* message) {
  if (heard.size != kMessageBytes)
    return "message of " + std::to_string(heard.size) + " bytes, not " +
           std::to_string(kMessageBytes);
  std::memcpy(message, heard.bytes, kMessageBytes);
  const size_t wanted = carries_fd(message->type) ? 1 : 0;
  if (heard.fds_cut || heard.fds.size() != wanted)
    return std::string(name_of(message->type)) + (wanted ? " without its one" : " with a") +
           " descriptor";
  return {};
}

Message message_of(MessageType type) {
  Message message;
  std::memset(static_cast<void*>(&message), 0, sizeof message);
  message.type = type;
  return message;
}

Answer refusal(std::string why, bool violation) {
  Answer answer;
  answer.send = true;
  answer.message = disconnect_message(why);
  answer.violation = violation;
  answer.refusal = std::move(why);
  return answer;
}

// Takes the same time wherever the difference is.
bool is_secret(const uint8_t* given, const std::string& secret) {
  uint8_t wanted[sizeof Init::secret] = {};
  std::memcpy(wanted, secret.data(), std::min(secret.size(), sizeof wanted));
  uint8_t difference = 0;
  for (size_t i = 0; i < sizeof wanted; ++i)
    difference = static_cast<uint8_t>(difference | (given[i] ^ wanted[i]));
  return difference == 0;
}

std::string disconnect_reason(const Message& message) {
  const std::string text = text_of(message.disconnect.text, sizeof message.disconnect.text);
  return text.empty() ? "peer disconnected" : "peer says: " + text;
}

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

std::string text_of(const uint8_t* bytes, size_t size) {
  std::string text;
  for (size_t i = 0; i < size && bytes[i] != 0; ++i)
    text += bytes[i] >= 0x20 && bytes[i] < 0x7f ? static_cast<char>(bytes[i]) : '?';
  return text;
}

void put_text(uint8_t* bytes, size_t size, const std::string& text) {
  std::memset(bytes, 0, size);
  std::memcpy(bytes, text.data(), std::min(size - 1, text.size()));
}

Message disconnect_message(const std::string& why) {
  Message message = message_of(MessageType::kDisconnect);
  put_text(message.disconnect.text, sizeof message.disconnect.text, why);
  return message;
}

std::string end_reason(const Heard& heard, bool* violation) {
  Message message;
  std::string fault = shape_fault(heard, &message);
  *violation = true;
  if (!fault.empty()) return fault;
  if (message.type != MessageType::kDisconnect)
    return std::string(name_of(message.type)) + " after the handshake";
  *violation = false;
  return disconnect_reason(message);
}

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

// --- server -------------------------------------------------------------------------------------

ServerHandshake::ServerHandshake(uint16_t queues, FindPlace find)
    : queues_(queues), find_(std::move(find)) {}

Message ServerHandshake::hello() const {
  Message message = message_of(MessageType::kHello);
  Hello& hello = message.hello;
  put_text(hello.name, sizeof hello.name, kName);
  hello.version_min = hello.version_max = kVersion;
  hello.region_max = kRegionsMax - 1;
  hello.m2s_ring_max = hello.s2m_ring_max = static_cast<uint16_t>(queues_ - 1);
  hello.log2_ring_size_max = kRingLog2Max;
  return message;
}

Answer ServerHandshake::ack() const {
  Answer answer;
  answer.send = true;
  answer.message = message_of(MessageType::kAck);
  return answer;
}

Answer ServerHandshake::refuse(std::string why, bool violation) {
  over_ = true;
  link_.reset();
  return refusal(std::move(why), violation);
}

Answer ServerHandshake::hear(Heard& heard) {
  if (over_) return refuse("it is over", true);
  Message message;
  std::string fault = shape_fault(heard, &message);
  if (!fault.empty()) return refuse(std::move(fault), true);
  if (message.type == MessageType::kDisconnect) {
    Answer answer = refuse(disconnect_reason(message), false);
    answer.send = false;
    return answer;
  }
  const bool met = link_ != nullptr;
  if (!met && message.type == MessageType::kInit) return hear_init(message.init);
  if (met && message.type == MessageType::kAddRegion)
    return hear_region(message.add_region, heard.fds[0].get());
  if (met && message.type == MessageType::kAddRing)
    return hear_ring(message.add_ring, std::move(heard.fds[0]));
  if (met && message.type == MessageType::kConnect) return hear_connect();
  return refuse(std::string(name_of(message.type)) + (met ? " after" : " before") + " INIT", true);
}

Answer ServerHandshake::hear_init(const Init& init) {
  const std::string name = text_of(init.name, sizeof init.name);
  if (!name.empty()) peer_ = name;
  if (init.version != kVersion) return refuse("unsupported version", false);
  const Place place = find_(init.id);
  if (place.wish == nullptr)
    return refuse("unknown interface id " + std::to_string(init.id), false);
  wish_ = place.wish;
  if (init.mode != static_cast<uint8_t>(wish_->mode)) return refuse("mode mismatch", false);
  if (!wish_->secret.empty() && !is_secret(init.secret, wish_->secret))
    return refuse(is_secret(init.secret, {}) ? "secret required" : "incorrect secret", false);
  if (place.state == Place::kTaken) return refuse("already connected", false);
  if (place.state == Place::kLeaving) {
    Answer answer;
    answer.wait = true;
    return answer;
  }
  link_ = std::make_unique<OwnedLink>();
  link_->role = Role::kServer;
  link_->mode = wish_->mode;
  link_->peer = peer_;
  return ack();
}

Answer ServerHandshake::hear_region(const AddRegion& add, int fd) {
  if (add.index != link_->lent.size())
    return refuse("region " + std::to_string(add.index) + " out of order", true);
  if (add.index >= kRegionsMax)
    return refuse("more than " + std::to_string(kRegionsMax) + " regions", true);
  // One by one first: the sum cannot wrap then.
  if (add.size == 0 || add.size > kRegionBytesMax)
    return refuse("region of " + std::to_string(add.size) + " bytes", true);
  uint64_t all = add.size;
  for (const Region& region : link_->regions) all += region.bytes;
  if (all > kRegionBytesMax)
    return refuse("regions of " + std::to_string(all) + " bytes together", true);
  PeerRegion region;
  std::string why;
  if (!region.map(fd, add.size, &why)) return refuse(std::move(why), true);
  link_->regions.push_back(region.region());
  link_->lent.push_back(std::move(region));
  return ack();
}

Answer ServerHandshake::hear_ring(const AddRing& add, Fd fd) {
  const bool to_server = (add.flags & kRingToServer) != 0;
  std::vector<Ring>& rings = to_server ? link_->receiving : link_->sending;
  if ((add.flags & ~kRingToServer) != 0) return refuse("ring with unknown flags", true);
  if (add.index != rings.size())
    return refuse("ring " + std::to_string(add.index) + " out of order", true);
  if (add.index >= wish_->queues)
    return refuse("more than " + std::to_string(wish_->queues) + " rings each way", false);
  if (add.private_header_size != 0) return refuse("ring with private headers", true);
  if (add.log2_ring_size < kRingLog2Min || add.log2_ring_size > kRingLog2Max)
    return refuse("ring of 2^" + std::to_string(add.log2_ring_size) + " slots", true);
  if (add.region >= link_->lent.size()) return refuse("ring in an unknown region", true);
  if (add.offset % 64 != 0) return refuse("ring is not aligned", true);
  const Region region = link_->regions[add.region];
  const Span span{add.region, add.offset, add.offset + ring_bytes(add.log2_ring_size)};
  if (span.end > region.bytes) return refuse("ring outside its region", true);
  for (const Span& other : spans_) {
    // One file may be there as several regions.
    const bool same = link_->lent[span.region].is_same_file(link_->lent[other.region]);
    if (same && span.first < other.end && other.first < span.end)
      return refuse("rings overlap", true);
  }
  if (!is_eventfd(fd.get())) return refuse("descriptor of a ring is not an eventfd", true);
  spans_.push_back(span);
  auto* const head = reinterpret_cast<RingHead*>(region.base + add.offset);
  rings.push_back({head, reinterpret_cast<Slot*>(head + 1), 1u << add.log2_ring_size, fd.get()});
  link_->events.push_back(std::move(fd));
  return ack();
}

Answer ServerHandshake::hear_connect() {
  const size_t to_us = link_->receiving.size(), to_peer = link_->sending.size();
  if (to_us != wish_->queues || to_peer != wish_->queues)
    return refuse(std::to_string(to_us) + " rings to the server and " + std::to_string(to_peer) +
                      " to the client, the port needs " + std::to_string(wish_->queues) +
                      " each way",
                  false);
  // Another client of the same id may have been quicker.
  const Place place = find_(wish_->id);
  if (place.state == Place::kTaken) return refuse("already connected", false);
  if (place.state == Place::kLeaving) {
    Answer answer;
    answer.wait = true;
    return answer;
  }
  link_->populate();
  for (const auto* rings : {&link_->receiving, &link_->sending})
    for (const Ring& ring : *rings)
      if (*static_cast<const volatile uint32_t*>(&ring.head->cookie) != kCookie)
        return refuse("ring without its cookie", true);
  if (link_->broken()) return refuse("region was cut", true);
  over_ = true;
  Answer answer = ack();
  answer.message = message_of(MessageType::kConnected);
  put_text(answer.message.connect.interface, sizeof answer.message.connect.interface, wish_->port);
  answer.complete = true;
  return answer;
}

// --- client -------------------------------------------------------------------------------------

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
  put_text(init.name, sizeof init.name, kName);
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
