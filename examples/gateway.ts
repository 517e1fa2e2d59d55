// A load balancer in a few lines, on in-memory ports, so that it runs anywhere and without root:
//   npm run build && node build/js/examples/gateway.js
// It opens a dataplane, balances one UDP service over two endpoints, swaps the endpoints while it
// runs, reads counters and flows, and closes. For real traffic change `driver: "loop"` to "af_xdp".
import { setTimeout as sleep } from "node:timers/promises";
import { Dataplane, openLoopEnd } from "../src/index.js";

const service = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "dns", namespace: "example" },
  spec: { clusterIP: "10.96.0.10", ports: [{ protocol: "UDP", port: 53 }] },
};
const slice = (...addresses: string[]) => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: {
    name: "dns-1",
    namespace: "example",
    labels: { "kubernetes.io/service-name": "dns" },
  },
  addressType: "IPv4",
  endpoints: addresses.map((address) => ({ addresses: [address] })),
  ports: [{ name: "", protocol: "UDP", port: 5353 }],
});

const dataplane = await Dataplane.open(
  {
    ports: [
      { name: "clients", driver: "loop", mac: "02:00:00:00:00:01", addresses: ["192.0.2.1/24"] },
      { name: "servers", driver: "loop", mac: "02:00:00:00:00:02", addresses: ["10.1.0.1/24"] },
    ],
    neighbours: [11, 12, 13].map((n) => ({
      address: `10.1.0.${n}`,
      mac: `02:00:00:00:02:${n}`,
      port: "servers",
    })),
    frames: { count: 2048 },
  },
  [service, slice("10.1.0.11", "10.1.0.12")],
);
const clients = openLoopEnd("clients");
const servers = openLoopEnd("servers");
dataplane.start();

/** A UDP datagram from 192.0.2.7:port to the service, in Ethernet. */
function datagram(port: number): Buffer {
  const frame = Buffer.alloc(14 + 20 + 8 + 4);
  frame.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 1, 7, 8, 0]);
  frame.set([0x45, 0, 0, 32, 0, 0, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 7, 10, 96, 0, 10], 14);
  let sum = 0;
  for (let i = 14; i < 34; i += 2) sum += frame.readUInt16BE(i);
  frame.writeUInt16BE(~((sum & 0xffff) + (sum >>> 16)) & 0xffff, 24);
  frame.writeUInt16BE(port, 34);
  frame.writeUInt16BE(53, 36);
  frame.writeUInt16BE(12, 38); // the UDP sum stays 0: none, which IPv4 allows (RFC 768)
  return frame;
}

/** Sends one datagram from each port; which endpoints received how many. */
async function ask(first: number, count: number): Promise<Record<string, number>> {
  const received: Record<string, number> = {};
  for (let port = first; port < first + count; port++) clients.inject(datagram(port));
  for (let got = 0, tries = 0; got < count && tries < 6000; tries++) {
    for (let packet = servers.collect(); packet; packet = servers.collect()) {
      const to = packet.subarray(30, 34).join(".");
      received[to] = (received[to] ?? 0) + 1;
      got++;
    }
    await sleep(10);
  }
  return received;
}

console.log("two endpoints:", await ask(40_000, 100));
for (const { change, kind, name } of await dataplane.setObjects([
  service,
  slice("10.1.0.12", "10.1.0.13"),
]))
  console.log(change, kind, name);
console.log("one of them replaced:", await ask(41_000, 100));

// Counted behind each batch.
for (let tries = 0; tries < 1000 && dataplane.counters().counts.packets_out < 200; tries++)
  await sleep(10);
const { counts } = dataplane.counters();
console.log(`${counts.packets_in} packets in, ${counts.packets_out} out, drops`, dataplane.drops());
const [flow] = dataplane.flows();
console.log(
  `${dataplane.flows().length} flows, one of them to ${flow?.endpoint} of ${flow?.service}`,
);
clients.close();
servers.close();
if (!dataplane.close()) throw new Error("frames are missing");
