#include "driver/af_xdp/program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <thread>

#include "driver/af_xdp/xdp_take.h"

namespace nodeplane::af_xdp {
namespace {

constexpr size_t kWordsMax = 2000;  // characters kept of what the libraries say

alignas(8) constexpr unsigned char kProgramObject[] = {
#include "xdp_program.inc"
};

constexpr const char* kOwnNetns = "/proc/thread-self/ns/net";

thread_local std::string words;

void keep_words(const char* format, va_list arguments) {
  char line[512];
  std::vsnprintf(line, sizeof line, format, arguments);
  if (words.size() < kWordsMax) words += line;
}
int keep_libbpf(enum libbpf_print_level level, const char* format, va_list arguments) {
  if (level == LIBBPF_WARN) keep_words(format, arguments);
  return 0;
}
int keep_libxdp(enum libxdp_print_level level, const char* format, va_list arguments) {
  if (level == LIBXDP_WARN) keep_words(format, arguments);
  return 0;
}

void listen_to_libraries() {
  static std::once_flag once;
  std::call_once(once, [] {
    libbpf_set_print(keep_libbpf);
    libxdp_set_print(keep_libxdp);
  });
  words.clear();
}

uint32_t flags_of(Mode mode) {
  return mode == Mode::kNative ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
}

std::string explain_attach(const Link& link, Mode mode, int error_number, const std::string& said) {
  const std::string mode_name = mode == Mode::kNative ? "native" : "generic";
  std::string text = "attaching the XDP program to " + link.name + " in " + mode_name + " mode: ";
  if (error_number == ERANGE)
    text += "an MTU is too large for XDP, of " + link.name + " (" + std::to_string(link.mtu) +
            ") or of its peer: lower it with ip link set ... mtu";
  else if (error_number == EOPNOTSUPP)
    text += "the driver" + (link.driver.empty() ? "" : " " + link.driver) + " does not support it";
  else if (error_number == EBUSY || error_number == EEXIST)
    text += "another XDP program is attached";
  else
    text += error_text(error_number);
  return said.empty() ? text : text + ". The kernel says: " + said;
}

}  // namespace

std::string library_words() {
  std::string said;
  said.swap(words);
  for (const char* noise : {"libbpf: ", "libxdp: ", "Kernel error message: "}) {
    for (size_t at = said.find(noise); at != std::string::npos; at = said.find(noise, at))
      said.erase(at, std::strlen(noise));
  }
  while (!said.empty() && said.back() == '\n') said.pop_back();
  for (char& c : said)
    if (c == '\n') c = ';';
  return said;
}

LeftOver::~LeftOver() {
  if (fd >= 0) close(fd);
}

bool find_left_over(const Link& link, LeftOver* left_over, std::string* error) {
  listen_to_libraries();
  LIBBPF_OPTS(bpf_xdp_query_opts, query);
  if (const int result = bpf_xdp_query(link.index, 0, &query); result < 0) {
    *error = "asking which XDP program " + link.name + " has: " + error_text(-result);
    return false;
  }
  const struct {
    uint32_t id;
    Mode mode;
  } attached[] = {{query.hw_prog_id, Mode::kNative},
                  {query.drv_prog_id, Mode::kNative},
                  {query.skb_prog_id, Mode::kGeneric}};
  for (const auto& one : attached) {
    if (one.id == 0) continue;
    const int fd = bpf_prog_get_fd_by_id(one.id);
    const int why = errno;
    bpf_prog_info info{};
    uint32_t length = sizeof info;
    const bool known = fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &length) == 0;
    if (known && std::strcmp(info.name, TAKE_NAME) == 0 && left_over->fd < 0) {
      left_over->fd = fd;
      left_over->id = one.id;
      left_over->mode = one.mode;
      continue;
    }
    if (fd >= 0) close(fd);
    *error = "interface " + link.name + " has another XDP program, " +
             (known ? std::string(info.name[0] != 0 ? info.name : "without a name")
                    : "whose name cannot be read (" + error_text(why) + ", needs CAP_SYS_ADMIN)") +
             ", id " + std::to_string(one.id) +
             ": it is not nodeplane's and stays. Remove it with" + " ip link set dev " + link.name +
             " xdp off, or use another interface";
    return false;
  }
  return true;
}

std::unique_ptr<Program> Program::load(uint32_t take_max, std::string* error) {
  listen_to_libraries();
  std::unique_ptr<Program> program(new Program);
  program->netns_ = ::open(kOwnNetns, O_RDONLY | O_CLOEXEC);
  program->object_ = bpf_object__open_mem(kProgramObject, sizeof kProgramObject, nullptr);
  if (program->object_ == nullptr) {
    *error = "reading the XDP program: " + error_text(errno) + " " + library_words();
    return nullptr;
  }
  const auto map = [&](const char* name) {
    return bpf_object__find_map_by_name(program->object_, name);
  };
  size_t size = 0;
  // The one constant of the program, take_services.
  auto* constants =
      static_cast<uint32_t*>(const_cast<void*>(bpf_map__initial_value(map(".rodata"), &size)));
  if (constants != nullptr && size >= sizeof *constants) *constants = take_max != 0;
  // Twice: while one set replaces another, both are there.
  for (const char* name : {"hosts", "ports", "prefixes"})
    bpf_map__set_max_entries(map(name), take_max != 0 ? 2 * take_max : 1);
  if (const int result = bpf_object__load(program->object_); result < 0) {
    *error = "loading the XDP program into the kernel: " + error_text(-result) +
             (result == -EPERM ? ", it needs CAP_BPF and CAP_NET_ADMIN" : "");
    const std::string said = library_words();
    if (!said.empty()) *error += ". " + said;
    return nullptr;
  }
  program->fd_ =
      bpf_program__fd(bpf_object__find_program_by_name(program->object_, "nodeplane_xdp"));
  program->sockets_fd_ = bpf_map__fd(map("sockets"));
  program->take_maps_.open({bpf_map__fd(map("settings")), bpf_map__fd(map("hosts")),
                            bpf_map__fd(map("prefixes")), bpf_map__fd(map("ports"))},
                           take_max);
  return program;
}

Program::~Program() {
  if (attached_index_ != 0) {
    at_home([this] {
      // Only while it is ours that is attached.
      LIBBPF_OPTS(bpf_xdp_attach_opts, options, .old_prog_fd = fd_);
      bpf_xdp_detach(attached_index_, attached_flags_, &options);
    });
  }
  if (object_ != nullptr) bpf_object__close(object_);
  if (netns_ >= 0) close(netns_);
}

void Program::at_home(const std::function<void()>& what) const {
  struct stat there {
  }, here{};
  if (fstat(netns_, &there) != 0 || stat(kOwnNetns, &here) != 0 || there.st_ino == here.st_ino)
    return what();
  // A thread of its own, so that the caller stays where it is.
  std::thread([&] {
    if (setns(netns_, CLONE_NEWNET) == 0) what();
  }).join();
}

bool Program::add_socket(uint32_t queue, int socket_fd, std::string* error) {
  if (bpf_map_update_elem(sockets_fd_, &queue, &socket_fd, BPF_ANY) == 0) return true;
  *error = "adding the socket of queue " + std::to_string(queue) + ": " + error_text(errno);
  return false;
}

bool Program::attach(const Link& link, Mode mode, const LeftOver& left_over, std::string* error) {
  const bool replaces = left_over.fd >= 0 && left_over.mode == mode;
  int result = -EPERM;  // of entering the namespace, should that fail
  std::string said;
  at_home([&] {
    listen_to_libraries();
    LIBBPF_OPTS(bpf_xdp_attach_opts, options);
    if (replaces) options.old_prog_fd = left_over.fd;
    // The kernel has one mode at a time: between these two calls the host sees the packets.
    if (left_over.fd >= 0 && !replaces) {
      LIBBPF_OPTS(bpf_xdp_attach_opts, old, .old_prog_fd = left_over.fd);
      bpf_xdp_detach(link.index, flags_of(left_over.mode), &old);
    }
    const uint32_t flags = flags_of(mode) | (replaces ? 0 : XDP_FLAGS_UPDATE_IF_NOEXIST);
    result = bpf_xdp_attach(link.index, fd_, flags, &options);
    said = library_words();
  });
  if (result < 0) {
    *error = explain_attach(link, mode, -result, said);
    return false;
  }
  attached_index_ = link.index;
  attached_flags_ = flags_of(mode);
  return true;
}

}  // namespace nodeplane::af_xdp
