#pragma once
#include "wire/eth.h"

namespace nodeplane::wire {

// A tag follows the two MACs: its TPID stands where the Ethernet type would (IEEE 802.1Q section
// 9.4), so what lies behind that type field is the TCI and the next type.
struct VlanTag {
  Be16 tci;
  Be16 type;
};
static_assert(sizeof(VlanTag) == 4 && alignof(VlanTag) == 1);

inline constexpr uint16_t kVlanIdMask = 0x0fff;
inline constexpr uint32_t kVlanDepthMax = 2;

inline const VlanTag* check_vlan(const uint8_t* p, size_t n) noexcept {
  return check_at<VlanTag>(p, n);
}
inline bool is_vlan_type(uint16_t type) noexcept {
  return type == kEthertypeVlan || type == kEthertypeQinq;
}
inline uint16_t vlan_id(uint16_t tci) noexcept { return tci & kVlanIdMask; }
inline uint8_t vlan_priority(uint16_t tci) noexcept { return static_cast<uint8_t>(tci >> 13); }

}  // namespace nodeplane::wire
