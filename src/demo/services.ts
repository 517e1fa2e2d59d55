// The demo's Kubernetes objects: one web service of both families over the servers, one for iperf3
// on the first of them, and one whose endpoint is a memif pod.
import type { Server } from "./topology.js";

export const web = { address4: "10.96.0.10", address6: "fd00:96::10", port: 80 } as const;
export const bulk = { address4: "10.96.0.20", port: 5201 } as const;
export const webPort = 8080;
/** Its one endpoint is a memif pod. */
export const echo = { address4: "10.96.0.30", port: 7, targetPort: 7007 } as const;
export const pod = { name: "memif-pod", node4: "10.1.9.1", address4: "10.1.9.2" } as const;

export type Condition = "ready" | "draining" | "gone";

function slice(
  name: string,
  family: 4 | 6,
  endpoints: { server: Pick<Server, "name" | "address4" | "address6">; condition: Condition }[],
  port: number,
  protocol = "TCP",
) {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      name: `${name}-${family}`,
      namespace: "demo",
      labels: { "kubernetes.io/service-name": name },
    },
    addressType: family === 4 ? "IPv4" : "IPv6",
    endpoints: endpoints
      .filter((e) => e.condition !== "gone")
      .map((e) => ({
        addresses: [family === 4 ? e.server.address4 : e.server.address6],
        conditions: {
          ready: e.condition === "ready",
          serving: true,
          terminating: e.condition === "draining",
        },
        nodeName: "node-a",
        targetRef: { kind: "Pod", name: e.server.name, namespace: "demo" },
      })),
    ports: [{ name: "", protocol, port }],
  };
}

function service(
  name: string,
  clusterIPs: readonly string[],
  port: number,
  targetPort: number,
  protocol = "TCP",
) {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: "demo" },
    spec: {
      type: "ClusterIP",
      clusterIP: clusterIPs[0],
      clusterIPs,
      ipFamilies: clusterIPs.map((a) => (a.includes(":") ? "IPv6" : "IPv4")),
      ports: [{ protocol, port, targetPort }],
    },
  };
}

/** The manifests as one JSON List: what `kubectl get -o json` gives is valid input. */
export function manifests(servers: readonly Server[], condition: (s: Server) => Condition): string {
  const endpoints = servers.map((server) => ({ server, condition: condition(server) }));
  const memifPod = { ...pod, address6: "" };
  const items = [
    service("web", [web.address4, web.address6], web.port, webPort),
    slice("web", 4, endpoints, webPort),
    slice("web", 6, endpoints, webPort),
    service("bulk", [bulk.address4], bulk.port, bulk.port),
    slice("bulk", 4, endpoints.slice(0, 1), bulk.port),
    service("echo", [echo.address4], echo.port, echo.targetPort, "UDP"),
    slice("echo", 4, [{ server: memifPod, condition: "ready" }], echo.targetPort, "UDP"),
  ];
  return `${JSON.stringify({ apiVersion: "v1", kind: "List", items }, null, 2)}\n`;
}
