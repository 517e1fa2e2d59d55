#include "driver/memif/bell.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace nodeplane::memif {

Bell::Bell() noexcept : nothing_(open("/dev/null", O_RDONLY | O_CLOEXEC)) {
  if (nothing_ >= 0 && syscall(SYS_io_setup, kBellRoom, &context_) != 0) context_ = 0;
}

Bell::~Bell() {
  if (context_ != 0) syscall(SYS_io_destroy, context_);
  if (nothing_ >= 0) close(nothing_);
}

void Bell::ring(int fd) noexcept {
  const uint64_t one = 1;
  if (context_ == 0) {
    [[maybe_unused]] const ssize_t wrote = write(fd, &one, sizeof one);
    return;
  }
  iocb read{};
  read.aio_lio_opcode = IOCB_CMD_PREAD;
  read.aio_fildes = static_cast<uint32_t>(nothing_);
  read.aio_flags = IOCB_FLAG_RESFD;
  read.aio_resfd = static_cast<uint32_t>(fd);
  iocb* list[] = {&read};
  if (syscall(SYS_io_submit, context_, 1, list) == 1 || errno != EAGAIN) return;
  // Those before are all finished; their notes are thrown away, and there is room again.
  io_event notes[kBellRoom];
  while (syscall(SYS_io_getevents, context_, 0, kBellRoom, notes, nullptr) == kBellRoom) {
  }
  syscall(SYS_io_submit, context_, 1, list);
}

}  // namespace nodeplane::memif
