// A network function in a pod, written with the library: it meets its node over memif, without a
// kernel between them, and balances a DNS service over two servers behind it:
//   npm run build && node build/js/examples/memif_function.js
//
//   client ── node ══ memif ══ function ── two servers
//
// The function is the client of the connection, as pods are: it may start before its node, and finds
// it again when the node restarts. So that this runs anywhere and without root, the node is here too
// (it could be `nodeplane run`, VPP or a DPDK program), and clients and servers are played by hand.
import { setTimeout as sleep } from "node:timers/promises";
import { Dataplane, type LoopEnd, openLoopEnd } from "../src/index.js";

const socket = `@memif-function-${process.pid}`; // a path in a shared volume, for two containers
const service = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "dns", namespace: "example" },
  spec: { clusterIP: "10.96.0.53", ports: [{ protocol: "UDP", port: 53 }] },
};
const slice = {
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: {
    name: "dns-1",
    namespace: "example",
    labels: { "kubernetes.io/service-name": "dns" },
  },
  addressType: "IPv4",
  endpoints: [{ addresses: ["10.2.0.11"] }, { addresses: ["10.2.0.12"] }],
  ports: [{ name: "", protocol: "UDP", port: 5353 }],
};

// The pod. For real servers change `driver: "loop"` to "af_xdp" and name the interface.
const pod = await Dataplane.open(
  {
    name: "function",
    ports: [
      { name: "uplink", driver: "memif", role: "client", socket, addresses: ["10.1.0.2/24"] },
      { name: "servers", driver: "loop", mac: "02:00:00:00:02:01", addresses: ["10.2.0.1/24"] },
    ],
    routes: [{ to: "0.0.0.0/0", via: "10.1.0.1" }],
    neighbours: [11, 12].map((n) => ({
      address: `10.2.0.${n}`,
      mac: `02:00:00:00:02:${n}`,
      port: "servers",
    })),
    frames: { count: 4096 },
  },
  [service, slice],
);
pod.onNews(({ text }) => console.log(text));
pod.start();

// The node: it only knows that the service is behind the pod.
const node = await Dataplane.open({
  name: "node",
  ports: [
    { name: "clients", driver: "loop", mac: "02:00:00:00:00:01", addresses: ["192.0.2.1/24"] },
    { name: "pods", driver: "memif", socket, addresses: ["10.1.0.1/24"] },
  ],
  routes: [{ to: "10.96.0.0/16", via: "10.1.0.2" }],
  neighbours: [{ address: "192.0.2.7", mac: "02:00:00:00:01:07", port: "clients" }],
  frames: { count: 4096 },
});
node.start();

/** A UDP datagram in Ethernet and IPv4, without a UDP sum, which IPv4 allows (RFC 768). */
function datagram(mac: number[], from: number[], to: number[], sport: number, dport: number) {
  const frame = Buffer.alloc(14 + 20 + 8 + 4);
  frame.set([...mac, 2, 0, 0, 0, 1, 7, 8, 0]);
  frame.set([0x45, 0, 0, 32, 0, 0, 0x40, 0, 64, 17, 0, 0, ...from, ...to], 14);
  let sum = 0;
  for (let i = 14; i < 34; i += 2) sum += frame.readUInt16BE(i);
  sum = (sum & 0xffff) + (sum >>> 16);
  frame.writeUInt16BE(~(sum + (sum >>> 16)) & 0xffff, 24);
  frame.writeUInt16BE(sport, 34);
  frame.writeUInt16BE(dport, 36);
  frame.writeUInt16BE(12, 38);
  return frame;
}

/** The next packet at an end; a packet may take a moment. */
async function next(end: LoopEnd): Promise<Buffer> {
  for (let tries = 0; tries < 2000; tries++) {
    const packet = end.collect();
    if (packet) return Buffer.from(packet);
    await sleep(5);
  }
  throw new Error("no packet came");
}

while (pod.driverStats().uplink?.connects !== 1) await sleep(20);

const clients = openLoopEnd("clients");
const servers = openLoopEnd("servers");
const client = [192, 0, 2, 7];
const asked: Record<string, number> = {};
let answered = 0;
for (let port = 40_000; port < 40_100; port++) {
  clients.inject(datagram([2, 0, 0, 0, 0, 1], client, [10, 96, 0, 53], port, 53));
  const question = await next(servers);
  const server = [...question.subarray(30, 34)];
  asked[server.join(".")] = (asked[server.join(".")] ?? 0) + 1;
  servers.inject(datagram([2, 0, 0, 0, 2, 1], server, client, 5353, port));
  const answer = await next(clients);
  if (answer.subarray(26, 30).join(".") === "10.96.0.53" && answer.readUInt16BE(36) === port)
    answered++;
}
console.log("servers asked:", asked);
console.log(`${answered} answers from the service's address`);
const [flow] = pod.flows();
console.log(`${pod.flows().length} flows, one of them to ${flow?.endpoint} of ${flow?.service}`);
const { uplink } = pod.driverStats();
console.log(`uplink: ${uplink?.rx_packets} packets in, ${uplink?.tx_packets} out`);
clients.close();
servers.close();
const whole = [pod.close(), node.close()];
if (whole.includes(false)) throw new Error("frames are missing");
