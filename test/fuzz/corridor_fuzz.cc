#include "support/corridor_twins.h"

// The whole corridor with tables like a node's: packets that mean something (a small world of
// addresses and ports, so that flows, replies, errors and neighbours meet), bent by the fuzzer, and
// packets that mean nothing. After every batch the books balance and every frame is accounted for
// (CorridorKit), and the node without the express lane has done the same (CorridorTwins); the
// sanitizers see the rest.
namespace nodeplane::test {
namespace {

// Bytes of the input, zero behind its end.
class Source {
 public:
  Source(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  bool more() const { return at_ < size_; }
  uint8_t byte() { return at_ < size_ ? data_[at_++] : 0; }
  Bytes bytes(size_t n) {
    Bytes out;
    while (n-- > 0 && more()) out.push_back(byte());
    return out;
  }

 private:
  const uint8_t* data_;
  size_t size_;
  size_t at_ = 0;
};

const char* const kAddresses4[] = {"198.51.100.7", "198.51.100.8", "10.96.0.10", "10.1.0.11",
                                   "10.1.0.12",    "10.1.0.13",    "10.1.0.1",   "192.0.2.1",
                                   "192.0.2.254",  "10.1.0.200",   "224.0.0.1",  "127.0.0.1"};
const char* const kAddresses6[] = {"2001:db8:1::7", "2001:db8::fe", "fd00:96::10", "fd00:1::11",
                                   "fd00:1::12",    "fd00:1::13",   "fd00:1::1",   "2001:db8::1",
                                   "fe80::1",       "ff02::1",      "fd00:1::200", "::1"};
constexpr uint16_t kPorts[] = {40000, 40001, 80, 81, 53, 8080, 5353, 38412, 1024, 1025, 1030, 0};

Bytes address(const char* const (&from)[12], uint8_t pick, size_t length) {
  uint8_t raw[16];
  parse_address(from[pick % 12], raw);
  return Bytes(raw, raw + length);
}

Bytes transport(Source& in, uint8_t protocol, const Bytes& src, const Bytes& dst) {
  const uint16_t sport = kPorts[in.byte() % 12], dport = kPorts[in.byte() % 12];
  const uint8_t how = in.byte();
  const Bytes payload = zeros(how % 61);
  if (protocol == kProtocolTcp) {
    Bytes out = tcp(sport, dport, how, payload);
    if (how & 0x40) {  // as a veth leaves it: the pseudo-header's sum only
      Ip4 h;
      h.protocol = protocol;
      h.src = src;
      h.dst = dst;
      put16(out, 16,
            sum_of(src.size() == 4 ? pseudo4(h, out.size())
                                   : pseudo6(src, dst, protocol, out.size())));
    }
    return out;
  }
  if (protocol == kProtocolUdp) return udp(sport, dport, payload);
  if (protocol == kProtocolSctp) return sctp(sport, dport, payload);
  const bool v6 = protocol == kProtocolIcmp6;
  const uint8_t request = v6 ? 128 : 8, reply = v6 ? 129 : 0;
  return icmp(how & 1 ? request : reply, 0, sport, dport, payload);
}

Bytes packet4(Source& in, int depth);
Bytes packet6(Source& in, int depth);

// An ICMP error, or a transport packet, between two picked addresses.
Bytes packet4(Source& in, int depth) {
  Ip4 h;
  const uint8_t what = in.byte();
  h.src = address(kAddresses4, in.byte(), 4);
  h.dst = address(kAddresses4, in.byte(), 4);
  h.ttl = static_cast<uint8_t>(what & 0x80 ? 1 : 64);
  if (what & 0x40) h.options = {1, 1, 1, 1};
  if ((what & 0x30) == 0x30) h.fragment = static_cast<uint16_t>(in.byte() << 8);
  constexpr uint8_t kProtocols[] = {kProtocolTcp,  kProtocolTcp,  kProtocolUdp,
                                    kProtocolSctp, kProtocolIcmp, 47};
  const uint8_t pick = what % 8;
  if (pick >= 6 && depth == 0) {
    h.protocol = kProtocolIcmp;
    Bytes inner = packet4(in, 1);
    inner.resize(std::min(inner.size(), size_t{20} + in.byte()));
    constexpr uint8_t kTypes[] = {3, 11, 12, 5};
    const uint8_t type = kTypes[in.byte() % 4];
    return ipv4(h,
                icmp(type, static_cast<uint8_t>(type == 3 ? in.byte() % 16 : 0), 0, 1400, inner));
  }
  h.protocol = kProtocols[pick % 6];
  return ipv4(h, transport(in, h.protocol, h.src, h.dst));
}

Bytes packet6(Source& in, int depth) {
  Ip6 h;
  const uint8_t what = in.byte();
  h.src = address(kAddresses6, in.byte(), 16);
  h.dst = address(kAddresses6, in.byte(), 16);
  constexpr uint8_t kProtocols[] = {kProtocolTcp,  kProtocolTcp,   kProtocolUdp,
                                    kProtocolSctp, kProtocolIcmp6, 59};
  const uint8_t pick = what % 8;
  Bytes payload;
  if (pick >= 6 && depth == 0) {
    h.next = kProtocolIcmp6;
    Bytes inner = packet6(in, 1);
    inner.resize(std::min(inner.size(), size_t{40} + in.byte()));
    payload = icmp(static_cast<uint8_t>(1 + in.byte() % 4), 0, 0, 1400, inner);
  } else {
    h.next = kProtocols[pick % 6];
    payload = transport(in, h.next, h.src, h.dst);
    if (what & 0x40) {
      payload = extension(h.next, 0, payload);
      h.next = 60;
    }
  }
  return ipv6(h, payload);
}

Bytes link_message(Source& in) {
  const uint8_t what = in.byte();
  const Bytes mac = {2, 0, 0, 0, 0, static_cast<uint8_t>(in.byte() | 0x10)};
  return eth(0x0806,
             arp(static_cast<uint16_t>(1 + (what & 1)), mac, address(kAddresses4, in.byte(), 4),
                 zeros(6), address(kAddresses4, in.byte(), 4)),
             what & 2 ? kMacAll : kMacOurs);
}

// One packet as it comes in: made, then bent.
CorridorKit::In make(Source& in) {
  const uint8_t what = in.byte();
  CorridorKit::In out{static_cast<uint16_t>(what % 3), {}};
  const Bytes to = {2, 0, 0, 0, 0, static_cast<uint8_t>(1 + out.port)};
  switch ((what >> 2) % 8) {
    case 0:
      out.bytes = in.bytes(in.byte());
      break;
    case 1:
      out.bytes = link_message(in);
      break;
    case 2:
    case 3:
    case 4:
      out.bytes = eth(0x0800, packet4(in, 0), to);
      break;
    case 5:
    case 6:
      out.bytes = eth(0x86dd, packet6(in, 0), to);
      break;
    default:
      out.bytes = eth(0x8100, tag(in.byte(), 0x0800, packet4(in, 0)), to);
      break;
  }
  if (what & 0x80) out.flags = kFlagPartialChecksum;
  if (what & 0x40) {
    for (uint8_t bends = in.byte() % 4; bends > 0 && !out.bytes.empty(); --bends) {
      const size_t at = in.byte() % out.bytes.size();
      out.bytes[at] = in.byte();
    }
    if (in.byte() & 1) out.bytes.resize(in.byte() % (out.bytes.size() + 1));
  }
  return out;
}

void same(const std::string& difference) {
  if (!difference.empty()) CorridorKit::die(("the twins differ in " + difference).c_str());
}

}  // namespace
}  // namespace nodeplane::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace nodeplane;
  using namespace nodeplane::test;
  constexpr int kLivesMax =
      512;  // one world serves many inputs: making it costs more than using it
  static std::unique_ptr<CorridorTwins> kit;
  static int lives = 0;
  Source in(data, size);
  const uint8_t settings = in.byte();
  if (!kit || ++lives > kLivesMax) {
    kit.reset();
    kit = std::make_unique<CorridorTwins>((settings & 1) != 0, (settings & 2) != 0);
    lives = 0;
  }
  while (in.more()) {
    std::vector<CorridorKit::In> batch;
    const uint8_t shape = in.byte();
    for (int i = shape % 8; i >= 0; --i) batch.push_back(make(in));
    // A batch that fills the array: equal packets, as a flood has them.
    if (shape == 0xff) batch.resize(kBatchSize, batch[0]);
    same(kit->run(batch));
    if (shape & 0x20) same(kit->advance(in.byte() * kSecond));
    if (shape & 0x40) kit->publish((settings & 1) != 0, (settings & 2) != 0, shape % 4);
    if (shape & 0x10) kit->change(in.byte(), in.byte(), shape % 4, shape % 3);
  }
  same(kit->finish_waiting());
  return 0;
}
