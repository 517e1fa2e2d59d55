#include "driver/pcap/reader.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

namespace nodeplane {

namespace {

constexpr uint32_t kBufferBytes = 2 * kRecordMax;
constexpr uint32_t kMagicMicro = 0xa1b2c3d4;
constexpr uint32_t kMagicNano = 0xa1b23c4d;
constexpr uint32_t kMagicKuznetzov = 0xa1b2cd34;
constexpr uint32_t kFileHeader = 24;
constexpr uint32_t kRecordHeader = 16;
constexpr uint32_t kLinkEthernet = 1;

constexpr uint32_t kBlockSection = 0x0a0d0d0a;
constexpr uint32_t kBlockInterface = 1;
constexpr uint32_t kBlockOldPacket = 2;  // obsolete, still written by old tools
constexpr uint32_t kBlockSimple = 3;
constexpr uint32_t kBlockPacket = 6;
constexpr uint32_t kByteOrderMagic = 0x1a2b3c4d;
constexpr uint32_t kBlockMin = 12;
constexpr uint16_t kOptionEnd = 0;
constexpr uint16_t kOptionResolution = 9;
constexpr uint16_t kOptionOffset = 14;
constexpr uint8_t kMicroseconds = 6;

constexpr Time kTimeMax = std::numeric_limits<int64_t>::max();

Time clamp(__int128 nanoseconds) noexcept {
  if (nanoseconds < 0) return 0;
  return nanoseconds > static_cast<__int128>(kTimeMax) ? kTimeMax : static_cast<Time>(nanoseconds);
}

uint32_t load32(const uint8_t* p) noexcept {
  uint32_t v;
  std::memcpy(&v, p, 4);
  return v;
}

}  // namespace

ByteSource::ByteSource(int fd) : fd_(fd), buffer_(new uint8_t[kBufferBytes]) {}

ByteSource::~ByteSource() { close(fd_); }

bool ByteSource::fill() noexcept {
  if (begin_ != 0) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  ssize_t n;
  do n = read(fd_, buffer_.get() + end_, kBufferBytes - end_);
  while (n < 0 && errno == EINTR);
  if (n < 0) error_ = errno;
  if (n <= 0) return false;
  end_ += static_cast<uint32_t>(n);
  return true;
}

const uint8_t* ByteSource::want(uint32_t n) noexcept {
  while (end_ - begin_ < n)
    if (n > kBufferBytes || !fill()) return nullptr;
  return buffer_.get() + begin_;
}

bool ByteSource::skip(uint64_t n) noexcept {
  while (n != 0) {
    if (begin_ == end_ && !fill()) return false;
    const uint32_t step = static_cast<uint32_t>(std::min<uint64_t>(n, end_ - begin_));
    begin_ += step;
    offset_ += step;
    n -= step;
  }
  return true;
}

std::unique_ptr<CaptureReader> CaptureReader::open(int fd, const std::string& name,
                                                   std::string* error) {
  std::unique_ptr<CaptureReader> reader(new CaptureReader(fd, name));
  return reader->start(error) ? std::move(reader) : nullptr;
}

bool CaptureReader::start(std::string* error) {
  interfaces_.reserve(kInterfacesMax);
  const uint8_t* head = source_.want(4);
  const uint32_t magic = head != nullptr ? load32(head) : 0;
  blocks_ = magic == kBlockSection;
  swapped_ = magic == __builtin_bswap32(kMagicMicro) || magic == __builtin_bswap32(kMagicNano);
  const uint32_t ordered = swapped_ ? __builtin_bswap32(magic) : magic;
  nanoseconds_ = ordered == kMagicNano;
  if (head == nullptr) {
    *error = name_ + (source_.error() != 0 ? std::string(": ") + std::strerror(source_.error())
                                           : ": too short for a capture");
    return false;
  }
  if (!blocks_ && ordered != kMagicMicro && ordered != kMagicNano) {
    const bool old = magic == kMagicKuznetzov || magic == __builtin_bswap32(kMagicKuznetzov);
    *error = name_ + (old ? ": modified pcap (magic a1b2cd34) is not read; convert it with editcap"
                          : ": neither pcap nor pcapng");
    return false;
  }
  if (!blocks_) {
    const uint8_t* file = source_.want(kFileHeader);
    if (file == nullptr) {
      *error = name_ + ": ends inside the pcap file header";
      return false;
    }
    // The upper half of the link type tells the length of a frame check sequence: not asked for.
    const uint32_t link_type = u32(file + 20) & 0xffff;
    if (u16(file + 4) != 2) fail("only version 2 of pcap is read, this is", u16(file + 4));
    if (link_type != kLinkEthernet) fail("only link type 1 (Ethernet) is read, this is", link_type);
    source_.skip(kFileHeader);
  }
  // The first record is looked at now, so that a file that cannot be read at all fails to open.
  if (what_ == nullptr) peek();
  if (what_ == nullptr) return true;
  *error = failure();
  return false;
}

const Record* CaptureReader::peek() noexcept {
  while (!ready_ && !ended_) advance();
  return ready_ ? &record_ : nullptr;
}

void CaptureReader::next() noexcept {
  ready_ = false;
  if (blocks_ && block_ != 0) leave_block(block_);
  if (!blocks_ && !source_.skip(rest_)) ended_ = true;
  block_ = 0;
  rest_ = 0;
}

std::string CaptureReader::failure() const {
  if (source_.error() != 0) return name_ + ": " + std::strerror(source_.error());
  if (what_ == nullptr) return {};
  return name_ + ": " + what_ + " " + std::to_string(detail_) + ", at byte " +
         std::to_string(where_);
}

void CaptureReader::advance() noexcept {
  if (source_.at_end()) {
    ended_ = true;
    return;
  }
  if (blocks_) {
    advance_block();
  } else {
    advance_classic();
  }
}

void CaptureReader::advance_classic() noexcept {
  const uint8_t* head = source_.want(kRecordHeader);
  if (head == nullptr) return cut();
  const uint64_t fraction = u32(head + 4);
  const Time time = u32(head) * kSecond + (nanoseconds_ ? fraction : fraction * 1000);
  const uint32_t captured = u32(head + 8);
  if (captured > kRecordMax) {
    // Perhaps honest, perhaps garbage: if so many bytes follow, the records behind may be good.
    rest_ = uint64_t{kRecordHeader} + captured;
    return lose(time);
  }
  const uint8_t* record = source_.want(kRecordHeader + captured);
  if (record == nullptr) return cut();
  rest_ = kRecordHeader + captured;
  hand_on(time, record + kRecordHeader, captured);
}

void CaptureReader::advance_block() noexcept {
  const uint8_t* head = source_.want(8);
  if (head == nullptr) return cut();
  if (load32(head) == kBlockSection) return section();
  const uint32_t type = u32(head);
  const uint32_t length = u32(head + 4);
  if (length < kBlockMin || length % 4 != 0) return fail("impossible block length", length);
  switch (type) {
    case kBlockInterface:
      return interface(length);
    case kBlockOldPacket:
    case kBlockSimple:
    case kBlockPacket:
      return packet_block(type, length);
    default:
      return leave_block(length);  // names, statistics, secrets, what is not known
  }
}

void CaptureReader::section() noexcept {
  const uint8_t* head = source_.want(16);
  if (head == nullptr) return fail("ends inside a section header; bytes needed:", 28);
  const uint32_t magic = load32(head + 8);
  swapped_ = magic == __builtin_bswap32(kByteOrderMagic);
  if (!swapped_ && magic != kByteOrderMagic) return fail("wrong byte-order magic", magic);
  const uint32_t length = u32(head + 4);
  if (length < 28 || length % 4 != 0) return fail("impossible section header length", length);
  if (u16(head + 12) != 1) return fail("only version 1 of pcapng is read, this is", u16(head + 12));
  interfaces_.clear();
  leave_block(length);
}

void CaptureReader::interface(uint32_t length) noexcept {
  if (length < 20) return fail("impossible interface block length", length);
  if (length > kRecordMax) return fail("too long an interface block:", length);
  if (interfaces_.size() == kInterfacesMax) return fail("too many interfaces:", kInterfacesMax + 1);
  const uint8_t* block = source_.want(length);
  if (block == nullptr) return leave_block(length);
  Interface made{u16(block + 8), kMicroseconds, 0};
  const uint32_t end = length - 4;
  for (uint32_t at = 16; at + 4 <= end;) {
    const uint16_t code = u16(block + at);
    const uint32_t size = u16(block + at + 2);
    if (code == kOptionEnd || at + 4 + size > end) break;
    if (code == kOptionResolution && size == 1) made.resolution = block[at + 4];
    if (code == kOptionOffset && size == 8) {
      const uint64_t first = u32(block + at + 4);
      const uint64_t second = u32(block + at + 8);
      made.offset = static_cast<int64_t>(swapped_ ? first << 32 | second : second << 32 | first);
    }
    at += 4 + ((size + 3) & ~3u);
  }
  if (made.link_type != kLinkEthernet)
    return fail("only link type 1 (Ethernet) is read, an interface has", made.link_type);
  interfaces_.push_back(made);
  leave_block(length);
}

void CaptureReader::packet_block(uint32_t type, uint32_t length) noexcept {
  const uint32_t data = type == kBlockSimple ? 12 : 28;
  block_ = length;
  if (length < data + 4) return lose(last_);
  const uint8_t* head = source_.want(data);
  if (head == nullptr) return cut();
  const uint32_t room = length - data - 4;
  uint32_t captured = type == kBlockSimple ? std::min(room, u32(head + 8)) : u32(head + 20);
  uint32_t number = 0;
  if (type == kBlockPacket) number = u32(head + 8);
  if (type == kBlockOldPacket) number = u16(head + 8);
  if (number >= interfaces_.size()) return lose(last_);
  Time time = last_;  // a simple packet block has none
  if (type != kBlockSimple)
    time = to_time(interfaces_[number], uint64_t{u32(head + 12)} << 32 | u32(head + 16));
  if (captured > room || captured > kRecordMax) return lose(time);
  const uint8_t* block = source_.want(data + captured);
  if (block == nullptr) return cut();
  hand_on(time, block + data, captured);
}

// Goes behind a block, whose length stands at its end once more.
void CaptureReader::leave_block(uint32_t length) noexcept {
  const uint8_t* tail = source_.skip(length - 4) ? source_.want(4) : nullptr;
  if (tail == nullptr) {
    ended_ = true;
  } else if (u32(tail) != length) {
    fail("a block's two lengths differ, the second is", u32(tail));
  } else {
    source_.skip(4);
  }
}

void CaptureReader::hand_on(Time time, const uint8_t* bytes, uint32_t length) noexcept {
  last_ = std::max(last_, std::min(time, kTimeMax));
  record_ = {last_, bytes, length};
  ready_ = true;
}

// The input ends inside a record.
void CaptureReader::cut() noexcept {
  ended_ = true;
  block_ = 0;
  lose(last_);
}

void CaptureReader::fail(const char* what, uint64_t detail) noexcept {
  what_ = what;
  detail_ = detail;
  where_ = source_.offset();
  ended_ = true;
}

uint16_t CaptureReader::u16(const uint8_t* p) const noexcept {
  uint16_t v;
  std::memcpy(&v, p, 2);
  return swapped_ ? __builtin_bswap16(v) : v;
}

uint32_t CaptureReader::u32(const uint8_t* p) const noexcept {
  const uint32_t v = load32(p);
  return swapped_ ? __builtin_bswap32(v) : v;
}

Time CaptureReader::to_time(const Interface& interface, uint64_t ticks) noexcept {
  const uint8_t exponent = interface.resolution & 0x7f;
  __int128 time = ticks;
  if (interface.resolution & 0x80) {
    time = time * static_cast<int64_t>(kSecond) >> exponent;
  } else {
    for (uint8_t i = exponent; i < 9; ++i) time *= 10;
    for (uint8_t i = 9; i < exponent && time != 0; ++i) time /= 10;
  }
  return clamp(time + static_cast<__int128>(interface.offset) * static_cast<int64_t>(kSecond));
}

}  // namespace nodeplane
