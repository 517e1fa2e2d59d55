// Model -> the bytes of a table set (schema/tables.json): header, section rows, rows, in one buffer.
import {
  addressRowSize,
  ChecksumMode,
  endpointMax,
  endpointRowSize,
  neighbourRowSize,
  type PortRow,
  podRangeRowSize,
  portNone,
  portRowSize,
  removedServiceRowSize,
  routeMax,
  routeRowSize,
  Section,
  type SettingsRow,
  sectionRowSize,
  serviceMax,
  serviceRowSize,
  settingsRowSize,
  snatSourceRowSize,
  tablesHeaderSize,
  tablesMagic,
  tablesVersion,
  writeAddressRow,
  writeEndpointRow,
  writeNeighbourRow,
  writePodRangeRow,
  writePortRow,
  writeRemovedServiceRow,
  writeRouteRow,
  writeSectionRow,
  writeServiceRow,
  writeSettingsRow,
  writeSnatSourceRow,
  writeTablesHeader,
  writeZoneRow,
  zoneRowSize,
} from "../gen/layout.js";
import { check } from "../kit/check.js";
import { NodeplaneError } from "../kit/error.js";
import { macBytes } from "../kit/ip.js";
import type { Model } from "../model/model.js";
import type { Port } from "../model/port.js";
import { defaultNetwork, type Endpoint, type Service } from "../model/service.js";
import type { Settings } from "../model/settings.js";
import type { Draft, IdDirectory, Naming } from "./ids.js";
import { masqueradeOf, podRangeRows, snatSourceRows } from "./nat.js";
import { addressRows, neighbourRows, routeRows } from "./routes.js";
import { echoRow, endpointRow, serviceRow } from "./services.js";
import { zoneRows } from "./zones.js";

export type { Model } from "../model/model.js";

/** What an opened port is; compile cannot know. */
export interface PortFacts {
  readonly id: number;
  /** Six bytes, zero when it has none. */
  readonly mac: Uint8Array;
  readonly mtu: number;
}

export interface Compiled {
  readonly bytes: Uint8Array;
  /** Names that are new in it and those that are gone; both to be asked before commit. */
  named(): Iterable<Naming>;
  freed(): Iterable<Naming>;
  /** To be called once the bytes are published: makes their ids the directory's. */
  commit(): void;
}

/** What was published last, of this directory. */
export interface Base {
  readonly model: Model;
  readonly generation: number;
}

export interface CompileOptions {
  /** Where nothing but services has changed since, only the change is compiled. */
  readonly base?: Base | undefined;
  /** By port name; without, a port's id is its place and its MAC and MTU are the wished ones. */
  readonly ports?: ReadonlyMap<string, PortFacts>;
  /** A replay: nothing is sent unasked. */
  readonly offline?: boolean;
}

const toHostFlag = 1;
const quietFlag = 2;
/** MTU of a port that nobody gave one (design section 8). */
export const mtuDefault = 1500;

/** Rows of one section: how many, how long, and how to write them all. */
interface Rows {
  readonly kind: number;
  readonly count: number;
  readonly size: number;
  write(view: DataView, start: number): void;
}

function rowsOf<R>(
  kind: number,
  size: number,
  rows: readonly R[],
  write: (view: DataView, at: number, row: R) => void,
): Rows {
  const writeAll = (view: DataView, start: number): void => {
    rows.forEach((row, i) => {
      write(view, start + i * size, row);
    });
  };
  return { kind, size, count: rows.length, write: writeAll };
}

function settingsRow({ flows: { timers }, ...s }: Settings): SettingsRow {
  return {
    tcpSynSentMs: timers.tcpSynSent,
    tcpSynReceivedMs: timers.tcpSynReceived,
    tcpEstablishedMs: timers.tcpEstablished,
    tcpFinWaitMs: timers.tcpFinWait,
    tcpLastAckMs: timers.tcpLastAck,
    tcpTimeWaitMs: timers.tcpTimeWait,
    tcpClosedMs: timers.tcpClosed,
    tcpPickedUpMs: timers.tcpPickedUp,
    udpUnrepliedMs: timers.udpUnreplied,
    udpRepliedMs: timers.udpReplied,
    icmpMs: timers.icmp,
    sctpMs: timers.sctp,
    neighbourReachableMs: s.neighbourTimers.reachable,
    neighbourRetryMs: s.neighbourTimers.retry,
    neighbourTries: s.neighbourTimers.tries,
    icmpErrorsPerSecond: s.icmp.errorsPerSecond,
    snatPortLow: s.nat.portLow,
    snatPortHigh: s.nat.portHigh,
    tcpPickup: s.tcp.pickup ? 1 : 0,
  };
}

function portRow(
  port: Port,
  facts: PortFacts,
  model: Model,
  idOf: (name: string) => number,
  draft: Draft,
  offline: boolean,
): PortRow {
  const owner = model.ports.find((p) => p.host === port.name);
  return {
    mtu: port.mtu || facts.mtu,
    id: facts.id,
    network: draft.network(port.network),
    hostPort: port.host === null ? portNone : idOf(port.host),
    hostOf: owner ? idOf(owner.name) : portNone,
    checksumMode: ChecksumMode[port.checksum],
    flags: (port.take === "services" ? toHostFlag : 0) | (offline ? quietFlag : 0),
    // A tap's configured MAC is the host's side of it; ours is another, as the driver says.
    mac: port.mac === null || port.driver === "tap" ? facts.mac : macBytes(port.mac),
  };
}

const rowSizes: Readonly<Record<number, number>> = {
  [Section.settings]: settingsRowSize,
  [Section.ports]: portRowSize,
  [Section.addresses]: addressRowSize,
  [Section.routes]: routeRowSize,
  [Section.neighbours]: neighbourRowSize,
  [Section.services]: serviceRowSize,
  [Section.endpoints]: endpointRowSize,
  [Section.podRanges]: podRangeRowSize,
  [Section.snatSources]: snatSourceRowSize,
  [Section.zones]: zoneRowSize,
  [Section.removedServices]: removedServiceRowSize,
};

function limit(what: string, count: number, max: number): void {
  if (count > max) throw new NodeplaneError("limit_exceeded", { what, count, limit: max });
}

/** Rows of these services, each with its echo's behind it. */
function serviceSections(services: readonly Service[], draft: Draft, model: Model): Rows[] {
  const { hashFields } = model.settings.services;
  const defaults = { masquerade: masqueradeOf(model.node), hashFields };
  limit("services", draft.serviceCount, serviceMax);
  limit("endpoints", draft.endpointCount, endpointMax);
  const echoes = services.map((service) => draft.echo(service));
  const all = services.map((service) => draft.named(service));
  const echoCount = echoes.reduce<number>((n, echo) => n + (echo === null ? 0 : 1), 0);
  const endpointCount = all.reduce((n, { ids }) => n + ids.length, 0);
  const writeServices = (view: DataView, start: number): void => {
    let at = start;
    let first = 0;
    all.forEach((named, i) => {
      const row = serviceRow(named, first, draft.network(named.service.network), defaults);
      first += named.ids.length;
      writeServiceRow(view, at, row);
      at += serviceRowSize;
      const echo = echoes[i] ?? null;
      if (echo === null) return;
      writeServiceRow(view, at, echoRow(row, echo));
      at += serviceRowSize;
    });
  };
  const writeEndpoints = (view: DataView, start: number): void => {
    let at = start;
    for (const { endpoints, ids } of all) {
      for (let i = 0; i < ids.length; i++) {
        writeEndpointRow(view, at, endpointRow(endpoints[i] as Endpoint, ids[i] as number));
        at += endpointRowSize;
      }
    }
  };
  const serviceCount = all.length + echoCount;
  return [
    { kind: Section.services, size: serviceRowSize, count: serviceCount, write: writeServices },
    { kind: Section.endpoints, size: endpointRowSize, count: endpointCount, write: writeEndpoints },
  ];
}

/** A section of each kind, in order; those not given are empty. */
function whole(sections: readonly Rows[]): Rows[] {
  const given = new Map(sections.map((section) => [section.kind, section]));
  return Object.values(Section).map(
    (kind) =>
      given.get(kind) ?? { kind, size: rowSizes[kind] as number, count: 0, write: () => {} },
  );
}

const parts = ["ports", "routes", "neighbours", "node", "settings"] as const;

/** Whether services are all that differs, and are few. */
function isChange(base: Base, model: Model, draft: Draft): boolean {
  const rows = draft.changed.length + draft.removed.length;
  return (
    !draft.isDoubled &&
    rows <= model.services.length / 2 &&
    parts.every(
      (part) =>
        base.model[part] === model[part] ||
        JSON.stringify(base.model[part]) === JSON.stringify(model[part]),
    )
  );
}

function pack(sections: readonly Rows[], baseGeneration: number): Uint8Array {
  const align = 8;
  let end = tablesHeaderSize + sections.length * sectionRowSize;
  const offsets = sections.map(({ count, size }) => {
    const offset = Math.ceil(end / align) * align;
    end = offset + count * size;
    return offset;
  });
  const bytes = new Uint8Array(end);
  const view = new DataView(bytes.buffer);
  writeTablesHeader(view, 0, {
    magic: tablesMagic,
    version: tablesVersion,
    byteLength: end,
    sectionCount: sections.length,
    baseGeneration,
  });
  sections.forEach((section, s) => {
    const offset = offsets[s] as number;
    const { kind, count, size } = section;
    writeSectionRow(view, tablesHeaderSize + s * sectionRowSize, {
      kind,
      offset,
      count,
      rowSize: size,
    });
    section.write(view, offset);
  });
  return bytes;
}

function wholeSections(model: Model, draft: Draft, options: CompileOptions): Rows[] {
  const facts = model.ports.map((port, i): PortFacts => {
    const known = options.ports?.get(port.name);
    return known ?? { id: i, mac: new Uint8Array(6), mtu: port.mtu || mtuDefault };
  });
  const ids = new Map(model.ports.map((port, i) => [port.name, (facts[i] as PortFacts).id]));
  const idOf = (name: string): number => {
    const id = ids.get(name);
    check(id !== undefined, `port ${name} of the model exists`);
    return id;
  };
  const networkId = (name: string): number => draft.network(name);
  const routes = routeRows(model, idOf, networkId);
  limit("routes", routes.length, routeMax);
  const ports = model.ports.map((port, i) =>
    portRow(port, facts[i] as PortFacts, model, idOf, draft, options.offline ?? false),
  );
  ports.sort((a, b) => a.id - b.id);
  const { zones } = model.settings.flows;
  return [
    rowsOf(Section.settings, settingsRowSize, [settingsRow(model.settings)], writeSettingsRow),
    rowsOf(Section.ports, portRowSize, ports, writePortRow),
    rowsOf(Section.addresses, addressRowSize, addressRows(model, idOf, networkId), writeAddressRow),
    rowsOf(Section.routes, routeRowSize, routes, writeRouteRow),
    rowsOf(Section.neighbours, neighbourRowSize, neighbourRows(model, idOf), writeNeighbourRow),
    ...serviceSections(model.services, draft, model),
    rowsOf(
      Section.podRanges,
      podRangeRowSize,
      podRangeRows(model.node, networkId(defaultNetwork)),
      writePodRangeRow,
    ),
    rowsOf(
      Section.snatSources,
      snatSourceRowSize,
      snatSourceRows(model.ports, model.node, idOf),
      writeSnatSourceRow,
    ),
    rowsOf(
      Section.zones,
      zoneRowSize,
      zoneRows(zones, draft.zones(zones), networkId),
      writeZoneRow,
    ),
  ];
}

const changeSections = (model: Model, draft: Draft): Rows[] => [
  ...serviceSections(draft.changed, draft, model),
  rowsOf(Section.removedServices, removedServiceRowSize, draft.removed, (view, at, id) =>
    writeRemovedServiceRow(view, at, { id }),
  ),
];

/** Throws NodeplaneError limit_exceeded; the directory is untouched until commit. */
export function compile(
  model: Model,
  directory: IdDirectory,
  options: CompileOptions = {},
): Compiled {
  const draft = directory.draft(model.services);
  const { base } = options;
  const bytes =
    base && isChange(base, model, draft)
      ? pack(whole(changeSections(model, draft)), base.generation)
      : pack(whole(wholeSections(model, draft, options)), 0);
  return {
    bytes,
    named: () => draft.fresh(),
    freed: () => draft.freed(),
    commit: () => directory.commit(draft),
  };
}
