// services: virtual addresses and their endpoints -> ServiceRow and EndpointRow. Each virtual address
// also has an echo row beside its lowest port, with the same endpoints: a ping to it reaches a real
// endpoint and comes back.
import { type EndpointRow, HashFields, type ServiceRow, ServiceVerdict } from "../gen/layout.js";
import type { IpText } from "../kit/brand.js";
import { type Family, familyOf, writeAddress } from "../kit/ip.js";
import { type Endpoint, type Service, serviceIdentity } from "../model/service.js";
import type { Named } from "./names.js";
import { fnv1a64 } from "./seed.js";

/** IANA protocol numbers. */
export const protocolNumbers = { ICMP: 1, TCP: 6, UDP: 17, ICMPv6: 58, SCTP: 132 } as const;
const choosableFlag = 1;
const fieldsOf = { "5-tuple": HashFields.tuple, client: HashFields.client } as const;

/** What services do not say themselves. */
export interface ServiceDefaults {
  readonly masquerade: (family: Family) => number;
  readonly hashFields: NonNullable<Service["hashFields"]>;
}

/** Addresses of one row at a time: rows are written as soon as they are made. */
const scratch = new Uint8Array(16);
function scratchAddress(text: IpText): Uint8Array {
  scratch.fill(0);
  writeAddress(text, scratch, 0);
  return scratch;
}

/** `first`: the number of its first endpoint's row. */
export function serviceRow(
  { service, id, endpoints }: Named,
  first: number,
  network: number,
  defaults: ServiceDefaults,
): ServiceRow {
  const family = familyOf(service.address);
  return {
    address: scratchAddress(service.address),
    seed: fnv1a64(serviceIdentity(service)),
    id,
    endpointFirst: first,
    endpointCount: endpoints.length,
    bePort: service.port,
    network,
    family,
    protocol: protocolNumbers[service.protocol],
    masquerade: defaults.masquerade(family),
    verdict: ServiceVerdict[service.verdict],
    hashFields: fieldsOf[service.hashFields ?? defaults.hashFields],
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
