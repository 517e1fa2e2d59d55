#pragma once
#include <sys/socket.h>
#include <sys/un.h>

#include <string>

#include "driver/memif/handshake.h"

// AF_UNIX sockets that carry the control channel. None of them ever blocks.
namespace nodeplane::memif {

struct Address {
  sockaddr_un socket{};
  socklen_t length = 0;
  bool abstract = false;
  bool operator==(const Address& other) const noexcept;
};
// A path, or abstract:NAME or @NAME. False with a reason.
bool parse_address(const std::string& name, Address* out, std::string* error);

// A socket that listens. The file of a path is made for owner and group, a stale one is replaced,
// and it goes with the socket (unless somebody else has put another there).
class Listener {
 public:
  Listener() = default;
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  bool open(const std::string& name, const Address& address, std::string* error);
  int fd() const noexcept { return fd_.get(); }
  const Address& address() const noexcept { return address_; }
  Fd accept() const;  // empty: nobody is there, or no descriptor to be had

 private:
  Fd fd_;
  Address address_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  bool has_file_ = false;
};

Fd connect_to(const Address& address, std::string* why);

enum class Arrival { kMessage, kNothing, kEnd };
Arrival receive(int fd, Heard* heard);
// False: the peer is gone or does not read.
bool send(int fd, const Message& message, int passed);
// What the peer has sent and nobody heard is thrown away: closed with it, the peer would find an error
// before our last message (unix(7) says ECONNRESET).
void drain(int fd);

}  // namespace nodeplane::memif
