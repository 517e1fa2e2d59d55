#include <cstdio>
#include <cstdlib>
#include <memory>

#include "stage/parse/parse.h"
#include "support/guarded.h"
#include "support/parse_promises.h"

// parse alone, with the frame at a page's end: nothing behind it may be read, and what parse says
// of it must hold. The first four bytes choose the port, the flags a driver gave, and how much of
// the frame is in reach, so that every branch can be come to.
namespace nodeplane {
namespace {

constexpr size_t kChoiceBytes = 4;
constexpr size_t kFrameMax = 16384;
constexpr uint32_t kPorts = 8;

struct World {
  std::unique_ptr<Batch> batch = std::make_unique<Batch>();
  Parse::Table table{};
  Parse::State state;
  test::Guarded memory{kFrameMax};

  // Port n has a MAC or none, a host or none, and knows partial sums or does not, by n's bits.
  World() {
    for (uint32_t i = 0; i < kPorts; ++i) {
      PortRow& row = table.ports[i];
      row.id = static_cast<uint16_t>(i);
      row.network = static_cast<uint16_t>(100 + i);
      row.mac[0] = (i & 1) != 0 ? 2 : 0;
      row.host_port = (i & 2) != 0 ? uint16_t{0} : static_cast<uint16_t>(kPortNone);
      row.host_of = static_cast<uint16_t>(kPortNone);
      row.checksum_mode = static_cast<uint8_t>(i % kChecksumModeCount);
      table.unknown_partial[i] = (i & 4) != 0;
    }
    table.port_count = kPorts;
  }

  void parse(const uint8_t* choice, const uint8_t* frame, size_t size) {
    const size_t cut = choice[2] % 4 == 0 && size != 0 ? choice[3] % size : 0;
    const size_t linear = size - cut;
    batch->reset(0);
    Packet& p = batch->packets[0];
    p.data = memory.put(frame, linear);
    p.length = static_cast<uint32_t>(size);
    p.linear = static_cast<uint16_t>(linear);
    p.port_in = choice[0] % kPorts;
    p.flags = (choice[1] & 1) != 0 ? uint16_t{kFlagPartialChecksum} : uint16_t{0};
    p.gso = (choice[1] & 2) != 0 ? Gso::kTcp4 : Gso::kNone;
    batch->count = batch->live_count = 1;
    batch->live[0] = 0;
    Parse::run(*batch, table, state);
    const char* lie =
        test::parse_lie(p, static_cast<uint32_t>(size), static_cast<uint32_t>(linear));
    if (lie == nullptr) return;
    std::fprintf(stderr, "parse broke its promise: %s\n", lie);
    std::abort();
  }
};

}  // namespace
}  // namespace nodeplane

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static nodeplane::World world;
  if (size < nodeplane::kChoiceBytes || size > nodeplane::kFrameMax) return 0;
  world.parse(data, data + nodeplane::kChoiceBytes, size - nodeplane::kChoiceBytes);
  return 0;
}
