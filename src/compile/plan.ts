// Two models -> what would change, as data; nothing is done.
import { formatEndpoint } from "../kit/ip.js";
import type { Model } from "../model/model.js";
import {
  type Endpoint,
  endpointKey,
  type Service,
  sameService,
  serviceKey,
  serviceLabel,
} from "../model/service.js";
import { type Succession, successionOf } from "./difference.js";

export interface Change {
  readonly change: "add" | "remove" | "change";
  readonly kind: "port" | "route" | "neighbour" | "node" | "settings" | "service" | "endpoint";
  readonly name: string;
  readonly detail: string;
  /** True: a running dataplane must be started again for it. */
  readonly restart: boolean;
}
export type Plan = readonly Change[];

/** A port's secret is told to nobody, a change of it is. */
const hidden = (key: string, value: unknown): unknown => (key === "secret" ? "***" : value);
const text = (value: unknown): string =>
  value === undefined ? "none" : typeof value === "string" ? value : JSON.stringify(value, hidden);

/** "key: old -> new" of each field that differs. */
function fields(before: object, after: object, without: readonly string[] = []): string {
  const old = before as Record<string, unknown>;
  const now = after as Record<string, unknown>;
  return [...new Set([...Object.keys(old), ...Object.keys(now)])]
    .filter(
      (key) => !without.includes(key) && JSON.stringify(old[key]) !== JSON.stringify(now[key]),
    )
    .map((key) => `${key}: ${text(old[key])} -> ${text(now[key])}`)
    .join(", ");
}

interface Kind<T> {
  readonly kind: Change["kind"];
  keyOf(item: T): string;
  nameOf(item: T): string;
  about(item: T): string;
  changed(before: T, after: T): string;
  restart(before: T | undefined, after: T | undefined): boolean;
}

/** What comes, whom it follows, and what nobody follows. */
interface Matched<T> {
  readonly come: readonly T[];
  readonly was: ReadonlyMap<T, T>;
  readonly gone: Iterable<T>;
}

function match<T extends object>(
  before: readonly T[],
  after: readonly T[],
  { keyOf }: Kind<T>,
): Matched<T> {
  const old = new Map(before.map((item) => [keyOf(item), item]));
  const was = new Map<T, T>();
  for (const item of after) {
    const key = keyOf(item);
    const known = old.get(key);
    if (known && old.delete(key)) was.set(item, known);
  }
  return { come: after, was, gone: old.values() };
}

/** Its words are put together when somebody asks: one transaction may bring very many services. */
class Whole<T> implements Change {
  constructor(
    readonly change: "add" | "remove",
    private readonly item: T,
    private readonly of: Kind<T>,
  ) {}
  get kind(): Change["kind"] {
    return this.of.kind;
  }
  get name(): string {
    return this.of.nameOf(this.item);
  }
  get detail(): string {
    return this.of.about(this.item);
  }
  get restart(): boolean {
    const { of, item } = this;
    return this.change === "add" ? of.restart(undefined, item) : of.restart(item, undefined);
  }
  toJSON(): Change {
    const { change, kind, name, detail, restart } = this;
    return { change, kind, name, detail, restart };
  }
}

function compare<T extends object>({ come, was, gone }: Matched<T>, kind: Kind<T>): Change[] {
  const changes: Change[] = [];
  for (const item of come) {
    const old = was.get(item);
    if (!old) changes.push(new Whole("add", item, kind));
    if (!old || old === item) continue;
    const detail = kind.changed(old, item);
    const [name, restart] = [kind.nameOf(item), kind.restart(old, item)];
    if (detail) changes.push({ change: "change", kind: kind.kind, name, detail, restart });
  }
  for (const item of gone) changes.push(new Whole("remove", item, kind));
  return changes;
}

const plain = <T extends object>(
  kind: Change["kind"],
  nameOf: (item: T) => string,
  about: (item: T) => string,
  restart: Kind<T>["restart"] = () => false,
): Kind<T> => ({
  kind,
  keyOf: nameOf,
  nameOf,
  about,
  changed: (a, b) => fields(a, b),
  restart,
});

const portFields = ["addresses"];
const ports = plain<Model["ports"][number]>(
  "port",
  (p) => p.name,
  (p) => `${p.driver} on ${p.interface}`,
  // Addresses stand in tables; the rest was said when the port was opened.
  (a, b) => !a || !b || fields(a, b, portFields) !== "",
);
const routes = plain<Model["routes"][number]>(
  "route",
  (r) => r.to,
  (r) => `${r.via ? `via ${r.via} ` : ""}port ${r.port}`,
);
const neighbours = plain<Model["neighbours"][number]>(
  "neighbour",
  (n) => `${n.address} port ${n.port}`,
  (n) => n.mac,
);
const services: Kind<Service> = {
  kind: "service",
  keyOf: serviceKey,
  nameOf: serviceLabel,
  about: (s) =>
    `${s.protocol} ${formatEndpoint(s.address, s.port)}, ${s.verdict}, ${s.endpoints.length} endpoints`,
  changed: (a, b) => (sameService(a, b) ? "" : fields(a, b, ["endpoints"])),
  restart: () => false,
};

function endpointsOf(service: Service): Kind<Endpoint> {
  const about = (e: Endpoint): string => (e.choosable ? "takes new flows" : "keeps its flows");
  return {
    ...plain<Endpoint>("endpoint", endpointKey, about),
    nameOf: (e) => `${serviceLabel(service)} ${endpointKey(e)}`,
  };
}

const endpointChanges = ({ was }: Matched<Service>): Change[] =>
  [...was].flatMap(([service, old]) => {
    if (old.endpoints === service.endpoints || sameService(old, service)) return [];
    const kind = endpointsOf(service);
    return compare(match(old.endpoints, service.endpoints, kind), kind);
  });

/** Settings that the native side takes once, when it is made. */
const fixedSettings = ["name", "workers", "frames", "nat", "copy", "controlSocket"];
const fixedFlows = ["capacity", "capacity6", "hash", "seed", "survive", "file"];

function settingsChanges(before: Model, after: Model): Change[] {
  const changes: Change[] = [];
  const node = fields(before.node, after.node);
  if (node)
    changes.push({
      change: "change",
      kind: "node",
      name: after.node.name,
      detail: node,
      restart: false,
    });
  const say = (name: string, a: object, b: object, restart: (key: string) => boolean): void => {
    for (const key of Object.keys(b)) {
      const detail = fields(
        { [key]: (a as Record<string, unknown>)[key] },
        { [key]: (b as Record<string, unknown>)[key] },
      );
      const path = name ? `${name}.${key}` : key;
      if (detail && key !== "flows")
        changes.push({
          change: "change",
          kind: "settings",
          name: path,
          detail,
          restart: restart(key),
        });
    }
  };
  say("", before.settings, after.settings, (key) => fixedSettings.includes(key));
  say("flows", before.settings.flows, after.settings.flows, (key) => fixedFlows.includes(key));
  return changes;
}

/** `before` null: nothing runs yet, everything is new. `matched`: their services, if known already. */
export function plan(
  before: Model | null,
  after: Model,
  matched: Succession = successionOf(before?.services ?? [], after.services),
): Plan {
  return [
    ...compare(match(before?.ports ?? [], after.ports, ports), ports),
    ...compare(match(before?.routes ?? [], after.routes, routes), routes),
    ...compare(match(before?.neighbours ?? [], after.neighbours, neighbours), neighbours),
    ...(before ? settingsChanges(before, after) : []),
    ...compare(matched, services),
    ...endpointChanges(matched),
  ];
}

const signs = { add: "+", remove: "-", change: "~" } as const;

export function renderPlan(changes: Plan): string {
  if (changes.length === 0) return "no changes";
  return changes
    .map(
      (c) =>
        `${signs[c.change]} ${c.kind} ${c.name}: ${c.detail}${c.restart ? " (needs a restart)" : ""}`,
    )
    .join("\n");
}
