#pragma once
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/time.h"
#include "driver/memif/handshake.h"
#include "driver/memif/hub.h"
#include "driver/memif/socket.h"

namespace nodeplane::memif {

inline constexpr Time kHandshakeMax = 5 * kSecond;
inline constexpr Time kPauseMin = 100 * kMillisecond;  // of a client between two tries, doubling
inline constexpr Time kLook = 100 * kMillisecond;      // for cut regions and filled eventfds

struct Server;

// One port, its connection and what leads to it.
struct Member {
  Wish wish;
  Address address;
  Seat* seat = nullptr;
  Server* server = nullptr;  // null: a client
  Fd socket;                 // of the connection, or of a client's handshake
  std::unique_ptr<OwnedLink> link;
  bool leaving = false;  // the link is withdrawn, queues may still use it
  std::optional<ClientHandshake> handshake;
  Time deadline = 0;  // of the handshake
  Time try_at = 0;
  Time pause = kPauseMin;
  std::string failure;  // told last, of a client that cannot connect
  uint64_t untold = 0;  // lines of news for which there was no room
};

struct Server {
  Listener listener;
  std::string name;
  std::vector<Member*> members;
  Time deaf_until = 0;  // there was no descriptor for another guest
};

// A client that has not finished its handshake.
struct Guest {
  Fd socket;
  Server* server;
  ServerHandshake handshake;
  Time deadline;
  std::optional<Heard> parked;  // until the id's last connection is gone
};

class HubThread final : public Hub {
 public:
  ~HubThread() override;
  bool start(std::string* error);
  bool add(const Wish& wish, Seat* seat, std::string* error) override;
  void remove(Seat* seat) override;

 private:
  void run();
  Time next_deadline() const;
  void hear(int fd, uint32_t events);
  void tick();
  bool watch(int fd, uint32_t events, int how = EPOLL_CTL_ADD) const;

  Server* server_of(const Address& address);
  void accept(Server& server);
  bool hear_guest(Guest& guest, uint32_t events);
  bool answer_guest(Guest& guest, Heard& heard);
  bool refuse_guest(Guest& guest, const std::string& why, bool violation);
  Place place(Server& server, uint32_t id);

  void connect(Member& member);
  void hear_server(Member& member);
  void fail(Member& member, const std::string& why, bool violation);

  void begin(Member& member, std::unique_ptr<OwnedLink> link);
  void hear_peer(Member& member);
  void look(Member& member);
  void end(Member& member, const std::string& why, bool violation, bool say);
  void finish(Member& member);
  void tell(Member& member, const std::string& line);  // under the seat's lock

  std::mutex lock_;  // over all that follows
  std::vector<std::unique_ptr<Member>> members_;
  std::vector<std::unique_ptr<Server>> servers_;
  std::vector<std::unique_ptr<Guest>> guests_;  // oldest first
  bool stopping_ = false;
  Fd epoll_, wake_;
  Time now_ = 0;
  std::thread thread_;
};

}  // namespace nodeplane::memif
