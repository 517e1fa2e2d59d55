#include "driver/memif/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

namespace nodeplane::memif {
namespace {

constexpr int kBacklog = 16;
constexpr mode_t kFileMode = 0660;  // a group may join, as with VPP
constexpr uint32_t kDrainMax =
    1024;                      // messages; a peer that sends for ever is not heard to the end
constexpr size_t kFdsMax = 4;  // in one message; one is right

std::string text(int error_number) { return std::strerror(error_number); }

Fd new_socket() { return Fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)); }

const sockaddr* raw(const Address& address) {
  return reinterpret_cast<const sockaddr*>(&address.socket);
}

// Empties the place where the socket file shall be. Only a socket that nobody listens on goes.
bool clear_place(const std::string& name, const Address& address, std::string* error) {
  const char* const path = address.socket.sun_path;
  struct stat there {};
  if (lstat(path, &there) != 0) return true;  // whatever else is wrong, bind will say it
  if (!S_ISSOCK(there.st_mode)) {
    *error = name + ": is there and is not a socket";
    return false;
  }
  const Fd probe = new_socket();
  if (!probe) {
    *error = "socket: " + text(errno);
    return false;
  }
  if (connect(probe.get(), raw(address), address.length) == 0 || errno == EAGAIN ||
      errno == EPROTOTYPE) {
    *error = name + ": another process listens there";
    return false;
  }
  if (errno == ENOENT) return true;
  if (errno != ECONNREFUSED || unlink(path) != 0) {
    *error = name + ": " + text(errno);
    return false;
  }
  return true;
}

}  // namespace

bool Address::operator==(const Address& other) const noexcept {
  return length == other.length && std::memcmp(&socket, &other.socket, length) == 0;
}

bool parse_address(const std::string& name, Address* out, std::string* error) {
  *out = Address{};
  out->socket.sun_family = AF_UNIX;
  std::string rest = name;
  for (const std::string prefix : {"abstract:", "@"}) {
    if (out->abstract || name.compare(0, prefix.size(), prefix) != 0) continue;
    out->abstract = true;
    rest = name.substr(prefix.size());
  }
  // A path ends with a NUL, an abstract name begins with one; an abstract one's length is exact.
  if (rest.empty() || rest.size() >= sizeof out->socket.sun_path ||
      rest.find('\0') != std::string::npos) {
    *error = "memif socket '" + name + "': a name of 1 to " +
             std::to_string(sizeof out->socket.sun_path - 1) + " bytes is needed";
    return false;
  }
  std::memcpy(out->socket.sun_path + (out->abstract ? 1 : 0), rest.data(), rest.size());
  out->length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + rest.size() + 1);
  return true;
}

Listener::~Listener() {
  if (!has_file_) return;
  struct stat there {};
  if (lstat(address_.socket.sun_path, &there) == 0 && there.st_dev == device_ &&
      there.st_ino == inode_)
    unlink(address_.socket.sun_path);
}

bool Listener::open(const std::string& name, const Address& address, std::string* error) {
  if (!address.abstract && !clear_place(name, address, error)) return false;
  address_ = address;
  fd_ = new_socket();
  const char* const path = address.socket.sun_path;
  if (!fd_ || bind(fd_.get(), raw(address), address.length) != 0) {
    *error = errno == EADDRINUSE && address.abstract ? name + ": another process listens there"
                                                     : name + ": " + text(errno);
    return false;
  }
  struct stat made {};
  if (!address.abstract && lstat(path, &made) == 0) {
    device_ = made.st_dev;
    inode_ = made.st_ino;
    has_file_ = true;
  }
  // Nobody can connect before listen.
  if ((has_file_ && fchmodat(AT_FDCWD, path, kFileMode, AT_SYMLINK_NOFOLLOW) != 0) ||
      listen(fd_.get(), kBacklog) != 0) {
    *error = name + ": " + text(errno);
    return false;
  }
  return true;
}

Fd Listener::accept() const {
  return Fd(accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

Fd connect_to(const Address& address, std::string* why) {
  Fd fd = new_socket();
  if (fd && connect(fd.get(), raw(address), address.length) == 0) return fd;
  *why = text(errno);
  return Fd();
}

Arrival receive(int fd, Heard* heard) {
  // Room for credentials too, which come when the socket wants them (unix(7), SO_PASSCRED).
  alignas(cmsghdr) uint8_t control[CMSG_SPACE(kFdsMax * sizeof(int)) + CMSG_SPACE(sizeof(ucred))];
  iovec bytes{heard->bytes, sizeof heard->bytes};
  msghdr header{};
  header.msg_iov = &bytes;
  header.msg_iovlen = 1;
  ssize_t n;
  do {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    n = recvmsg(fd, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT | MSG_TRUNC);
    // A peer that closed with something unread: said once, and what it sent before comes after it.
  } while (n < 0 && (errno == EINTR || errno == ECONNRESET));
  if (n < 0) return errno == EAGAIN ? Arrival::kNothing : Arrival::kEnd;
  heard->size = static_cast<size_t>(n);
  heard->fds_cut = (header.msg_flags & MSG_CTRUNC) != 0;
  heard->fds.clear();
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int passed;
      std::memcpy(&passed, CMSG_DATA(c) + i * sizeof(int), sizeof passed);
      heard->fds.emplace_back(passed);
    }
  }
  // No bytes are the end, but for an empty message with descriptors: that is one of wrong size.
  return n == 0 && heard->fds.empty() ? Arrival::kEnd : Arrival::kMessage;
}

bool send(int fd, const Message& message, int passed) {
  Message copy = message;
  iovec bytes{&copy, sizeof copy};
  alignas(cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &bytes;
  header.msg_iovlen = 1;
  if (passed >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* const c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(c), &passed, sizeof passed);
  }
  ssize_t n;
  do n = sendmsg(fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  return n == static_cast<ssize_t>(sizeof copy);
}

void drain(int fd) {
  Heard heard;
  for (uint32_t i = 0; i < kDrainMax && receive(fd, &heard) == Arrival::kMessage; ++i) {
  }
}

}  // namespace nodeplane::memif
