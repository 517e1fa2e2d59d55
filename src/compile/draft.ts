// What one compile wants to name: the directory's names, and what is new, other or gone.
import { networkMax } from "../gen/layout.js";
import type { EndpointId, ServiceId } from "../kit/brand.js";
import { NodeplaneError } from "../kit/error.js";
import {
  compareEndpoints,
  type Endpoint,
  endpointKey,
  type Service,
  sameService,
} from "../model/service.js";
import type { Zone } from "../model/settings.js";
import { difference, nameOf, pairs } from "./difference.js";
import { type Echo, echoAddress, echoOwners } from "./echoes.js";
import { zoneIds } from "./zones.js";

/** A name and the id that stands for it. An endpoint's key is its service's and its place. */
export interface Naming {
  readonly kind: "network" | "zone" | "service" | "endpoint";
  readonly key: string;
  readonly id: number;
}

/** A named service; its endpoints sorted, their ids beside them. */
export interface Named {
  readonly service: Service;
  readonly id: ServiceId;
  readonly endpoints: readonly Endpoint[];
  readonly ids: readonly EndpointId[];
}

/** What a directory knows. Only commit changes it. */
export interface Names {
  services: readonly Service[];
  readonly named: Map<Service, Named>;
  readonly echoes: Map<string, Echo<ServiceId>>;
  endpointCount: number;
  networks: string[];
  zones: string[];
  /** Of an earlier process, until the first commit: what that does not name is given back. */
  readonly remembered: { service: Map<string, number>; endpoint: Map<string, number> };
}

interface Ids {
  take(): number;
  commit(freed: readonly number[]): void;
}

const echoName = (address: string): string => `echo ${address}`;
const endpointName = (service: string, e: Endpoint): string => `${service} ${endpointKey(e)}`;

/** Sorted, each place once, so that rings are equal on all nodes. Often they are so already. */
function sorted(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  let isSorted = true;
  for (let i = 1; i < endpoints.length && isSorted; i++)
    isSorted = compareEndpoints(endpoints[i - 1] as Endpoint, endpoints[i] as Endpoint) < 0;
  if (isSorted) return endpoints;
  const all = [...endpoints].sort(
    (a, b) => compareEndpoints(a, b) || Number(b.choosable) - Number(a.choosable),
  );
  return all.filter((e, i) => i === 0 || compareEndpoints(all[i - 1] as Endpoint, e) !== 0);
}

/** Old and new endpoints are sorted: one walk over both. */
function idsOf(
  before: Named | undefined,
  wished: readonly Endpoint[],
  take: (endpoint: Endpoint) => number,
): readonly EndpointId[] {
  const old = before?.endpoints ?? [];
  if (before && old === wished) return before.ids;
  const ids = new Array<EndpointId>(wished.length); // pushed ones would keep room for 17
  let at = 0;
  for (let i = 0; i < wished.length; i++) {
    const endpoint = wished[i] as Endpoint;
    let order = 1;
    while (at < old.length) {
      order = compareEndpoints(old[at] as Endpoint, endpoint);
      if (order >= 0) break;
      at++;
    }
    const isKnown = at < old.length && order === 0;
    ids[i] = (isKnown ? before?.ids[at++] : take(endpoint)) as EndpointId;
  }
  return ids;
}

/** Endpoints of `named` that `other` does not have, by their number. */
function* without(named: Named, other: Named | undefined): Iterable<number> {
  if (other?.ids === named.ids) return;
  const known = other && new Set(other.ids);
  for (let i = 0; i < named.ids.length; i++) if (!known?.has(named.ids[i] as EndpointId)) yield i;
}

/** Nothing is kept of it unless it is published and committed. */
export class Draft {
  /** New services and those that are other than before: the rows of a change. */
  readonly changed = new Set<Service>();
  /** Ids of services and echoes that are gone. */
  readonly removed: ServiceId[] = [];
  /** Whether an object stands in the list twice: no change could say that. */
  readonly isDoubled: boolean = false;
  /** Echoes included. */
  readonly serviceCount: number;
  readonly endpointCount: number;
  readonly #next = new Map<Service, Named>();
  readonly #was = new Map<Service, Named>();
  readonly #gone: Named[] = [];
  readonly #echoes = new Map<string, Echo<ServiceId> | null>();
  readonly #networks: string[];
  #zones: string[];

  constructor(
    readonly services: readonly Service[],
    private readonly names: Names,
    private readonly ids: { service: Ids; endpoint: Ids },
  ) {
    this.#networks = [...names.networks];
    this.#zones = names.zones;
    const { gone, come } = pairs(difference(names.services, services));
    let endpoints = names.endpointCount;
    for (const service of gone) {
      const named = names.named.get(service) as Named;
      this.#gone.push(named);
      this.removed.push(named.id);
      endpoints -= named.ids.length;
    }
    for (const [old, service] of come) {
      if (this.#next.has(service) || names.named.has(service)) this.isDoubled = true;
      const was = old && names.named.get(old);
      const named = this.#name(service, was);
      endpoints += named.ids.length - (was?.ids.length ?? 0);
      if (was) this.#was.set(service, was);
      this.#next.set(service, named);
      if (!was || !sameService(was.service, service)) this.changed.add(service);
    }
    const owners = echoOwners(names.echoes, gone, come, services);
    let echoes = names.echoes.size;
    for (const [address, owner] of owners) echoes += this.#setEcho(address, owner);
    this.serviceCount = services.length + echoes;
    this.endpointCount = endpoints;
  }

  /** Of a service of this draft. */
  named(service: Service): Named {
    return this.#next.get(service) ?? (this.names.named.get(service) as Named);
  }

  /** The id of the echo to its address, if this service answers it. */
  echo(service: Service): ServiceId | null {
    const address = echoAddress(service);
    const echo = this.#echoes.get(address) ?? this.names.echoes.get(address);
    return echo?.owner === service ? echo.id : null;
  }

  network(name: string): number {
    const known = this.#networks.indexOf(name);
    if (known >= 0) return known;
    const count = this.#networks.length;
    if (count > networkMax)
      throw new NodeplaneError("limit_exceeded", { what: "networks", count, limit: networkMax });
    return this.#networks.push(name) - 1;
  }

  /** Zones' names by id, these included. */
  zones(wished: Readonly<Record<string, Zone>>): string[] {
    this.#zones = zoneIds(this.names.zones, wished);
    return this.#zones;
  }

  /** What commit will name. Who keeps ids in a file writes these before the tables are published. */
  *fresh(): Iterable<Naming> {
    const { networks, zones, echoes, remembered } = this.names;
    for (let id = networks.length; id < this.#networks.length; id++)
      yield { kind: "network", key: this.#networks[id] as string, id };
    for (const [id, key] of this.#zones.entries())
      if (zones[id] !== key) yield { kind: "zone", key, id };
    for (const [service, named] of this.#next) {
      const name = nameOf(service);
      const was = this.#was.get(service);
      if (!was && !remembered.service.has(name)) yield { kind: "service", key: name, id: named.id };
      for (const i of without(named, was)) {
        const key = endpointName(name, named.endpoints[i] as Endpoint);
        if (!remembered.endpoint.has(key))
          yield { kind: "endpoint", key, id: named.ids[i] as EndpointId };
      }
    }
    for (const [address, echo] of this.#echoes) {
      const key = echoName(address);
      if (echo && !echoes.has(address) && !remembered.service.has(key))
        yield { kind: "service", key, id: echo.id };
    }
  }

  /** What commit gives back, to be asked before it. */
  *freed(): Iterable<Naming> {
    for (const [named, other] of this.#losses()) {
      const name = nameOf(named.service);
      if (!other) yield { kind: "service", key: name, id: named.id };
      for (const i of without(named, other)) {
        const key = endpointName(name, named.endpoints[i] as Endpoint);
        yield { kind: "endpoint", key, id: named.ids[i] as EndpointId };
      }
    }
    for (const [address, echo] of this.#echoes)
      if (!echo)
        yield {
          kind: "service",
          key: echoName(address),
          id: (this.names.echoes.get(address) as Echo).id,
        };
    yield* this.#forgotten();
  }

  /** By the directory: makes it its own. */
  commit(): { next: Iterable<Named>; echoes: Iterable<Echo | null> } {
    const { named, echoes, remembered } = this.names;
    const services: number[] = [...this.removed];
    const endpoints: number[] = [];
    for (const [lost, other] of this.#losses())
      for (const i of without(lost, other)) endpoints.push(lost.ids[i] as number);
    for (const { kind, id } of this.#forgotten())
      (kind === "service" ? services : endpoints).push(id);
    this.ids.service.commit(services);
    this.ids.endpoint.commit(endpoints);
    for (const { service } of this.#gone) named.delete(service);
    for (const { service } of this.#was.values()) named.delete(service);
    for (const [service, now] of this.#next) named.set(service, now);
    for (const [address, echo] of this.#echoes) {
      if (echo) echoes.set(address, echo);
      else echoes.delete(address);
    }
    remembered.service.clear();
    remembered.endpoint.clear();
    this.names.services = this.services;
    this.names.endpointCount = this.endpointCount;
    this.names.networks = this.#networks;
    this.names.zones = this.#zones;
    return { next: this.#next.values(), echoes: this.#echoes.values() };
  }

  #name(service: Service, was: Named | undefined): Named {
    const { remembered } = this.names;
    let take: (endpoint: Endpoint) => number = this.ids.endpoint.take;
    if (remembered.endpoint.size > 0) {
      const name = nameOf(service);
      take = (e) => remembered.endpoint.get(endpointName(name, e)) ?? this.ids.endpoint.take();
    }
    const endpoints = sorted(service.endpoints);
    const id = was?.id ?? this.#serviceId(() => nameOf(service));
    return { service, id, endpoints, ids: idsOf(was, endpoints, take) };
  }

  #serviceId(name: () => string): ServiceId {
    const { service } = this.names.remembered;
    const known = service.size > 0 ? service.get(name()) : undefined;
    return (known ?? this.ids.service.take()) as ServiceId;
  }

  /** How many echoes more there are then. */
  #setEcho(address: string, owner: Service | null): number {
    const former = this.names.echoes.get(address);
    if (!owner) {
      if (!former) return 0;
      this.#echoes.set(address, null);
      this.removed.push(former.id);
      return -1;
    }
    const id = former?.id ?? this.#serviceId(() => echoName(address));
    this.#echoes.set(address, { id, owner });
    const isHeir = former && this.#was.get(owner)?.service === former.owner;
    if (former?.owner !== owner && !isHeir) this.changed.add(owner);
    return former ? 0 : 1;
  }

  /** Names that lose endpoints, and what they have become. */
  *#losses(): Iterable<readonly [Named, Named | undefined]> {
    for (const named of this.#gone) yield [named, undefined];
    for (const [service, was] of this.#was) yield [was, this.#next.get(service)];
  }

  *#forgotten(): Iterable<Naming> {
    const { remembered } = this.names;
    if (remembered.service.size + remembered.endpoint.size === 0) return;
    const used = { service: new Set<number>(), endpoint: new Set<number>() };
    for (const { id, ids } of this.#next.values()) {
      used.service.add(id);
      for (const endpoint of ids) used.endpoint.add(endpoint);
    }
    for (const echo of this.#echoes.values()) if (echo) used.service.add(echo.id);
    for (const kind of ["service", "endpoint"] as const)
      for (const [key, id] of remembered[kind]) if (!used[kind].has(id)) yield { kind, key, id };
  }
}
