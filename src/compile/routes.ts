// routes: connected prefixes and static routes, static neighbours, addresses that are delivered here
// (services' virtual addresses follow from the services).
import { type AddressRow, type NeighbourRow, portNone, type RouteRow } from "../gen/layout.js";
import type { IpText, PrefixText } from "../kit/brand.js";
import {
  isLinkLocal,
  knownAddress,
  knownPrefix,
  macBytes,
  maskPrefix,
  type Prefix,
} from "../kit/ip.js";
import type { Model } from "../model/model.js";
import type { Port } from "../model/port.js";
import { defaultNetwork } from "../model/service.js";

export type IdOf = (name: string) => number;
const hasVia = 1;

function routeRow(prefix: Prefix, via: IpText | null, port: number, network: number): RouteRow {
  const { bytes, family, length } = maskPrefix(prefix);
  return {
    prefix: bytes,
    via: via === null ? new Uint8Array(16) : knownAddress(via).bytes,
    family,
    prefixLength: length,
    port,
    network,
    flags: via === null ? 0 : hasVia,
  };
}

/** Link-local prefixes are never routed; a whole-length one connects nothing. */
const connects = (p: Prefix): boolean =>
  p.length < (p.family === 4 ? 32 : 128) && !(p.family === 6 && isLinkLocal(p));

export function routeRows(model: Model, portId: IdOf, networkId: IdOf): RouteRow[] {
  const connected = model.ports.flatMap((port) => {
    const prefixes = new Map(
      port.addresses
        .map(knownPrefix)
        .filter(connects)
        .map((p) => [String(maskPrefix(p).bytes) + p.length, p]),
    );
    return [...prefixes.values()].map((p) =>
      routeRow(p, null, portId(port.name), networkId(port.network)),
    );
  });
  const networkOf = new Map(model.ports.map((port) => [port.name, port.network]));
  const wished = model.routes.map((route) =>
    routeRow(
      knownPrefix(route.to),
      route.via,
      portId(route.port),
      networkId(networkOf.get(route.port) ?? ""),
    ),
  );
  return [...connected, ...wished];
}

export const neighbourRows = (model: Model, portId: IdOf): NeighbourRow[] =>
  model.neighbours.map(({ address, mac, port }) => {
    const { bytes, family } = knownAddress(address);
    return { address: bytes, family, port: portId(port), mac: macBytes(mac) };
  });

/** Link-local ones last: the first of a family is the source of ICMP errors. */
function inOrder(port: Port): PrefixText[] {
  const isLast = (text: PrefixText): boolean => isLinkLocal(knownPrefix(text));
  return [...port.addresses.filter((t) => !isLast(t)), ...port.addresses.filter(isLast)];
}

/** Addresses of the ports, then those of the node that no port has. */
export function addressRows(model: Model, portId: IdOf, networkId: IdOf): AddressRow[] {
  const taken = new Set<string>();
  const rows = model.ports.flatMap((port) =>
    inOrder(port).map((text): AddressRow => {
      const { bytes, family, length } = knownPrefix(text);
      taken.add(`${port.network} ${plain(text)}`);
      const network = networkId(port.network);
      return {
        address: bytes,
        family,
        prefixLength: length,
        port: portId(port.name),
        network,
      };
    }),
  );
  for (const text of model.node.addresses) {
    if (taken.has(`${defaultNetwork} ${text}`)) continue;
    rows.push(wholeAddress(text, networkId(defaultNetwork)));
  }
  return rows;
}

const plain = (text: PrefixText): string => text.slice(0, text.indexOf("/"));

function wholeAddress(text: IpText, network: number): AddressRow {
  const { bytes, family } = knownAddress(text);
  const prefixLength = family === 4 ? 32 : 128;
  return { address: bytes, family, prefixLength, port: portNone, network };
}
