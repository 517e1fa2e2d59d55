// The descriptors and records of copy/descriptor.h, held against the kernel's <linux/idxd.h>.
#include <linux/idxd.h>

#include "copy/descriptor.h"

namespace nodeplane::dsa {
static_assert(sizeof(Descriptor) == sizeof(dsa_hw_desc));
static_assert(offsetof(Descriptor, record) == offsetof(dsa_hw_desc, completion_addr));
static_assert(offsetof(Descriptor, from) == offsetof(dsa_hw_desc, src_addr));
static_assert(offsetof(Descriptor, from) == offsetof(dsa_hw_desc, desc_list_addr));
static_assert(offsetof(Descriptor, to) == offsetof(dsa_hw_desc, dst_addr));
static_assert(offsetof(Descriptor, size) == offsetof(dsa_hw_desc, xfer_size));
static_assert(offsetof(Descriptor, size) == offsetof(dsa_hw_desc, desc_count));
static_assert(offsetof(Descriptor, interrupt) == offsetof(dsa_hw_desc, int_handle));
static_assert(offsetof(Descriptor, reserved) == offsetof(dsa_hw_desc, rsvd1));
static_assert(offsetof(Descriptor, more) == offsetof(dsa_hw_desc, op_specific));
static_assert(sizeof(Descriptor::more) == sizeof(dsa_hw_desc::op_specific));

static_assert(sizeof(Record) == sizeof(dsa_completion_record));
static_assert(offsetof(Record, status) == offsetof(dsa_completion_record, status));
static_assert(offsetof(Record, result) == offsetof(dsa_completion_record, result));
static_assert(offsetof(Record, completed) == offsetof(dsa_completion_record, bytes_completed));
static_assert(offsetof(Record, fault) == offsetof(dsa_completion_record, fault_addr));
static_assert(offsetof(Record, wrong_bits) == offsetof(dsa_completion_record, op_specific));

// Where the bit fields lie is tested at run time (test/native/copy/descriptor_test.cc).
static_assert(int{static_cast<uint8_t>(Opcode::kNop)} == DSA_OPCODE_NOOP);
static_assert(int{static_cast<uint8_t>(Opcode::kBatch)} == DSA_OPCODE_BATCH);
static_assert(int{static_cast<uint8_t>(Opcode::kDrain)} == DSA_OPCODE_DRAIN);
static_assert(int{static_cast<uint8_t>(Opcode::kMemmove)} == DSA_OPCODE_MEMMOVE);

static_assert(kFence == IDXD_OP_FLAG_FENCE && kBlockOnFault == IDXD_OP_FLAG_BOF);
static_assert(kRecordValid == IDXD_OP_FLAG_CRAV && kRecordAlways == IDXD_OP_FLAG_RCR);
static_assert(kToCache == IDXD_OP_FLAG_CC);

static_assert(kStatusMask == DSA_COMP_STATUS_MASK && kStatusWrite == DSA_COMP_STATUS_WRITE);
static_assert(int{kPending} == DSA_COMP_NONE && int{kSuccess} == DSA_COMP_SUCCESS);
static_assert(int{kPageFault} == DSA_COMP_PAGE_FAULT_NOBOF);
static_assert(int{kPageRefused} == DSA_COMP_PAGE_FAULT_IR);
static_assert(int{kBatchFailed} == DSA_COMP_BATCH_FAIL);
static_assert(int{kBatchPageFault} == DSA_COMP_BATCH_PAGE_FAULT);
static_assert(int{kBadOpcode} == DSA_COMP_BAD_OPCODE && int{kBadFlags} == DSA_COMP_INVALID_FLAGS);
static_assert(int{kReservedNotZero} == DSA_COMP_NOZERO_RESERVE);
static_assert(int{kBadSize} == DSA_COMP_XFER_ERANGE && int{kBadCount} == DSA_COMP_DESC_CNT_ERANGE);
static_assert(int{kListUnaligned} == DSA_COMP_DESCLIST_ALIGN);
static_assert(int{kRecordUnaligned} == DSA_COMP_CRA_ALIGN);
static_assert(int{kHardwareError} == DSA_COMP_HW_ERR1);

}  // namespace nodeplane::dsa
