// Kubernetes objects for tests, as an API server would give them.
export interface EndpointWish {
  address: string;
  name?: string;
  ready?: boolean;
  terminating?: boolean;
  nodeName?: string;
}
export interface PortWish {
  name?: string;
  protocol?: "TCP" | "UDP" | "SCTP";
  port: number;
  targetPort: number;
}
export interface ServiceWish {
  name: string;
  addresses: string[];
  ports: PortWish[];
  endpoints: EndpointWish[];
  /** Further fields of the Service's spec. */
  spec?: Record<string, unknown>;
}

const familyOf = (address: string): "IPv4" | "IPv6" => (address.includes(":") ? "IPv6" : "IPv4");

function slice(wish: ServiceWish, family: "IPv4" | "IPv6") {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      name: `${wish.name}-${family.toLowerCase()}`,
      namespace: "default",
      labels: { "kubernetes.io/service-name": wish.name },
    },
    addressType: family,
    ports: wish.ports.map((p) => ({
      name: p.name ?? "",
      protocol: p.protocol ?? "TCP",
      port: p.targetPort,
    })),
    endpoints: wish.endpoints
      .filter((e) => familyOf(e.address) === family)
      .map((e) => ({
        addresses: [e.address],
        conditions: {
          ready: e.ready ?? true,
          serving: e.ready ?? true,
          terminating: e.terminating ?? false,
        },
        nodeName: e.nodeName ?? "node-a",
        ...(e.name && { targetRef: { kind: "Pod", name: e.name, namespace: "default" } }),
      })),
  };
}

function service(wish: ServiceWish) {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: wish.name, namespace: "default" },
    spec: {
      type: "ClusterIP",
      clusterIP: wish.addresses[0],
      clusterIPs: wish.addresses,
      ipFamilies: wish.addresses.map(familyOf),
      ports: wish.ports.map((p) => ({
        name: p.name ?? "",
        protocol: p.protocol ?? "TCP",
        port: p.port,
        targetPort: p.targetPort,
      })),
      ...wish.spec,
    },
  };
}

/** One `kind: List` document with the Services and their EndpointSlices. */
export function manifest(wishes: readonly ServiceWish[]): string {
  const items = wishes.flatMap((wish) => {
    const families = [...new Set(wish.addresses.map(familyOf))];
    return [service(wish), ...families.map((family) => slice(wish, family))];
  });
  return `${JSON.stringify({ apiVersion: "v1", kind: "List", items }, null, 1)}\n`;
}
