// The same story without root: loop ports in this process, clients and servers played by hand with
// real TCP segments. It shows the corridor, not a kernel's TCP.
import type { IpText, MacText } from "../kit/brand.js";
import { InvalidInput } from "../kit/error.js";
import type { Model } from "../model/model.js";
import { Dataplane } from "../runtime/dataplane.js";
import { type NativeLoopEnd, nativeModule } from "../runtime/native.js";
import { loadObject } from "../sources/file.js";
import { percentile } from "./percentile.js";
import { decodeSegment, encodeSegment, Flag, type Segment } from "./segment.js";
import { type Condition, manifests, web, webPort } from "./services.js";
import type { DemoReport, Say } from "./story.js";
import { clientNet, type Server } from "./topology.js";

const connections = 180;
const keptConnections = 8;
const answerTimeoutMs = 1000;
const portMac = (i: number): MacText => `02:00:00:00:01:0${i}` as MacText;
const peerMac = (i: number): MacText => `02:00:00:00:02:0${i}` as MacText;
const servers: readonly Server[] = [1, 2, 3].map((i) => ({
  name: `server-${i}`,
  namespace: "",
  port: `srv${i}`,
  address4: `10.1.${i}.2`,
  address6: `fd00:1:${i}::2`,
}));

async function model(condition: (s: Server) => Condition): Promise<Model> {
  const ports = ["client", ...servers.map((s) => s.port)].map((name, i) => ({
    name,
    driver: "loop",
    interface: `demo-${name}`,
    mac: portMac(i),
    addresses:
      i === 0
        ? [`${clientNet.node4}/24`, `${clientNet.node6}/64`]
        : [`10.1.${i}.1/24`, `fd00:1:${i}::1/64`],
  }));
  const peers = [
    [clientNet.client4, clientNet.client6],
    ...servers.map((s) => [s.address4, s.address6]),
  ];
  const neighbours = peers.flatMap((addresses, i) =>
    addresses.map((address) => ({ address, mac: peerMac(i), port: ports[i]?.name })),
  );
  const loaded = await loadObject(
    {
      ports,
      neighbours,
      node: { name: "node-a" },
      frames: { count: 4096 },
      flows: { capacity: 4096, capacity6: 4096 },
    },
    [JSON.parse(manifests(servers, condition))],
  );
  if (!loaded.ok) throw new InvalidInput(loaded.error);
  return loaded.value.model;
}

// A server answers SYN with SYN-ACK, data with its name, FIN with FIN, and what it does not know with RST.
class Peer {
  readonly #known = new Set<string>();
  constructor(
    readonly server: Server,
    readonly index: number,
    readonly end: NativeLoopEnd,
  ) {}

  serve(): void {
    for (let bytes = this.end.collect(); bytes; bytes = this.end.collect()) {
      const s = decodeSegment(bytes);
      if (!s || s.destinationPort !== webPort) continue;
      const key = `${s.source} ${s.sourcePort}`;
      if (s.flags & Flag.syn) this.#known.add(key);
      const known = this.#known.has(key);
      if (s.flags === Flag.ack && known) continue;
      if (s.flags & Flag.fin) this.#known.delete(key);
      const flags = !known
        ? Flag.rst
        : Flag.ack | (s.flags & (Flag.syn | Flag.fin)) | (s.payload ? Flag.psh : 0);
      const answer: Segment = {
        source: s.destination,
        destination: s.source,
        sourcePort: s.destinationPort,
        destinationPort: s.sourcePort,
        flags,
        sequence: s.acknowledgement,
        acknowledgement: s.sequence + Math.max(1, s.payload.length),
        payload: known && s.payload ? this.server.name : "",
      };
      this.end.inject(encodeSegment(answer, peerMac(this.index), portMac(this.index)));
    }
  }
}

class Connection {
  owner: string | null = null;
  #sequence = 1000;
  #acknowledgement = 0;
  constructor(
    readonly port: number,
    readonly family: 4 | 6,
    readonly client: NativeLoopEnd,
    readonly pump: () => void,
  ) {}

  #send(flags: number, payload = ""): void {
    const v4 = this.family === 4;
    const segment: Segment = {
      source: (v4 ? clientNet.client4 : clientNet.client6) as IpText,
      destination: (v4 ? web.address4 : web.address6) as IpText,
      sourcePort: this.port,
      destinationPort: web.port,
      flags,
      sequence: this.#sequence,
      acknowledgement: this.#acknowledgement,
      payload,
    };
    this.client.inject(encodeSegment(segment, peerMac(0), portMac(0)));
    this.#sequence += Math.max(flags & (Flag.syn | Flag.fin) ? 1 : 0, payload.length);
  }

  async #answer(): Promise<Segment> {
    for (const until = Date.now() + answerTimeoutMs; Date.now() < until; ) {
      this.pump();
      const bytes = this.client.collect();
      if (!bytes) {
        await new Promise((r) => setImmediate(r));
        continue;
      }
      const s = decodeSegment(bytes);
      if (!s || s.destinationPort !== this.port) continue;
      if (s.source !== (this.family === 4 ? web.address4 : web.address6))
        throw new Error(`an answer came from ${s.source}`);
      if (s.flags & Flag.rst) throw new Error("reset");
      this.#acknowledgement = s.sequence + Math.max(s.payload.length, s.flags & Flag.syn ? 1 : 0);
      return s;
    }
    throw new Error("no answer");
  }

  async open(): Promise<void> {
    this.#send(Flag.syn);
    await this.#answer();
    this.#send(Flag.ack);
  }

  async request(): Promise<string> {
    this.#send(Flag.ack | Flag.psh, "GET / HTTP/1.1\r\n\r\n");
    this.owner = (await this.#answer()).payload;
    return this.owner;
  }

  async close(): Promise<void> {
    this.#send(Flag.fin | Flag.ack);
    await this.#answer();
    this.#send(Flag.ack);
  }
}

interface Tally {
  requests: number;
  failed: number;
  failedAfter: number;
  us: number[];
  endpoints: Record<string, number>;
}

async function timed(
  tally: Tally,
  connection: Connection,
  removed: string,
  work: () => Promise<string>,
): Promise<void> {
  const owner = connection.owner;
  const started = process.hrtime.bigint();
  tally.requests++;
  try {
    const name = await work();
    tally.us.push(Number((process.hrtime.bigint() - started) / 1000n));
    tally.endpoints[name] = (tally.endpoints[name] ?? 0) + 1;
  } catch {
    if (owner === removed) tally.failedAfter++;
    else tally.failed++;
  }
}

/** Runs the story in this process. */
export async function runLoopStory(
  say: Say,
  renderFlows: (d: Dataplane) => string[],
  isBalanced: (d: Dataplane) => boolean,
): Promise<DemoReport> {
  say("without root: loop ports in this process, peers played by hand (no kernel TCP, no AF_XDP)");
  const conditions = new Map<string, Condition>();
  const condition = (s: Server): Condition => conditions.get(s.name) ?? "ready";
  const removed = servers[2] as Server;
  const dataplane = Dataplane.open(await model(condition));
  const ends: NativeLoopEnd[] = [];
  const end = (name: string): NativeLoopEnd => {
    const e = new (nativeModule().LoopEnd)(`demo-${name}`);
    ends.push(e);
    return e;
  };
  try {
    const client = end("client");
    const peers = servers.map((s, i) => new Peer(s, i + 1, end(s.port)));
    const pump = (): void => {
      for (const p of peers) p.serve();
    };
    dataplane.start();
    const tally: Tally = { requests: 0, failed: 0, failedAfter: 0, us: [], endpoints: {} };
    for (const s of servers) tally.endpoints[s.name] = 0;
    let port = 40_000;
    const connection = (i: number): Connection =>
      new Connection(port++, i % 2 ? 6 : 4, client, pump);
    const kept = Array.from({ length: keptConnections }, (_, i) => connection(i));
    for (const c of kept) await c.open();
    const turn = async (i: number): Promise<void> => {
      const fresh = connection(i);
      await timed(tally, fresh, removed.name, async () => {
        await fresh.open();
        const name = await fresh.request();
        await fresh.close();
        return name;
      });
      const old = kept[i % kept.length];
      if (old) await timed(tally, old, removed.name, () => old.request());
    };
    for (let i = 0; i < connections; i++) await turn(i);
    say(`${removed.name} is removed while requests run`);
    for (let i = 0; i < connections; i++) {
      const next = i === 20 ? "draining" : i === 40 ? "gone" : null;
      if (next) {
        conditions.set(removed.name, next);
        dataplane.apply(await model(condition));
      }
      await turn(i);
      // A cut connection is over; its client would open a new one.
      for (const [at, c] of kept.entries()) {
        if (next !== "gone" || c.owner !== removed.name) continue;
        await timed(tally, c, removed.name, () => c.request());
        kept.splice(at, 1, connection(at));
        await kept[at]?.open();
      }
    }
    return {
      driver: "loop",
      requests: tally.requests,
      failed: tally.failed,
      endpoints: tally.endpoints,
      latencyUs: { p50: percentile(tally.us, 0.5), p99: percentile(tally.us, 0.99) },
      removed: { endpoint: removed.name, failedAfter: tally.failedAfter },
      flows: renderFlows(dataplane),
      balanced: isBalanced(dataplane),
    };
  } finally {
    for (const e of ends) e.close();
    dataplane.close();
  }
}
