// The whole path over memif: load -> nodeplane run (service, DNAT, conntrack) -> testpmd -> a pod that
// echoes, and back. Four processes.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import t, { type Test } from "tap";
import { manifest } from "../kit/kubernetes.js";
import { command } from "../kit/root.js";
import { tied } from "../kit/tied.js";
import { cpuTimeNs } from "../net/kit.js";
import { both, folder, noHarm, Peer, patient, portOf, sleep, type Traffic, waitMs } from "./kit.js";
import { Testpmd } from "./testpmd.js";

const macs = { node: "020000000001", pod: "02000000010b", client: "020000000207" };
const colons = (mac: string): string => mac.replace(/..(?!$)/g, "$&:");

class Node {
  #heard = "";
  private constructor(
    readonly child: ChildProcess,
    readonly socket: string,
  ) {
    child.stderr?.on("data", (data: Buffer) => {
      this.#heard += data;
    });
  }
  static async start(t: Test, at: string, extra: object): Promise<Node> {
    const socket = `${at}/control.sock`;
    const memif = { driver: "memif", mtu: 9000, mac: colons(macs.node) };
    const config = {
      ports: [
        { ...memif, name: "client", socket: "near.sock", addresses: ["192.0.2.1/24"] },
        { ...memif, name: "pods", socket: "pods.sock", addresses: ["10.1.0.1/24"] },
      ],
      routes: [{ to: "172.16.0.0/16", via: "192.0.2.7", port: "client" }],
      neighbours: [
        { address: "192.0.2.7", mac: colons(macs.client), port: "client" },
        { address: "10.1.0.50", mac: colons(macs.pod), port: "pods" },
      ],
      manifests: ["services.json"],
      control: { socket },
      flows: { capacity: 4096 },
      frames: { count: 8192 },
      ...extra,
    };
    const echo = {
      name: "echo",
      addresses: ["10.96.0.10"],
      ports: [{ name: "udp", protocol: "UDP" as const, port: 7001, targetPort: 7007 }],
      endpoints: [{ address: "10.1.0.50", name: "pod", ready: true, terminating: false }],
    };
    writeFileSync(`${at}/services.json`, manifest([echo]));
    writeFileSync(`${at}/nodeplane.yaml`, JSON.stringify(config));
    const child = spawn(...tied(process.execPath, [command, "run", "-c", `${at}/nodeplane.yaml`]), {
      stdio: ["ignore", "ignore", "pipe"],
    });
    t.teardown(() => child.kill("SIGKILL"));
    const node = new Node(child, socket);
    for (const end = Date.now() + waitMs; !/"running"/.test(node.#heard); await sleep(10))
      if (Date.now() > end || child.exitCode !== null)
        throw new Error(`nodeplane is not ready: ${node.#heard}`);
    return node;
  }
  stats(): { imbalance: number } {
    const args = [command, "stats", "--json", "--socket", this.socket];
    const out = execFileSync(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
    return JSON.parse(out.toString()) as { imbalance: number };
  }
  async stop(): Promise<number | null> {
    const ended = once(this.child, "exit");
    this.child.kill("SIGTERM");
    const [code] = (await ended) as [number | null];
    return code;
  }
}

interface Case {
  extra: object;
  zeroCopy?: boolean;
  traffic: Traffic;
  perSecond?: number;
}

async function journey(t: Test, what: Case): Promise<{ load: Peer; node: Node; pod: Peer }> {
  const at = folder(t);
  const node = await Node.start(t, at, what.extra);
  const testpmd = await Testpmd.start([
    { role: "client", socket: `${at}/pods.sock`, zeroCopy: what.zeroCopy ?? false },
    { role: "server", socket: `${at}/pod.sock` },
  ]);
  t.teardown(() => testpmd.kill());
  const pod = await Peer.start(t, {
    port: portOf({ role: "client", socket: `${at}/pod.sock`, zeroCopy: true }),
    mode: "echo",
    adaptive: true,
    addresses: [Buffer.from([10, 1, 0, 50])],
    mac: Buffer.from(macs.pod, "hex"),
  });
  await pod.connected();
  await testpmd.ready([0, 1]);
  const options = both({ role: "client", socket: `${at}/near.sock` }, what.traffic);
  if (options.load) options.load.dstMac = Buffer.from(macs.node, "hex");
  const load = await Peer.start(t, { ...options, packetsPerSecond: what.perSecond ?? 0 });
  return { load, node, pod };
}

const cases: [string, Case][] = [
  ["64 B", { extra: { workers: { mode: "adaptive" } }, traffic: { bytes: 64, flows: 200 } }],
  [
    "1,500 B, zero-copy testpmd, thread engine",
    {
      extra: { copy: { engine: "thread", bytesMin: 1, batchMin: 1 } },
      zeroCopy: true,
      traffic: { bytes: 1500, flows: 200 },
    },
  ],
  [
    "9,000 B, model engine with faults",
    {
      extra: {
        copy: {
          engine: "model",
          bytesMin: 1,
          batchMin: 1,
          model: { reorder: true, poison: true, faultPerMillion: 5000, errorPerMillion: 500 },
        },
      },
      traffic: { bytes: 9000, window: 64 },
    },
  ],
];
for (const [name, what] of cases)
  t.test(name, patient, async (t) => {
    const count = 3000;
    const { load, node, pod } = await journey(t, {
      ...what,
      traffic: { ...what.traffic, count },
    });
    t.match(await load.finished(), { ...noHarm, good: count, lost: 0 });
    t.match(node.stats(), { imbalance: 0 });
    t.match(await load.stop(), { balanced: true });
    t.match(await pod.stop(), { answered: count, corrupt: 0, balanced: true });
    t.equal(await node.stop(), 0);
  });

t.test("interrupt mode: testpmd wakes a worker that sleeps", patient, async (t) => {
  const count = 60;
  const { load, node, pod } = await journey(t, {
    extra: { workers: { mode: "interrupt" } },
    traffic: { count, window: 1 },
    perSecond: 50,
  });
  const before = { cpu: cpuTimeNs(node.child.pid as number), at: performance.now() };
  const end = await load.finished();
  t.match(end, { ...noHarm, good: count, lost: 0 });
  // A worker that was not woken looks again after a second.
  t.ok(end.activeSeconds < count / 3, `${end.activeSeconds} s for ${count} packets`);
  const cpuMs = (cpuTimeNs(node.child.pid as number) - before.cpu) / 1e6;
  const ms = performance.now() - before.at;
  t.ok(cpuMs < ms / 2, `${cpuMs} ms of work in ${ms} ms`);
  t.match(await load.stop(), { balanced: true });
  t.match(await pod.stop(), { answered: count, balanced: true });
  t.equal(await node.stop(), 0);
});
