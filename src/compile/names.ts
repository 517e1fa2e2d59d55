// Names and their ids: what a directory knows, and how a service's endpoints are named.
import type { EndpointId, ServiceId } from "../kit/brand.js";
import { compareEndpoints, type Endpoint, endpointKey, type Service } from "../model/service.js";
import type { Echo } from "./echoes.js";

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
  named: Map<Service, Named>;
  echoes: Map<string, Echo>;
  endpointCount: number;
  networks: string[];
  zones: string[];
  /** Of an earlier process, until the first commit: what that does not name is given back. */
  readonly remembered: { service: Map<string, number>; endpoint: Map<string, number> };
}

export const echoName = (address: string): string => `echo ${address}`;
export const endpointName = (service: string, e: Endpoint): string =>
  `${service} ${endpointKey(e)}`;

/** Sorted, each place once, so that rings are equal on all nodes. Often they are so already. */
export function sorted(endpoints: readonly Endpoint[]): readonly Endpoint[] {
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
export function idsOf(
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
export function* without(named: Named, other: Named | undefined): Iterable<number> {
  if (other?.ids === named.ids) return;
  const known = other && new Set(other.ids);
  for (let i = 0; i < named.ids.length; i++) if (!known?.has(named.ids[i] as EndpointId)) yield i;
}

/** Both, in the larger one: what `news` says counts. */
export function merged<K, V>(known: Map<K, V>, news: Map<K, V>): Map<K, V> {
  if (known.size >= news.size) {
    for (const [key, value] of news) known.set(key, value);
    return known;
  }
  for (const [key, value] of known) if (!news.has(key)) news.set(key, value);
  return news;
}
