// The main job on real stacks: clients and servers in namespaces, nodeplane between them on AF_XDP.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { DatagramResult } from "./datagrams.js";
import type { RequestResult } from "./load.js";
import { percentile } from "./percentile.js";
import { bulk, type Condition, echo, manifests, pod, web, webPort } from "./services.js";
import {
  clientNet,
  configuration,
  createTopology,
  type Server,
  spawnIn,
  type Topology,
} from "./topology.js";

export interface DemoReport {
  driver: string;
  requests: number;
  failed: number;
  endpoints: Record<string, number>;
  latencyUs: { p50: number; p99: number };
  removed: { endpoint: string; failedAfter: number };
  throughput?: { gbitPerSecond: number } | { skipped: string };
  /** Datagrams to a service whose endpoint is a memif pod. */
  memif?: { pod: string; sent: number; answered: number; latencyUs: { p50: number; p99: number } };
  flows: string[];
  balanced: boolean;
}

export type Say = (line: string) => void;

const bin = fileURLToPath(new URL("../../../../bin/nodeplane.js", import.meta.url));
const beside = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
const readyTimeoutMs = 10_000;
const stopTimeoutMs = 5_000;
const drainMs = 400;
const phaseMs = 3_000;
const bulkSeconds = 2;
const datagrams = 200;
const flowLines = 8;
const echoLines = 2;
const balanceTries = 20;

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((r) => child.once("exit", () => r()));
  child.kill("SIGTERM");
  const late = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs);
  await ended;
  clearTimeout(late);
}

function installed(command: string): boolean {
  try {
    execFileSync(command, ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

class Story {
  readonly #directory = mkdtempSync(join(tmpdir(), "nodeplane-demo-"));
  readonly #children: ChildProcess[] = [];
  readonly #results: RequestResult[] = [];
  readonly #conditions = new Map<string, Condition>();

  constructor(
    readonly t: Topology,
    readonly say: Say,
  ) {}

  get #socket(): string {
    return join(this.#directory, "control.sock");
  }

  #start(namespace: string, args: readonly string[], name: string): ChildProcess {
    return this.#watch(spawnIn(namespace, process.execPath, args), name);
  }

  #watch(child: ChildProcess, name: string): ChildProcess {
    let tail = "";
    child.stderr?.on("data", (d: Buffer) => {
      tail = (tail + d.toString()).slice(-2000);
    });
    child.once("exit", (code) => {
      if (code) this.say(`${name} ended with status ${code}: ${tail.trim()}`);
    });
    this.#children.push(child);
    return child;
  }

  // A new file moved over the old one: a reader never sees half of it.
  #writeManifests(): void {
    const file = join(this.#directory, "services.json");
    writeFileSync(
      `${file}.new`,
      manifests(this.t.servers, (s) => this.#conditions.get(s.name) ?? "ready"),
    );
    renameSync(`${file}.new`, file);
  }

  #ask<T>(command: string): T {
    const out = execFileSync(process.execPath, [bin, command, "--json", "--socket", this.#socket], {
      stdio: ["ignore", "pipe", "pipe"],
      maxBuffer: 64 << 20,
    });
    return JSON.parse(out.toString()) as T;
  }

  async open(driver: string): Promise<string> {
    this.#writeManifests();
    const config = join(this.#directory, "nodeplane.yaml");
    const pods = { socket: "pods.sock", address4: pod.node4 };
    writeFileSync(config, configuration(this.t, driver, this.#socket, "services.json", pods));
    const node = this.#start(this.t.node, [bin, "run", "-c", config], "nodeplane");
    for (const s of this.t.servers) {
      const child = this.#start(
        s.namespace,
        [beside("server.js"), s.name, String(webPort)],
        s.name,
      );
      child.stdout?.resume();
    }
    for (const until = Date.now() + readyTimeoutMs; ; await sleep(100)) {
      if (node.exitCode !== null) throw new Error("nodeplane did not start");
      try {
        const { drivers } = this.#ask<{ drivers: Record<string, string> }>("stats");
        return drivers.client ?? "";
      } catch (cause) {
        if (Date.now() > until) throw new Error("nodeplane did not become ready", { cause });
      }
    }
  }

  /** Requests until `during` has ended. */
  async load(during: () => Promise<void>): Promise<RequestResult[]> {
    const urls = [`http://${web.address4}:${web.port}/`, `http://[${web.address6}]:${web.port}/`];
    const child = this.#start(this.t.client, [beside("load.js"), ...urls], "client");
    const first = this.#results.length;
    const lines = createInterface({ input: child.stdout as NonNullable<ChildProcess["stdout"]> });
    lines.on("line", (line) => this.#results.push(JSON.parse(line) as RequestResult));
    const ended = new Promise<void>((r) => child.once("close", () => r()));
    await during();
    child.stdin?.end();
    await ended;
    return this.#results.slice(first);
  }

  /** As Kubernetes does it: first no new connections, then gone. */
  async removeServer(server: Server): Promise<void> {
    this.#conditions.set(server.name, "draining");
    this.#writeManifests();
    await sleep(drainMs);
    this.#conditions.set(server.name, "gone");
    this.#writeManifests();
  }

  async throughput(): Promise<NonNullable<DemoReport["throughput"]>> {
    if (!installed("iperf3")) return { skipped: "iperf3 is not installed" };
    const server = spawnIn((this.t.servers[0] as Server).namespace, "iperf3", ["-s", "-1"]);
    this.#children.push(server);
    await sleep(300);
    const client = spawnIn(this.t.client, "iperf3", [
      "-c",
      bulk.address4,
      "-t",
      String(bulkSeconds),
      "-J",
    ]);
    this.#children.push(client);
    let out = "";
    client.stdout?.on("data", (d: Buffer) => {
      out += d.toString();
    });
    await new Promise<void>((r) => client.once("close", () => r()));
    const end = (JSON.parse(out) as { end?: { sum_received?: { bits_per_second: number } } }).end;
    const bits = end?.sum_received?.bits_per_second;
    return bits === undefined
      ? { skipped: "iperf3 gave no result" }
      : { gbitPerSecond: bits / 1e9 };
  }

  /** A pod without any network of the kernel's, not even an interface: it has the socket alone. */
  startPod(): void {
    const args = ["--socket", join(this.#directory, "pods.sock"), "--address", pod.address4];
    const child = spawn("unshare", ["--net", process.execPath, bin, "memif-echo", ...args], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#watch(child, pod.name);
    child.stdout?.resume();
  }

  /** Datagrams from a real client to the pod's service. */
  async datagrams(): Promise<NonNullable<DemoReport["memif"]>> {
    const args = [echo.address4, String(echo.port), String(datagrams)];
    const child = this.#start(this.t.client, [beside("datagrams.js"), ...args], "UDP client");
    let out = "";
    child.stdout?.on("data", (d: Buffer) => {
      out += d.toString();
    });
    await new Promise<void>((r) => child.once("close", () => r()));
    const { sent, us } = JSON.parse(out) as DatagramResult;
    const latencyUs = { p50: percentile(us, 0.5), p99: percentile(us, 0.99) };
    return { pod: pod.name, sent, answered: us.length, latencyUs };
  }

  /** The first lines, those of the pod's service among them. */
  flows(): string[] {
    const out = execFileSync(process.execPath, [bin, "flows", "--socket", this.#socket]).toString();
    const [head = "", ...lines] = out.trimEnd().split("\n");
    const echoes = lines.filter((l) => l.includes("demo/echo")).slice(0, echoLines);
    const others = lines.filter((l) => !echoes.includes(l));
    return [head, ...echoes, ...others].slice(0, flowLines);
  }

  /** Whether every packet is accounted for. Asked again while packets are on their way. */
  async balanced(): Promise<boolean> {
    for (let i = 0; i < balanceTries; i++) {
      if (this.#ask<{ imbalance: number }>("stats").imbalance === 0) return true;
      await sleep(100);
    }
    return false;
  }

  async close(): Promise<void> {
    for (const child of this.#children.splice(0).reverse()) await stop(child);
    this.t.remove();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** Runs the story. Throws when it cannot be told; a report with failures is the caller's to judge. */
export async function runStory(say: Say): Promise<DemoReport> {
  say("namespaces: a client, the node, three servers with real HTTP servers");
  const topology = createTopology(3);
  const story = new Story(topology, say);
  const removed = topology.servers[2] as Server;
  const interrupted = new AbortController();
  const onSignal = (): void => interrupted.abort(new Error("interrupted"));
  process.once("SIGINT", onSignal);
  process.once("SIGTERM", onSignal);
  const unless = async (ms: number): Promise<void> => {
    await sleep(ms);
    interrupted.signal.throwIfAborted();
  };
  try {
    const description = await story.open("af_xdp");
    say(`nodeplane runs in the node's namespace: ${description}`);
    say(
      `client ${clientNet.client4} and ${clientNet.client6} asks ${web.address4} and ${web.address6}`,
    );
    const before = await story.load(() => unless(phaseMs));
    say(`${removed.name} is removed while requests run`);
    const after = await story.load(async () => {
      await unless(500);
      await story.removeServer(removed);
      await unless(phaseMs);
    });
    say(`${pod.name}: a process without a network answers for ${echo.address4} over memif`);
    story.startPod();
    const memif = await story.datagrams();
    interrupted.signal.throwIfAborted();
    const flows = story.flows();
    say("iperf3 through a service");
    const throughput = await story.throughput();
    interrupted.signal.throwIfAborted();
    const all = [...before, ...after];
    const good = all.filter((r) => r.error === null);
    const bad = all.filter((r) => r.error !== null);
    for (const r of bad.filter((b) => b.server !== removed.name).slice(0, 5))
      say(
        `failed: ${r.kept ? "kept-alive" : "new"} connection over IPv${r.family} to ${r.server ?? "?"}: ${r.error}`,
      );
    const endpoints: Record<string, number> = {};
    for (const s of topology.servers)
      endpoints[s.name] = good.filter((r) => r.server === s.name).length;
    return {
      driver: "af_xdp",
      requests: all.length,
      failed: bad.filter((r) => r.server !== removed.name).length,
      endpoints,
      latencyUs: {
        p50: percentile(
          good.map((r) => r.us),
          0.5,
        ),
        p99: percentile(
          good.map((r) => r.us),
          0.99,
        ),
      },
      removed: {
        endpoint: removed.name,
        failedAfter: bad.filter((r) => r.server === removed.name).length,
      },
      throughput,
      memif,
      flows,
      balanced: await story.balanced(),
    };
  } finally {
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
    await story.close();
  }
}
