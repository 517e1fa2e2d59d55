// Models for tests: a configuration as a value, and services in few words.

import { readModel } from "../../src/index.js";
import type { IpText, L4Port } from "../../src/kit/brand.js";
import type { Model } from "../../src/model/model.js";
import { type Endpoint, readyEndpoint, type Service } from "../../src/model/service.js";

export const config = {
  ports: [
    {
      name: "client",
      driver: "loop",
      addresses: ["192.0.2.1/24", "fe80::1/64", "2001:db8::1/64"],
      mac: "02:00:00:00:00:01",
    },
    { name: "backends", driver: "loop", addresses: ["10.1.0.1/24"], network: "blue" },
  ],
  routes: [{ to: "198.51.100.0/24", via: "192.0.2.254", port: "client" }],
  neighbours: [{ address: "192.0.2.254", mac: "02:00:00:00:01:fe", port: "client" }],
  node: {
    name: "node-a",
    addresses: ["192.0.2.1", "192.0.2.77", "2001:db8:7::1"],
    podCIDRs: ["10.1.0.0/24"],
  },
};

export const modelOf = (services: Service[] = [], more: object = {}): Promise<Model> =>
  readModel({ ...config, ...more }).then((model) => ({ ...model, services }));

export const endpoint = (address: string, more: Partial<Endpoint> = {}): Endpoint => ({
  ...readyEndpoint(address as IpText, 8080 as L4Port),
  ...more,
});

export const service = (
  name: string,
  address: string,
  endpoints: Endpoint[],
  more: Partial<Service> = {},
): Service => ({
  namespace: "default",
  name,
  portName: "",
  protocol: "TCP",
  address: address as IpText,
  port: 80 as L4Port,
  network: "default",
  verdict: endpoints.some((e) => e.choosable) ? "balance" : "reject",
  endpoints,
  ...more,
});
