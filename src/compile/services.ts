// services: virtual addresses and their endpoints -> rows. Each virtual address also has an echo row
// beside its lowest port, with the same endpoints: a ping to it reaches a real endpoint and comes back.
// There may be millions of rows: one object of each kind is filled again and again.
import {
  type EndpointRow,
  endpointMax,
  endpointRowSize,
  HashFields,
  Section,
  type ServiceRow,
  ServiceVerdict,
  serviceMax,
  serviceRowSize,
  writeEndpointRow,
  writeServiceRow,
} from "../gen/layout.js";
import type { IpText } from "../kit/brand.js";
import { type Family, familyOf, writeAddress } from "../kit/ip.js";
import type { Model } from "../model/model.js";
import type { Endpoint, Service } from "../model/service.js";
import type { Draft } from "./draft.js";
import type { Named } from "./names.js";
import { masqueradeOf } from "./nat.js";
import { limit, type Rows } from "./sections.js";
import { seedOf } from "./seed.js";

/** IANA protocol numbers. */
export const protocolNumbers = { ICMP: 1, TCP: 6, UDP: 17, ICMPv6: 58, SCTP: 132 } as const;
const echoProtocols = { 4: protocolNumbers.ICMP, 6: protocolNumbers.ICMPv6 } as const;
const choosableFlag = 1;
const fieldsOf = { "5-tuple": HashFields.tuple, client: HashFields.client } as const;

/** What services do not say themselves. */
interface ServiceDefaults {
  readonly masquerade: (family: Family) => number;
  readonly hashFields: NonNullable<Service["hashFields"]>;
}

/** Of IPv4 a row's other twelve bytes stay zero. */
const scratch = { 4: new Uint8Array(4), 6: new Uint8Array(16) } as const;
function scratchAddress(text: IpText, family: Family): Uint8Array {
  const bytes = scratch[family];
  writeAddress(text, bytes, 0, family);
  return bytes;
}

const serviceRow: ServiceRow = {
  address: scratch[4],
  seed: 0n,
  id: 0,
  endpointFirst: 0,
  endpointCount: 0,
  bePort: 0,
  network: 0,
  family: 4,
  protocol: 0,
  masquerade: 0,
  verdict: 0,
  hashFields: 0,
};
const endpointRow: EndpointRow = {
  address: scratch[4],
  id: 0,
  bePort: 0,
  weight: 0,
  family: 4,
  flags: 0,
};

function fillService(
  { service, id, endpoints }: Named,
  first: number,
  network: number,
  defaults: ServiceDefaults,
): void {
  const row = serviceRow;
  const family = familyOf(service.address);
  row.address = scratchAddress(service.address, family);
  row.seed = seedOf(service);
  row.id = id;
  row.endpointFirst = first;
  row.endpointCount = endpoints.length;
  row.bePort = service.port;
  row.network = network;
  row.family = family;
  row.protocol = protocolNumbers[service.protocol];
  row.masquerade = defaults.masquerade(family);
  row.verdict = ServiceVerdict[service.verdict];
  row.hashFields = fieldsOf[service.hashFields ?? defaults.hashFields];
}

/** The same endpoints and seed as its service's, so the ring is shared. */
function turnToEcho(id: number): void {
  serviceRow.id = id;
  serviceRow.bePort = 0;
  serviceRow.protocol = echoProtocols[serviceRow.family as Family];
}

function fillEndpoint({ address, port, weight, choosable }: Endpoint, id: number): void {
  const row = endpointRow;
  const family = familyOf(address);
  row.address = scratchAddress(address, family);
  row.id = id;
  row.bePort = port;
  row.weight = weight;
  row.family = family;
  row.flags = choosable ? choosableFlag : 0;
}

/** Rows of these services, each with its echo's behind it, and of their endpoints. */
export function serviceSections(services: readonly Service[], draft: Draft, model: Model): Rows[] {
  const { hashFields } = model.settings.services;
  const defaults = { masquerade: masqueradeOf(model.node), hashFields };
  limit("services", draft.serviceCount, serviceMax);
  limit("endpoints", draft.endpointCount, endpointMax);
  const { named: all, echoes } = draft.beside(services);
  const echoCount = echoes.reduce<number>((n, echo) => n + (echo === null ? 0 : 1), 0);
  const endpointCount = all.reduce((n, { ids }) => n + ids.length, 0);
  const writeServices = (view: DataView, start: number): void => {
    let at = start;
    let first = 0;
    all.forEach((named, i) => {
      fillService(named, first, draft.network(named.service.network), defaults);
      first += named.ids.length;
      writeServiceRow(view, at, serviceRow);
      at += serviceRowSize;
      const echo = echoes[i] ?? null;
      if (echo === null) return;
      turnToEcho(echo);
      writeServiceRow(view, at, serviceRow);
      at += serviceRowSize;
    });
  };
  const writeEndpoints = (view: DataView, start: number): void => {
    let at = start;
    for (const { endpoints, ids } of all) {
      for (let i = 0; i < ids.length; i++) {
        fillEndpoint(endpoints[i] as Endpoint, ids[i] as number);
        writeEndpointRow(view, at, endpointRow);
        at += endpointRowSize;
      }
    }
  };
  const count = all.length + echoCount;
  return [
    { kind: Section.services, size: serviceRowSize, count, write: writeServices },
    { kind: Section.endpoints, size: endpointRowSize, count: endpointCount, write: writeEndpoints },
  ];
}
