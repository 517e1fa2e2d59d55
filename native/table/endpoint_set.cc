#include "table/endpoint_set.h"

#include <new>
#include <vector>

#include "table/maglev.h"
#include "table/mix.h"

namespace nodeplane {
namespace {

uint64_t identity(const EndpointEntry& e) noexcept {
  return mix_address(mix_in(e.family, e.be_port), e.family, e.address.bytes);
}

}  // namespace

// A place is read as two bytes wherever it lies.
uint64_t EndpointSet::ring_bytes() const noexcept {
  return ((uint64_t{ring_size} << place_shift) + 7) / 8 + 1;
}

EndpointSet* EndpointSet::make(uint64_t seed, uint8_t family, uint16_t network, uint32_t count,
                               uint32_t choosable) {
  EndpointSet head{};
  head.seed = seed;
  head.count = count;
  head.ring_size = choosable == 0 ? 0 : maglev_size(choosable);
  head.network = network;
  head.family = family;
  head.place_shift = count <= 16 ? 2 : count <= 256 ? 3 : 4;
  const size_t bytes = sizeof head + size_t{count} * sizeof(EndpointEntry) + head.ring_bytes();
  return new (::operator new (bytes, std::align_val_t{alignof(EndpointSet)})) EndpointSet(head);
}

void EndpointSet::free(EndpointSet* set) noexcept {
  ::operator delete (set, std::align_val_t{alignof(EndpointSet)});
}

bool EndpointSet::same_ring(const EndpointSet& other) const noexcept {
  if (seed != other.seed || count != other.count) return false;
  for (uint32_t i = 0; i < count; ++i) {
    const EndpointEntry &a = endpoints()[i], &b = other.endpoints()[i];
    if (!(a.address == b.address) || a.be_port != b.be_port || a.family != b.family ||
        a.new_flow_weight() != b.new_flow_weight())
      return false;
  }
  return true;
}

void EndpointSet::copy_ring(const EndpointSet& other) noexcept {
  std::memcpy(ring(), other.ring(), ring_bytes());
}

void EndpointSet::pack(const uint16_t* __restrict numbers, uint8_t* __restrict to) const noexcept {
  const uint32_t size = ring_size;
  if (place_shift == 2) {
    for (uint32_t i = 0; i < (size + 1) / 2; ++i) {
      uint32_t two;  // 000b000a -> ba
      std::memcpy(&two, numbers + size_t{2} * i, sizeof two);
      to[i] = static_cast<uint8_t>(two | two >> 12);
    }
  } else if (place_shift == 3) {
    for (uint32_t i = 0; i < size; ++i) to[i] = static_cast<uint8_t>(numbers[i]);
  } else {
    std::memcpy(to, numbers, size_t{2} * size);
  }
}

void EndpointSet::fill_ring() {
  if (ring_size == 0) return;
  thread_local std::vector<MaglevEndpoint> on_ring;
  thread_local std::vector<uint16_t> numbers;
  on_ring.clear();
  for (uint32_t i = 0; i < count; ++i) {
    const EndpointEntry& e = endpoints()[i];
    if (e.new_flow_weight() != 0) on_ring.push_back({identity(e), i, e.weight});
  }
  numbers.resize(ring_size + 1);
  maglev_fill(on_ring.data(), static_cast<uint32_t>(on_ring.size()), seed, ring_size,
              numbers.data());
  numbers[ring_size] = 0;
  pack(numbers.data(), ring());
  ring()[ring_bytes() - 1] = 0;
}

}  // namespace nodeplane
