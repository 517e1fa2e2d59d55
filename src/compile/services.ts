// services: virtual addresses and their endpoints -> ServiceRow and EndpointRow. Each virtual address
// also has an echo row beside its lowest port, with the same endpoints: a ping to it reaches a real
// endpoint and comes back.
import { type EndpointRow, type ServiceRow, ServiceVerdict } from "../gen/layout.js";
import type { IpText } from "../kit/brand.js";
import { type Family, familyOf, writeAddress } from "../kit/ip.js";
import {
  compareEndpoints,
  type Endpoint,
  type Service,
  serviceIdentity,
  serviceKey,
  serviceLabel,
} from "../model/service.js";
import type { Draft, Named } from "./ids.js";
import { fnv1a64 } from "./seed.js";

/** IANA protocol numbers. */
export const protocolNumbers = { ICMP: 1, TCP: 6, UDP: 17, ICMPv6: 58, SCTP: 132 } as const;
const choosableFlag = 1;

/** A service with its ids and the place of its endpoints' rows. */
export interface Front {
  readonly service: Service;
  readonly named: Named;
  readonly first: number;
  /** The id of the echo to its address, if this service answers it. */
  readonly echo: number | null;
}

/** Sorted, each place once, so that rings are equal on all nodes. Often they are so already. */
function sorted(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  const isSorted = endpoints.every(
    (e, i) => i === 0 || compareEndpoints(endpoints[i - 1] as Endpoint, e) < 0,
  );
  if (isSorted) return endpoints;
  const all = [...endpoints].sort(
    (a, b) => compareEndpoints(a, b) || Number(b.choosable) - Number(a.choosable),
  );
  return all.filter((e, i) => i === 0 || compareEndpoints(all[i - 1] as Endpoint, e) !== 0);
}

const addressKey = (s: Service): string => `${s.network} ${s.address}`;

/** The lowest port answers the echo: the same on every node, whatever the order of the objects. */
function echoes(services: readonly Service[]): Map<string, Service> {
  const lowest = new Map<string, Service>();
  for (const service of services) {
    const key = addressKey(service);
    const known = lowest.get(key);
    const isLower =
      !known ||
      service.port < known.port ||
      (service.port === known.port && serviceKey(service) < serviceKey(known));
    if (isLower) lowest.set(key, service);
  }
  return lowest;
}

/** Names everything; rows can be written from what it returns. */
export function frontsOf(services: readonly Service[], draft: Draft): Front[] {
  const lowest = echoes(services);
  let first = 0;
  return services.map((service) => {
    const named = draft.service(
      serviceKey(service),
      serviceLabel(service),
      sorted(service.endpoints),
    );
    const key = addressKey(service);
    const isEcho = lowest.get(key) === service;
    const label = `${service.namespace}/${service.name}`;
    const echo = isEcho ? draft.service(`echo ${key}`, label, []).id : null;
    const front = { service, named, first, echo };
    first += named.endpoints.length;
    return front;
  });
}

/** Addresses of one row at a time: rows are written as soon as they are made. */
const scratch = new Uint8Array(16);
function scratchAddress(text: IpText): Uint8Array {
  scratch.fill(0);
  writeAddress(text, scratch, 0);
  return scratch;
}

export function serviceRow(
  { service, named, first }: Front,
  network: number,
  masquerade: (family: Family) => number,
): ServiceRow {
  const family = familyOf(service.address);
  return {
    address: scratchAddress(service.address),
    seed: fnv1a64(serviceIdentity(service)),
    id: named.id,
    endpointFirst: first,
    endpointCount: named.endpoints.length,
    bePort: service.port,
    network,
    family,
    protocol: protocolNumbers[service.protocol],
    masquerade: masquerade(family),
    verdict: ServiceVerdict[service.verdict],
  };
}

/** The same endpoints and seed as its service's, so the ring is shared. */
export const echoRow = (row: ServiceRow, id: number): ServiceRow => ({
  ...row,
  id,
  bePort: 0,
  protocol: row.family === 4 ? protocolNumbers.ICMP : protocolNumbers.ICMPv6,
});

export const endpointRow = (endpoint: Endpoint, id: number): EndpointRow => ({
  address: scratchAddress(endpoint.address),
  id,
  bePort: endpoint.port,
  weight: endpoint.weight,
  family: familyOf(endpoint.address),
  flags: endpoint.choosable ? choosableFlag : 0,
});
