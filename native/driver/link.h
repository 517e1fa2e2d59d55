#pragma once
#include <cstdint>
#include <string>

namespace nodeplane {

// A kernel interface of this thread's network namespace, asked and changed by ioctl (netdevice(7)).
// Every function says false with a reason that names the interface.
class Link {
 public:
  explicit Link(std::string name);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  bool index(int* index, std::string* error) const;
  bool mtu(uint32_t* mtu, std::string* error) const;
  bool set_mtu(uint32_t mtu, std::string* error) const;
  bool mac(uint8_t mac[6], std::string* error) const;
  bool set_mac(const uint8_t mac[6], std::string* error) const;
  bool set_up(std::string* error) const;

 private:
  bool ask(unsigned long request, void* data, const char* what, std::string* error) const;
  std::string name_;
  int fd_;
};

// 02:00:00:00:00:01 and the like.
bool read_mac(const std::string& text, uint8_t mac[6]);

}  // namespace nodeplane
