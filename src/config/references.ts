// What the parts of a configuration say of each other. Works on drafts: null items were reported.

import { zoneMax } from "../gen/layout.js";
import type { IpText, PrefixText } from "../kit/brand.js";
import {
  type Address,
  formatPrefix,
  isLinkLocal,
  knownAddress,
  knownPrefix,
  maskPrefix,
  prefixHolds,
} from "../kit/ip.js";
import { defaultZone } from "../model/settings.js";
import type { Draft, Say } from "./draft.js";
import { checkMemif, modeProblem } from "./memif.js";
import { driverKeys, type PortConfig } from "./schema.js";

const code = "config_reference";

interface Known {
  /** All names given, also of ports with mistakes. */
  readonly names: ReadonlySet<string>;
  readonly ports: ReadonlyMap<string, PortConfig>;
}

/** `base`: where relative paths start. */
export function checkReferences(
  draft: Draft,
  root: Record<string, unknown>,
  base: string,
  say: Say,
): void {
  const raw = Array.isArray(root.ports) ? (root.ports as unknown[]) : [];
  const names = new Set(raw.map((p) => String((p as { name?: unknown } | null)?.name)));
  const ports = new Map<string, PortConfig>();
  draft.ports.forEach((port, i) => {
    if (!port) return;
    if (ports.has(port.name)) say(["ports", i, "name"], `another port is named ${port.name}`, code);
    else ports.set(port.name, port);
  });
  const known = { names, ports };
  checkPorts(draft, known, say);
  checkMemif(draft, base, say);
  checkAddresses(draft, say);
  checkRoutes(draft, known, say);
  checkNeighbours(draft, known, say);
  checkNode(draft, say);
  checkSections(draft, say);
  checkZones(draft, say);
}

function checkPorts(draft: Draft, known: Known, say: Say): void {
  const hosts = new Set<string>();
  draft.ports.forEach((port, i) => {
    if (!port) return;
    const at = ["ports", i] as const;
    for (const [key, drivers] of Object.entries(driverKeys)) {
      const isGiven = port[key as keyof typeof driverKeys] !== undefined;
      const isTheirs = (drivers as readonly string[]).includes(port.driver);
      if (isGiven && !isTheirs) say([...at, key], `is not for driver ${port.driver}`);
    }
    const wrongMode = modeProblem(port);
    if (wrongMode !== null) say([...at, "mode"], wrongMode);
    const afXdp: readonly string[] = driverKeys.copy;
    if (port.take === "services" && !afXdp.includes(port.driver))
      say([...at, "take"], `services is not for driver ${port.driver}`);
    if (port.host === undefined) return;
    const host = known.ports.get(port.host);
    if (!known.names.has(port.host)) say([...at, "host"], `no port is named ${port.host}`, code);
    else if (port.host === port.name) say([...at, "host"], "a port is not its own host", code);
    else if (host && host.driver !== "tap")
      say([...at, "host"], `port ${port.host} is not a tap`, code);
    else if (host?.host) say([...at, "host"], `port ${port.host} has a host itself`, code);
    else if (hosts.has(port.host))
      say([...at, "host"], `port ${port.host} is another port's host`, code);
    hosts.add(port.host);
  });
}

const plain = (text: PrefixText): string => text.slice(0, text.indexOf("/"));

function checkAddresses(draft: Draft, say: Say): void {
  const owners = new Map<string, string>();
  const connected = new Map<string, string>();
  draft.ports.forEach((port, i) => {
    port?.addresses.forEach((text, j) => {
      const prefix = knownPrefix(text);
      // Link-local addresses are one per link, not per node.
      const scope = isLinkLocal(prefix) && prefix.family === 6 ? port.name : port.network;
      const owner = owners.get(`${scope} ${plain(text)}`);
      if (owner !== undefined) {
        say(
          ["ports", i, "addresses", j],
          `${plain(text)} is an address of port ${owner} already`,
          code,
        );
        return;
      }
      owners.set(`${scope} ${plain(text)}`, port.name);
      const net = `${scope} ${formatPrefix(maskPrefix(prefix))}`;
      const other = connected.get(net);
      if (other !== undefined && other !== port.name) {
        say(
          ["ports", i, "addresses", j],
          `${net.slice(net.indexOf(" ") + 1)} is connected on port ${other} already`,
          code,
        );
      }
      connected.set(net, port.name);
    });
  });
}

const isConnected = (port: PortConfig, address: Address): boolean =>
  port.addresses.some((text) => prefixHolds(knownPrefix(text), address));

const isOwn = (port: PortConfig, address: IpText): boolean =>
  port.addresses.some((text) => plain(text) === address);

/** The port behind which a gateway is, when the route does not say. */
export function portOfGateway(ports: Iterable<PortConfig>, via: IpText): PortConfig[] {
  return [...ports].filter((port) => isConnected(port, knownAddress(via)));
}

function checkGateway(
  draft: Draft,
  known: Known,
  i: number,
  via: IpText,
  portName: string | undefined,
  say: Say,
): void {
  const at = ["routes", i, "via"] as const;
  const address = knownAddress(via);
  if (portName === undefined) {
    const found = portOfGateway(known.ports.values(), via);
    // A port with mistakes may be the one that was meant.
    if (found.length === 0 && !draft.ports.includes(null))
      say(at, `${via} is on no port's prefix`, code);
    if (found.length > 1)
      say(at, `${via} is on the prefixes of several ports: name the port`, code);
    return;
  }
  const port = known.ports.get(portName);
  if (!port) return;
  if (isOwn(port, via)) say(at, `${via} is port ${portName}'s own address`, code);
  const isStatic = draft.neighbours.some((n) => n?.address === via && n.port === portName);
  const onLink =
    isStatic || (isLinkLocal(address) && address.family === 6) || isConnected(port, address);
  if (!onLink) say(at, `${via} is on no prefix of port ${portName}`, code);
}

function checkRoutes(draft: Draft, known: Known, say: Say): void {
  const seen = new Set<string>();
  const connected = new Set<string>();
  for (const port of known.ports.values()) {
    for (const text of port.addresses)
      connected.add(`${port.network} ${formatPrefix(maskPrefix(knownPrefix(text)))}`);
  }
  draft.routes.forEach((route, i) => {
    if (!route) return;
    const at = ["routes", i] as const;
    if (route.port !== undefined && !known.names.has(route.port)) {
      say([...at, "port"], `no port is named ${route.port}`, code);
    }
    if (route.via === undefined && route.port === undefined)
      say([...at], "needs via, port or both");
    if (route.via !== undefined) {
      const families = [knownPrefix(route.to).family, knownAddress(route.via).family];
      if (families[0] !== families[1])
        say([...at, "via"], `${route.via} is not of the family of ${route.to}`, code);
      else checkGateway(draft, known, i, route.via, route.port, say);
    }
    // A port that does not exist was told; it has no network to compare in.
    const owner =
      route.port !== undefined
        ? known.ports.get(route.port)
        : route.via && portOfGateway(known.ports.values(), route.via)[0];
    if (!owner) return;
    const key = `${owner.network} ${route.to}`;
    if (seen.has(key)) say([...at, "to"], `another route goes to ${route.to}`, code);
    else if (connected.has(key)) say([...at, "to"], `${route.to} is connected already`, code);
    seen.add(key);
  });
}

function checkNeighbours(draft: Draft, known: Known, say: Say): void {
  const seen = new Set<string>();
  draft.neighbours.forEach((neighbour, i) => {
    if (!neighbour) return;
    const at = ["neighbours", i] as const;
    const { address, port } = neighbour;
    if (!known.names.has(port)) say([...at, "port"], `no port is named ${port}`, code);
    const owner = known.ports.get(port);
    if (owner && isOwn(owner, address))
      say([...at, "address"], `${address} is port ${port}'s own address`, code);
    if (seen.has(`${port} ${address}`))
      say([...at, "address"], `another neighbour has ${address} on port ${port}`, code);
    seen.add(`${port} ${address}`);
  });
}

function checkNode(draft: Draft, say: Say): void {
  draft.node.addresses.forEach((address, i) => {
    if (draft.node.addresses.indexOf(address) < i)
      say(["node", "addresses", i], `${address} is given twice`, code);
  });
  draft.node.podCIDRs.forEach((prefix, i) => {
    if (draft.node.podCIDRs.indexOf(prefix) < i)
      say(["node", "podCIDRs", i], `${prefix} is given twice`, code);
  });
}

function checkSections(draft: Draft, say: Say): void {
  const { workers, copy } = draft.sections;
  if (workers.pin.length > 0 && workers.pin.length !== workers.count) {
    say(["workers", "pin"], `names ${workers.pin.length} CPUs for ${workers.count} workers`);
  }
  workers.pin.forEach((cpu, i) => {
    if (workers.pin.indexOf(cpu) < i) say(["workers", "pin", i], `CPU ${cpu} is given twice`, code);
  });
  copy.queues.forEach((queue, i) => {
    if (copy.queues.indexOf(queue) < i) say(["copy", "queues", i], `${queue} is given twice`, code);
  });
}

function checkZones(draft: Draft, say: Say): void {
  const { zones } = draft.sections.flows;
  const networks = new Set(draft.ports.map((port) => port?.network));
  const at = ["flows", "zones"];
  let sum = 0;
  for (const [name, zone] of Object.entries(zones)) {
    const { network, from, guaranteed, maximum } = zone;
    if (guaranteed > maximum)
      say([...at, name, "guaranteed"], `${guaranteed} is above the maximum of ${maximum}`);
    sum += guaranteed;
    // Such keys of an object lose their place, and the first zone that matches counts.
    if (/^\d+$/.test(name)) say([...at, name], "a zone's name is no number");
    const isClaiming = network !== undefined || from !== undefined;
    if (isClaiming === (name === defaultZone))
      say(
        [...at, name],
        isClaiming
          ? "what no zone claims is in it: it has no network and no from"
          : "needs a network, or from: what belongs to it",
      );
    if (network !== undefined && !networks.has(network))
      say([...at, name, "network"], `no port is in network ${network}`, code);
    if (from !== undefined && draft.node.podCIDRs.length === 0)
      say([...at, name, "from"], "there are no node.podCIDRs to tell by", code);
  }
  if (sum > 100) say(at, `guarantees add up to ${sum} percent`);
  const count = Object.keys(zones).length + (zones[defaultZone] === undefined ? 1 : 0);
  if (count > zoneMax) say(at, `there may be ${zoneMax} zones, the default one included`);
}
