#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "base/time.h"

namespace nodeplane {

// Writes classic pcap: little-endian, microseconds, Ethernet (draft-ietf-opsawg-pcap section 4).
// The first thing that goes wrong is remembered; from then on nothing is written.
class CaptureWriter {
 public:
  static std::unique_ptr<CaptureWriter> open(const std::string& path, std::string* error);
  ~CaptureWriter();
  CaptureWriter(const CaptureWriter&) = delete;
  CaptureWriter& operator=(const CaptureWriter&) = delete;
  // A packet of `length` bytes; exactly that many are then put, in pieces.
  void begin(Time time, uint32_t length) noexcept;
  void put(const uint8_t* bytes, uint32_t length) noexcept;
  void flush() noexcept;
  bool failed() const noexcept { return error_ != 0; }
  std::string failure() const;
  int fd() const noexcept { return fd_; }

 private:
  CaptureWriter(int fd, const std::string& path);
  std::string path_;
  int fd_;
  int error_ = 0;
  uint32_t used_ = 0;
  std::unique_ptr<uint8_t[]> buffer_;
};

}  // namespace nodeplane
