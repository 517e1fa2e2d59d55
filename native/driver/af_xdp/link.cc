#include "driver/af_xdp/link.h"

#include <linux/capability.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>

namespace nodeplane::af_xdp {
namespace {

// One question to the kernel about one interface.
class Asker {
 public:
  explicit Asker(const std::string& name) : fd_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    std::snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name.c_str());
  }
  ~Asker() {
    if (fd_ >= 0) close(fd_);
  }
  Asker(const Asker&) = delete;
  Asker& operator=(const Asker&) = delete;
  bool ask(unsigned long what) { return ioctl(fd_, what, &request) == 0; }
  bool ask_ethtool(void* command) {
    request.ifr_data = static_cast<char*>(command);
    return ask(SIOCETHTOOL);
  }
  ifreq request{};

 private:
  int fd_;
};

}  // namespace

std::string error_text(int error_number) {
  const char* name = strerrorname_np(error_number);
  return std::string(strerror(error_number)) + " (" + (name != nullptr ? name : "?") + ")";
}

bool read_link(const std::string& name, Link* link, std::string* error) {
  Asker asker(name);
  if (name.empty() || name.size() >= IFNAMSIZ || !asker.ask(SIOCGIFINDEX)) {
    *error = "there is no interface " + name + " in this network namespace";
    return false;
  }
  link->name = name;
  link->index = asker.request.ifr_ifindex;
  if (asker.ask(SIOCGIFMTU)) link->mtu = static_cast<uint32_t>(asker.request.ifr_mtu);
  if (asker.ask(SIOCGIFFLAGS)) link->up = (asker.request.ifr_flags & IFF_UP) != 0;
  if (asker.ask(SIOCGIFHWADDR)) std::memcpy(link->mac, asker.request.ifr_hwaddr.sa_data, 6);
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  if (asker.ask_ethtool(&channels)) {
    link->rx_queues = channels.combined_count + channels.rx_count;
    link->tx_queues = channels.combined_count + channels.tx_count;
  }
  ethtool_drvinfo driver{};
  driver.cmd = ETHTOOL_GDRVINFO;
  if (asker.ask_ethtool(&driver)) link->driver = driver.driver;
  return true;
}

std::string missing_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3]{};
  if (syscall(SYS_capget, &header, data) != 0) return "";
  const auto has = [&](uint32_t capability) {
    return (data[capability / 32].effective & (1u << (capability % 32))) != 0;
  };
  const bool admin = has(CAP_SYS_ADMIN);  // stands for CAP_BPF (capabilities(7))
  const struct {
    bool present;
    const char* name;
  } needed[] = {{has(CAP_NET_RAW), "CAP_NET_RAW"},
                {has(CAP_NET_ADMIN), "CAP_NET_ADMIN"},
                {has(CAP_BPF) || admin, "CAP_BPF"}};
  std::string missing;
  for (const auto& one : needed) {
    if (one.present) continue;
    missing += (missing.empty() ? "" : ", ") + std::string(one.name);
  }
  return missing;
}

// An abstract unix socket: its name belongs to the network namespace, as the interface does, and
// goes with the last process that holds it, however that one ends (unix(7)).
int lock_link(const Link& link, std::string* error) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    *error = "socket: " + error_text(errno);
    return -1;
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const int length = std::snprintf(address.sun_path + 1, sizeof address.sun_path - 1,
                                   "nodeplane-af_xdp-%d", link.index);
  const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + length);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), bytes) == 0) return fd;
  const int why = errno;
  close(fd);
  *error = why == EADDRINUSE ? "another nodeplane has " + link.name + " open"
                             : "locking " + link.name + ": " + error_text(why);
  return -1;
}

}  // namespace nodeplane::af_xdp
