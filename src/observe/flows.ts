// FlowRow -> what `flows --json` shows of a connection.
import { type FlowRow, flowRowSize, flowStateNames, idNone, readFlowRow } from "../gen/layout.js";
import { formatAddress, formatEndpoint } from "../kit/ip.js";
import type { Dataplane } from "../runtime/dataplane.js";

export interface Tuple {
  readonly source: string;
  /** For echo, the identifier of requests. */
  readonly sourcePort: number;
  readonly destination: string;
  /** For echo, the identifier of replies. */
  readonly destinationPort: number;
}
export interface Flow {
  readonly network: string;
  readonly zone: string;
  readonly protocol: string;
  readonly state: string;
  readonly original: Tuple;
  readonly reply: Tuple;
  /** Forward, backward. */
  readonly packets: [number, number];
  readonly bytes: [number, number];
  readonly expiresInMs: number;
  /** namespace/name:port */
  readonly service: string | null;
  /** address:port */
  readonly endpoint: string | null;
}

/** Names of the ids that rows carry. */
export interface Names {
  labelOf(service: number): string | undefined;
  networkOf(network: number): string | undefined;
  zoneOf(zone: number): string | undefined;
}

const protocols: Record<number, string> = {
  1: "ICMP",
  6: "TCP",
  17: "UDP",
  58: "ICMPv6",
  132: "SCTP",
};
const isEcho = (protocol: number): boolean => protocol === 1 || protocol === 58;

export function flowOf(row: FlowRow, names: Names): Flow {
  const text = (bytes: Uint8Array): string => formatAddress(bytes, row.family);
  const replySource = text(row.replySource);
  const endpoint = isEcho(row.protocol)
    ? replySource
    : formatEndpoint(replySource, row.replySourcePort);
  return {
    network: names.networkOf(row.network) ?? String(row.network),
    zone: names.zoneOf(row.zone) ?? String(row.zone),
    protocol: protocols[row.protocol] ?? String(row.protocol),
    state: flowStateNames[row.state] ?? String(row.state),
    original: {
      source: text(row.originalSource),
      sourcePort: row.originalSourcePort,
      destination: text(row.originalDestination),
      destinationPort: row.originalDestinationPort,
    },
    reply: {
      source: replySource,
      sourcePort: row.replySourcePort,
      destination: text(row.replyDestination),
      destinationPort: row.replyDestinationPort,
    },
    packets: [Number(row.packetsForward), Number(row.packetsBackward)],
    bytes: [Number(row.bytesForward), Number(row.bytesBackward)],
    expiresInMs: Number(row.expiresMs),
    service: row.service === idNone ? null : (names.labelOf(row.service) ?? `#${row.service}`),
    endpoint: row.endpoint === idNone ? null : endpoint,
  };
}

export function decodeFlows(rows: Uint8Array, names: Names): Flow[] {
  const view = new DataView(rows.buffer, rows.byteOffset, rows.byteLength);
  const count = Math.floor(rows.byteLength / flowRowSize);
  return Array.from({ length: count }, (_, i) => flowOf(readFlowRow(view, i * flowRowSize), names));
}

/** Where a walk over both families' tables stands. */
export interface FlowCursor {
  readonly v6: boolean;
  readonly at: number;
}
export const flowStart: FlowCursor = { v6: false, at: 0 };
const cursorEnd = 0xffffffff;
const pageRows = 1024;

/** One page, and where the next begins: null at the end. */
export function readFlows(
  dataplane: Dataplane,
  from: FlowCursor,
): { flows: Flow[]; next: FlowCursor | null } {
  const page = dataplane.native.flows(from.at, pageRows, from.v6);
  const flows = decodeFlows(page.rows, dataplane.directory);
  if (page.cursor !== cursorEnd) return { flows, next: { v6: from.v6, at: page.cursor } };
  return { flows, next: from.v6 ? null : { v6: true, at: 0 } };
}

export function allFlows(dataplane: Dataplane): Flow[] {
  const flows: Flow[] = [];
  for (let at: FlowCursor | null = flowStart; at !== null; ) {
    const page: ReturnType<typeof readFlows> = readFlows(dataplane, at);
    for (const flow of page.flows) flows.push(flow);
    at = page.next;
  }
  return flows;
}

const arrow = (t: Tuple): string =>
  `${formatEndpoint(t.source, t.sourcePort)} > ${formatEndpoint(t.destination, t.destinationPort)}`;

export const flowColumns = [
  "PROTOCOL",
  "STATE",
  "ORIGINAL",
  "REPLY",
  "PACKETS",
  "BYTES",
  "EXPIRES",
  "SERVICE",
];

export const flowCells = (f: Flow): string[] => [
  f.protocol,
  f.state,
  arrow(f.original),
  arrow(f.reply),
  f.packets.join("/"),
  f.bytes.join("/"),
  `${Math.ceil(f.expiresInMs / 1000)}s`,
  f.service ?? "-",
];
