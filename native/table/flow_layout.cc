#include "table/flow_layout.h"

namespace nodeplane {

namespace {

constexpr uint64_t kMagic = 0x0a53574f4c46504e;  // "NPFLOWS\n"

// How records look: a layout that differs anywhere has another hash.
constexpr uint64_t kLayoutHash = [] {
  uint64_t h = kFlowLayout;
  for (const uint64_t word : {sizeof(SideV4),
                              offsetof(SideV4, new_src),
                              offsetof(SideV4, next_hop),
                              offsetof(SideV4, generation),
                              offsetof(SideV4, last_seen),
                              offsetof(SideV4, state),
                              offsetof(SideV4, tcp_flags),
                              offsetof(SideV4, packets),
                              offsetof(SideV4, bytes),
                              sizeof(SideV6),
                              offsetof(SideV6, new_src),
                              offsetof(SideV6, next_hop),
                              offsetof(SideV6, generation),
                              offsetof(SideV6, last_seen),
                              offsetof(SideV6, state),
                              offsetof(SideV6, tcp_flags),
                              offsetof(SideV6, packets),
                              offsetof(SideV6, bytes),
                              sizeof(FlowCold),
                              offsetof(FlowCold, state),
                              offsetof(FlowCold, service),
                              offsetof(FlowCold, endpoint),
                              offsetof(FlowCold, zone),
                              offsetof(FlowCold, snat),
                              offsetof(FlowCold, check),
                              size_t{kFlowStateCount}})
    h = mix_in(h, word);
  return h;
}();

struct Place {
  uint64_t at, bytes;
};
// Sides (FlowSides) and cold lines of one family, then of the other, each from a page's start.
struct Places {
  Place sides4, cold4, sides6, cold6;
  uint64_t end;
};

Places places_of(uint32_t capacity4, uint32_t capacity6) noexcept {
  uint64_t at = kFlowPage;
  auto next = [&](uint64_t bytes) {
    const Place place{at, bytes};
    at += (bytes + kFlowPage - 1) / kFlowPage * kFlowPage;
    return place;
  };
  Places p;
  p.sides4 = next(sizeof(SideV4) * 2 * uint64_t{capacity4});
  p.cold4 = next(sizeof(FlowCold) * uint64_t{capacity4});
  p.sides6 = next(sizeof(SideV6) * 2 * uint64_t{capacity6});
  p.cold6 = next(sizeof(FlowCold) * uint64_t{capacity6});
  p.end = at;
  return p;
}

}  // namespace

uint64_t flow_file_bytes(uint32_t capacity4, uint32_t capacity6) noexcept {
  return places_of(capacity4, capacity6).end;
}

template <class F>
FlowRecords<F> flow_records(const NamedFile& file) noexcept {
  const auto& capacity = flow_header(file).capacity;
  const Places p = places_of(capacity[0], capacity[1]);
  constexpr bool kV4 = F::kFamily == 4;
  return {reinterpret_cast<typename F::Side*>(file.base() + (kV4 ? p.sides4 : p.sides6).at),
          reinterpret_cast<FlowCold*>(file.base() + (kV4 ? p.cold4 : p.cold6).at),
          capacity[kV4 ? 0 : 1]};
}

void flow_header_write(NamedFile& file, uint32_t capacity4, uint32_t capacity6, uint64_t id,
                       uint32_t generation, const std::string& boot) noexcept {
  FlowFileHeader& h = flow_header(file);
  h.magic = kMagic;
  // Whoever is killed from here on leaves a file that is known as ours.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  h.layout = kFlowLayout;
  h.side_bytes[0] = sizeof(SideV4);
  h.side_bytes[1] = sizeof(SideV6);
  h.cold_bytes = sizeof(FlowCold);
  h.layout_hash = kLayoutHash;
  h.capacity[0] = capacity4;
  h.capacity[1] = capacity6;
  h.bytes = flow_file_bytes(capacity4, capacity6);
  h.id = id;
  std::memset(h.boot, 0, sizeof h.boot);
  boot.copy(h.boot, sizeof h.boot);
  h.generation.store(generation, std::memory_order_relaxed);
  h.check.store(h.sum(), std::memory_order_release);
}

FlowVerdict flow_file_judge(const NamedFile& file, const std::string& boot, std::string* why) {
  if (file.size() == 0) return FlowVerdict::kEmpty;
  alignas(FlowFileHeader) uint8_t bytes[sizeof(FlowFileHeader)] = {};
  const size_t read = file.read(bytes, sizeof bytes);
  const auto& h = *reinterpret_cast<const FlowFileHeader*>(bytes);
  auto useless = [&](const std::string& what) {
    *why = file.path() + ": " + what;
    return FlowVerdict::kUseless;
  };
  if (read == sizeof bytes && h.magic == 0 && h.sum() == FlowFileHeader{}.sum())
    return useless("was never finished");
  if (read < sizeof h.magic || h.magic != kMagic) {
    *why = file.path() + ": is no flow file, and is left alone";
    return FlowVerdict::kForeign;
  }
  if (read < sizeof bytes) return useless("is cut short");
  if (h.layout != kFlowLayout)
    return useless("is of layout " + std::to_string(h.layout) + ", and this program's is " +
                   std::to_string(kFlowLayout));
  if (h.check.load(std::memory_order_relaxed) != h.sum() ||
      h.generation.load(std::memory_order_relaxed) > kFlowGenerationMax)
    return useless("its header is damaged");
  if (h.layout_hash != kLayoutHash || h.side_bytes[0] != sizeof(SideV4) ||
      h.side_bytes[1] != sizeof(SideV6) || h.cold_bytes != sizeof(FlowCold))
    return useless("its records look otherwise than this program's");
  if (boot.compare(0, kFlowBootBytes, std::string(h.boot, kFlowBootBytes)) != 0)
    return useless("is of another boot: its connections' times mean nothing now");
  if (h.bytes != flow_file_bytes(h.capacity[0], h.capacity[1]) || file.size() < h.bytes)
    return useless("is cut short: " + std::to_string(file.size()) + " of " +
                   std::to_string(h.bytes) + " bytes");
  return FlowVerdict::kGood;
}

template <class F>
bool flow_records_copy(const NamedFile& from, const NamedFile& to, std::string* error) {
  const auto source = flow_records<F>(from), target = flow_records<F>(to);
  uint32_t count = 0;
  for (uint32_t r = 0; r < source.capacity; ++r) {
    const auto state = source.cold[r].state.load(std::memory_order_relaxed);
    if (state == static_cast<uint32_t>(FlowState::kNone)) continue;
    if (count < target.capacity) {
      for (uint32_t d = 0; d < 2; ++d)
        std::memcpy(static_cast<void*>(&target.side(count, d)), &source.side(r, d),
                    sizeof(typename F::Side));
      std::memcpy(static_cast<void*>(target.cold + count), source.cold + r, sizeof(FlowCold));
    }
    ++count;
  }
  if (count <= target.capacity) return true;
  *error = from.path() + ": holds " + std::to_string(count) + " IPv" + std::to_string(F::kFamily) +
           " connections, more than the capacity of " + std::to_string(target.capacity) +
           ": raise it, or remove the file and lose them";
  return false;
}

template FlowRecords<V4> flow_records<V4>(const NamedFile&) noexcept;
template FlowRecords<V6> flow_records<V6>(const NamedFile&) noexcept;
template bool flow_records_copy<V4>(const NamedFile&, const NamedFile&, std::string*);
template bool flow_records_copy<V6>(const NamedFile&, const NamedFile&, std::string*);

}  // namespace nodeplane
