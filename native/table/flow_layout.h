#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "base/named_file.h"
#include "table/flow_record.h"
#include "table/mix.h"

namespace nodeplane {

// Of what lies in a flow file. Raised by hand when records mean something else; that they look different is
// noticed without (layout_hash).
inline constexpr uint32_t kFlowLayout = 2;
inline constexpr size_t kFlowPage = 4096;  // what each part of the file begins on
inline constexpr size_t kFlowBootBytes = 32;
inline constexpr uint32_t kFlowGenerationMax =
    0x7fffffff;  // stamps are compared by their difference

// What is said once stands before `check`, which is stored last; what changes stands behind it.
struct FlowFileHeader {
  uint64_t magic;
  uint32_t layout;
  uint32_t side_bytes[2], cold_bytes;
  uint64_t layout_hash;
  uint32_t capacity[2];
  uint64_t bytes;
  uint64_t id;
  char boot[kFlowBootBytes];
  std::atomic<uint64_t> check;
  std::atomic<uint32_t> generation;
  std::atomic<uint32_t> clean;

  uint64_t sum() const noexcept {
    std::array<uint64_t, offsetof(FlowFileHeader, check) / 8> words;
    std::memcpy(words.data(), this, sizeof words);
    uint64_t h = 0;
    for (const uint64_t w : words) h = mix_in(h, w);
    return h;
  }
};
static_assert(offsetof(FlowFileHeader, check) % 8 == 0 && sizeof(FlowFileHeader) <= kFlowPage);

// Of all parts together.
uint64_t flow_file_bytes(uint32_t capacity4, uint32_t capacity6) noexcept;
inline FlowFileHeader& flow_header(const NamedFile& file) noexcept {
  return *reinterpret_cast<FlowFileHeader*>(file.base());
}
template <class F>
FlowRecords<F> flow_records(const NamedFile& file) noexcept;

// In a file that is all zero.
void flow_header_write(NamedFile& file, uint32_t capacity4, uint32_t capacity6, uint64_t id,
                       uint32_t generation, const std::string& boot) noexcept;

enum class FlowVerdict : uint8_t { kEmpty, kGood, kUseless, kForeign };
// Whether records can be read from it in this boot; if not, why.
FlowVerdict flow_file_judge(const NamedFile& file, const std::string& boot, std::string* why);

// What is no free memory moves up to the front of another file; what it is is judged later. False with a
// reason: more than fit.
template <class F>
bool flow_records_copy(const NamedFile& from, const NamedFile& to, std::string* error);

}  // namespace nodeplane
