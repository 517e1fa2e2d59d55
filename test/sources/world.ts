// Kubernetes objects in few words, and what becomes of them, for tests.

import { placeless } from "../../src/config/yaml.js";
import type { IpText } from "../../src/kit/brand.js";
import type { Problem } from "../../src/kit/error.js";
import { formatEndpoint } from "../../src/kit/ip.js";
import type { Service } from "../../src/model/service.js";
import { servicesOf } from "../../src/sources/manifests.js";
import { type Objects, readObjects } from "../../src/sources/objects.js";

export const node = { name: "node-a", zone: "zone-1", addresses: [] as IpText[], podCIDRs: [] };

export const service = (spec: object, metadata: object = {}): object => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "web", ...metadata },
  spec,
});

export const slice = (endpoints: object[], more: object = {}, labels: object = {}): object => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: { name: "web-1", labels: { "kubernetes.io/service-name": "web", ...labels } },
  addressType: "IPv4",
  ports: [{ port: 8080 }],
  endpoints,
  ...more,
});

export const one = { clusterIP: "10.96.0.10", ports: [{ port: 80 }] };

export interface World {
  services: Service[];
  notices: string[];
  problems: string[];
}

export function worldOf(objects: unknown[], where = node): World {
  const found: Objects = { services: [], slices: [] };
  const problems: Problem[] = [];
  for (const object of objects) readObjects(placeless(object, "o"), found, problems);
  const wishes = servicesOf(found, where);
  return { ...wishes, problems: problems.map((p) => `${p.path}: ${p.message}`) };
}

/** Endpoints that may receive new flows, then those that only keep theirs in brackets; the verdict. */
export function choice(s: Service | undefined): string {
  if (!s) return "no service";
  const text = s.endpoints.map((e) => {
    const place = formatEndpoint(e.address, e.port);
    return e.choosable ? place : `(${place})`;
  });
  return [...text, s.verdict].join(" ");
}
