// Generated from schema/tables.json by scripts/generate.mjs. Do not edit.

export const tablesMagic = 0x4e505442;
export const tablesVersion = 3;
export const batchSize = 256;
export const portMax = 64;
export const workerMax = 64;
export const networkMax = 65535;
export const serviceMax = 1048576;
export const endpointMax = 8388608;
export const routeMax = 1048576;
export const zoneMax = 16;
export const portNone = 65535;
export const idNone = 4294967295;
export const frameHeadroom = 256;
export const maglevRingMin = 251;
export const maglevPerEndpoint = 100;

export const sectionNames = ["settings", "ports", "addresses", "routes", "neighbours", "services", "endpoints", "pod_ranges", "snat_sources", "zones", "removed_services"] as const;
export const Section = { settings: 0, ports: 1, addresses: 2, routes: 3, neighbours: 4, services: 5, endpoints: 6, podRanges: 7, snatSources: 8, zones: 9, removedServices: 10 } as const;

export const masqueradeNames = ["never", "not_from_pods", "always"] as const;
export const Masquerade = { never: 0, notFromPods: 1, always: 2 } as const;

export const serviceVerdictNames = ["balance", "reject", "drop"] as const;
export const ServiceVerdict = { balance: 0, reject: 1, drop: 2 } as const;

export const checksumModeNames = ["auto", "trust", "compute"] as const;
export const ChecksumMode = { auto: 0, trust: 1, compute: 2 } as const;

export const zoneSourceNames = ["any", "pods", "outside"] as const;
export const ZoneSource = { any: 0, pods: 1, outside: 2 } as const;

export const hashKindNames = ["sip13", "crc32c"] as const;
export const HashKind = { sip13: 0, crc32c: 1 } as const;

export const hashFieldsNames = ["tuple", "client"] as const;
export const HashFields = { tuple: 0, client: 1 } as const;

export const flowStateNames = ["none", "syn_sent", "syn_received", "established", "fin_wait", "last_ack", "time_wait", "closed", "picked_up", "unreplied", "replied"] as const;
export const FlowState = { none: 0, synSent: 1, synReceived: 2, established: 3, finWait: 4, lastAck: 5, timeWait: 6, closed: 7, pickedUp: 8, unreplied: 9, replied: 10 } as const;

/** First bytes of a table set; followed by one SectionRow per section, then the rows. A change has rows of services, their endpoints and removed services only. */
export interface TablesHeader {
  /** 0x4e505442 (NPTB) */
  magic: number;
  /** layout version */
  version: number;
  /** of the whole set */
  byteLength: number;
  sectionCount: number;
  /** 0: a whole set; else a change of that generation, which must be the last */
  baseGeneration: number;
}
export const tablesHeaderSize = 24;
export function writeTablesHeader(view: DataView, at: number, row: TablesHeader): void {
  view.setUint32(at + 0, row.magic, true);
  view.setUint32(at + 4, row.version, true);
  view.setUint32(at + 8, row.byteLength, true);
  view.setUint32(at + 12, row.sectionCount, true);
  view.setUint32(at + 16, row.baseGeneration, true);
}
export function readTablesHeader(view: DataView, at: number): TablesHeader {
  return {
    magic: view.getUint32(at + 0, true),
    version: view.getUint32(at + 4, true),
    byteLength: view.getUint32(at + 8, true),
    sectionCount: view.getUint32(at + 12, true),
    baseGeneration: view.getUint32(at + 16, true),
  };
}

export interface SectionRow {
  /** enum section */
  kind: number;
  /** bytes from the header */
  offset: number;
  /** rows */
  count: number;
  /** bytes */
  rowSize: number;
}
export const sectionRowSize = 16;
export function writeSectionRow(view: DataView, at: number, row: SectionRow): void {
  view.setUint32(at + 0, row.kind, true);
  view.setUint32(at + 4, row.offset, true);
  view.setUint32(at + 8, row.count, true);
  view.setUint32(at + 12, row.rowSize, true);
}
export function readSectionRow(view: DataView, at: number): SectionRow {
  return {
    kind: view.getUint32(at + 0, true),
    offset: view.getUint32(at + 4, true),
    count: view.getUint32(at + 8, true),
    rowSize: view.getUint32(at + 12, true),
  };
}

/** One row. Timers in milliseconds. */
export interface SettingsRow {
  tcpSynSentMs: number;
  tcpSynReceivedMs: number;
  tcpEstablishedMs: number;
  tcpFinWaitMs: number;
  tcpLastAckMs: number;
  tcpTimeWaitMs: number;
  tcpClosedMs: number;
  tcpPickedUpMs: number;
  udpUnrepliedMs: number;
  udpRepliedMs: number;
  icmpMs: number;
  /** SCTP replied; unreplied uses udp_unreplied_ms */
  sctpMs: number;
  /** a learnt neighbour is asked again after this */
  neighbourReachableMs: number;
  /** between requests */
  neighbourRetryMs: number;
  /** requests before giving up */
  neighbourTries: number;
  /** per worker */
  icmpErrorsPerSecond: number;
  /** host order, inclusive */
  snatPortLow: number;
  /** inclusive */
  snatPortHigh: number;
  /** 1: a non-SYN packet to a service may make a record */
  tcpPickup: number;
}
export const settingsRowSize = 72;
export function writeSettingsRow(view: DataView, at: number, row: SettingsRow): void {
  view.setUint32(at + 0, row.tcpSynSentMs, true);
  view.setUint32(at + 4, row.tcpSynReceivedMs, true);
  view.setUint32(at + 8, row.tcpEstablishedMs, true);
  view.setUint32(at + 12, row.tcpFinWaitMs, true);
  view.setUint32(at + 16, row.tcpLastAckMs, true);
  view.setUint32(at + 20, row.tcpTimeWaitMs, true);
  view.setUint32(at + 24, row.tcpClosedMs, true);
  view.setUint32(at + 28, row.tcpPickedUpMs, true);
  view.setUint32(at + 32, row.udpUnrepliedMs, true);
  view.setUint32(at + 36, row.udpRepliedMs, true);
  view.setUint32(at + 40, row.icmpMs, true);
  view.setUint32(at + 44, row.sctpMs, true);
  view.setUint32(at + 48, row.neighbourReachableMs, true);
  view.setUint32(at + 52, row.neighbourRetryMs, true);
  view.setUint32(at + 56, row.neighbourTries, true);
  view.setUint32(at + 60, row.icmpErrorsPerSecond, true);
  view.setUint16(at + 64, row.snatPortLow, true);
  view.setUint16(at + 66, row.snatPortHigh, true);
  view.setUint8(at + 68, row.tcpPickup);
}
export function readSettingsRow(view: DataView, at: number): SettingsRow {
  return {
    tcpSynSentMs: view.getUint32(at + 0, true),
    tcpSynReceivedMs: view.getUint32(at + 4, true),
    tcpEstablishedMs: view.getUint32(at + 8, true),
    tcpFinWaitMs: view.getUint32(at + 12, true),
    tcpLastAckMs: view.getUint32(at + 16, true),
    tcpTimeWaitMs: view.getUint32(at + 20, true),
    tcpClosedMs: view.getUint32(at + 24, true),
    tcpPickedUpMs: view.getUint32(at + 28, true),
    udpUnrepliedMs: view.getUint32(at + 32, true),
    udpRepliedMs: view.getUint32(at + 36, true),
    icmpMs: view.getUint32(at + 40, true),
    sctpMs: view.getUint32(at + 44, true),
    neighbourReachableMs: view.getUint32(at + 48, true),
    neighbourRetryMs: view.getUint32(at + 52, true),
    neighbourTries: view.getUint32(at + 56, true),
    icmpErrorsPerSecond: view.getUint32(at + 60, true),
    snatPortLow: view.getUint16(at + 64, true),
    snatPortHigh: view.getUint16(at + 66, true),
    tcpPickup: view.getUint8(at + 68),
  };
}

/** A port as the corridor sees it. Row index is the port id. */
export interface PortRow {
  /** largest IP packet, bytes */
  mtu: number;
  id: number;
  /** routing domain */
  network: number;
  /** the tap behind which the host lives, or port_none */
  hostPort: number;
  /** this port is the host side of that port, or port_none */
  hostOf: number;
  /** enum checksum_mode */
  checksumMode: number;
  /** bit 0: not ours goes to the host (take: services); bit 1: never send unasked (replay) */
  flags: number;
  mac: Uint8Array;
}
export const portRowSize = 24;
export function writePortRow(view: DataView, at: number, row: PortRow): void {
  view.setUint32(at + 0, row.mtu, true);
  view.setUint16(at + 4, row.id, true);
  view.setUint16(at + 6, row.network, true);
  view.setUint16(at + 8, row.hostPort, true);
  view.setUint16(at + 10, row.hostOf, true);
  view.setUint8(at + 12, row.checksumMode);
  view.setUint8(at + 13, row.flags);
  for (let i = 0; i < 6 && i < row.mac.length; i++) view.setUint8(at + 14 + i, row.mac[i] as number);
}
export function readPortRow(view: DataView, at: number): PortRow {
  return {
    mtu: view.getUint32(at + 0, true),
    id: view.getUint16(at + 4, true),
    network: view.getUint16(at + 6, true),
    hostPort: view.getUint16(at + 8, true),
    hostOf: view.getUint16(at + 10, true),
    checksumMode: view.getUint8(at + 12),
    flags: view.getUint8(at + 13),
    mac: new Uint8Array(view.buffer, view.byteOffset + at + 14, 6).slice(),
  };
}

/** An address of a port, or of the node (port_none): delivered here, answered by ARP/NDP when it belongs to the port. Services' virtual addresses are not listed: they follow from the services, and are answered for everywhere. */
export interface AddressRow {
  address: Uint8Array;
  /** 4 or 6 */
  family: number;
  prefixLength: number;
  port: number;
  network: number;
}
export const addressRowSize = 24;
export function writeAddressRow(view: DataView, at: number, row: AddressRow): void {
  for (let i = 0; i < 16 && i < row.address.length; i++) view.setUint8(at + 0 + i, row.address[i] as number);
  view.setUint8(at + 16, row.family);
  view.setUint8(at + 17, row.prefixLength);
  view.setUint16(at + 18, row.port, true);
  view.setUint16(at + 20, row.network, true);
}
export function readAddressRow(view: DataView, at: number): AddressRow {
  return {
    address: new Uint8Array(view.buffer, view.byteOffset + at + 0, 16).slice(),
    family: view.getUint8(at + 16),
    prefixLength: view.getUint8(at + 17),
    port: view.getUint16(at + 18, true),
    network: view.getUint16(at + 20, true),
  };
}

export interface RouteRow {
  prefix: Uint8Array;
  /** zero when connected */
  via: Uint8Array;
  family: number;
  prefixLength: number;
  port: number;
  network: number;
  /** bit 0: via is set */
  flags: number;
}
export const routeRowSize = 40;
export function writeRouteRow(view: DataView, at: number, row: RouteRow): void {
  for (let i = 0; i < 16 && i < row.prefix.length; i++) view.setUint8(at + 0 + i, row.prefix[i] as number);
  for (let i = 0; i < 16 && i < row.via.length; i++) view.setUint8(at + 16 + i, row.via[i] as number);
  view.setUint8(at + 32, row.family);
  view.setUint8(at + 33, row.prefixLength);
  view.setUint16(at + 34, row.port, true);
  view.setUint16(at + 36, row.network, true);
  view.setUint16(at + 38, row.flags, true);
}
export function readRouteRow(view: DataView, at: number): RouteRow {
  return {
    prefix: new Uint8Array(view.buffer, view.byteOffset + at + 0, 16).slice(),
    via: new Uint8Array(view.buffer, view.byteOffset + at + 16, 16).slice(),
    family: view.getUint8(at + 32),
    prefixLength: view.getUint8(at + 33),
    port: view.getUint16(at + 34, true),
    network: view.getUint16(at + 36, true),
    flags: view.getUint16(at + 38, true),
  };
}

/** A static neighbour: never asked, never aged. */
export interface NeighbourRow {
  address: Uint8Array;
  family: number;
  port: number;
  mac: Uint8Array;
}
export const neighbourRowSize = 28;
export function writeNeighbourRow(view: DataView, at: number, row: NeighbourRow): void {
  for (let i = 0; i < 16 && i < row.address.length; i++) view.setUint8(at + 0 + i, row.address[i] as number);
  view.setUint8(at + 16, row.family);
  view.setUint16(at + 18, row.port, true);
  for (let i = 0; i < 6 && i < row.mac.length; i++) view.setUint8(at + 20 + i, row.mac[i] as number);
}
export function readNeighbourRow(view: DataView, at: number): NeighbourRow {
  return {
    address: new Uint8Array(view.buffer, view.byteOffset + at + 0, 16).slice(),
    family: view.getUint8(at + 16),
    port: view.getUint16(at + 18, true),
    mac: new Uint8Array(view.buffer, view.byteOffset + at + 20, 6).slice(),
  };
}

/** One virtual address, protocol and port. port 0 with ICMP/ICMPv6: echo to a virtual address. */
export interface ServiceRow {
  address: Uint8Array;
  /** of the service's identity: Maglev tables are equal on all nodes */
  seed: bigint;
  /** stable over publishes */
  id: number;
  /** index of its first EndpointRow; services may name the same rows, all of them, when their seed is the same */
  endpointFirst: number;
  endpointCount: number;
  bePort: number;
  network: number;
  family: number;
  /** IANA number */
  protocol: number;
  /** enum masquerade */
  masquerade: number;
  /** enum service_verdict: what to do with new flows */
  verdict: number;
  /** enum hash_fields: by what of its packets a new flow finds its place on the ring */
  hashFields: number;
}
export const serviceRowSize = 48;
export function writeServiceRow(view: DataView, at: number, row: ServiceRow): void {
  for (let i = 0; i < 16 && i < row.address.length; i++) view.setUint8(at + 0 + i, row.address[i] as number);
  view.setBigUint64(at + 16, row.seed, true);
  view.setUint32(at + 24, row.id, true);
  view.setUint32(at + 28, row.endpointFirst, true);
  view.setUint32(at + 32, row.endpointCount, true);
  view.setUint16(at + 36, row.bePort, false);
  view.setUint16(at + 38, row.network, true);
  view.setUint8(at + 40, row.family);
  view.setUint8(at + 41, row.protocol);
  view.setUint8(at + 42, row.masquerade);
  view.setUint8(at + 43, row.verdict);
  view.setUint8(at + 44, row.hashFields);
}
export function readServiceRow(view: DataView, at: number): ServiceRow {
  return {
    address: new Uint8Array(view.buffer, view.byteOffset + at + 0, 16).slice(),
    seed: view.getBigUint64(at + 16, true),
    id: view.getUint32(at + 24, true),
    endpointFirst: view.getUint32(at + 28, true),
    endpointCount: view.getUint32(at + 32, true),
    bePort: view.getUint16(at + 36, false),
    network: view.getUint16(at + 38, true),
    family: view.getUint8(at + 40),
    protocol: view.getUint8(at + 41),
    masquerade: view.getUint8(at + 42),
    verdict: view.getUint8(at + 43),
    hashFields: view.getUint8(at + 44),
  };
}

export interface EndpointRow {
  address: Uint8Array;
  /** stable over publishes */
  id: number;
  bePort: number;
  /** 0 or not choosable: keeps flows, gets no new ones */
  weight: number;
  family: number;
  /** bit 0: choosable (may receive new flows) */
  flags: number;
}
export const endpointRowSize = 28;
export function writeEndpointRow(view: DataView, at: number, row: EndpointRow): void {
  for (let i = 0; i < 16 && i < row.address.length; i++) view.setUint8(at + 0 + i, row.address[i] as number);
  view.setUint32(at + 16, row.id, true);
  view.setUint16(at + 20, row.bePort, false);
  view.setUint16(at + 22, row.weight, true);
  view.setUint8(at + 24, row.family);
  view.setUint8(at + 25, row.flags);
}
export function readEndpointRow(view: DataView, at: number): EndpointRow {
  return {
    address: new Uint8Array(view.buffer, view.byteOffset + at + 0, 16).slice(),
    id: view.getUint32(at + 16, true),
    bePort: view.getUint16(at + 20, false),
    weight: view.getUint16(at + 22, true),
    family: view.getUint8(at + 24),
    flags: view.getUint8(at + 25),
  };
}

/** A service that a change takes away, with its endpoints. */
export interface RemovedServiceRow {
  id: number;
}
export const removedServiceRowSize = 4;
export function writeRemovedServiceRow(view: DataView, at: number, row: RemovedServiceRow): void {
  view.setUint32(at + 0, row.id, true);
}
export function readRemovedServiceRow(view: DataView, at: number): RemovedServiceRow {
  return {
    id: view.getUint32(at + 0, true),
  };
}

/** node.podCIDRs: the local-traffic detector. */
export interface PodRangeRow {
  prefix: Uint8Array;
  family: number;
  prefixLength: number;
  network: number;
}
export const podRangeRowSize = 24;
export function writePodRangeRow(view: DataView, at: number, row: PodRangeRow): void {
  for (let i = 0; i < 16 && i < row.prefix.length; i++) view.setUint8(at + 0 + i, row.prefix[i] as number);
  view.setUint8(at + 16, row.family);
  view.setUint8(at + 17, row.prefixLength);
  view.setUint16(at + 18, row.network, true);
}
export function readPodRangeRow(view: DataView, at: number): PodRangeRow {
  return {
    prefix: new Uint8Array(view.buffer, view.byteOffset + at + 0, 16).slice(),
    family: view.getUint8(at + 16),
    prefixLength: view.getUint8(at + 17),
    network: view.getUint16(at + 18, true),
  };
}

/** The address that masqueraded packets leaving by this port wear. */
export interface SnatSourceRow {
  address: Uint8Array;
  family: number;
  port: number;
}
export const snatSourceRowSize = 24;
export function writeSnatSourceRow(view: DataView, at: number, row: SnatSourceRow): void {
  for (let i = 0; i < 16 && i < row.address.length; i++) view.setUint8(at + 0 + i, row.address[i] as number);
  view.setUint8(at + 16, row.family);
  view.setUint16(at + 18, row.port, true);
}
export function readSnatSourceRow(view: DataView, at: number): SnatSourceRow {
  return {
    address: new Uint8Array(view.buffer, view.byteOffset + at + 0, 16).slice(),
    family: view.getUint8(at + 16),
    port: view.getUint16(at + 18, true),
  };
}

/** A zone of the flow tables: what belongs to it (the first row that matches a new flow names its zone, else it is zone 0) and its shares of their capacity, and of the source ports for masquerade. */
export interface ZoneRow {
  /** routing domain, when flags say so */
  network: number;
  /** stable over publishes; below zone_max */
  id: number;
  /** percent */
  guaranteed: number;
  /** percent */
  maximum: number;
  /** enum zone_source: whether the client is in a pod range */
  source: number;
  /** bit 0: of one network; bit 1: matches nothing by itself */
  flags: number;
  /** percent of the source ports for masquerade that are set aside */
  snatGuaranteed: number;
}
export const zoneRowSize = 8;
export function writeZoneRow(view: DataView, at: number, row: ZoneRow): void {
  view.setUint16(at + 0, row.network, true);
  view.setUint8(at + 2, row.id);
  view.setUint8(at + 3, row.guaranteed);
  view.setUint8(at + 4, row.maximum);
  view.setUint8(at + 5, row.source);
  view.setUint8(at + 6, row.flags);
  view.setUint8(at + 7, row.snatGuaranteed);
}
export function readZoneRow(view: DataView, at: number): ZoneRow {
  return {
    network: view.getUint16(at + 0, true),
    id: view.getUint8(at + 2),
    guaranteed: view.getUint8(at + 3),
    maximum: view.getUint8(at + 4),
    source: view.getUint8(at + 5),
    flags: view.getUint8(at + 6),
    snatGuaranteed: view.getUint8(at + 7),
  };
}

/** What a zone holds of one flow table, summed over the workers. */
export interface ZoneStateRow {
  /** live now */
  closing: bigint;
  halfOpen: bigint;
  oneWay: bigint;
  established: bigint;
  /** ever */
  kept: bigint;
  refused: bigint;
  evictedClosing: bigint;
  evictedHalfOpen: bigint;
  evictedOneWay: bigint;
  evictedEstablished: bigint;
  /** records */
  guaranteed: number;
  /** records */
  maximum: number;
}
export const zoneStateRowSize = 88;
export function writeZoneStateRow(view: DataView, at: number, row: ZoneStateRow): void {
  view.setBigUint64(at + 0, row.closing, true);
  view.setBigUint64(at + 8, row.halfOpen, true);
  view.setBigUint64(at + 16, row.oneWay, true);
  view.setBigUint64(at + 24, row.established, true);
  view.setBigUint64(at + 32, row.kept, true);
  view.setBigUint64(at + 40, row.refused, true);
  view.setBigUint64(at + 48, row.evictedClosing, true);
  view.setBigUint64(at + 56, row.evictedHalfOpen, true);
  view.setBigUint64(at + 64, row.evictedOneWay, true);
  view.setBigUint64(at + 72, row.evictedEstablished, true);
  view.setUint32(at + 80, row.guaranteed, true);
  view.setUint32(at + 84, row.maximum, true);
}
export function readZoneStateRow(view: DataView, at: number): ZoneStateRow {
  return {
    closing: view.getBigUint64(at + 0, true),
    halfOpen: view.getBigUint64(at + 8, true),
    oneWay: view.getBigUint64(at + 16, true),
    established: view.getBigUint64(at + 24, true),
    kept: view.getBigUint64(at + 32, true),
    refused: view.getBigUint64(at + 40, true),
    evictedClosing: view.getBigUint64(at + 48, true),
    evictedHalfOpen: view.getBigUint64(at + 56, true),
    evictedOneWay: view.getBigUint64(at + 64, true),
    evictedEstablished: view.getBigUint64(at + 72, true),
    guaranteed: view.getUint32(at + 80, true),
    maximum: view.getUint32(at + 84, true),
  };
}

/** One connection, for flows and replay reports. Addresses and ports in network order as on the wire. */
export interface FlowRow {
  originalSource: Uint8Array;
  originalDestination: Uint8Array;
  replySource: Uint8Array;
  replyDestination: Uint8Array;
  packetsForward: bigint;
  packetsBackward: bigint;
  /** IP bytes */
  bytesForward: bigint;
  bytesBackward: bigint;
  /** from now */
  expiresMs: bigint;
  /** before now */
  lastSeenMs: bigint;
  /** id */
  service: number;
  /** id */
  endpoint: number;
  originalSourcePort: number;
  originalDestinationPort: number;
  replySourcePort: number;
  replyDestinationPort: number;
  network: number;
  zone: number;
  family: number;
  protocol: number;
  /** enum flow_state */
  state: number;
  /** all seen */
  tcpFlagsForward: number;
  tcpFlagsBackward: number;
  /** that kept it */
  worker: number;
}
export const flowRowSize = 144;
export function writeFlowRow(view: DataView, at: number, row: FlowRow): void {
  for (let i = 0; i < 16 && i < row.originalSource.length; i++) view.setUint8(at + 0 + i, row.originalSource[i] as number);
  for (let i = 0; i < 16 && i < row.originalDestination.length; i++) view.setUint8(at + 16 + i, row.originalDestination[i] as number);
  for (let i = 0; i < 16 && i < row.replySource.length; i++) view.setUint8(at + 32 + i, row.replySource[i] as number);
  for (let i = 0; i < 16 && i < row.replyDestination.length; i++) view.setUint8(at + 48 + i, row.replyDestination[i] as number);
  view.setBigUint64(at + 64, row.packetsForward, true);
  view.setBigUint64(at + 72, row.packetsBackward, true);
  view.setBigUint64(at + 80, row.bytesForward, true);
  view.setBigUint64(at + 88, row.bytesBackward, true);
  view.setBigUint64(at + 96, row.expiresMs, true);
  view.setBigUint64(at + 104, row.lastSeenMs, true);
  view.setUint32(at + 112, row.service, true);
  view.setUint32(at + 116, row.endpoint, true);
  view.setUint16(at + 120, row.originalSourcePort, false);
  view.setUint16(at + 122, row.originalDestinationPort, false);
  view.setUint16(at + 124, row.replySourcePort, false);
  view.setUint16(at + 126, row.replyDestinationPort, false);
  view.setUint16(at + 128, row.network, true);
  view.setUint16(at + 130, row.zone, true);
  view.setUint8(at + 132, row.family);
  view.setUint8(at + 133, row.protocol);
  view.setUint8(at + 134, row.state);
  view.setUint8(at + 135, row.tcpFlagsForward);
  view.setUint8(at + 136, row.tcpFlagsBackward);
  view.setUint8(at + 137, row.worker);
}
export function readFlowRow(view: DataView, at: number): FlowRow {
  return {
    originalSource: new Uint8Array(view.buffer, view.byteOffset + at + 0, 16).slice(),
    originalDestination: new Uint8Array(view.buffer, view.byteOffset + at + 16, 16).slice(),
    replySource: new Uint8Array(view.buffer, view.byteOffset + at + 32, 16).slice(),
    replyDestination: new Uint8Array(view.buffer, view.byteOffset + at + 48, 16).slice(),
    packetsForward: view.getBigUint64(at + 64, true),
    packetsBackward: view.getBigUint64(at + 72, true),
    bytesForward: view.getBigUint64(at + 80, true),
    bytesBackward: view.getBigUint64(at + 88, true),
    expiresMs: view.getBigUint64(at + 96, true),
    lastSeenMs: view.getBigUint64(at + 104, true),
    service: view.getUint32(at + 112, true),
    endpoint: view.getUint32(at + 116, true),
    originalSourcePort: view.getUint16(at + 120, false),
    originalDestinationPort: view.getUint16(at + 122, false),
    replySourcePort: view.getUint16(at + 124, false),
    replyDestinationPort: view.getUint16(at + 126, false),
    network: view.getUint16(at + 128, true),
    zone: view.getUint16(at + 130, true),
    family: view.getUint8(at + 132),
    protocol: view.getUint8(at + 133),
    state: view.getUint8(at + 134),
    tcpFlagsForward: view.getUint8(at + 135),
    tcpFlagsBackward: view.getUint8(at + 136),
    worker: view.getUint8(at + 137),
  };
}

export interface NeighbourStateRow {
  address: Uint8Array;
  family: number;
  /** 0 incomplete 1 reachable 2 static 3 failed */
  state: number;
  port: number;
  mac: Uint8Array;
}
export const neighbourStateRowSize = 32;
export function writeNeighbourStateRow(view: DataView, at: number, row: NeighbourStateRow): void {
  for (let i = 0; i < 16 && i < row.address.length; i++) view.setUint8(at + 0 + i, row.address[i] as number);
  view.setUint8(at + 16, row.family);
  view.setUint8(at + 17, row.state);
  view.setUint16(at + 18, row.port, true);
  for (let i = 0; i < 6 && i < row.mac.length; i++) view.setUint8(at + 20 + i, row.mac[i] as number);
}
export function readNeighbourStateRow(view: DataView, at: number): NeighbourStateRow {
  return {
    address: new Uint8Array(view.buffer, view.byteOffset + at + 0, 16).slice(),
    family: view.getUint8(at + 16),
    state: view.getUint8(at + 17),
    port: view.getUint16(at + 18, true),
    mac: new Uint8Array(view.buffer, view.byteOffset + at + 20, 6).slice(),
  };
}
