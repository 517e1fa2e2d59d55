#include "driver/pcap/writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace nodeplane {

namespace {

constexpr uint32_t kBufferBytes = 256 * 1024;
constexpr uint32_t kSnapLength = 262144;

struct FileHeader {
  uint32_t magic = 0xa1b2c3d4;
  uint16_t major = 2;
  uint16_t minor = 4;
  int32_t zone = 0;
  uint32_t accuracy = 0;
  uint32_t snap_length = kSnapLength;
  uint32_t link_type = 1;  // Ethernet
};
static_assert(sizeof(FileHeader) == 24);

struct RecordHeader {
  uint32_t seconds;
  uint32_t microseconds;
  uint32_t captured;
  uint32_t length;
};

}  // namespace

CaptureWriter::CaptureWriter(int fd, const std::string& path)
    : path_(path), fd_(fd), buffer_(new uint8_t[kBufferBytes]) {
  const FileHeader header;
  put(reinterpret_cast<const uint8_t*>(&header), sizeof header);
}

CaptureWriter::~CaptureWriter() {
  flush();
  close(fd_);
}

std::unique_ptr<CaptureWriter> CaptureWriter::open(const std::string& path, std::string* error) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) {
    *error = path + ": " + std::strerror(errno);
    return nullptr;
  }
  return std::unique_ptr<CaptureWriter>(new CaptureWriter(fd, path));
}

void CaptureWriter::begin(Time time, uint32_t length) noexcept {
  const RecordHeader header{static_cast<uint32_t>(time / kSecond),
                            static_cast<uint32_t>(time % kSecond / 1000), length, length};
  put(reinterpret_cast<const uint8_t*>(&header), sizeof header);
}

void CaptureWriter::put(const uint8_t* bytes, uint32_t length) noexcept {
  while (length != 0) {
    if (used_ == kBufferBytes) flush();
    const uint32_t piece = std::min(length, kBufferBytes - used_);
    std::memcpy(buffer_.get() + used_, bytes, piece);
    used_ += piece;
    bytes += piece;
    length -= piece;
  }
}

void CaptureWriter::flush() noexcept {
  for (uint32_t done = 0; done < used_ && error_ == 0;) {
    const ssize_t n = write(fd_, buffer_.get() + done, used_ - done);
    if (n > 0) done += static_cast<uint32_t>(n);
    if (n < 0 && errno != EINTR) error_ = errno;
  }
  used_ = 0;
}

std::string CaptureWriter::failure() const {
  return error_ == 0 ? std::string() : path_ + ": " + std::strerror(error_);
}

}  // namespace nodeplane
