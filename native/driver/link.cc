#include "driver/link.h"

#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace nodeplane {

namespace {

ifreq named(const std::string& name) {
  ifreq request{};
  std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  return request;
}

}  // namespace

Link::Link(std::string name)
    : name_(std::move(name)), fd_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {}

Link::~Link() {
  if (fd_ >= 0) close(fd_);
}

bool Link::ask(unsigned long request, void* data, const char* what, std::string* error) const {
  if (fd_ >= 0 && name_.size() < IFNAMSIZ && ioctl(fd_, request, data) == 0) return true;
  const int why = name_.size() < IFNAMSIZ ? errno : ENAMETOOLONG;
  *error = "interface " + name_ + ": " + what + std::strerror(why);
  if (why == EPERM) *error += " (CAP_NET_ADMIN is missing)";
  return false;
}

bool Link::index(int* index, std::string* error) const {
  ifreq request = named(name_);
  if (!ask(SIOCGIFINDEX, &request, "", error)) return false;
  *index = request.ifr_ifindex;
  return true;
}

bool Link::mtu(uint32_t* mtu, std::string* error) const {
  ifreq request = named(name_);
  if (!ask(SIOCGIFMTU, &request, "reading the MTU: ", error)) return false;
  *mtu = static_cast<uint32_t>(request.ifr_mtu);
  return true;
}

bool Link::set_mtu(uint32_t mtu, std::string* error) const {
  ifreq request = named(name_);
  request.ifr_mtu = static_cast<int>(mtu);
  return ask(SIOCSIFMTU, &request, "setting the MTU: ", error);
}

bool Link::mac(uint8_t mac[6], std::string* error) const {
  ifreq request = named(name_);
  if (!ask(SIOCGIFHWADDR, &request, "reading the MAC: ", error)) return false;
  if (request.ifr_hwaddr.sa_family == ARPHRD_ETHER ||
      request.ifr_hwaddr.sa_family == ARPHRD_LOOPBACK) {
    std::memcpy(mac, request.ifr_hwaddr.sa_data, 6);
    return true;
  }
  *error = "interface " + name_ + " is not Ethernet";
  return false;
}

bool Link::set_mac(const uint8_t mac[6], std::string* error) const {
  ifreq request = named(name_);
  request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
  std::memcpy(request.ifr_hwaddr.sa_data, mac, 6);
  return ask(SIOCSIFHWADDR, &request, "setting the MAC: ", error);
}

bool Link::set_up(std::string* error) const {
  ifreq request = named(name_);
  if (!ask(SIOCGIFFLAGS, &request, "reading the flags: ", error)) return false;
  request.ifr_flags |= IFF_UP;
  return ask(SIOCSIFFLAGS, &request, "setting it up: ", error);
}

bool read_mac(const std::string& text, uint8_t mac[6]) {
  unsigned int b[6];
  char rest;
  if (std::sscanf(text.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1], &b[2], &b[3], &b[4],
                  &b[5], &rest) != 6)
    return false;
  for (int i = 0; i < 6; ++i) mac[i] = static_cast<uint8_t>(b[i]);
  return true;
}

}  // namespace nodeplane
