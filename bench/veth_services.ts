// The services of bench veth: UDP ones whose endpoints are behind the sink, as many as are asked for,
// and in their midst two that the backend answers: a web server and iperf3.
import type { IpText, L4Port } from "../src/kit/brand.js";
import { readyEndpoint, type Service } from "../src/model/service.js";
import { benchService, endpointsMax, packPlaces, packServices, services } from "./model.js";
import { backendAddresses } from "./veth_net.js";

export const web = { address: "10.112.0.1" as IpText, port: 80 };
export const bulk = { address: "10.112.0.2" as IpText, port: 5201 };

function backendService(name: string, at: typeof web, addresses: readonly string[]): Service {
  const port = at.port as L4Port;
  const endpoints = addresses.map((address) => readyEndpoint(address as IpText, port));
  return benchService(name, "TCP", at.address, port, endpoints);
}

/** In the midst, since rules that are walked one by one cost half of their number on average. */
export function allServices(count: number): Service[] {
  const all = services(4, count, "UDP");
  const backend = [
    backendService("web", web, backendAddresses),
    backendService("bulk", bulk, backendAddresses.slice(0, 1)),
  ];
  all.splice(count >> 1, 0, ...backend);
  return all;
}

/** What the generator asks for: the services, or one endpoint itself where there are none. */
export function targets(count: number): Uint8Array {
  if (count > 0) return packServices(4, count);
  const endpoint = services(4, 1, "UDP")[0]?.endpoints[0];
  if (!endpoint) throw new RangeError("a service without endpoints");
  return packPlaces([endpoint]);
}

/** All addresses behind the sink. */
export const sinkAddresses: readonly string[] = Array.from(
  { length: endpointsMax },
  (_, i) => `10.1.0.${i + 2}`,
);
