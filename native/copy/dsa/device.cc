#include "copy/dsa/device.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "base/cpu.h"

namespace nodeplane::dsa {
namespace {

constexpr size_t kPortalBytes = 4096;  // one page; the kernel refuses to map more
constexpr uint32_t kPortalMask = kPortalBytes - sizeof(Descriptor);

// The mapped portal page. All its 64 lines lead to the queue, and spreading descriptors over them
// lets the CPU have several on their way; the low bits of their own addresses spread well enough.
class DevicePortal : public Portal {
 public:
  DevicePortal(int fd, uint8_t* page) : fd_(fd), page_(page) {}
  ~DevicePortal() override {
    munmap(page_, kPortalBytes);
    close(fd_);
  }

 protected:
  uint8_t* line(const Descriptor& d) const noexcept {
    return page_ + (reinterpret_cast<uintptr_t>(&d) & kPortalMask);
  }

 private:
  const int fd_;
  uint8_t* const page_;
};

#if defined(__x86_64__)
// Both instructions are weakly ordered, so SFENCE puts them behind what was written before (Intel
// SDM volume 2, MOVDIR64B and ENQCMD). As bytes, for they are younger than what we compile for:
// 64 bytes at rdx to the line that rax points to.
class DedicatedPortal final : public DevicePortal {
 public:
  using DevicePortal::DevicePortal;
  bool submit(const Descriptor& d) noexcept override {
    __asm__ volatile("sfence\n\t.byte 0x66, 0x0f, 0x38, 0xf8, 0x02"
                     :
                     : "a"(line(d)), "d"(&d)
                     : "memory");
    return true;
  }
};
class SharedPortal final : public DevicePortal {
 public:
  using DevicePortal::DevicePortal;
  bool submit(const Descriptor& d) noexcept override {
    bool refused;  // ZF: the queue is full for now
    __asm__ volatile("sfence\n\t.byte 0xf2, 0x0f, 0x38, 0xf8, 0x02"
                     : "=@ccz"(refused)
                     : "a"(line(d)), "d"(&d)
                     : "memory");
    return !refused;
  }
};
std::unique_ptr<Portal> make_portal(bool shared, int fd, uint8_t* page) {
  if (shared) return std::make_unique<SharedPortal>(fd, page);
  return std::make_unique<DedicatedPortal>(fd, page);
}
#else
std::unique_ptr<Portal> make_portal(bool, int, uint8_t*) { return nullptr; }
#endif

bool fail(const DsaQueue& wish, const std::string& why, std::string* error) {
  *error = wish.path + ": " + why;
  return false;
}

std::string open_reason(int error_number) {
  switch (error_number) {
    case EBUSY:
      return "a dedicated queue has one client, and it is open already";
    case EACCES:
      return "no permission to open it for reading and writing";
    case ENOENT:
      return "there is no such work queue device";
    default:
      return std::string("open: ") + std::strerror(error_number);
  }
}

std::string map_reason(int error_number) {
  if (error_number == EPERM) return "mapping its portal needs CAP_SYS_RAWIO (INTEL-SA-01084)";
  return std::string("mmap of its portal: ") + std::strerror(error_number);
}

}  // namespace

CpuCan cpu_can() noexcept { return {cpu_has_movdir64b(), cpu_has_enqcmd()}; }

bool open_queue(const DsaQueue& wish, CpuCan cpu, Queue* out, std::string* error) {
#if !defined(__x86_64__)
  return fail(wish, "only x86-64 has the instructions that submit to it", error);
#endif
  if (wish.shared ? !cpu.enqcmd : !cpu.movdir64b)
    return fail(wish, wish.shared ? "this CPU has no ENQCMD" : "this CPU has no MOVDIR64B", error);
  if (wish.size == 0 || wish.transfer_max == 0)
    return fail(wish, "its size and the bytes of a transfer must not be zero", error);
  const int fd = open(wish.path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return fail(wish, open_reason(errno), error);
  void* page = mmap(nullptr, kPortalBytes, PROT_WRITE, MAP_SHARED, fd, 0);
  if (page == MAP_FAILED) {
    const int error_number = errno;
    close(fd);
    return fail(wish, map_reason(error_number), error);
  }
  out->name = wish.path.substr(wish.path.rfind('/') + 1);
  out->limits = {wish.size, wish.batch_max, wish.transfer_max, wish.shared, wish.block_on_fault};
  out->portal = make_portal(wish.shared, fd, static_cast<uint8_t*>(page));
  return true;
}

}  // namespace nodeplane::dsa
