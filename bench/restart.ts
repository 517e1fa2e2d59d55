// bench restart: kill -9 of a dataplane full of connections and a start with the same flow file: what is
// lost, and how long nothing goes through. Two subjects: `nodeplane run` between namespaces with real
// TCP connections and data under way (from the kill to the first byte that a client gets through the new
// process), and a process with loop ports and as many connections as asked for (to the first packet).
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { manifests, web, webPort } from "../src/demo/services.js";
import { clientNet, createTopology, spawnIn } from "../src/demo/topology.js";
import { atEnd } from "./at_end.js";
import { withHugePages } from "./huge_pages.js";
import { root } from "./programs.js";
import type { Question } from "./questions.js";
import { type Measured, machineFacts, measured, type Report } from "./report.js";
import type { Filled, Taken } from "./restart_child.js";
import type { Streamed } from "./stream.js";
import { needsRoot } from "./veth_peers.js";

/** What a restart's case says beside its samples. */
export interface Restarted extends Measured {
  readonly connections: number;
  /** Over all samples. */
  readonly lost: number;
  readonly gapMs: number;
}

const here = dirname(fileURLToPath(import.meta.url));
const tcpConnections = 1000;
/** Bytes of a connection in the file. */
const recordBytes = 192;
const readyMs = 20_000;
const streamMs = 1500;

const lines = (child: ChildProcess): (() => Promise<string>) => {
  const all = createInterface({ input: child.stdout as NodeJS.ReadableStream })[
    Symbol.asyncIterator
  ]();
  return async () => {
    const { value, done } = await all.next();
    if (done) throw new Error(`${child.spawnargs.join(" ")} ended early`);
    return String(value);
  };
};

const ended = (child: ChildProcess): Promise<void> =>
  new Promise((done) => {
    if (child.exitCode !== null || child.signalCode !== null) done();
    else child.once("exit", () => done());
  });

function restarted(
  subject: string,
  connections: number,
  memory: string,
  unit: string,
  samples: readonly number[],
  lost: number,
): Restarted {
  const parameters = { connections, family: 4, memory };
  const all = measured(subject, parameters, unit, samples);
  return { ...all, connections, lost, gapMs: all.median };
}

/** Without what says where the file is. */
const pagesOf = (memory: string): string => (/2 MiB/.test(memory) ? "2 MiB pages" : "4 KiB pages");

interface Sample {
  readonly gapMs: number;
  readonly restoreMs: number;
  readonly lost: number;
  readonly memory: string;
}

async function killInMemory(flows: number): Promise<Sample> {
  const directory = mkdtempSync(join("/dev/shm", "nodeplane-bench-"));
  const children: ChildProcess[] = [];
  const child = (what: "fill" | "take"): ChildProcess => {
    const args = [join(here, "restart_child.js"), what, String(flows), join(directory, "f.flows")];
    const one = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    children.push(one);
    return one;
  };
  const tidy = (): void => {
    for (const c of children) c.kill("SIGKILL");
    // A mount of a killed process stays.
    spawnSync("umount", ["--quiet", join(directory, "huge")], { stdio: "ignore" });
    rmSync(directory, { recursive: true, force: true });
  };
  const forget = atEnd(tidy);
  try {
    const first = child("fill");
    const filled = JSON.parse(await lines(first)()) as Filled;
    if (filled.flows !== flows)
      throw new Error(`${filled.flows} connections of ${flows} were made`);
    const killed = Date.now();
    first.kill("SIGKILL");
    await ended(first);
    const second = child("take");
    const taken = JSON.parse(await lines(second)()) as Taken;
    await ended(second);
    const lost = Math.max(taken.lost, flows - taken.recovered);
    return {
      gapMs: taken.firstAt - killed,
      restoreMs: taken.restoreMs,
      lost,
      memory: taken.memory,
    };
  } finally {
    tidy();
    forget();
  }
}

/** The node and its world, for one sample. */
class World {
  readonly directory = mkdtempSync(join(tmpdir(), "nodeplane-bench-"));
  readonly topology = createTopology(2, "restart");
  readonly #children: ChildProcess[] = [];
  readonly #forget = atEnd(() => this.close());

  constructor() {
    const { servers } = this.topology;
    const port = (name: string, address: string) => ({
      name,
      driver: "af_xdp",
      addresses: [address],
    });
    const config = {
      ports: [
        port("client", `${clientNet.node4}/24`),
        ...servers.map((s) => port(s.port, `${s.address4.replace(/2$/, "1")}/24`)),
      ],
      node: { name: "node-a", addresses: [clientNet.node4] },
      manifests: ["services.json"],
      control: { socket: join(this.directory, "np.sock") },
      flows: { file: join(this.flowDirectory, "f.flows") },
    };
    writeFileSync(
      join(this.directory, "services.json"),
      manifests(servers, () => "ready"),
    );
    writeFileSync(join(this.directory, "np.yaml"), JSON.stringify(config));
  }

  get flowDirectory(): string {
    const path = join("/dev/shm", `nodeplane-bench-${process.pid}`);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return path;
  }

  spawn(namespace: string, ...args: string[]): ChildProcess {
    const child = spawnIn(namespace, process.execPath, args);
    child.stderr?.resume();
    this.#children.push(child);
    return child;
  }

  /** Until it says that it runs. */
  async node(): Promise<ChildProcess> {
    const command = join(root, "bin/nodeplane.js");
    const args = [command, "run", "-c", join(this.directory, "np.yaml")];
    const child = this.spawn(this.topology.node, ...args);
    let said = "";
    await new Promise<void>((ready, fail) => {
      const late = setTimeout(() => fail(new Error(`nodeplane is not ready: ${said}`)), readyMs);
      child.once("exit", () => fail(new Error(`nodeplane ended: ${said}`)));
      child.stderr?.on("data", (chunk: Buffer) => {
        said += chunk;
        if (!said.includes('"running"')) return;
        clearTimeout(late);
        ready();
      });
    });
    return child;
  }

  close(): void {
    for (const child of this.#children) child.kill("SIGKILL");
    this.topology.remove();
    rmSync(this.directory, { recursive: true, force: true });
    rmSync(this.flowDirectory, { recursive: true, force: true });
    this.#forget?.();
  }
}

async function killUnderTraffic(connections: number): Promise<Sample> {
  const world = new World();
  try {
    const program = join(here, "stream.js");
    for (const s of world.topology.servers)
      await lines(world.spawn(s.namespace, program, "serve", String(webPort)))();
    const node = await world.node();
    const args = [program, "ask", String(connections), web.address4, String(web.port)];
    const client = world.spawn(world.topology.client, ...args);
    const next = lines(client);
    const begun = JSON.parse(await next()) as { connections: number };
    if (begun.connections !== connections)
      throw new Error(`${begun.connections} connections began`);
    await sleep(streamMs / 3);
    const killed = Date.now();
    node.kill("SIGKILL");
    await ended(node);
    const second = await world.node();
    await sleep(streamMs);
    client.stdin?.end();
    const streamed = JSON.parse(await next()) as Streamed;
    second.kill("SIGTERM");
    await ended(second);
    const gapMs = streamed.silenceEnd - killed;
    return { gapMs, restoreMs: Number.NaN, lost: streamed.lost, memory: "4 KiB pages" };
  } finally {
    world.close();
  }
}

async function repeat(rounds: number, sample: () => Promise<Sample>): Promise<Sample[]> {
  const all: Sample[] = [];
  for (let round = 0; round < rounds; round++) all.push(await sample());
  return all;
}

const lostOf = (all: readonly Sample[]): number => all.reduce((sum, s) => sum + s.lost, 0);

export const restart: Question = {
  name: "restart",
  about: "ms from kill -9 to the first packet through the next process, and connections lost",
  async run({ isFull, rounds: wished, progress }): Promise<Report> {
    const rounds = wished ?? (isFull ? 7 : 3);
    const counts = isFull ? [1000, 100_000, 1_000_000, 4_000_000] : [1000, 1_000_000];
    const cases: Report["cases"][number][] = [];
    const skipped = needsRoot();
    if (skipped) cases.push({ subject: "tcp", skipped });
    else {
      const all = await repeat(rounds, () => killUnderTraffic(tcpConnections));
      const gaps = all.map((s) => s.gapMs);
      const memory = all[0]?.memory ?? "";
      cases.push(restarted("tcp", tcpConnections, memory, "ms", gaps, lostOf(all)));
    }
    progress(1, counts.length + 1);
    for (const [i, flows] of counts.entries()) {
      const bytes = 2 * flows * recordBytes;
      await withHugePages(bytes, async () => {
        const all = await repeat(rounds, () => killInMemory(flows));
        const memory = pagesOf(all[0]?.memory ?? "");
        const of = (subject: string, samples: number[]) =>
          restarted(subject, flows, memory, "ms", samples, lostOf(all));
        cases.push(
          of(
            "dataplane",
            all.map((s) => s.gapMs),
          ),
          of(
            "records restored",
            all.map((s) => s.restoreMs),
          ),
        );
      });
      progress(i + 2, counts.length + 1);
    }
    const notes = [
      "tcp: nodeplane run on AF_XDP between namespaces, connections that echo 64 bytes ten times a second; the gap " +
        "ends with the first byte that any of them gets, so it has the start of node, of the ports and a TCP's retransmission in it.",
      "dataplane: a process with loop ports; the gap ends with a packet of one of the connections at the far port, and has the start of node in it. " +
        "records restored: the part of it that is the table's.",
    ];
    return { question: "restart", machine: machineFacts(), cases, notes };
  },
};
