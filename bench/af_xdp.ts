// bench af_xdp: what the corridor adds to AF_XDP forwarding on veth. Two equal chains of namespaces
// (client, node, server), the same driver and options in both; in one the packets walk the corridor
// to an endpoint, in the other they are forwarded untouched. The generator sends UDP of many flows as
// fast as the veth takes it. Measured is the worker's own processor time per packet (schedstat), which
// on veth includes the kernel's transmit path (`sendto`), and the rate. The server's kernel drops the
// packets as another station's in both chains, so that its stack costs neither of them anything.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { clientNet, createTopology, spawnIn, type Topology } from "../src/demo/topology.js";
import type { IpText, MacText } from "../src/kit/brand.js";
import { addressBytes, macBytes } from "../src/kit/ip.js";
import { Answerer } from "./answerer.js";
import type { Generate } from "./af_xdp_generator.js";
import type { NodeSample } from "./af_xdp_node.js";
import type { Question } from "./questions.js";
import { type Measured, machineFacts, measured, type Report } from "./report.js";

const service = "10.96.0.30" as IpText;
const servicePort = 9;
const strangerMac = "02:00:00:00:99:99";
const sampleSeconds = 0.4;
const workerCore = 1;
const generatorCore = 0;

const beside = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

class Chain {
  readonly topology: Topology;
  readonly node: Answerer;
  readonly generator: Answerer;
  readonly #mac: MacText;

  constructor(
    readonly subject: "corridor" | "forward",
    readonly directory: string,
  ) {
    this.topology = createTopology(1, `bench${subject === "corridor" ? "a" : "b"}`);
    const link = execFileSync("ip", [
      "-n",
      this.topology.node,
      "-j",
      "link",
      "show",
      "client",
    ]).toString();
    this.#mac = (JSON.parse(link) as [{ address: MacText }])[0].address;
    const config = join(directory, `${subject}.yaml`);
    writeFileSync(config, this.#configuration());
    const node = [
      "-c",
      String(workerCore),
      process.execPath,
      beside("af_xdp_node.js"),
      config,
      subject,
    ];
    this.node = new Answerer(spawnIn(this.topology.node, "taskset", node));
    const generator = [
      "-c",
      String(generatorCore),
      process.execPath,
      beside("af_xdp_generator.js"),
    ];
    this.generator = new Answerer(spawnIn(this.topology.client, "taskset", generator));
  }

  #configuration(): string {
    const endpoint = this.topology.servers[0]?.address4;
    const manifest = [
      {
        apiVersion: "v1",
        kind: "Service",
        metadata: { name: "sink", namespace: "bench" },
        spec: {
          clusterIP: service,
          clusterIPs: [service],
          ports: [{ protocol: "UDP", port: servicePort }],
        },
      },
      {
        apiVersion: "discovery.k8s.io/v1",
        kind: "EndpointSlice",
        metadata: {
          name: "sink",
          namespace: "bench",
          labels: { "kubernetes.io/service-name": "sink" },
        },
        addressType: "IPv4",
        endpoints: [{ addresses: [endpoint], conditions: { ready: true } }],
        ports: [{ name: "", protocol: "UDP", port: servicePort }],
      },
    ];
    const file = `${this.subject}.json`;
    writeFileSync(
      join(this.directory, file),
      JSON.stringify({ kind: "List", apiVersion: "v1", items: manifest }),
    );
    const config = {
      ports: [
        { name: "client", driver: "af_xdp", addresses: [`${clientNet.node4}/24`] },
        { name: "srv1", driver: "af_xdp", addresses: ["10.1.1.1/24"] },
      ],
      neighbours: [{ address: endpoint, mac: strangerMac, port: "srv1" }],
      manifests: [file],
      flows: { capacity: 262_144 },
      workers: { count: 1, mode: "interrupt", pin: [workerCore] },
    };
    return JSON.stringify(config);
  }
  /** One burst: the worker's processor time per packet that left, and packets per second. */
  async sample(flows: number): Promise<{ cpuNs: number; perSecond: number; port: string }> {
    const before = await this.node.ask<NodeSample>("");
    const options: Generate = {
      driver: "af_packet",
      interface: "eth0",
      dstMac: [...macBytes(this.#mac)],
      service: [...addressBytes(service), servicePort >> 8, servicePort & 255],
      flows,
      seconds: sampleSeconds,
    };
    const { seconds } = await this.generator.ask<{ seconds: number }>(JSON.stringify(options));
    const after = await this.node.ask<NodeSample>("");
    const packets = after.packetsOut - before.packetsOut;
    if (packets === 0) throw new Error(`no packet left the node (${this.subject})`);
    return {
      cpuNs: (after.cpuNs - before.cpuNs) / packets,
      perSecond: packets / seconds,
      port: after.port,
    };
  }

  async close(): Promise<void> {
    await this.generator.end();
    await this.node.end();
    this.topology.remove();
  }
}

async function compare(
  corridor: Chain,
  forward: Chain,
  flows: number,
  rounds: number,
): Promise<{ cases: Measured[]; port: string }> {
  const cpu: Record<string, number[]> = { corridor: [], forward: [] };
  const rate: Record<string, number[]> = { corridor: [], forward: [] };
  let port = "";
  for (let round = 0; round < rounds + 1; round++) {
    for (const chain of round % 2 ? [corridor, forward] : [forward, corridor]) {
      const s = await chain.sample(flows);
      port = s.port;
      if (round === 0) continue; // warm-up: flows are made, neighbours known
      cpu[chain.subject]?.push(s.cpuNs);
      rate[chain.subject]?.push(s.perSecond / 1e6);
    }
  }
  const parameters = { flows, services: 1, family: 4, workers: 1, bytes: 64 };
  const c = cpu.corridor as number[];
  const f = cpu.forward as number[];
  return {
    port,
    cases: [
      measured("corridor", parameters, "ns CPU/packet", c),
      measured("forward", parameters, "ns CPU/packet", f),
      measured(
        "added",
        parameters,
        "ns CPU/packet",
        c.map((v, i) => v - (f[i] as number)),
      ),
      measured("corridor", parameters, "Mpps", rate.corridor as number[]),
      measured("forward", parameters, "Mpps", rate.forward as number[]),
    ],
  };
}

export const afXdp: Question = {
  name: "af_xdp",
  about: "CPU time that the corridor adds to bare AF_XDP forwarding on veth (root)",
  async run({ isFull, progress }): Promise<Report> {
    const question = "af_xdp";
    if (process.getuid?.() !== 0) {
      const skipped = "needs root: network namespaces and AF_XDP sockets";
      return { question, machine: machineFacts(), cases: [{ subject: "corridor", skipped }] };
    }
    const directory = mkdtempSync(join(tmpdir(), "nodeplane-bench-"));
    const chains: Chain[] = [];
    try {
      const corridor = new Chain("corridor", directory);
      chains.push(corridor);
      const forward = new Chain("forward", directory);
      chains.push(forward);
      const counts = isFull ? [1, 1_000, 10_000, 100_000] : [1_000, 100_000];
      const rounds = isFull ? 15 : 9;
      const cases: Measured[] = [];
      let port = "";
      for (const [i, flows] of counts.entries()) {
        const result = await compare(corridor, forward, flows, rounds);
        cases.push(...result.cases);
        port = result.port;
        progress(i + 1, counts.length);
      }
      return { question, machine: machineFacts({ port }), cases };
    } finally {
      for (const chain of chains) await chain.close();
      rmSync(directory, { recursive: true, force: true });
    }
  },
};
