// Two nodeplanes, or nodeplane and testpmd, joined by memif: each a process of its own.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Test } from "tap";
import type {
  NativeCopy,
  NativePeerOptions,
  NativePeerStats,
  NativePortSpec,
} from "../../src/runtime/native.js";
import type { Answer, End, PortStats, Wish } from "./peer_process.js";

export { sleep };

const here = dirname(fileURLToPath(import.meta.url));
/** Far longer than anything here takes, however slow the machine. */
export const waitMs = 120_000;
/** Of a test: its processes share few cores, and somebody compiles beside them. */
export const patient = { timeout: 600_000 };
/** UDP from 172.16.0.1 to here; where it goes does not matter to a wire. */
const service = Buffer.from("0a60000a000000000000000000000000" + "1b59", "hex");
const mac = Buffer.from("020000000001", "hex");

export interface MemifPort {
  role: "server" | "client";
  /** A path, abstract:NAME or @NAME. */
  socket: string;
  id?: number;
  secret?: string;
  ringSize?: number;
  zeroCopy?: boolean;
  mode?: "ethernet" | "ip";
  queues?: number;
}

export function portOf(port: MemifPort): NativePortSpec {
  const { queues, ...rest } = port;
  const options = Object.entries(rest).map(([key, value]) => [key, String(value)]);
  return {
    name: `${port.role}-${port.id ?? 0}`,
    driver: "memif",
    interface: "",
    queues: queues ?? 1,
    mtu: 9000,
    options: Object.fromEntries(options) as Record<string, string>,
  };
}

export interface Traffic {
  /** Of a frame. */
  bytes?: number;
  flows?: number;
  count?: number;
  /** Packets on the way at most: what rings and pools cannot lose. */
  window?: number;
  /** Loss is expected: packets that do not come back are given up soon. */
  lossy?: boolean;
}

/** Marked packets, checked when they come back. */
export function both(port: MemifPort, traffic: Traffic, back?: MemifPort): NativePeerOptions {
  const { bytes = 64, flows = 8, count = 0, window = 256, lossy = false } = traffic;
  return {
    port: portOf(port),
    ...(back && { back: portOf(back) }),
    mode: "both",
    adaptive: true,
    count,
    window,
    patienceMs: lossy ? 200 : waitMs,
    load: { dstMac: mac, services: service, flows, bytes, sequence: true },
    check: { flows },
  };
}

export const bounce = (port: MemifPort, copy?: NativeCopy): NativePeerOptions => ({
  port: portOf(port),
  mode: "bounce",
  adaptive: true,
  ...(copy && { copy }),
});

/** An engine that is given every copy; `model` finishes in any order, late and with faults. */
export const copyBy = (engine: "cpu" | "thread" | "model"): NativeCopy => ({
  engine,
  core: -1,
  bytesMin: 1,
  batchMin: 1,
  queues: [],
  model: {
    latencyNs: 2000,
    megabytesPerSecond: 10_000,
    size: 64,
    shared: true,
    reorder: true,
    poison: true,
    faultPerMillion: 5000,
    errorPerMillion: 500,
    seed: 1,
  },
});

const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** A nodeplane with one memif port and nothing behind it but a load or a wall. */
export class Peer {
  readonly #child = fork(join(here, "peer_process.js"), { serialization: "advanced" });
  readonly #ended: Promise<never>;

  private constructor() {
    running.add(this.#child);
    this.#child.once("exit", () => running.delete(this.#child));
    this.#ended = once(this.#child, "exit").then(([code, signal]) => {
      throw new Error(`a peer's process ended with ${code ?? signal}`);
    });
    this.#ended.catch(() => {}); // whoever asks is told
  }

  static async start(t: Test, options: NativePeerOptions): Promise<Peer> {
    const peer = new Peer();
    t.teardown(() => peer.kill());
    await peer.#ask({ what: "open", options });
    await peer.#ask({ what: "start" });
    return peer;
  }

  async #ask<T>(wish: Wish): Promise<T> {
    const heard = once(this.#child, "message");
    this.#child.send(wish);
    const [answer] = (await Promise.race([heard, this.#ended])) as [Answer];
    if ("error" in answer) throw new Error(answer.error);
    return answer.value as T;
  }

  stats = (): Promise<NativePeerStats> => this.#ask({ what: "stats" });
  news = (): Promise<string[]> => this.#ask({ what: "news" });
  /** When its count is reached. */
  finished = (): Promise<NativePeerStats> => this.#ask({ what: "finished" });
  async port(index = 0): Promise<PortStats> {
    const all = await this.#ask<PortStats[]>({ what: "port" });
    return all[index] as PortStats;
  }

  async until(holds: (stats: NativePeerStats) => boolean): Promise<NativePeerStats> {
    for (const end = Date.now() + waitMs; ; await sleep(10)) {
      const stats = await this.stats();
      if (holds(stats)) return stats;
      if (Date.now() > end)
        throw new Error(`${JSON.stringify(stats)}; ${JSON.stringify(await this.news())}`);
    }
  }
  /** So many more good packets. */
  async goesOn(packets = 1000): Promise<NativePeerStats> {
    const { good } = await this.stats();
    return this.until((stats) => stats.good >= good + packets);
  }
  /** Its news, when they say this. */
  async hears(what: RegExp): Promise<void> {
    let heard = "";
    for (const end = Date.now() + waitMs; !what.test(heard); await sleep(10)) {
      heard += `${(await this.news()).join("\n")}\n`;
      if (Date.now() > end) throw new Error(`${what} was not heard: ${heard}`);
    }
  }
  async connected(times = 1): Promise<void> {
    for (const end = Date.now() + waitMs; ; await sleep(10)) {
      const { connects, disconnects, last_reason } = await this.port();
      if (connects >= times && connects > disconnects) return;
      if (Date.now() > end) throw new Error(`not connected: ${last_reason}`);
    }
  }
  async disconnected(): Promise<void> {
    for (const end = Date.now() + waitMs; ; await sleep(10)) {
      const { connects, disconnects } = await this.port();
      if (connects === disconnects) return;
      if (Date.now() > end) throw new Error("still connected");
    }
  }
  /** Ends it in order. */
  async stop(): Promise<End> {
    const end = await this.#ask<End>({ what: "stop" });
    await this.kill();
    return end;
  }
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }
}

/** A folder for sockets that goes with the test. */
export function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), "nodeplane-memif-"));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** What must never be, whatever was restarted. */
export const harm = (s: NativePeerStats): object => ({
  duplicated: s.duplicated,
  reordered: s.reordered,
  corrupt: s.corrupt,
  strange: s.strange,
});
export const noHarm = { duplicated: 0, reordered: 0, corrupt: 0, strange: 0 };
