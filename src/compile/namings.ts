// What a draft names and gives back, one name after the other: for who keeps ids in a file.
import type { EndpointId } from "../kit/brand.js";
import type { Endpoint, Service } from "../model/service.js";
import { nameOf } from "./difference.js";
import type { Echo } from "./echoes.js";
import { echoName, endpointName, type Named, type Names, type Naming, without } from "./names.js";

/** How names would be after a commit, beside how they are. */
export interface Next {
  /** New services and those that are other objects than before. */
  readonly named: Map<Service, Named>;
  /** What those were that follow somebody. */
  readonly was: Map<Service, Named>;
  readonly gone: readonly Named[];
  readonly echoes: Map<string, Echo>;
  /** Addresses that nobody answers any more. */
  readonly silent: Map<string, Echo>;
  readonly networks: string[];
  zones: string[];
}

/** What commit will name. */
export function* fresh(names: Names, next: Next): Iterable<Naming> {
  const { networks, zones, echoes, remembered } = names;
  for (let id = networks.length; id < next.networks.length; id++)
    yield { kind: "network", key: next.networks[id] as string, id };
  for (const [id, key] of next.zones.entries())
    if (zones[id] !== key) yield { kind: "zone", key, id };
  for (const [service, named] of next.named) {
    const name = nameOf(service);
    const was = next.was.get(service);
    if (!was && !remembered.service.has(name)) yield { kind: "service", key: name, id: named.id };
    for (const i of without(named, was)) {
      const key = endpointName(name, named.endpoints[i] as Endpoint);
      if (!remembered.endpoint.has(key))
        yield { kind: "endpoint", key, id: named.ids[i] as EndpointId };
    }
  }
  for (const [address, { id }] of next.echoes) {
    const key = echoName(address);
    if (!echoes.has(address) && !remembered.service.has(key)) yield { kind: "service", key, id };
  }
}

/** What commit gives back, to be asked before it. */
export function* freed(names: Names, next: Next): Iterable<Naming> {
  for (const [named, other] of losses(next)) {
    const name = nameOf(named.service);
    if (!other) yield { kind: "service", key: name, id: named.id };
    for (const i of without(named, other)) {
      const key = endpointName(name, named.endpoints[i] as Endpoint);
      yield { kind: "endpoint", key, id: named.ids[i] as EndpointId };
    }
  }
  for (const [address, { id }] of next.silent)
    yield { kind: "service", key: echoName(address), id };
  yield* forgotten(names, next);
}

/** Names that lose endpoints, and what they have become. */
export function* losses(next: Next): Iterable<readonly [Named, Named | undefined]> {
  for (const named of next.gone) yield [named, undefined];
  for (const [service, was] of next.was) yield [was, next.named.get(service)];
}

/** Of an earlier process, and not named again. */
export function* forgotten({ remembered }: Names, next: Next): Iterable<Naming> {
  if (remembered.service.size + remembered.endpoint.size === 0) return;
  const used = { service: new Set<number>(), endpoint: new Set<number>() };
  for (const { id, ids } of next.named.values()) {
    used.service.add(id);
    for (const endpoint of ids) used.endpoint.add(endpoint);
  }
  for (const { id } of next.echoes.values()) used.service.add(id);
  for (const kind of ["service", "endpoint"] as const)
    for (const [key, id] of remembered[kind]) if (!used[kind].has(id)) yield { kind, key, id };
}
