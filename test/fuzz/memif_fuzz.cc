// The control channel of memif, both roles, on any sequence of messages and descriptors: it ends, every
// ring of a connection lies in its region and over no other, and no descriptor or mapping stays.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "driver/memif/handshake.h"

using namespace nodeplane;
using namespace nodeplane::memif;

namespace {

constexpr size_t kMessagesMax = 64;
constexpr size_t kFilePagesMax = 64;

// What is left of the input; zeros when there is nothing left.
class Source {
 public:
  Source(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}
  bool empty() const { return at_ == end_; }
  void take(void* to, size_t size) {
    const size_t n = std::min(size, static_cast<size_t>(end_ - at_));
    std::memset(to, 0, size);
    std::memcpy(to, at_, n);
    at_ += n;
  }
  uint8_t byte() {
    uint8_t b;
    take(&b, 1);
    return b;
  }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
};

std::vector<int> given;  // descriptors that the handshake has to close

int file_of(uint8_t kind) {
  if (kind % 8 == 0) return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (kind % 8 == 1) return open("/dev/null", O_RDWR | O_CLOEXEC);
  const int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  check(fd >= 0, "memfd");
  check(ftruncate(fd, static_cast<off_t>(kind / 8 * kFilePagesMax * 4096 / 32)) == 0, "ftruncate");
  if (kind % 8 > 4) fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
  // A good cookie at every place where a ring may be.
  for (off_t at = 0; at < 4096; at += 64)
    if (kind >= 8) check(pwrite(fd, &kCookie, sizeof kCookie, at) == sizeof kCookie, "pwrite");
  return fd;
}

// Most messages are nearly right, or no sequence would get far.
void shape(Message& message, Source& source, uint8_t how) {
  std::memset(static_cast<void*>(&message), 0, sizeof message);
  message.type = static_cast<MessageType>(how % 16);
  if ((how & 0x80) != 0) return source.take(message.bytes, sizeof message.bytes);
  switch (message.type) {
    case MessageType::kHello:
      source.take(&message.hello.region_max, 7);
      message.hello.version_min = message.hello.version_max = kVersion;
      break;
    case MessageType::kInit:
      message.init.version = kVersion;
      message.init.id = source.byte() % 2;
      break;
    case MessageType::kAddRegion:
      message.add_region.index = source.byte() % 4;
      source.take(&message.add_region.size, 3);
      break;
    case MessageType::kAddRing: {
      const uint8_t what = source.byte();
      message.add_ring.flags = what & 1;
      message.add_ring.index = (what >> 1) & 1;
      message.add_ring.region = (what >> 2) & 1;
      message.add_ring.offset = 64u * source.byte();
      message.add_ring.log2_ring_size = static_cast<uint8_t>(4 + (what >> 4) % 4);
      break;
    }
    default:
      break;
  }
}

Heard next(Source& source) {
  const uint8_t how = source.byte();
  Message message;
  shape(message, source, how);
  Heard heard;
  std::memcpy(heard.bytes, &message, sizeof message);
  heard.size = (how & 0x40) != 0 ? source.byte() : kMessageBytes;
  const bool carries =
      message.type == MessageType::kAddRegion || message.type == MessageType::kAddRing;
  const size_t fds = (how & 0x20) != 0 ? source.byte() % 4 : carries ? 1 : 0;
  for (size_t i = 0; i < fds; ++i) {
    const int fd = message.type == MessageType::kAddRing && (how & 0x10) == 0
                       ? file_of(0)
                       : file_of(source.byte());
    given.push_back(fd);
    heard.fds.emplace_back(fd);
  }
  return heard;
}

void expect_sound(const OwnedLink& link, const Wish& wish) {
  check(link.receiving.size() == wish.queues && link.sending.size() == wish.queues, "ring count");
  std::vector<std::pair<const uint8_t*, const uint8_t*>> spans;
  for (const auto* rings : {&link.receiving, &link.sending}) {
    for (const Ring& ring : *rings) {
      const auto* const first = reinterpret_cast<const uint8_t*>(ring.head);
      const auto* const end = reinterpret_cast<const uint8_t*>(ring.slots + ring.size);
      check(reinterpret_cast<uintptr_t>(first) % 64 == 0, "a ring is aligned");
      check(ring.size >= 32 && ring.size <= 16384 && (ring.size & (ring.size - 1)) == 0,
            "ring size");
      check(
          std::any_of(link.regions.begin(), link.regions.end(),
                      [&](const Region& r) { return first >= r.base && end <= r.base + r.bytes; }),
          "a ring lies in a region");
      for (const auto& other : spans)
        check(end <= other.first || other.second <= first, "rings overlap");
      spans.emplace_back(first, end);
      check(fcntl(ring.fd, F_GETFD) >= 0 && is_eventfd(ring.fd), "a ring has its eventfd");
    }
  }
  for (const Region& region : link.regions) {
    volatile uint8_t sink = region.base[0];
    sink = region.base[region.bytes - 1];
    (void)sink;
  }
}

template <typename Handshake>
void run(Handshake& handshake, Source& source, const Wish& wish) {
  for (size_t i = 0; i < kMessagesMax && !source.empty(); ++i) {
    Heard heard = next(source);
    const Answer answer = handshake.hear(heard);
    check(!(answer.complete && !answer.refusal.empty()), "complete and refused");
    check(answer.fd < 0 || fcntl(answer.fd, F_GETFD) >= 0, "what goes along is open");
    if (!answer.refusal.empty()) {
      check(answer.refusal.size() < 300, "a reason is short");
      check(handshake.take_link() == nullptr, "a refused one has no link");
      return;
    }
    if (!answer.complete) continue;
    const auto link = handshake.take_link();
    check(link != nullptr, "a complete one has a link");
    return expect_sound(*link, wish);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Source source(data, size);
  const uint8_t start = source.byte();
  Wish wish;
  wish.port = "fuzz";
  wish.queues = static_cast<uint16_t>(1 + (start >> 1) % 2);
  wish.log2_ring_size = static_cast<uint8_t>(5 + (start >> 2) % 3);
  wish.buffer_bytes = 64;
  if ((start & 0x80) != 0) wish.secret = "s";
  const auto place = [&](uint32_t id) {
    if (id != 0) return Place{};
    return Place{&wish, (start & 0x40) != 0 ? Place::kLeaving : Place::kFree};
  };
  given.clear();
  if ((start & 1) != 0) {
    ClientHandshake handshake(wish);
    run(handshake, source, wish);
  } else {
    ServerHandshake handshake(wish.queues, place);
    run(handshake, source, wish);
  }
  // Nobody else opens anything meanwhile: a number that is open is one of these.
  for (const int fd : given) check(fcntl(fd, F_GETFD) < 0, "a descriptor stayed open");
  return 0;
}
