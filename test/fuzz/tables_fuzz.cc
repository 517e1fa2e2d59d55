#include <algorithm>

#include "support/corridor_kit.h"

// Table sets as bytes, from a compiler gone mad: the border checks (table_set_check, load) refuse
// with a reason or give tables that a packet of every kind can walk. Rows are the fuzzer's; what no
// fuzzer guesses (magic, lengths, the few indices that every set must have right) is mended when the
// first byte says so.
namespace nodeplane::test {
namespace {

constexpr uint32_t kRowsMax = 8;
constexpr uint32_t kPortRows = 3;

struct Input {
  const uint8_t* data;
  size_t size;
  void fill(uint8_t* to, size_t n) {
    const size_t have = std::min(n, size);
    std::memcpy(to, data, have);
    std::memset(to + have, 0, n - have);
    data += have;
    size -= have;
  }
  uint8_t byte() {
    uint8_t b;
    fill(&b, 1);
    return b;
  }
};

template <class Row, class Mend>
void section(Section kind, uint32_t count, Input& in, Bytes& out, Mend mend) {
  SectionRow row{static_cast<uint32_t>(kind), static_cast<uint32_t>(out.size()), count,
                 sizeof(Row)};
  std::memcpy(out.data() + sizeof(TablesHeader) + static_cast<uint32_t>(kind) * sizeof row, &row,
              sizeof row);
  for (uint32_t i = 0; i < count; ++i) {
    Row r;
    in.fill(reinterpret_cast<uint8_t*>(&r), sizeof r);
    mend(r, i);
    const auto* bytes = reinterpret_cast<const uint8_t*>(&r);
    out.insert(out.end(), bytes, bytes + sizeof r);
  }
  out.resize((out.size() + 7) / 8 * 8);
}

// `base`: 0 for a whole set, else the generation that a change goes upon.
Bytes table_set(Input& in, bool mended, uint32_t base) {
  Bytes out(sizeof(TablesHeader) + kSectionCount * sizeof(SectionRow));
  const auto count = [&] { return in.byte() % (kRowsMax + 1); };
  const auto unless_change = [&](uint32_t rows) { return mended && base != 0 ? 0 : rows; };
  const auto family = [&](uint8_t& f) {
    if (mended) f = f % 2 ? 4 : 6;
  };
  const auto port = [&](uint16_t& p) {
    if (mended) p %= kPortRows;
  };
  const auto prefix = [&](uint8_t f, uint8_t& length) {
    if (mended) length %= f == 4 ? 33 : 129;
  };
  section<SettingsRow>(Section::kSettings, unless_change(1), in, out,
                       [](SettingsRow&, uint32_t) {});
  section<PortRow>(Section::kPorts, unless_change(kPortRows), in, out, [&](PortRow& p, uint32_t i) {
    if (!mended) return;
    p.id = static_cast<uint16_t>(i);
    p.mtu = 68 + p.mtu % 65468;
    p.host_port = p.host_port % 2 ? p.host_port % kPortRows : kPortNone;
    p.host_of = p.host_of % 2 ? p.host_of % kPortRows : kPortNone;
    p.checksum_mode %= kChecksumModeCount;
    p.flags = 0;
  });
  section<AddressRow>(Section::kAddresses, unless_change(count()), in, out,
                      [&](AddressRow& a, uint32_t) {
                        family(a.family);
                        port(a.port);
                        prefix(a.family, a.prefix_length);
                      });
  section<RouteRow>(Section::kRoutes, unless_change(count()), in, out, [&](RouteRow& r, uint32_t) {
    family(r.family);
    port(r.port);
    prefix(r.family, r.prefix_length);
  });
  section<NeighbourRow>(Section::kNeighbours, unless_change(count()), in, out,
                        [&](NeighbourRow& n, uint32_t) {
                          family(n.family);
                          port(n.port);
                        });
  const uint32_t endpoints = count();
  section<ServiceRow>(Section::kServices, count(), in, out, [&](ServiceRow& s, uint32_t) {
    if (!mended) return;
    family(s.family);
    s.id %= 64;
    s.endpoint_first %= endpoints + 1;
    s.endpoint_count %= endpoints + 1 - s.endpoint_first;
    s.masquerade %= kMasqueradeCount;
    s.verdict %= kServiceVerdictCount;
  });
  section<EndpointRow>(Section::kEndpoints, endpoints, in, out, [&](EndpointRow& e, uint32_t) {
    if (!mended) return;
    family(e.family);
    e.id %= 64;
  });
  section<PodRangeRow>(Section::kPodRanges, unless_change(count()), in, out,
                       [&](PodRangeRow& p, uint32_t) {
                         family(p.family);
                         prefix(p.family, p.prefix_length);
                       });
  section<SnatSourceRow>(Section::kSnatSources, unless_change(count()), in, out,
                         [&](SnatSourceRow& s, uint32_t) {
                           family(s.family);
                           port(s.port);
                         });
  section<ZoneRow>(Section::kZones, unless_change(count() % (kZoneMax + 1)), in, out,
                   [&](ZoneRow& z, uint32_t) {
                     z.id %= kZoneMax;
                     z.source %= kZoneSourceCount;
                     z.maximum %= 101;
                     z.guaranteed %= z.maximum + 1;
                   });
  section<RemovedServiceRow>(Section::kRemovedServices, base == 0 && mended ? 0 : count(), in, out,
                             [&](RemovedServiceRow& r, uint32_t) {
                               if (mended) r.id %= 64;
                             });
  const TablesHeader header{kTablesMagic,  kTablesVersion, static_cast<uint32_t>(out.size()),
                            kSectionCount, base,           0};
  std::memcpy(out.data(), &header, sizeof header);
  return out;
}

// One packet of a kind to each service, so that what load let through is used.
void walk(CorridorKit& kit, const TableSet& set) {
  std::vector<CorridorKit::In> in;
  for (uint32_t i = 0; i < set.size(Section::kServices); ++i) {
    const ServiceRow& s = set.services[i];
    const auto* mac = kit.tables->parse.ports[0].mac;
    const Bytes to(mac, mac + 6);
    const auto port = swap16(s.be_port);
    const Bytes l4 = s.protocol == kProtocolUdp ? udp(40000, port) : tcp(40000, port);
    if (s.family == 4) {
      Ip4 h;
      h.protocol = s.protocol == kProtocolUdp ? kProtocolUdp : kProtocolTcp;
      h.dst = Bytes(s.address, s.address + 4);
      in.push_back({0, eth(0x0800, ipv4(h, l4), to)});
    } else {
      Ip6 h;
      h.next = s.protocol == kProtocolUdp ? kProtocolUdp : kProtocolTcp;
      h.dst = Bytes(s.address, s.address + 16);
      in.push_back({0, eth(0x86dd, ipv6(h, l4), to)});
    }
  }
  if (!in.empty()) kit.run(in);
  kit.finish_waiting();
}

}  // namespace
}  // namespace nodeplane::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace nodeplane;
  using namespace nodeplane::test;
  constexpr int kLivesMax = 64;  // SNAT sources are never forgotten: a new world now and then
  static std::unique_ptr<CorridorKit> kit;
  static int lives = 0;
  if (!kit || ++lives > kLivesMax) {
    kit.reset();
    kit = std::make_unique<CorridorKit>();
    lives = 0;
  }
  Input in{data, size};
  const uint8_t how = in.byte();
  const uint32_t base = (how & 4) != 0 ? kit->generation : 0;
  Bytes bytes = table_set(in, (how & 1) != 0, base);
  // Bent behind the mending: the border has to see it.
  for (uint32_t bends = how >> 6; bends > 0; --bends) {
    uint8_t at[2];
    in.fill(at, 2);
    bytes[(at[0] << 8 | at[1]) % bytes.size()] ^= in.byte();
  }
  if ((how & 2) != 0) bytes.resize(bytes.size() - in.byte() % bytes.size());
  std::string error;
  TableSet set;
  if (!table_set_check(bytes.data(), bytes.size(), &set, &error)) return 0;
  Port* drivers[] = {kit->ports[0].get(), kit->ports[1].get(), kit->ports[2].get()};
  LoadContext context{kit->flows4.get(), kit->flows6.get(), &kit->snat,       &kit->neighbours,
                      kit->arena.get(),  drivers,           kPortRows,        HashSeed{1, 2},
                      HashKind::kSip13,  ++kit->generation, kit->tables.get()};
  auto next = load(set, context, &error);
  if (!next) {
    --kit->generation;
    return 0;
  }
  load_apply(set, context, *next);
  kit->tables = std::move(next);
  walk(*kit, set);
  return 0;
}
