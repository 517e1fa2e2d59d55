#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/time.h"

namespace nodeplane {

// Largest record that is handed on, libpcap's MAXIMUM_SNAPLEN for Ethernet.
inline constexpr uint32_t kRecordMax = 262144;
inline constexpr uint32_t kInterfacesMax = 1024;  // of one pcapng section

// One packet of a capture. `bytes` is null when the record is there but cannot be handed on: longer
// than kRecordMax, cut off by the end of the file, or contradicting itself.
struct Record {
  Time time = 0;
  const uint8_t* bytes = nullptr;
  uint32_t length = 0;
};

// A file or pipe, read ahead in pieces.
class ByteSource {
 public:
  explicit ByteSource(int fd);
  ~ByteSource();
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;
  // The next n bytes in one piece without taking them, or null if the input ends before. n is at
  // most kRecordMax and a little; the pointer is good until the next call.
  const uint8_t* want(uint32_t n) noexcept;
  bool skip(uint64_t n) noexcept;  // false: the input ended before
  bool at_end() noexcept { return want(1) == nullptr; }
  uint64_t offset() const noexcept { return offset_; }  // of the next byte
  int error() const noexcept { return error_; }         // errno of a failed read, 0

 private:
  bool fill() noexcept;
  int fd_;
  int error_ = 0;
  uint64_t offset_ = 0;
  uint32_t begin_ = 0;
  uint32_t end_ = 0;
  std::unique_ptr<uint8_t[]> buffer_;
};

// Reads classic pcap (microseconds and nanoseconds) and pcapng, both byte orders, Ethernet only.
// draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng. Never fails on a hostile file other than by
// ending; memory is bounded.
class CaptureReader {
 public:
  // Takes the descriptor. Null with a reason if this is no capture that can be read.
  static std::unique_ptr<CaptureReader> open(int fd, const std::string& name, std::string* error);
  // The record that stands next, good until next(); null at the end. Times never go back.
  const Record* peek() noexcept;
  void next() noexcept;
  // Why reading ended before the file did; empty if it did not.
  std::string failure() const;

 private:
  struct Interface {
    uint32_t link_type;
    uint8_t resolution;  // if_tsresol: exponent of 10, or of 2 with the top bit
    int64_t offset;      // if_tsoffset, seconds
  };
  CaptureReader(int fd, const std::string& name) : name_(name), source_(fd) {}
  bool start(std::string* error);
  void advance() noexcept;
  void advance_classic() noexcept;
  void advance_block() noexcept;
  void section() noexcept;
  void interface(uint32_t length) noexcept;
  void packet_block(uint32_t type, uint32_t length) noexcept;
  void leave_block(uint32_t length) noexcept;
  void hand_on(Time time, const uint8_t* bytes, uint32_t length) noexcept;
  void lose(Time time) noexcept { hand_on(time, nullptr, 0); }
  void cut() noexcept;
  void fail(const char* what, uint64_t detail) noexcept;
  uint16_t u16(const uint8_t* p) const noexcept;
  uint32_t u32(const uint8_t* p) const noexcept;
  static Time to_time(const Interface& interface, uint64_t ticks) noexcept;

  std::string name_;
  ByteSource source_;
  bool blocks_ = false;       // pcapng
  bool swapped_ = false;      // the file's byte order is not ours
  bool nanoseconds_ = false;  // classic
  bool ready_ = false;
  bool ended_ = false;
  uint64_t rest_ = 0;   // classic: bytes to skip before the next record
  uint32_t block_ = 0;  // pcapng: length of the block that the record stands in
  const char* what_ = nullptr;
  uint64_t detail_ = 0;
  uint64_t where_ = 0;
  Time last_ = 0;
  Record record_;
  std::vector<Interface> interfaces_;
};

}  // namespace nodeplane
