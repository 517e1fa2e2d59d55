import type { IpText, L4Port } from "../kit/brand.js";
import { formatEndpoint } from "../kit/ip.js";

export type Protocol = "TCP" | "UDP" | "SCTP";
/** What to do with a new flow: kube-proxy's balance, REJECT (no endpoint) and DROP (none local). */
export type Verdict = "balance" | "reject" | "drop";
/** By what of its first packet a flow finds its endpoint: everything, or the client's address alone. */
export const hashFields = ["5-tuple", "client"] as const;
export type HashFields = (typeof hashFields)[number];

/** One backend of one service port. All that are listed exist for established flows. */
export interface Endpoint {
  readonly address: IpText;
  readonly port: L4Port;
  /** May receive new flows: the source has applied readiness, policy and topology. */
  readonly choosable: boolean;
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  readonly nodeName: string | null;
  readonly zone: string | null;
  /** Share of new flows among the choosable, 1 to 65535. */
  readonly weight: number;
  /** Of the object behind it, for people. */
  readonly targetName: string | null;
}

/** One that takes new flows, of which no more is known. */
export const readyEndpoint = (address: IpText, port: L4Port): Endpoint => ({
  address,
  port,
  choosable: true,
  ready: true,
  serving: true,
  terminating: false,
  nodeName: null,
  zone: null,
  weight: 1,
  targetName: null,
});

/** One virtual address, protocol and port. */
export interface Service {
  readonly namespace: string;
  readonly name: string;
  /** "" for a service's only, unnamed port. */
  readonly portName: string;
  readonly protocol: Protocol;
  readonly address: IpText;
  readonly port: L4Port;
  readonly network: string;
  readonly verdict: Verdict;
  /** Without: as the settings say for all. */
  readonly hashFields?: HashFields | undefined;
  readonly endpoints: readonly Endpoint[];
}

export const defaultNetwork = "default";

/** Identity over publishes: ids hang on it. */
export const serviceKey = (s: Service): string =>
  `${s.namespace}/${s.name}:${s.portName}/${s.protocol}/${s.address}:${s.port}`;

/** For people: namespace/name:port. */
export const serviceLabel = (s: Service): string => `${s.namespace}/${s.name}:${s.port}`;

export const endpointKey = (e: Endpoint): string => formatEndpoint(e.address, e.port);

/** What a packet to the service is found by. */
export const frontKey = (s: Service): string =>
  `${s.network} ${s.protocol} ${formatEndpoint(s.address, s.port)}`;

/** A total order over places, equal on all nodes: 0 for the same address and port. */
export function compareEndpoints(a: Endpoint, b: Endpoint): number {
  if (a.address !== b.address) return a.address < b.address ? -1 : 1;
  return a.port - b.port;
}

const sameEndpoint = (a: Endpoint, b: Endpoint): boolean =>
  a === b ||
  (a.address === b.address &&
    a.port === b.port &&
    a.choosable === b.choosable &&
    a.ready === b.ready &&
    a.serving === b.serving &&
    a.terminating === b.terminating &&
    a.nodeName === b.nodeName &&
    a.zone === b.zone &&
    a.weight === b.weight &&
    a.targetName === b.targetName);

/** Whether nobody could tell the two apart. */
export const sameService = (a: Service, b: Service): boolean =>
  a === b ||
  (a.namespace === b.namespace &&
    a.name === b.name &&
    a.portName === b.portName &&
    a.protocol === b.protocol &&
    a.address === b.address &&
    a.port === b.port &&
    a.network === b.network &&
    a.verdict === b.verdict &&
    a.hashFields === b.hashFields &&
    (a.endpoints === b.endpoints ||
      (a.endpoints.length === b.endpoints.length &&
        a.endpoints.every((e, i) => sameEndpoint(e, b.endpoints[i] as Endpoint)))));
