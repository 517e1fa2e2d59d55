#pragma once
#include <cstdint>
#include <vector>

namespace nodeplane {

// Captures as bytes, in either byte order, for tests that write what no tool would.
class CaptureBytes {
 public:
  explicit CaptureBytes(bool big = false) : big_(big) {}
  CaptureBytes& u8(uint8_t v) {
    bytes.push_back(v);
    return *this;
  }
  CaptureBytes& u16(uint32_t v) { return big_ ? u8(v >> 8).u8(v) : u8(v).u8(v >> 8); }
  CaptureBytes& u32(uint32_t v) { return big_ ? u16(v >> 16).u16(v) : u16(v).u16(v >> 16); }
  CaptureBytes& put(const std::vector<uint8_t>& more) {
    bytes.insert(bytes.end(), more.begin(), more.end());
    return *this;
  }
  CaptureBytes& pad() {
    while (bytes.size() % 4 != 0) u8(0);
    return *this;
  }

  CaptureBytes& classic(uint32_t magic = 0xa1b2c3d4, uint32_t link_type = 1) {
    return u32(magic).u16(2).u16(4).u32(0).u32(0).u32(262144).u32(link_type);
  }
  CaptureBytes& record(uint32_t seconds, uint32_t fraction, const std::vector<uint8_t>& data) {
    const auto n = static_cast<uint32_t>(data.size());
    return u32(seconds).u32(fraction).u32(n).u32(n).put(data);
  }

  CaptureBytes& section() {
    return u32(0x0a0d0d0a).u32(28).u32(0x1a2b3c4d).u16(1).u16(0).u32(~0u).u32(~0u).u32(28);
  }
  CaptureBytes& interface(uint32_t link_type = 1, int resolution = -1, int64_t offset = 0) {
    CaptureBytes body(big_);
    body.u16(link_type).u16(0).u32(262144);
    if (resolution >= 0) body.u16(9).u16(1).u8(static_cast<uint8_t>(resolution)).pad();
    if (offset != 0) {
      const auto high = static_cast<uint32_t>(static_cast<uint64_t>(offset) >> 32);
      const auto low = static_cast<uint32_t>(offset);
      body.u16(14).u16(8).u32(big_ ? high : low).u32(big_ ? low : high);
    }
    if (body.bytes.size() > 8) body.u16(0).u16(0);
    return block(1, body.bytes);
  }
  CaptureBytes& packet(uint64_t ticks, const std::vector<uint8_t>& data, uint32_t interface = 0) {
    CaptureBytes body(big_);
    const auto n = static_cast<uint32_t>(data.size());
    body.u32(interface).u32(static_cast<uint32_t>(ticks >> 32)).u32(static_cast<uint32_t>(ticks));
    return block(6, body.u32(n).u32(n).put(data).bytes);
  }
  CaptureBytes& simple_packet(const std::vector<uint8_t>& data) {
    CaptureBytes body(big_);
    return block(3, body.u32(static_cast<uint32_t>(data.size())).put(data).bytes);
  }
  CaptureBytes& old_packet(uint64_t ticks, const std::vector<uint8_t>& data) {
    CaptureBytes body(big_);
    const auto n = static_cast<uint32_t>(data.size());
    body.u16(0).u16(0).u32(static_cast<uint32_t>(ticks >> 32)).u32(static_cast<uint32_t>(ticks));
    return block(2, body.u32(n).u32(n).put(data).bytes);
  }
  CaptureBytes& block(uint32_t type, std::vector<uint8_t> body) {
    while (body.size() % 4 != 0) body.push_back(0);
    const auto length = static_cast<uint32_t>(body.size() + 12);
    return u32(type).u32(length).put(body).u32(length);
  }

  std::vector<uint8_t> bytes;

 private:
  bool big_;
};

}  // namespace nodeplane
