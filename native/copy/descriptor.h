#pragma once
#include <cstddef>
#include <cstdint>

// What a DSA reads and writes in memory (Intel Data Streaming Accelerator Architecture
// Specification, chapters 8 and 9). copy/dsa/check_idxd.cc holds it against <linux/idxd.h>.
namespace nodeplane::dsa {

struct alignas(64) Descriptor {
  uint32_t process;    // PASID and privilege: the queue's or the CPU's, so zero
  uint32_t operation;  // flags, and the opcode in the highest byte
  uint64_t record;     // address of the completion record
  uint64_t from;       // of a batch: its list of descriptors
  uint64_t to;
  uint32_t size;  // bytes; of a batch: how many descriptors
  uint16_t interrupt;
  uint16_t reserved;
  uint64_t more[3];  // other opcodes' fields, zero
};
static_assert(sizeof(Descriptor) == 64);

struct alignas(32) Record {
  uint8_t status;  // 0 until done; written last
  uint8_t result;  // of a copy that stopped: not 0 when it went backwards
  uint16_t reserved;
  uint32_t completed;   // bytes, or descriptors of a batch
  uint64_t fault;       // address
  uint32_t wrong_bits;  // invalid flags
  uint32_t more[3];
};
static_assert(sizeof(Record) == 32);

enum class Opcode : uint8_t { kNop = 0, kBatch = 1, kDrain = 2, kMemmove = 3 };

inline constexpr uint32_t kFence = 0x1;         // in a batch: after all before it
inline constexpr uint32_t kBlockOnFault = 0x2;  // wait for the page instead of stopping
inline constexpr uint32_t kRecordValid = 0x4;   // CRAV
inline constexpr uint32_t kRecordAlways = 0x8;  // RCR; without it a record tells errors only
inline constexpr uint32_t kToCache = 0x100;     // CC: destination into the last level cache
inline constexpr uint32_t kFlagBits = 24;

constexpr uint32_t operation(Opcode opcode, uint32_t flags) noexcept {
  return uint32_t{static_cast<uint8_t>(opcode)} << kFlagBits | flags;
}

inline constexpr uint8_t kStatusMask = 0x7f;
inline constexpr uint8_t kStatusWrite = 0x80;  // of a fault: it was the destination's
enum Status : uint8_t {
  kPending = 0,
  kSuccess = 1,
  kPageFault = 3,
  kPageRefused = 4,
  kBatchFailed = 5,
  kBatchPageFault = 6,
  kBadOpcode = 0x10,
  kBadFlags = 0x11,
  kReservedNotZero = 0x12,
  kBadSize = 0x13,
  kBadCount = 0x14,
  kListUnaligned = 0x18,
  kRecordUnaligned = 0x1b,
  kHardwareError = 0x20,
};

inline constexpr uint32_t kBatchMin = 2;  // a batch of one is an error (kBadCount)

}  // namespace nodeplane::dsa
