// Models for benchmarks: two ports, static neighbours, services in numbers.
import type { IpText, L4Port } from "../src/kit/brand.js";
import { InvalidInput } from "../src/kit/error.js";
import { addressBytes } from "../src/kit/ip.js";
import type { Model } from "../src/model/model.js";
import {
  defaultNetwork,
  type Endpoint,
  type Protocol,
  readyEndpoint,
  type Service,
} from "../src/model/service.js";
import { loadObject } from "../src/sources/file.js";

export type BenchFamily = 4 | 6;
export const servicePort = 80;
const endpointsPerService = 5;
export const endpointsMax = 200;

function addressOf(family: BenchFamily, block: number, i: number): IpText {
  const high = (i >> 8) & 0xff;
  const low = i & 0xff;
  const text =
    family === 4 ? `10.${block + (i >> 16)}.${high}.${low}` : `fd00:${block}::${i.toString(16)}`;
  return text as IpText;
}

/** Virtual address of service i; 10.96.0.0 or fd00:96:: and on. */
export const virtualAddress = (family: BenchFamily, i: number): IpText =>
  addressOf(family, 96, i + 1);

export const benchService = (
  name: string,
  protocol: Protocol,
  address: IpText,
  port: number,
  endpoints: readonly Endpoint[],
): Service => ({
  namespace: "bench",
  name,
  portName: "",
  protocol,
  address,
  port: port as L4Port,
  network: defaultNetwork,
  verdict: "balance",
  endpoints,
});

// Few addresses, as on a node: all services' endpoints share its pods.
const endpointOf = (family: BenchFamily, i: number, port: number): Endpoint =>
  readyEndpoint(addressOf(family, 1, (i % endpointsMax) + 2), port as L4Port);

export function services(
  family: BenchFamily,
  count: number,
  protocol: Protocol = "TCP",
): Service[] {
  return Array.from({ length: count }, (_, i) => {
    const endpoints = Array.from({ length: endpointsPerService }, (_, e) =>
      endpointOf(family, i * endpointsPerService + e, 8000 + e),
    );
    const address = virtualAddress(family, i);
    return benchService(`service-${i}`, protocol, address, servicePort, endpoints);
  });
}

/** An address (IPv4 in the first 4 of 16) and a port in network order. */
const placeBytes = 18;

/** As the addon's laps and peers want them. */
export function packPlaces(places: readonly { address: IpText; port: number }[]): Uint8Array {
  const bytes = Buffer.alloc(places.length * placeBytes);
  for (const [i, { address, port }] of places.entries()) {
    bytes.set(addressBytes(address), i * placeBytes);
    bytes.writeUInt16BE(port, (i + 1) * placeBytes - 2);
  }
  return bytes;
}

/** Of the services that services() makes. */
export const packServices = (family: BenchFamily, count: number): Uint8Array =>
  packPlaces(
    Array.from({ length: count }, (_, i) => ({
      address: virtualAddress(family, i),
      port: servicePort,
    })),
  );

const endpointMac = "02:00:00:00:02:0b";

/** Of all endpoints that services() makes, behind one port. */
export const endpointNeighbours = (family: BenchFamily, port: string) =>
  Array.from({ length: endpointsMax }, (_, i) => ({
    address: addressOf(family, 1, i + 2),
    mac: endpointMac,
    port,
  }));

export interface BenchModelOptions {
  readonly family: BenchFamily;
  readonly services: number;
  readonly flows: number;
  readonly protocol?: "TCP" | "UDP";
  /** Names the two cables, so that several dataplanes live in one process. */
  readonly name: string;
  /** Default 1. */
  readonly workers?: number;
  /** More flows will come and go. */
  readonly room?: boolean;
  /** Clients are from outside the pods' ranges, so that all of them are masqueraded. */
  readonly masquerade?: boolean;
}

const framesPerWorker = 16_384;
/** Flows that come and go beside the `flows` that stay, of one worker. */
const roomPerWorker = 32_768;

/** Clients behind port 0, endpoints on port 1. */
export async function benchModel(o: BenchModelOptions): Promise<Model> {
  const workers = o.workers ?? 1;
  const room = o.room ? roomPerWorker * workers : 0;
  const capacity = Math.max(o.flows + (o.flows >> 2) + room, 4096);
  const [net0, net1] =
    o.family === 4 ? ["192.0.2.1/24", "10.1.0.1/16"] : ["2001:db8::1/64", "fd00:1::1/64"];
  const neighbours = endpointNeighbours(o.family, "endpoints");
  const gateway = o.family === 4 ? "192.0.2.254" : "2001:db8::fe";
  const loaded = await loadObject({
    name: o.name,
    ports: [
      {
        name: "clients",
        driver: "loop",
        interface: `${o.name}-0`,
        mac: "02:00:00:00:00:01",
        addresses: [net0],
      },
      {
        name: "endpoints",
        driver: "loop",
        interface: `${o.name}-1`,
        mac: "02:00:00:00:00:02",
        addresses: [net1],
      },
    ],
    routes: [{ to: o.family === 4 ? "0.0.0.0/0" : "::/0", via: gateway, port: "clients" }],
    neighbours: [...neighbours, { address: gateway, mac: "02:00:00:00:01:fe", port: "clients" }],
    flows: {
      capacity: o.family === 4 ? capacity : 4096,
      capacity6: o.family === 6 ? capacity : 4096,
    },
    workers: { count: workers },
    frames: { count: framesPerWorker * workers, size: 2048 },
    ...(o.masquerade
      ? {
          node: { podCIDRs: [o.family === 4 ? "10.1.0.0/16" : "fd00:1::/64"] },
          nat: { ports: "1024-65535" },
        }
      : {}),
  });
  if (!loaded.ok) throw new InvalidInput(loaded.error);
  return { ...loaded.value.model, services: services(o.family, o.services, o.protocol) };
}
