// Service and EndpointSlice objects -> the model's services, as kube-proxy understands them
// (pkg/proxy/servicechangetracker.go, endpointslicecache.go, topology.go).
import type { IpText, L4Port } from "../kit/brand.js";
import { type Family, familyOf, formatEndpoint } from "../kit/ip.js";
import type { Node } from "../model/port.js";
import { defaultNetwork, type Endpoint, frontKey, type Service } from "../model/service.js";
import type { Found, Objects } from "./objects.js";
import {
  endpointsPerSliceMax,
  hashFieldsKey,
  portsPerSliceMax,
  readStation,
  type ServiceObject,
  type SliceObject,
} from "./schema.js";
import { type Candidate, choose } from "./topology.js";

const proxyNameLabel = "service.kubernetes.io/service-proxy-name";
const headlessLabel = "service.kubernetes.io/headless";
const serviceNameLabel = "kubernetes.io/service-name";

interface Backend extends Candidate {
  readonly address: IpText;
  readonly port: L4Port;
  readonly zone: string | null;
  readonly targetName: string | null;
}
/** `namespace/name family protocol portName` -> address:port -> backend. */
type Backends = Map<string, Map<string, Backend>>;

/** kube-proxy's informers leave out objects with either label. */
const isHidden = (labels: Record<string, string>): boolean =>
  proxyNameLabel in labels || headlessLabel in labels;

const backendKey = (owner: string, family: Family, protocol: string, portName: string): string =>
  `${owner} ${family} ${protocol} ${portName}`;

/** An endpoint that moves between slices may stand in both for a moment: the living one counts. */
function merge(into: Map<string, Backend>, backend: Backend): void {
  const key = formatEndpoint(backend.address, backend.port);
  const known = into.get(key);
  if (!known || (known.terminating && !backend.terminating)) into.set(key, backend);
}

function addSlice({ object: slice, say }: Found<SliceObject>, backends: Backends): void {
  const serviceName = slice.metadata.labels[serviceNameLabel];
  if (!serviceName || isHidden(slice.metadata.labels) || slice.addressType === "FQDN") return;
  if (slice.endpoints.length > endpointsPerSliceMax)
    say(["endpoints"], `more than ${endpointsPerSliceMax} endpoints`);
  if (slice.ports.length > portsPerSliceMax) say(["ports"], `more than ${portsPerSliceMax} ports`);
  const family: Family = slice.addressType === "IPv4" ? 4 : 6;
  const sets = slice.ports.flatMap(({ name, protocol, port }) => {
    if (!port) return [];
    const key = backendKey(`${slice.metadata.namespace}/${serviceName}`, family, protocol, name);
    const set = backends.get(key) ?? new Map<string, Backend>();
    backends.set(key, set);
    return [{ port: port as L4Port, set }];
  });
  slice.endpoints.forEach((endpoint, i) => {
    const [text] = endpoint.addresses;
    if (text === undefined) {
      say(["endpoints", i, "addresses"], "is empty");
      return;
    }
    const address = readStation(text);
    if (!address.ok) {
      say(["endpoints", i, "addresses", 0], address.error);
      return;
    }
    if (familyOf(address.value) !== family) {
      say(["endpoints", i, "addresses", 0], `${text} is not of addressType ${slice.addressType}`);
      return;
    }
    for (const { port, set } of sets) {
      merge(set, {
        address: address.value,
        port,
        ...endpoint.conditions,
        nodeName: endpoint.nodeName,
        zone: endpoint.zone,
        forZones: endpoint.hints.forZones.map((h) => h.name),
        forNodes: endpoint.hints.forNodes.map((h) => h.name),
        targetName: endpoint.targetRef.name,
      });
    }
  });
}

/** clusterIPs, each checked against ipFamilies by its index; both default from clusterIP. */
function clusterAddresses({ object: { spec }, say }: Found<ServiceObject>): IpText[] {
  const list = spec.clusterIPs?.length ? spec.clusterIPs : [spec.clusterIP ?? ""];
  if (spec.clusterIP !== null && spec.clusterIP !== list[0]) {
    say(["spec", "clusterIPs", 0], `is not clusterIP, which is ${JSON.stringify(spec.clusterIP)}`);
  }
  if (list[0] === "" || list[0] === "None") return [];
  if (list.length > 2) say(["spec", "clusterIPs"], "must be at most one address of each family");
  const addresses: IpText[] = [];
  list.forEach((text, i) => {
    if (text === "" || text === "None") {
      say(["spec", "clusterIPs", i], "must be an IP address");
      return;
    }
    const family = familyOf(text);
    const wanted = spec.ipFamilies?.[i];
    if (wanted && wanted !== `IPv${family}`) {
      say(["spec", "clusterIPs", i], `${text} is not of ipFamilies.${i}, which is ${wanted}`);
      return;
    }
    if (addresses.some((a) => familyOf(a) === family)) {
      say(["spec", "clusterIPs", i], `${text} is a second address of its family`);
      return;
    }
    addresses.push(text);
  });
  return addresses;
}

function checkPorts({ object: { spec }, say }: Found<ServiceObject>): void {
  const names = new Set<string>();
  const numbers = new Set<string>();
  if (spec.ports.length === 0) say(["spec", "ports"], "is required");
  spec.ports.forEach((port, i) => {
    if (port.name === "" && spec.ports.length > 1)
      say(["spec", "ports", i, "name"], "is required with several ports");
    else if (names.has(port.name))
      say(["spec", "ports", i, "name"], `another port is named ${port.name}`);
    names.add(port.name);
    const number = `${port.protocol} ${port.port}`;
    if (numbers.has(number)) say(["spec", "ports", i, "port"], `${number} is given twice`);
    numbers.add(number);
  });
}

function endpointsOf(
  backends: readonly Backend[],
  policy: "Cluster" | "Local",
  node: Node,
): Pick<Service, "endpoints" | "verdict"> {
  const { chosen, verdict } = choose(backends, policy, node);
  const endpoints = backends.map(
    (b): Endpoint => ({
      address: b.address,
      port: b.port,
      choosable: chosen.has(b),
      ready: b.ready,
      serving: b.serving,
      terminating: b.terminating,
      nodeName: b.nodeName,
      zone: b.zone,
      weight: 1,
      targetName: b.targetName,
    }),
  );
  return { endpoints, verdict };
}

/** What kube-proxy would serve and this version does not, in words; empty when nothing. */
function unserved({ metadata, spec }: ServiceObject): string[] {
  const what: string[] = [];
  if (spec.type === "NodePort" || spec.type === "LoadBalancer")
    what.push(`type ${spec.type} beyond its clusterIP`);
  if (spec.externalIPs.length > 0) what.push("externalIPs");
  if (spec.sessionAffinity !== "None") what.push(`sessionAffinity ${spec.sessionAffinity}`);
  return what.map((w) => `service ${metadata.namespace}/${metadata.name}: ${w} is not served yet`);
}

export interface Wishes {
  readonly services: Service[];
  /** Things to warn about, one line each. */
  readonly notices: string[];
}

/** Mistakes are told through the objects' own say. */
export function servicesOf(objects: Objects, node: Node): Wishes {
  const backends: Backends = new Map();
  const bySliceName = [...objects.slices].sort((a, b) =>
    a.object.metadata.name < b.object.metadata.name ? -1 : 1,
  );
  for (const slice of bySliceName) addSlice(slice, backends);
  const wishes: Wishes = { services: [], notices: [] };
  const names = new Set<string>();
  const fronts = new Map<string, Service>();
  for (const found of objects.services) {
    const { metadata, spec } = found.object;
    const owner = `${metadata.namespace}/${metadata.name}`;
    if (names.has(owner)) found.say(["metadata", "name"], `service ${owner} is defined twice`);
    names.add(owner);
    if (isHidden(metadata.labels) || spec.type === "ExternalName") continue;
    const addresses = clusterAddresses(found);
    if (addresses.length === 0) continue;
    checkPorts(found);
    wishes.notices.push(...unserved(found.object));
    for (const address of addresses) {
      spec.ports.forEach((port, i) => {
        const key = backendKey(owner, familyOf(address), port.protocol, port.name);
        const service: Service = {
          namespace: metadata.namespace,
          name: metadata.name,
          portName: port.name,
          protocol: port.protocol,
          address,
          port: port.port,
          network: defaultNetwork,
          hashFields: metadata.annotations[hashFieldsKey],
          ...endpointsOf(
            [...(backends.get(key)?.values() ?? [])],
            spec.internalTrafficPolicy,
            node,
          ),
        };
        const other = fronts.get(frontKey(service));
        if (other && other.name + other.namespace !== metadata.name + metadata.namespace) {
          found.say(
            ["spec", "ports", i, "port"],
            `${formatEndpoint(address, port.port)} is service ${other.namespace}/${other.name}'s already`,
          );
        }
        fronts.set(frontKey(service), service);
        wishes.services.push(service);
      });
    }
  }
  return wishes;
}
