// The handshake of a server: every claim of a client is looked at here.
#include <algorithm>
#include <cstring>

#include "driver/memif/handshake.h"

namespace nodeplane::memif {
namespace {

// Takes the same time wherever the difference is.
bool is_secret(const uint8_t* given, const std::string& secret) {
  uint8_t wanted[sizeof Init::secret] = {};
  std::memcpy(wanted, secret.data(), std::min(secret.size(), sizeof wanted));
  uint8_t difference = 0;
  for (size_t i = 0; i < sizeof wanted; ++i)
    difference = static_cast<uint8_t>(difference | (given[i] ^ wanted[i]));
  return difference == 0;
}

}  // namespace

Answer refusal(std::string why, bool violation) {
  Answer answer;
  answer.send = true;
  answer.message = disconnect_message(why);
  answer.violation = violation;
  answer.refusal = std::move(why);
  return answer;
}

ServerHandshake::ServerHandshake(uint16_t queues, FindPlace find)
    : queues_(queues), find_(std::move(find)) {}

Message ServerHandshake::hello() const {
  Message message = message_of(MessageType::kHello);
  Hello& hello = message.hello;
  put_text(hello.name, sizeof hello.name, kOurName);
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

}  // namespace nodeplane::memif
