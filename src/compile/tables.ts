// Model -> the bytes of a table set: whole, or the change of what was published last.
import {
  routeMax,
  Section,
  writeAddressRow,
  writeNeighbourRow,
  writePodRangeRow,
  writePortRow,
  writeRemovedServiceRow,
  writeRouteRow,
  writeSettingsRow,
  writeSnatSourceRow,
  writeZoneRow,
} from "../gen/layout.js";
import { check } from "../kit/check.js";
import type { Model } from "../model/model.js";
import { defaultNetwork } from "../model/service.js";
import type { Succession } from "./difference.js";
import type { Draft, IdDirectory, Naming } from "./ids.js";
import { podRangeRows, snatSourceRows } from "./nat.js";
import { type PortFacts, portRow, settingsRow } from "./ports.js";
import { addressRows, neighbourRows, routeRows } from "./routes.js";
import { limit, pack, type Rows, rowsOf } from "./sections.js";
import { serviceSections } from "./services.js";
import { zoneRows } from "./zones.js";

export type { Model } from "../model/model.js";
export type { PortFacts } from "./ports.js";

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
  /** From its services to the new ones, if known already. */
  readonly change?: Succession;
}

export interface CompileOptions {
  /** Where nothing but services has changed since, only the change is compiled. */
  readonly base?: Base | undefined;
  /** By port name; without, a port's id is its place and its MAC and MTU are the wished ones. */
  readonly ports?: ReadonlyMap<string, PortFacts>;
  /** A replay: nothing is sent unasked. */
  readonly offline?: boolean;
}

/** MTU of a port that nobody gave one (design section 8). */
export const mtuDefault = 1500;

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
  const ports = model.ports.map((port, i) => {
    const network = networkId(port.network);
    return portRow(port, facts[i] as PortFacts, model, idOf, network, options.offline ?? false);
  });
  ports.sort((a, b) => a.id - b.id);
  const { zones } = model.settings.flows;
  const ranges = podRangeRows(model.node, networkId(defaultNetwork));
  const sources = snatSourceRows(model.ports, model.node, idOf);
  return [
    rowsOf(Section.settings, [settingsRow(model.settings)], writeSettingsRow),
    rowsOf(Section.ports, ports, writePortRow),
    rowsOf(Section.addresses, addressRows(model, idOf, networkId), writeAddressRow),
    rowsOf(Section.routes, routes, writeRouteRow),
    rowsOf(Section.neighbours, neighbourRows(model, idOf), writeNeighbourRow),
    ...serviceSections(model.services, draft, model),
    rowsOf(Section.podRanges, ranges, writePodRangeRow),
    rowsOf(Section.snatSources, sources, writeSnatSourceRow),
    rowsOf(Section.zones, zoneRows(zones, draft.zones(zones), networkId), writeZoneRow),
  ];
}

const changeSections = (model: Model, draft: Draft): Rows[] => [
  ...serviceSections(draft.changed, draft, model),
  rowsOf(Section.removedServices, draft.removed, (view, at, id) =>
    writeRemovedServiceRow(view, at, { id }),
  ),
];

/** Throws NodeplaneError limit_exceeded; the directory is untouched until commit. */
export function compile(
  model: Model,
  directory: IdDirectory,
  options: CompileOptions = {},
): Compiled {
  const { base } = options;
  const draft = directory.draft(model.services, base?.change);
  const bytes =
    base && isChange(base, model, draft)
      ? pack(changeSections(model, draft), base.generation)
      : pack(wholeSections(model, draft, options), 0);
  return {
    bytes,
    named: () => draft.fresh(),
    freed: () => draft.freed(),
    commit: () => directory.commit(draft),
  };
}
