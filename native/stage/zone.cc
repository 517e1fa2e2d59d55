#include "stage/zone.h"

namespace nodeplane {
namespace {

constexpr uint8_t kOfOneNetwork = 1, kMatchesNothing = 2;  // ZoneRow.flags

bool from_pod(const Packet& p, const std::vector<PodRangeRow>& pods) noexcept {
  const IpAddress source = p.family == 4 ? key_src(p.key4) : key_src(p.key6);
  for (const PodRangeRow& r : pods) {
    if (r.network == p.network && r.family == p.family &&
        prefix_matches(r.prefix, source.bytes, r.prefix_length))
      return true;
  }
  return false;
}

}  // namespace

uint8_t zone_of(const Packet& p, const ZoneRules& rules) noexcept {
  for (const ZoneRow& row : rules.rows) {
    if ((row.flags & kMatchesNothing) != 0 ||
        ((row.flags & kOfOneNetwork) != 0 && row.network != p.network))
      continue;
    const auto source = static_cast<ZoneSource>(row.source);
    if (source == ZoneSource::kAny || from_pod(p, rules.pods) == (source == ZoneSource::kPods))
      return row.id;
  }
  return 0;
}

}  // namespace nodeplane
