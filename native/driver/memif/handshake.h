#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "driver/memif/link.h"
#include "driver/memif/owned.h"
#include "driver/memif/wire.h"
#include "driver/memif/words.h"

// What is said on the control channel until a connection stands, and every check of it. No sockets
// here: bytes and descriptors come in, an answer goes out.
namespace nodeplane::memif {

struct Answer {
  bool send = false;  // `message`; with `fd` unless that is -1, it stays the handshake's
  Message message{};
  int fd = -1;
  bool complete = false;   // take_link() has the connection; after the message was sent
  bool wait = false;       // the id's last connection is not gone yet: say the same again later
  bool violation = false;  // the refusal is for a broken rule, not for a wish that does not fit
  std::string refusal;     // not empty: it is over, and why
};

// The port that an id belongs to.
struct Place {
  const Wish* wish = nullptr;  // null: there is none
  enum { kFree, kTaken, kLeaving } state = kFree;
};
using FindPlace = std::function<Place(uint32_t id)>;

class ServerHandshake {
 public:
  // `queues` is the most that any port behind the socket has: HELLO is said before an id is known.
  ServerHandshake(uint16_t queues, FindPlace find);
  Message hello() const;
  // An answer `wait` leaves everything as it was.
  Answer hear(Heard& heard);
  std::unique_ptr<OwnedLink> take_link() { return std::move(link_); }
  // From a good INIT on.
  const Wish* wish() const noexcept { return wish_; }
  const std::string& peer() const noexcept { return peer_; }

 private:
  struct Span {
    size_t region;
    uint64_t first, end;
  };
  Answer hear_init(const Init& init);
  Answer hear_region(const AddRegion& add, int fd);
  Answer hear_ring(const AddRing& add, Fd fd);
  Answer hear_connect();
  Answer refuse(std::string why, bool violation);
  Answer ack() const;

  uint16_t queues_;
  FindPlace find_;
  const Wish* wish_ = nullptr;
  std::string peer_ = "unknown";
  std::unique_ptr<OwnedLink> link_;
  std::vector<Span> spans_;  // of the rings
  bool over_ = false;
};

class ClientHandshake {
 public:
  explicit ClientHandshake(const Wish& wish);
  Answer hear(Heard& heard);
  std::unique_ptr<OwnedLink> take_link() { return std::move(link_); }
  const std::string& peer() const noexcept { return peer_; }
  bool introduced() const noexcept { return step_ != Step::kHello; }

 private:
  enum class Step { kHello, kInit, kRegion, kRing, kConnect, kOver };
  Answer hear_hello(const Hello& hello);
  Answer hear_ack();
  Answer add_region(uint16_t index);
  Answer add_ring(uint16_t ring);
  Answer refuse(std::string why, bool violation);
  bool make(std::string* why);

  const Wish& wish_;
  std::string peer_ = "unknown";
  std::unique_ptr<OwnedLink> link_;
  Step step_ = Step::kHello;
  uint8_t log2_ring_size_ = 0;
  uint16_t at_ = 0;  // region or ring that was sent last
};

// The end, in the same words for the peer and for us.
Answer refusal(std::string why, bool violation);
// Empty: the port's wish can be fulfilled at all.
std::string wish_fault(const Wish& wish);

}  // namespace nodeplane::memif
