#include <cstdio>
#include <cstdlib>
#include <memory>

#include "stage/parse/parse.h"
#include "support/guarded.h"
#include "support/packets.h"
#include "support/parse_promises.h"

// parse alone, with the frame at a page's end: nothing behind it may be read, and what parse says
// of it must hold. The first bytes choose the port, what a driver said, how much of the frame is in
// reach, and what is mended: no fuzzer guesses a checksum, and without a right one it would never
// see what lies behind.
namespace nodeplane {
namespace {

using test::Bytes;
using test::operator+;

struct Choice {
  uint8_t port;
  uint8_t driver;  // bit 0: partial checksum, bit 1: a large packet
  uint8_t cut;     // a multiple of 4: the first frame ends early
  uint8_t cut_by;
  uint8_t mend;  // Mend, modulo its count
};
enum class Mend : uint8_t { kNothing, kIpv4, kIpv6, kTaggedIpv4, kTaggedIpv6, kNdp, kArp, kCount };

constexpr size_t kFrameMax = 16384;
constexpr uint32_t kPorts = 8;
constexpr size_t kEth = 14, kTag = 4, kIpv6 = 40, kNdpSum = 2;

void mend_ipv4(Bytes& frame, size_t l3) {
  const size_t header = (frame[l3] & 15u) * 4;
  frame[l3] = static_cast<uint8_t>(0x40 | (frame[l3] & 15));
  // Half the time the length agrees with the frame, else it is what the fuzzer made it.
  if ((frame[l3 + 1] & 1) == 0)
    test::put16(frame, l3 + 2, static_cast<uint32_t>(frame.size() - l3));
  if (header < 20 || l3 + header > frame.size()) return;
  test::put16(frame, l3 + 10, 0);
  const auto begin = frame.begin() + static_cast<long>(l3);
  const uint16_t sum = test::sum_of(Bytes(begin, begin + static_cast<long>(header)));
  test::put16(frame, l3 + 10, static_cast<uint16_t>(~sum));
}

void mend_ipv6(Bytes& frame, size_t l3) {
  if ((frame[l3 + 1] & 1) == 0) {
    test::put16(frame, l3 + 4, static_cast<uint32_t>(frame.size() - l3 - kIpv6));
  }
  frame[l3] = 0x60;
}

void mend_ndp(Bytes& frame) {
  constexpr size_t kL4 = kEth + kIpv6;
  if (frame.size() < kL4 + 24) return;
  frame[kEth + 1] = 0;  // the length is right as well
  mend_ipv6(frame, kEth);
  frame[kEth + 6] = kProtocolIcmp6;
  frame[kEth + 7] = 255;
  frame[kL4] = static_cast<uint8_t>(135 + (frame[kL4] & 1));
  test::put16(frame, kL4 + kNdpSum, 0);
  const auto at = [&](size_t n) { return frame.begin() + static_cast<long>(n); };
  const Bytes pseudo =
      test::pseudo6(Bytes(at(kEth + 8), at(kEth + 24)), Bytes(at(kEth + 24), at(kL4)),
                    kProtocolIcmp6, frame.size() - kL4);
  const uint16_t sum = test::sum_of(pseudo + Bytes(at(kL4), frame.end()));
  test::put16(frame, kL4 + kNdpSum, static_cast<uint16_t>(~sum));
}

void mend(Bytes& frame, Mend what) {
  const bool tagged = what == Mend::kTaggedIpv4 || what == Mend::kTaggedIpv6;
  const size_t l3 = kEth + (tagged ? kTag : 0);
  if (what == Mend::kNothing || frame.size() < l3 + kIpv6) return;
  const bool v4 = what == Mend::kIpv4 || what == Mend::kTaggedIpv4;
  if (tagged) test::put16(frame, 12, 0x8100);
  test::put16(frame, l3 - 2, what == Mend::kArp ? 0x0806 : v4 ? 0x0800 : 0x86dd);
  if (what == Mend::kArp) return;
  if (what == Mend::kNdp) return mend_ndp(frame);
  return v4 ? mend_ipv4(frame, l3) : mend_ipv6(frame, l3);
}

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

  void parse(const Choice& choice, const Bytes& frame) {
    const size_t size = frame.size();
    const size_t cut = choice.cut % 4 == 0 && size != 0 ? choice.cut_by % size : 0;
    const size_t linear = size - cut;
    batch->reset(0);
    Packet& p = batch->packets[0];
    p.data = memory.put(frame.data(), linear);
    p.length = static_cast<uint32_t>(size);
    p.linear = static_cast<uint16_t>(linear);
    p.port_in = choice.port % kPorts;
    p.flags = (choice.driver & 1) != 0 ? uint16_t{kFlagPartialChecksum} : uint16_t{0};
    p.gso = (choice.driver & 2) != 0 ? Gso::kTcp4 : Gso::kNone;
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
  using namespace nodeplane;
  static World world;
  Choice choice;
  if (size < sizeof choice || size > kFrameMax) return 0;
  std::memcpy(&choice, data, sizeof choice);
  Bytes frame(data + sizeof choice, data + size);
  mend(frame, static_cast<Mend>(choice.mend % static_cast<uint8_t>(Mend::kCount)));
  world.parse(choice, frame);
  return 0;
}
