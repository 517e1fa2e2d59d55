#include "driver/kernel_neighbours.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace nodeplane {

namespace {

constexpr size_t kReceiveBytes = 32768;  // the kernel's own limit of one dump message batch
constexpr timeval kPatience = {0, 200000};
constexpr uint16_t kKnown = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT;

size_t address_bytes(uint8_t family) { return family == 4 ? 4 : 16; }

// The attributes of one neighbour that matter; false when it is not an Ethernet one.
bool parse_neighbour(const nlmsghdr* header, KernelNeighbours::Seen* out) {
  const auto* n = static_cast<const ndmsg*>(NLMSG_DATA(header));
  if (n->ndm_family != AF_INET && n->ndm_family != AF_INET6) return false;
  if ((n->ndm_state & kKnown) == 0) return false;
  out->family = n->ndm_family == AF_INET ? 4 : 6;
  bool has_address = false, has_mac = false;
  auto left = static_cast<int>(header->nlmsg_len - NLMSG_LENGTH(sizeof *n));
  const auto* a =
      reinterpret_cast<const rtattr*>(reinterpret_cast<const uint8_t*>(n) + NLMSG_ALIGN(sizeof *n));
  for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
    const auto* data = static_cast<const uint8_t*>(RTA_DATA(a));
    if (a->rta_type == NDA_DST && RTA_PAYLOAD(a) == address_bytes(out->family)) {
      out->address = IpAddress::from_bytes(data, out->family);
      has_address = true;
    } else if (a->rta_type == NDA_LLADDR && RTA_PAYLOAD(a) == sizeof out->mac) {
      std::memcpy(out->mac, data, sizeof out->mac);
      has_mac = true;
    }
  }
  return has_address && has_mac;
}

}  // namespace

std::unique_ptr<KernelNeighbours> KernelNeighbours::open(std::string* error) {
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) {
    *error = std::string("no rtnetlink socket: ") + std::strerror(errno);
    return nullptr;
  }
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  return std::unique_ptr<KernelNeighbours>(new KernelNeighbours(fd));
}

KernelNeighbours::~KernelNeighbours() { close(fd_); }

bool KernelNeighbours::add(uint16_t port, const std::string& interface, std::string* error) {
  const unsigned index = if_nametoindex(interface.c_str());
  if (index == 0) {
    *error = "no interface " + interface;
    return false;
  }
  interfaces_.push_back({port, static_cast<int>(index)});
  return true;
}

bool KernelNeighbours::read(const std::function<void(const Seen&)>& seen) {
  struct {
    nlmsghdr header;
    ndmsg neighbour;
  } request{};
  request.header.nlmsg_len = NLMSG_LENGTH(sizeof(ndmsg));
  request.header.nlmsg_type = RTM_GETNEIGH;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.header.nlmsg_seq = ++sequence_;
  if (send(fd_, &request, request.header.nlmsg_len, 0) < 0) return false;
  alignas(nlmsghdr) uint8_t buffer[kReceiveBytes];
  for (;;) {
    const ssize_t n = recv(fd_, buffer, sizeof buffer, 0);
    if (n <= 0) return false;
    auto left = static_cast<unsigned>(n);
    for (auto* h = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(h, left);
         h = NLMSG_NEXT(h, left)) {
      if (h->nlmsg_seq != sequence_) continue;  // of an older request, or the refusal of a resolve
      if (h->nlmsg_type == NLMSG_DONE) return true;
      if (h->nlmsg_type == NLMSG_ERROR) return false;
      if (h->nlmsg_type != RTM_NEWNEIGH || h->nlmsg_len < NLMSG_LENGTH(sizeof(ndmsg))) continue;
      Seen one{};
      if (!parse_neighbour(h, &one)) continue;
      const int index = static_cast<const ndmsg*>(NLMSG_DATA(h))->ndm_ifindex;
      for (const Interface& i : interfaces_) {
        if (i.index != index) continue;
        one.port = i.port;
        seen(one);
      }
    }
  }
}

void KernelNeighbours::resolve(uint16_t port, uint8_t family, const IpAddress& address) {
  for (const Interface& i : interfaces_) {
    if (i.port != port) continue;
    struct {
      nlmsghdr header;
      ndmsg neighbour;
      rtattr attribute;
      uint8_t address[16];
    } request{};
    const size_t bytes = address_bytes(family);
    request.header.nlmsg_len =
        static_cast<uint32_t>(NLMSG_LENGTH(sizeof(ndmsg)) + RTA_LENGTH(bytes));
    request.header.nlmsg_type = RTM_NEWNEIGH;
    request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE;
    request.header.nlmsg_seq = ++sequence_;
    request.neighbour.ndm_family = family == 4 ? AF_INET : AF_INET6;
    request.neighbour.ndm_ifindex = i.index;
    request.neighbour.ndm_state = NUD_NONE;
    request.neighbour.ndm_flags = NTF_USE;  // as if the host sent a packet there
    request.attribute.rta_type = NDA_DST;
    request.attribute.rta_len = static_cast<uint16_t>(RTA_LENGTH(bytes));
    std::memcpy(request.address, address.bytes, bytes);
    // A refusal shows as a neighbour that is never seen.
    [[maybe_unused]] const ssize_t n = send(fd_, &request, request.header.nlmsg_len, 0);
  }
}

}  // namespace nodeplane
