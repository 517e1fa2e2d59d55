#include "driver/af_xdp/napi.h"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <functional>

namespace nodeplane::af_xdp {
namespace {

// Linux 6.13, not in Debian's headers (include/uapi/linux/netdev.h).
constexpr char kFamily[] = "netdev";
constexpr uint8_t kNapiGet = 11, kNapiSet = 14;
constexpr uint16_t kIfindex = 1, kNapiId = 2, kDeferHardIrqs = 5, kGroFlushTimeout = 6;

constexpr uint32_t kLooksInVain = 1;
constexpr size_t kAnswerBytes = 32 << 10;
constexpr size_t kAskBytes = 128;

// A request of generic netlink and its attributes.
class Ask {
 public:
  Ask(uint16_t family, uint8_t command, uint16_t flags) {
    header()->nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN);
    header()->nlmsg_type = family;
    header()->nlmsg_flags = NLM_F_REQUEST | flags;
    auto* generic = static_cast<genlmsghdr*>(NLMSG_DATA(header()));
    generic->cmd = command;
    generic->version = 1;
  }
  Ask& put(uint16_t type, const void* value, size_t size) {
    auto* attribute = reinterpret_cast<nlattr*>(bytes_ + header()->nlmsg_len);
    attribute->nla_type = type;
    attribute->nla_len = static_cast<uint16_t>(NLA_HDRLEN + size);
    std::memcpy(attribute + 1, value, size);
    header()->nlmsg_len += NLA_ALIGN(attribute->nla_len);
    return *this;
  }
  Ask& put(uint16_t type, uint32_t value) { return put(type, &value, sizeof value); }
  const nlmsghdr* header() const { return reinterpret_cast<const nlmsghdr*>(bytes_); }

 private:
  nlmsghdr* header() { return reinterpret_cast<nlmsghdr*>(bytes_); }
  alignas(nlmsghdr) char bytes_[kAskBytes] = {};
};

uint64_t number_of(const nlattr* attribute) {
  uint64_t value = 0;
  const size_t size = attribute->nla_len - NLA_HDRLEN;
  std::memcpy(&value, attribute + 1, size < sizeof value ? size : sizeof value);
  return value;
}

using Attribute = std::function<void(uint16_t type, const nlattr* attribute)>;

void each_attribute(const nlmsghdr* message, const Attribute& what) {
  const auto* at = static_cast<const char*>(NLMSG_DATA(message)) + GENL_HDRLEN;
  const char* end = reinterpret_cast<const char*>(message) + message->nlmsg_len;
  while (at + NLA_HDRLEN <= end) {
    const auto* attribute = reinterpret_cast<const nlattr*>(at);
    if (attribute->nla_len < NLA_HDRLEN || at + attribute->nla_len > end) return;
    what(attribute->nla_type & NLA_TYPE_MASK, attribute);
    at += NLA_ALIGN(attribute->nla_len);
  }
}

// Asks and gives each message of the answer; false: refused.
bool ask(int fd, const Ask& request, const std::function<void(const nlmsghdr*)>& each) {
  if (send(fd, request.header(), request.header()->nlmsg_len, 0) < 0) return false;
  alignas(nlmsghdr) char answer[kAnswerBytes];
  for (;;) {
    ssize_t left = recv(fd, answer, sizeof answer, 0);
    if (left <= 0) return false;
    for (auto* m = reinterpret_cast<nlmsghdr*>(answer); NLMSG_OK(m, left);
         m = NLMSG_NEXT(m, left)) {
      if (m->nlmsg_type == NLMSG_DONE) return true;
      if (m->nlmsg_type == NLMSG_ERROR)
        return static_cast<const nlmsgerr*>(NLMSG_DATA(m))->error == 0;
      each(m);
    }
  }
}

}  // namespace

std::unique_ptr<Deferral> Deferral::open(int link_index, uint32_t nanoseconds) {
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
  if (fd < 0) return nullptr;
  std::unique_ptr<Deferral> deferral(new Deferral(fd));
  if (!deferral->find_family()) return nullptr;
  for (const Napi& napi : deferral->list(link_index)) {
    if (!deferral->set({napi.id, kLooksInVain, nanoseconds})) return nullptr;
    deferral->before_.push_back(napi);
  }
  return deferral->before_.empty() ? nullptr : std::move(deferral);
}

Deferral::~Deferral() {
  for (const Napi& napi : before_) set(napi);
  close(fd_);
}

bool Deferral::find_family() {
  const Ask request = Ask(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, NLM_F_ACK)
                          .put(CTRL_ATTR_FAMILY_NAME, kFamily, sizeof kFamily);
  return ask(fd_, request,
             [this](const nlmsghdr* message) {
               each_attribute(message, [this](uint16_t type, const nlattr* attribute) {
                 if (type == CTRL_ATTR_FAMILY_ID)
                   family_ = static_cast<uint16_t>(number_of(attribute));
               });
             }) &&
         family_ != 0;
}

std::vector<Deferral::Napi> Deferral::list(int link_index) const {
  std::vector<Napi> all;
  const Ask request =
      Ask(family_, kNapiGet, NLM_F_DUMP).put(kIfindex, static_cast<uint32_t>(link_index));
  ask(fd_, request, [&](const nlmsghdr* message) {
    Napi napi;
    each_attribute(message, [&](uint16_t type, const nlattr* attribute) {
      const uint64_t value = number_of(attribute);
      if (type == kNapiId) napi.id = static_cast<uint32_t>(value);
      if (type == kDeferHardIrqs) napi.defer_hard_irqs = static_cast<uint32_t>(value);
      if (type == kGroFlushTimeout) napi.flush_timeout = value;
    });
    if (napi.id != 0) all.push_back(napi);
  });
  return all;
}

bool Deferral::set(const Napi& napi) const {
  const Ask request = Ask(family_, kNapiSet, NLM_F_ACK)
                          .put(kNapiId, napi.id)
                          .put(kDeferHardIrqs, napi.defer_hard_irqs)
                          .put(kGroFlushTimeout, &napi.flush_timeout, sizeof napi.flush_timeout);
  return ask(fd_, request, [](const nlmsghdr*) {});
}

std::vector<Deferral::Napi> Deferral::read(int link_index) {
  Deferral asker(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC));
  if (asker.fd_ < 0 || !asker.find_family()) return {};
  return asker.list(link_index);
}

}  // namespace nodeplane::af_xdp
