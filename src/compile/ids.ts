// Names -> ids that stay the same from publish to publish. A freed id is absent from at least one
// published generation before it names something else, so that no flow is taken for another's.
import { networkMax } from "../gen/layout.js";
import type { EndpointId, ServiceId } from "../kit/brand.js";
import { NodeplaneError } from "../kit/error.js";
import { compareEndpoints, defaultNetwork, type Endpoint, endpointKey } from "../model/service.js";
import { defaultZone, type Zone } from "../model/settings.js";
import { zoneIds } from "./zones.js";

/** A name and the id that stands for it. An endpoint's key is its service's and its place. */
export interface Naming {
  readonly kind: "network" | "zone" | "service" | "endpoint";
  readonly key: string;
  readonly id: number;
}

/** A named service; its endpoints sorted, their ids beside them. */
export interface Named {
  readonly id: ServiceId;
  readonly endpoints: readonly Endpoint[];
  readonly ids: readonly EndpointId[];
}

/** Ids of one kind: those given back wait a generation. */
class Pool {
  next = 0;
  free: number[] = [];
  /** Ids that are taken already; those between them are free. */
  constructor(taken: readonly number[] = []) {
    const all = new Set(taken);
    for (const id of taken) this.next = Math.max(this.next, id + 1);
    for (let id = this.next - 1; id >= 0; id--) if (!all.has(id)) this.free.push(id);
  }
  fork(): { take(): number; commit(freed: readonly number[]): void } {
    let next = this.next;
    let left = this.free.length;
    return {
      take: () => (left > 0 ? (this.free[--left] as number) : next++),
      commit: (freed) => {
        this.next = next;
        this.free.length = left;
        for (const id of freed) this.free.push(id);
      },
    };
  }
}

/** What one compile wants to name. Nothing is kept unless it is published and committed. */
export interface Draft {
  network(name: string): number;
  /** Zones' names by id, these included. */
  zones(wished: Readonly<Record<string, Zone>>): string[];
  /** `endpoints` sorted, each once. */
  service(key: string, label: string, endpoints: readonly Endpoint[]): Named;
  /** What commit will name. Who keeps ids in a file writes these before the tables are published. */
  named(): Iterable<Naming>;
  /** What commit gives back, to be asked before it. */
  freed(): Iterable<Naming>;
  commit(): void;
}

export class IdDirectory {
  #entries = new Map<string, Named>();
  readonly #services: Pool;
  readonly #endpoints: Pool;
  #labels: string[] = [];
  #networks: string[] = [defaultNetwork];
  #zones: string[] = [defaultZone];
  /** Names of an earlier process, until the first commit: what that does not name is given back. */
  #remembered = { service: new Map<string, number>(), endpoint: new Map<string, number>() };

  constructor(remembered: Iterable<Naming> = []) {
    for (const { kind, key, id } of remembered) {
      if (kind === "network") this.#networks[id] = key;
      else if (kind === "zone") this.#zones[id] = key;
      else this.#remembered[kind].set(key, id);
    }
    this.#services = new Pool([...this.#remembered.service.values()]);
    this.#endpoints = new Pool([...this.#remembered.endpoint.values()]);
  }

  /** namespace/name:port of a service, also of one that is gone until its id is used again. */
  labelOf(service: number): string | undefined {
    return this.#labels[service];
  }

  networkOf(id: number): string | undefined {
    return this.#networks[id];
  }

  zoneOf(id: number): string | undefined {
    return this.#zones[id];
  }

  draft(): Draft {
    const next = new Map<string, Named>();
    const services = this.#services.fork();
    const endpoints = this.#endpoints.fork();
    const networks = [...this.#networks];
    const labels: string[] = [];
    const gone: number[] = [];
    const remembered = this.#remembered;
    const entries = this.#entries;
    const networksBefore = this.#networks.length;
    const zonesBefore = this.#zones;
    let zones = this.#zones;
    const keyOf = (service: string, endpoint: Endpoint): string =>
      `${service} ${endpointKey(endpoint)}`;
    /** Names of `all` that `others` does not have. */
    function* without(
      all: ReadonlyMap<string, Named>,
      others: ReadonlyMap<string, Named>,
      isKnown: (kind: "service" | "endpoint", key: string) => boolean,
    ): Iterable<Naming> {
      for (const [key, { id, ids, endpoints }] of all) {
        const other = others.get(key);
        if (!other && !isKnown("service", key)) yield { kind: "service", key, id };
        if (other?.ids === ids) continue;
        const known = new Set(other?.ids);
        for (const [i, endpoint] of endpoints.entries()) {
          const name = keyOf(key, endpoint);
          const own = ids[i] as EndpointId;
          if (!known.has(own) && !isKnown("endpoint", name))
            yield { kind: "endpoint", key: name, id: own };
        }
      }
    }
    const draft: Draft = {
      *named() {
        for (let id = networksBefore; id < networks.length; id++)
          yield { kind: "network", key: networks[id] as string, id };
        for (const [id, key] of zones.entries())
          if (zonesBefore[id] !== key) yield { kind: "zone", key, id };
        yield* without(next, entries, (kind, key) => remembered[kind].has(key));
      },
      *freed() {
        yield* without(entries, next, () => false);
        const used = { service: new Set<number>(), endpoint: new Set<number>() };
        if (remembered.service.size + remembered.endpoint.size === 0) return;
        for (const { id, ids } of next.values()) {
          used.service.add(id);
          for (const endpoint of ids) used.endpoint.add(endpoint);
        }
        for (const kind of ["service", "endpoint"] as const)
          for (const [key, id] of remembered[kind])
            if (!used[kind].has(id)) yield { kind, key, id };
      },
      zones(wished) {
        zones = zoneIds(zonesBefore, wished);
        return zones;
      },
      network(name) {
        const known = networks.indexOf(name);
        if (known >= 0) return known;
        const count = networks.length;
        if (count > networkMax) {
          throw new NodeplaneError("limit_exceeded", {
            what: "networks",
            count,
            limit: networkMax,
          });
        }
        return networks.push(name) - 1;
      },
      service: (key, label, wished) => {
        const before = this.#entries.get(key);
        const id = before?.id ?? ((remembered.service.get(key) ?? services.take()) as ServiceId);
        const name = (endpoint: Endpoint): number =>
          remembered.endpoint.get(keyOf(key, endpoint)) ?? endpoints.take();
        const take = remembered.endpoint.size > 0 ? name : endpoints.take;
        const ids = before?.endpoints === wished ? before.ids : idsOf(before, wished, take, gone);
        const named = { id, endpoints: wished, ids };
        next.set(key, named);
        labels[id] = label;
        return named;
      },
      commit: () => {
        const goneServices: number[] = [];
        for (const [key, entry] of this.#entries) {
          if (next.has(key)) continue;
          goneServices.push(entry.id);
          for (const id of entry.ids) gone.push(id);
        }
        if (remembered.service.size + remembered.endpoint.size > 0) {
          for (const { kind, id } of draft.freed())
            (kind === "service" ? goneServices : gone).push(id);
          remembered.service.clear();
          remembered.endpoint.clear();
        }
        services.commit(goneServices);
        endpoints.commit(gone);
        this.#entries = next;
        this.#networks = networks;
        this.#zones = zones;
        labels.forEach((label, id) => {
          this.#labels[id] = label;
        });
      },
    };
    return draft;
  }
}

/** Old and new endpoints are sorted: one walk over both. Ids of those that are no more go to `gone`. */
function idsOf(
  before: Named | undefined,
  wished: readonly Endpoint[],
  take: (endpoint: Endpoint) => number,
  gone: number[],
): readonly EndpointId[] {
  const old = before?.endpoints ?? [];
  const oldIds = before?.ids ?? [];
  let at = 0;
  const ids = wished.map((endpoint) => {
    for (; at < old.length; at++) {
      const order = compareEndpoints(old[at] as Endpoint, endpoint);
      if (order === 0) return oldIds[at++] as EndpointId;
      if (order > 0) break;
      gone.push(oldIds[at] as number);
    }
    return take(endpoint) as EndpointId;
  });
  for (; at < old.length; at++) gone.push(oldIds[at] as number);
  return ids;
}
