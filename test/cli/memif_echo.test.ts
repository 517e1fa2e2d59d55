// nodeplane memif-echo beside a dataplane with a memif port: a pod that answers, in another process.
import { type ChildProcess, spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { Dataplane, type LoopEnd, openLoopEnd } from "../../src/index.js";
import type { NativePeerStats } from "../../src/runtime/native.js";
import { describe } from "../kit/decode.js";
import { build, type L4 } from "../kit/packet.js";
import { command } from "../kit/root.js";
import { tied } from "../kit/tied.js";
import { folder, nodeplane } from "./kit.js";

const waitMsMax = 120_000;
const link = { source: "02:00:00:00:01:07", destination: "02:00:00:00:00:01" };

class Pod {
  #out = "";
  heard = "";
  readonly #child: ChildProcess;
  readonly ended: Promise<number | null>;

  constructor(t: Test, ...args: string[]) {
    this.#child = spawn(...tied(process.execPath, [command, "memif-echo", "--json", ...args]), {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child.stdout?.on("data", (chunk: Buffer) => {
      this.#out += chunk;
    });
    this.#child.stderr?.on("data", (chunk: Buffer) => {
      this.heard += chunk;
    });
    this.ended = new Promise((resolve) => this.#child.once("close", resolve));
    t.teardown(() => this.#child.kill("SIGKILL"));
  }
  async connected(): Promise<void> {
    for (const end = Date.now() + waitMsMax; !/ connected$/m.test(this.heard); await sleep(50))
      if (Date.now() > end) throw new Error(`not connected: ${this.heard}`);
  }
  /** Its exit status and its counters. */
  async stop(): Promise<NativePeerStats & { balanced: boolean; status: number | null }> {
    this.#child.kill("SIGTERM");
    const status = await this.ended;
    return { ...JSON.parse(this.#out), status };
  }
}

interface World {
  readonly dataplane: Dataplane;
  readonly clients: LoopEnd;
}

const service = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "echo", namespace: "t" },
  spec: { clusterIP: "10.96.0.30", ports: [{ protocol: "UDP", port: 7 }] },
};
const slice = {
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: { name: "echo-1", namespace: "t", labels: { "kubernetes.io/service-name": "echo" } },
  addressType: "IPv4",
  endpoints: [{ addresses: ["10.1.0.50"] }],
  ports: [{ name: "", protocol: "UDP", port: 7007 }],
};

async function world(t: Test, memif: object): Promise<World> {
  const cable = `np-echo-${process.pid}-${t.name}`;
  const dataplane = await Dataplane.open(
    {
      ports: [
        {
          name: "clients",
          driver: "loop",
          interface: cable,
          mac: link.destination,
          addresses: ["192.0.2.1/24", "2001:db8::1/64"],
        },
        { name: "pods", driver: "memif", addresses: ["10.1.0.1/24", "fd00:1::1/64"], ...memif },
      ],
      neighbours: [
        { address: "192.0.2.7", mac: link.source, port: "clients" },
        { address: "2001:db8::7", mac: link.source, port: "clients" },
      ],
      frames: { count: 8192 },
      flows: { capacity: 4096 },
    },
    [service, slice],
  );
  t.teardown(() => dataplane.close());
  const clients = openLoopEnd(cable);
  t.teardown(() => clients.close());
  dataplane.start();
  return { dataplane, clients };
}

/** What comes back for a packet, in words. */
async function ask(w: World, source: string, destination: string, l4: L4): Promise<string> {
  w.clients.inject(build(link, { source, destination, l4 }));
  for (const end = Date.now() + waitMsMax; Date.now() < end; await sleep(5)) {
    const frame = w.clients.collect();
    if (frame) return describe(frame);
  }
  return "nothing";
}

const udp = (sport: number, dport: number, bytes: number): L4 => ({
  kind: "udp",
  sport,
  dport,
  payload: new Uint8Array(bytes).fill(0x61),
});

async function talk(t: Test, w: World): Promise<void> {
  t.match(
    await ask(w, "192.0.2.7", "10.96.0.30", udp(4000, 7, 64)),
    /udp 10\.96\.0\.30:7 > 192\.0\.2\.7:4000(?!.*WRONG)/,
    "a service whose endpoint is the pod",
  );
  const ping: L4 = { kind: "icmp", type: 8, code: 0, word: 0x70001, payload: new Uint8Array(57) };
  t.match(await ask(w, "192.0.2.7", "10.1.0.50", ping), /icmp .*10\.1\.0\.50 > .*(?!.*WRONG)/);
  t.match(
    await ask(w, "2001:db8::7", "fd00:1::50", udp(4000, 9, 33)),
    /udp \[fd00:1::50\]:9 > \[2001:db8::7\]:4000(?!.*WRONG)/,
    "IPv6, behind a neighbour solicitation",
  );
}

t.test("client", { timeout: 600_000 }, async (t) => {
  const socket = `${folder(t)}/m.sock`;
  const w = await world(t, { socket, id: 3, secret: "sesame" });
  const args = ["--socket", socket, "--id", "3", "--address", "10.1.0.50/24", "fd00:1::50"];
  for (const more of [[], ["--zero-copy", "--ring-size", "64", "--poll"]]) {
    const pod = new Pod(t, ...args, "--secret", "sesame", ...more);
    await pod.connected();
    await talk(t, w);
    const end = await pod.stop();
    t.match(end, { status: 0, balanced: true, corrupt: 0, notTaken: 0, refused: 0 });
    // The first pod is asked for its MAC twice; the second has the same.
    t.ok(end.answered >= (more.length === 0 ? 5 : 3));
    t.equal(end.received, end.answered + end.dropped);
  }
  t.match(w.dataplane.drops().no_peer ?? 0, 0);
});

t.test("server", { timeout: 600_000 }, async (t) => {
  const socket = `@np-echo-${process.pid}`;
  const pod = new Pod(
    t,
    ...["--socket", socket, "--role", "server", "--address", "10.1.0.50", "fd00:1::50/64"],
  );
  const w = await world(t, { socket, role: "client" });
  await pod.connected();
  await talk(t, w);
  t.match(await pod.stop(), { status: 0, balanced: true });
});

t.test("ip", { timeout: 600_000 }, async (t) => {
  const socket = `@np-echo-ip-${process.pid}`;
  const w = await world(t, { socket, mode: "ip" });
  const pod = new Pod(
    t,
    ...["--socket", socket, "--mode", "ip", "--address", "10.1.0.50", "fd00:1::50"],
  );
  await pod.connected();
  await talk(t, w);
  t.match(await pod.stop(), { status: 0, balanced: true, answered: 3 });
});

t.test("bounce", { timeout: 600_000 }, async (t) => {
  const socket = `@np-bounce-${process.pid}`;
  const w = await world(t, { socket });
  const pod = new Pod(t, "--socket", socket, "--bounce", "--seconds", "600");
  await pod.connected();
  // An ARP request that comes back is one for somebody else's address: nothing is learnt from it.
  w.clients.inject(
    build(link, { source: "192.0.2.7", destination: "10.1.0.50", l4: udp(1, 2, 8) }),
  );
  for (const end = Date.now() + waitMsMax; Date.now() < end; await sleep(50))
    if (Number(w.dataplane.driverStats().pods?.rx_packets) > 0) break;
  const end = await pod.stop();
  t.match(end, { status: 0, balanced: true, dropped: 0 });
  t.ok(end.answered > 0 && end.answered === end.received);
});

t.test("by itself, and wrong usage", async (t) => {
  const socket = `${folder(t)}/none.sock`;
  const alone = nodeplane("memif-echo", "--socket", socket, "--bounce", "--seconds", "0.3");
  t.match(alone, { status: 0, out: /^0 packets in [\d.]+ s/ });
  t.match(alone.err, /no connection to .*none\.sock: No such file/);
  for (const [why, ...args] of [
    ["give --address", "--socket", socket],
    ["exclude each other", "--socket", socket, "--echo", "--bounce"],
    ["--ring-size: must be a power of two", "--socket", socket, "--bounce", "--ring-size", "33"],
    ["--address: ", "--socket", socket, "--address", "10.1.0.300"],
    [
      "--zero-copy: needs role client",
      "--socket",
      socket,
      "--bounce",
      "--zero-copy",
      "--role",
      "server",
    ],
    ["--seconds: must be a number", "--socket", socket, "--bounce", "--seconds", "soon"],
    ["--socket", "--bounce"],
  ] as const) {
    const { status, out, err } = nodeplane("memif-echo", ...args);
    t.match({ status, out }, { status: 2, out: "" }, why);
    t.match(err, why);
  }
});
