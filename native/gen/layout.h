// Generated from schema/tables.json by scripts/generate.mjs. Do not edit.
#pragma once
#include <cstddef>
#include <cstdint>

namespace nodeplane {

inline constexpr uint32_t kTablesMagic = 0x4e505442;
inline constexpr uint32_t kTablesVersion = 3;
inline constexpr uint32_t kBatchSize = 256;
inline constexpr uint32_t kPortMax = 64;
inline constexpr uint32_t kWorkerMax = 64;
inline constexpr uint32_t kNetworkMax = 65535;
inline constexpr uint32_t kServiceMax = 1048576;
inline constexpr uint32_t kEndpointMax = 8388608;
inline constexpr uint32_t kRouteMax = 1048576;
inline constexpr uint32_t kZoneMax = 16;
inline constexpr uint32_t kPortNone = 65535;
inline constexpr uint32_t kIdNone = 4294967295;
inline constexpr uint32_t kFrameHeadroom = 256;
inline constexpr uint32_t kMaglevRingMin = 251;
inline constexpr uint32_t kMaglevPerEndpoint = 100;

enum class Section : uint8_t { kSettings, kPorts, kAddresses, kRoutes, kNeighbours, kServices, kEndpoints, kPodRanges, kSnatSources, kZones, kRemovedServices };
inline constexpr uint32_t kSectionCount = 11;
inline constexpr const char* kSectionNames[] = {"settings", "ports", "addresses", "routes", "neighbours", "services", "endpoints", "pod_ranges", "snat_sources", "zones", "removed_services"};

enum class Masquerade : uint8_t { kNever, kNotFromPods, kAlways };
inline constexpr uint32_t kMasqueradeCount = 3;
inline constexpr const char* kMasqueradeNames[] = {"never", "not_from_pods", "always"};

enum class ServiceVerdict : uint8_t { kBalance, kReject, kDrop };
inline constexpr uint32_t kServiceVerdictCount = 3;
inline constexpr const char* kServiceVerdictNames[] = {"balance", "reject", "drop"};

enum class ChecksumMode : uint8_t { kAuto, kTrust, kCompute };
inline constexpr uint32_t kChecksumModeCount = 3;
inline constexpr const char* kChecksumModeNames[] = {"auto", "trust", "compute"};

enum class ZoneSource : uint8_t { kAny, kPods, kOutside };
inline constexpr uint32_t kZoneSourceCount = 3;
inline constexpr const char* kZoneSourceNames[] = {"any", "pods", "outside"};

enum class HashKind : uint8_t { kSip13, kCrc32c };
inline constexpr uint32_t kHashKindCount = 2;
inline constexpr const char* kHashKindNames[] = {"sip13", "crc32c"};

enum class HashFields : uint8_t { kTuple, kClient };
inline constexpr uint32_t kHashFieldsCount = 2;
inline constexpr const char* kHashFieldsNames[] = {"tuple", "client"};

enum class FlowState : uint8_t { kNone, kSynSent, kSynReceived, kEstablished, kFinWait, kLastAck, kTimeWait, kClosed, kPickedUp, kUnreplied, kReplied };
inline constexpr uint32_t kFlowStateCount = 11;
inline constexpr const char* kFlowStateNames[] = {"none", "syn_sent", "syn_received", "established", "fin_wait", "last_ack", "time_wait", "closed", "picked_up", "unreplied", "replied"};

// First bytes of a table set; followed by one SectionRow per section, then the rows. A change has rows of services, their endpoints and removed services only.
struct TablesHeader {
  uint32_t magic;  // 0x4e505442 (NPTB)
  uint32_t version;  // layout version
  uint32_t byte_length;  // of the whole set
  uint32_t section_count;
  uint32_t base_generation;  // 0: a whole set; else a change of that generation, which must be the last
  uint32_t pad;
};
static_assert(sizeof(TablesHeader) == 24);
static_assert(offsetof(TablesHeader, magic) == 0);
static_assert(offsetof(TablesHeader, version) == 4);
static_assert(offsetof(TablesHeader, byte_length) == 8);
static_assert(offsetof(TablesHeader, section_count) == 12);
static_assert(offsetof(TablesHeader, base_generation) == 16);
static_assert(offsetof(TablesHeader, pad) == 20);

struct SectionRow {
  uint32_t kind;  // enum section
  uint32_t offset;  // bytes from the header
  uint32_t count;  // rows
  uint32_t row_size;  // bytes
};
static_assert(sizeof(SectionRow) == 16);
static_assert(offsetof(SectionRow, kind) == 0);
static_assert(offsetof(SectionRow, offset) == 4);
static_assert(offsetof(SectionRow, count) == 8);
static_assert(offsetof(SectionRow, row_size) == 12);

// One row. Timers in milliseconds.
struct SettingsRow {
  uint32_t tcp_syn_sent_ms;
  uint32_t tcp_syn_received_ms;
  uint32_t tcp_established_ms;
  uint32_t tcp_fin_wait_ms;
  uint32_t tcp_last_ack_ms;
  uint32_t tcp_time_wait_ms;
  uint32_t tcp_closed_ms;
  uint32_t tcp_picked_up_ms;
  uint32_t udp_unreplied_ms;
  uint32_t udp_replied_ms;
  uint32_t icmp_ms;
  uint32_t sctp_ms;  // SCTP replied; unreplied uses udp_unreplied_ms
  uint32_t neighbour_reachable_ms;  // a learnt neighbour is asked again after this
  uint32_t neighbour_retry_ms;  // between requests
  uint32_t neighbour_tries;  // requests before giving up
  uint32_t icmp_errors_per_second;  // per worker
  uint16_t snat_port_low;  // host order, inclusive
  uint16_t snat_port_high;  // inclusive
  uint8_t tcp_pickup;  // 1: a non-SYN packet to a service may make a record
  uint8_t pad[3];
};
static_assert(sizeof(SettingsRow) == 72);
static_assert(offsetof(SettingsRow, tcp_syn_sent_ms) == 0);
static_assert(offsetof(SettingsRow, tcp_syn_received_ms) == 4);
static_assert(offsetof(SettingsRow, tcp_established_ms) == 8);
static_assert(offsetof(SettingsRow, tcp_fin_wait_ms) == 12);
static_assert(offsetof(SettingsRow, tcp_last_ack_ms) == 16);
static_assert(offsetof(SettingsRow, tcp_time_wait_ms) == 20);
static_assert(offsetof(SettingsRow, tcp_closed_ms) == 24);
static_assert(offsetof(SettingsRow, tcp_picked_up_ms) == 28);
static_assert(offsetof(SettingsRow, udp_unreplied_ms) == 32);
static_assert(offsetof(SettingsRow, udp_replied_ms) == 36);
static_assert(offsetof(SettingsRow, icmp_ms) == 40);
static_assert(offsetof(SettingsRow, sctp_ms) == 44);
static_assert(offsetof(SettingsRow, neighbour_reachable_ms) == 48);
static_assert(offsetof(SettingsRow, neighbour_retry_ms) == 52);
static_assert(offsetof(SettingsRow, neighbour_tries) == 56);
static_assert(offsetof(SettingsRow, icmp_errors_per_second) == 60);
static_assert(offsetof(SettingsRow, snat_port_low) == 64);
static_assert(offsetof(SettingsRow, snat_port_high) == 66);
static_assert(offsetof(SettingsRow, tcp_pickup) == 68);
static_assert(offsetof(SettingsRow, pad) == 69);

// A port as the corridor sees it. Row index is the port id.
struct PortRow {
  uint32_t mtu;  // largest IP packet, bytes
  uint16_t id;
  uint16_t network;  // routing domain
  uint16_t host_port;  // the tap behind which the host lives, or port_none
  uint16_t host_of;  // this port is the host side of that port, or port_none
  uint8_t checksum_mode;  // enum checksum_mode
  uint8_t flags;  // bit 0: not ours goes to the host (take: services); bit 1: never send unasked (replay)
  uint8_t mac[6];
  uint8_t pad[4];
};
static_assert(sizeof(PortRow) == 24);
static_assert(offsetof(PortRow, mtu) == 0);
static_assert(offsetof(PortRow, id) == 4);
static_assert(offsetof(PortRow, network) == 6);
static_assert(offsetof(PortRow, host_port) == 8);
static_assert(offsetof(PortRow, host_of) == 10);
static_assert(offsetof(PortRow, checksum_mode) == 12);
static_assert(offsetof(PortRow, flags) == 13);
static_assert(offsetof(PortRow, mac) == 14);
static_assert(offsetof(PortRow, pad) == 20);

// An address of a port, or of the node (port_none): delivered here, answered by ARP/NDP when it belongs to the port. Services' virtual addresses are not listed: they follow from the services, and are answered for everywhere.
struct AddressRow {
  uint8_t address[16];
  uint8_t family;  // 4 or 6
  uint8_t prefix_length;
  uint16_t port;
  uint16_t network;
  uint16_t pad;
};
static_assert(sizeof(AddressRow) == 24);
static_assert(offsetof(AddressRow, address) == 0);
static_assert(offsetof(AddressRow, family) == 16);
static_assert(offsetof(AddressRow, prefix_length) == 17);
static_assert(offsetof(AddressRow, port) == 18);
static_assert(offsetof(AddressRow, network) == 20);
static_assert(offsetof(AddressRow, pad) == 22);

struct RouteRow {
  uint8_t prefix[16];
  uint8_t via[16];  // zero when connected
  uint8_t family;
  uint8_t prefix_length;
  uint16_t port;
  uint16_t network;
  uint16_t flags;  // bit 0: via is set
};
static_assert(sizeof(RouteRow) == 40);
static_assert(offsetof(RouteRow, prefix) == 0);
static_assert(offsetof(RouteRow, via) == 16);
static_assert(offsetof(RouteRow, family) == 32);
static_assert(offsetof(RouteRow, prefix_length) == 33);
static_assert(offsetof(RouteRow, port) == 34);
static_assert(offsetof(RouteRow, network) == 36);
static_assert(offsetof(RouteRow, flags) == 38);

// A static neighbour: never asked, never aged.
struct NeighbourRow {
  uint8_t address[16];
  uint8_t family;
  uint8_t pad;
  uint16_t port;
  uint8_t mac[6];
  uint8_t pad2[2];
};
static_assert(sizeof(NeighbourRow) == 28);
static_assert(offsetof(NeighbourRow, address) == 0);
static_assert(offsetof(NeighbourRow, family) == 16);
static_assert(offsetof(NeighbourRow, pad) == 17);
static_assert(offsetof(NeighbourRow, port) == 18);
static_assert(offsetof(NeighbourRow, mac) == 20);
static_assert(offsetof(NeighbourRow, pad2) == 26);

// One virtual address, protocol and port. port 0 with ICMP/ICMPv6: echo to a virtual address.
struct ServiceRow {
  uint8_t address[16];
  uint64_t seed;  // of the service's identity: Maglev tables are equal on all nodes
  uint32_t id;  // stable over publishes
  uint32_t endpoint_first;  // index of its first EndpointRow; services may name the same rows, all of them, when their seed is the same
  uint32_t endpoint_count;
  uint16_t be_port;
  uint16_t network;
  uint8_t family;
  uint8_t protocol;  // IANA number
  uint8_t masquerade;  // enum masquerade
  uint8_t verdict;  // enum service_verdict: what to do with new flows
  uint8_t hash_fields;  // enum hash_fields: by what of its packets a new flow finds its place on the ring
  uint8_t pad[3];
};
static_assert(sizeof(ServiceRow) == 48);
static_assert(offsetof(ServiceRow, address) == 0);
static_assert(offsetof(ServiceRow, seed) == 16);
static_assert(offsetof(ServiceRow, id) == 24);
static_assert(offsetof(ServiceRow, endpoint_first) == 28);
static_assert(offsetof(ServiceRow, endpoint_count) == 32);
static_assert(offsetof(ServiceRow, be_port) == 36);
static_assert(offsetof(ServiceRow, network) == 38);
static_assert(offsetof(ServiceRow, family) == 40);
static_assert(offsetof(ServiceRow, protocol) == 41);
static_assert(offsetof(ServiceRow, masquerade) == 42);
static_assert(offsetof(ServiceRow, verdict) == 43);
static_assert(offsetof(ServiceRow, hash_fields) == 44);
static_assert(offsetof(ServiceRow, pad) == 45);

struct EndpointRow {
  uint8_t address[16];
  uint32_t id;  // stable over publishes
  uint16_t be_port;
  uint16_t weight;  // 0 or not choosable: keeps flows, gets no new ones
  uint8_t family;
  uint8_t flags;  // bit 0: choosable (may receive new flows)
  uint16_t pad;
};
static_assert(sizeof(EndpointRow) == 28);
static_assert(offsetof(EndpointRow, address) == 0);
static_assert(offsetof(EndpointRow, id) == 16);
static_assert(offsetof(EndpointRow, be_port) == 20);
static_assert(offsetof(EndpointRow, weight) == 22);
static_assert(offsetof(EndpointRow, family) == 24);
static_assert(offsetof(EndpointRow, flags) == 25);
static_assert(offsetof(EndpointRow, pad) == 26);

// A service that a change takes away, with its endpoints.
struct RemovedServiceRow {
  uint32_t id;
};
static_assert(sizeof(RemovedServiceRow) == 4);
static_assert(offsetof(RemovedServiceRow, id) == 0);

// node.podCIDRs: the local-traffic detector.
struct PodRangeRow {
  uint8_t prefix[16];
  uint8_t family;
  uint8_t prefix_length;
  uint16_t network;
  uint32_t pad;
};
static_assert(sizeof(PodRangeRow) == 24);
static_assert(offsetof(PodRangeRow, prefix) == 0);
static_assert(offsetof(PodRangeRow, family) == 16);
static_assert(offsetof(PodRangeRow, prefix_length) == 17);
static_assert(offsetof(PodRangeRow, network) == 18);
static_assert(offsetof(PodRangeRow, pad) == 20);

// The address that masqueraded packets leaving by this port wear.
struct SnatSourceRow {
  uint8_t address[16];
  uint8_t family;
  uint8_t pad;
  uint16_t port;
  uint32_t pad2;
};
static_assert(sizeof(SnatSourceRow) == 24);
static_assert(offsetof(SnatSourceRow, address) == 0);
static_assert(offsetof(SnatSourceRow, family) == 16);
static_assert(offsetof(SnatSourceRow, pad) == 17);
static_assert(offsetof(SnatSourceRow, port) == 18);
static_assert(offsetof(SnatSourceRow, pad2) == 20);

// A zone of the flow tables: what belongs to it (the first row that matches a new flow names its zone, else it is zone 0) and its shares of their capacity, and of the source ports for masquerade.
struct ZoneRow {
  uint16_t network;  // routing domain, when flags say so
  uint8_t id;  // stable over publishes; below zone_max
  uint8_t guaranteed;  // percent
  uint8_t maximum;  // percent
  uint8_t source;  // enum zone_source: whether the client is in a pod range
  uint8_t flags;  // bit 0: of one network; bit 1: matches nothing by itself
  uint8_t snat_guaranteed;  // percent of the source ports for masquerade that are set aside
};
static_assert(sizeof(ZoneRow) == 8);
static_assert(offsetof(ZoneRow, network) == 0);
static_assert(offsetof(ZoneRow, id) == 2);
static_assert(offsetof(ZoneRow, guaranteed) == 3);
static_assert(offsetof(ZoneRow, maximum) == 4);
static_assert(offsetof(ZoneRow, source) == 5);
static_assert(offsetof(ZoneRow, flags) == 6);
static_assert(offsetof(ZoneRow, snat_guaranteed) == 7);

// What a zone holds of one flow table, summed over the workers.
struct ZoneStateRow {
  uint64_t closing;  // live now
  uint64_t half_open;
  uint64_t one_way;
  uint64_t established;
  uint64_t kept;  // ever
  uint64_t refused;
  uint64_t evicted_closing;
  uint64_t evicted_half_open;
  uint64_t evicted_one_way;
  uint64_t evicted_established;
  uint32_t guaranteed;  // records
  uint32_t maximum;  // records
};
static_assert(sizeof(ZoneStateRow) == 88);
static_assert(offsetof(ZoneStateRow, closing) == 0);
static_assert(offsetof(ZoneStateRow, half_open) == 8);
static_assert(offsetof(ZoneStateRow, one_way) == 16);
static_assert(offsetof(ZoneStateRow, established) == 24);
static_assert(offsetof(ZoneStateRow, kept) == 32);
static_assert(offsetof(ZoneStateRow, refused) == 40);
static_assert(offsetof(ZoneStateRow, evicted_closing) == 48);
static_assert(offsetof(ZoneStateRow, evicted_half_open) == 56);
static_assert(offsetof(ZoneStateRow, evicted_one_way) == 64);
static_assert(offsetof(ZoneStateRow, evicted_established) == 72);
static_assert(offsetof(ZoneStateRow, guaranteed) == 80);
static_assert(offsetof(ZoneStateRow, maximum) == 84);

// One connection, for flows and replay reports. Addresses and ports in network order as on the wire.
struct FlowRow {
  uint8_t original_source[16];
  uint8_t original_destination[16];
  uint8_t reply_source[16];
  uint8_t reply_destination[16];
  uint64_t packets_forward;
  uint64_t packets_backward;
  uint64_t bytes_forward;  // IP bytes
  uint64_t bytes_backward;
  uint64_t expires_ms;  // from now
  uint64_t last_seen_ms;  // before now
  uint32_t service;  // id
  uint32_t endpoint;  // id
  uint16_t original_source_port;
  uint16_t original_destination_port;
  uint16_t reply_source_port;
  uint16_t reply_destination_port;
  uint16_t network;
  uint16_t zone;
  uint8_t family;
  uint8_t protocol;
  uint8_t state;  // enum flow_state
  uint8_t tcp_flags_forward;  // all seen
  uint8_t tcp_flags_backward;
  uint8_t worker;  // that kept it
  uint8_t pad[6];
};
static_assert(sizeof(FlowRow) == 144);
static_assert(offsetof(FlowRow, original_source) == 0);
static_assert(offsetof(FlowRow, original_destination) == 16);
static_assert(offsetof(FlowRow, reply_source) == 32);
static_assert(offsetof(FlowRow, reply_destination) == 48);
static_assert(offsetof(FlowRow, packets_forward) == 64);
static_assert(offsetof(FlowRow, packets_backward) == 72);
static_assert(offsetof(FlowRow, bytes_forward) == 80);
static_assert(offsetof(FlowRow, bytes_backward) == 88);
static_assert(offsetof(FlowRow, expires_ms) == 96);
static_assert(offsetof(FlowRow, last_seen_ms) == 104);
static_assert(offsetof(FlowRow, service) == 112);
static_assert(offsetof(FlowRow, endpoint) == 116);
static_assert(offsetof(FlowRow, original_source_port) == 120);
static_assert(offsetof(FlowRow, original_destination_port) == 122);
static_assert(offsetof(FlowRow, reply_source_port) == 124);
static_assert(offsetof(FlowRow, reply_destination_port) == 126);
static_assert(offsetof(FlowRow, network) == 128);
static_assert(offsetof(FlowRow, zone) == 130);
static_assert(offsetof(FlowRow, family) == 132);
static_assert(offsetof(FlowRow, protocol) == 133);
static_assert(offsetof(FlowRow, state) == 134);
static_assert(offsetof(FlowRow, tcp_flags_forward) == 135);
static_assert(offsetof(FlowRow, tcp_flags_backward) == 136);
static_assert(offsetof(FlowRow, worker) == 137);
static_assert(offsetof(FlowRow, pad) == 138);

struct NeighbourStateRow {
  uint8_t address[16];
  uint8_t family;
  uint8_t state;  // 0 incomplete 1 reachable 2 static 3 failed
  uint16_t port;
  uint8_t mac[6];
  uint8_t pad[6];
};
static_assert(sizeof(NeighbourStateRow) == 32);
static_assert(offsetof(NeighbourStateRow, address) == 0);
static_assert(offsetof(NeighbourStateRow, family) == 16);
static_assert(offsetof(NeighbourStateRow, state) == 17);
static_assert(offsetof(NeighbourStateRow, port) == 18);
static_assert(offsetof(NeighbourStateRow, mac) == 20);
static_assert(offsetof(NeighbourStateRow, pad) == 26);

}  // namespace nodeplane
