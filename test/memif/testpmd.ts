// Debian's testpmd with memif ports, driven over its standard input.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { tied } from "../kit/tied.js";

const program = "dpdk-testpmd";
const prompt = "testpmd> ";
const readyMs = 120_000;
const endMs = 20_000;
/** Mbufs of a process: two full rings each way and what is under way. */
const mbufs = 8192;

export interface TestpmdPort {
  role: "server" | "client";
  /** A path, or @NAME. */
  socket: string;
  id?: number;
  secret?: string;
  zeroCopy?: boolean;
  /** Slots of a ring, log2. */
  ringSize?: number;
  /** Bytes of a buffer. */
  bufferSize?: number;
}
export interface TestpmdOptions {
  mode?: "io" | "macswap" | "rxonly" | "txonly";
  queues?: number;
  /** 2 MiB pages instead of an ordinary memory file; somebody has reserved them. */
  hugePages?: boolean;
  /** Its ports need not find anybody. */
  lonely?: boolean;
}
export interface TestpmdStats {
  received: number;
  sent: number;
}

function device(port: TestpmdPort, index: number): string {
  const abstract = port.socket.startsWith("@");
  const options: Record<string, string | number> = {
    role: port.role,
    id: port.id ?? 0,
    socket: abstract ? port.socket.slice(1) : port.socket,
    "socket-abstract": abstract ? "yes" : "no",
    "zero-copy": port.zeroCopy ? "yes" : "no",
    rsize: port.ringSize ?? 10,
    bsize: port.bufferSize ?? 2048,
  };
  if (port.secret !== undefined) options.secret = port.secret;
  const words = Object.entries(options).map(([key, value]) => `${key}=${value}`);
  return [`--vdev=net_memif${index}`, ...words].join(",");
}

/** Neither leaves a file behind: no runtime folder, memory without a name. */
const memory = (hugePages: boolean): string[] =>
  hugePages
    ? ["--in-memory", "--single-file-segments", "-m", "64"]
    : ["--no-huge", "--no-shconf", "--single-file-segments", "-m", "128"];

export class Testpmd {
  #said = "";
  readonly #ended: Promise<unknown>;

  private constructor(readonly child: ChildProcess) {
    this.#ended = once(child, "exit");
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (data: Buffer) => {
        this.#said += data;
      });
    child.stdin?.on("error", () => {}); // it ended first; its status tells
  }

  /** Its client ports connect once, now: their servers must be there. */
  static async start(ports: TestpmdPort[], options: TestpmdOptions = {}): Promise<Testpmd> {
    const queues = options.queues ?? 1;
    // Both lcores go where the scheduler likes: the machine may be small and is shared.
    const args = ["-oL", program, "--lcores", "0@(0-1),1@(0-1)", "--no-pci", "--no-telemetry"];
    args.push("--log-level=lib.eal:warning", ...memory(options.hugePages ?? false));
    args.push(...ports.map(device), "--", "-i", "--no-flush-rx", "--disable-link-check");
    args.push(`--total-num-mbufs=${mbufs}`, `--rxq=${queues}`, `--txq=${queues}`);
    args.push(`--forward-mode=${options.mode ?? "io"}`, "--port-topology=chained");
    const child = spawn(...tied("stdbuf", args), { stdio: ["pipe", "pipe", "pipe"] });
    running.add(child);
    child.once("exit", () => running.delete(child));
    const testpmd = new Testpmd(child);
    const said = await testpmd.#answer(readyMs);
    if (options.lonely || !/Fail to start port/.test(said)) return testpmd;
    await testpmd.kill();
    throw new Error(`testpmd: a port did not start: ${said}`);
  }

  /** What it said until the next prompt, which it has printed by then. */
  async #answer(ms: number): Promise<string> {
    for (const until = Date.now() + ms; ; await sleep(5)) {
      const at = this.#said.indexOf(prompt);
      if (at >= 0) {
        const answer = this.#said.slice(0, at);
        this.#said = this.#said.slice(at + prompt.length);
        return answer;
      }
      if (this.#hasEnded || Date.now() > until)
        throw new Error(`testpmd does not answer: ${this.#said.slice(-4000)}`);
    }
  }

  async ask(line: string): Promise<string> {
    this.child.stdin?.write(`${line}\n`);
    return this.#answer(readyMs);
  }

  async forward(): Promise<void> {
    await this.ask("start");
  }

  async stats(port: number): Promise<TestpmdStats> {
    const answer = await this.ask(`show port stats ${port}`);
    const of = (name: string): number => Number(new RegExp(`${name}:\\s*(\\d+)`).exec(answer)?.[1]);
    return { received: of("RX-packets"), sent: of("TX-packets") };
  }

  /** Whether the link of a port is up. */
  async isUp(port: number): Promise<boolean> {
    return /Link status: up/.test(await this.ask(`show port info ${port}`));
  }

  /** Until these ports are connected: what it forwards to others is lost. */
  async connected(ports: readonly number[]): Promise<void> {
    for (const port of ports) {
      const end = Date.now() + readyMs;
      for (; !(await this.isUp(port)); await sleep(10))
        if (Date.now() > end) throw new Error(`testpmd: port ${port} stays down`);
    }
  }

  /**
   * Forwards once these ports are connected, and has looked at each when this returns: a client posts
   * its buffers when it first does, an answer before that has no place.
   */
  async ready(ports: readonly number[]): Promise<void> {
    await this.connected(ports);
    await this.forward();
    await this.ask("stop"); // its cores end a round that they have begun
    await this.forward();
  }

  /** Stops and starts one port, as an operator would: a client connects again. */
  async restartPort(port: number): Promise<void> {
    await this.ask("stop");
    await this.ask(`port stop ${port}`);
    await this.ask(`port start ${port}`);
    await this.ask("start");
  }

  get #hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** Whether shared memory of a connection is mapped. */
  #isMapped(): boolean {
    try {
      return /memfd:\S*memif/.test(readFileSync(`/proc/${this.child.pid}/maps`, "utf8"));
    } catch {
      return false; // it ends
    }
  }

  /**
   * Whether it still runs after its only connection was lost: that is told when it has unmapped the
   * memory and its forwarding core has gone on since, which at times dies of it.
   */
  async survives(): Promise<boolean> {
    for (const end = Date.now() + readyMs; this.#isMapped() && !this.#hasEnded; await sleep(10))
      if (Date.now() > end) throw new Error("testpmd keeps a lost connection's memory");
    try {
      await this.ask("stop");
      await this.forward();
    } catch (cause) {
      await Promise.race([this.#ended, sleep(endMs, undefined, { ref: false })]);
      if (!this.#hasEnded) throw cause;
    }
    return !this.#hasEnded;
  }

  /** The orderly end. */
  async quit(): Promise<void> {
    this.child.stdin?.write("quit\n");
    const late = sleep(endMs, "late", { ref: false });
    if ((await Promise.race([this.#ended, late])) === "late") await this.kill();
  }

  async kill(): Promise<void> {
    if (this.#hasEnded) return;
    this.child.kill("SIGKILL");
    await this.#ended;
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }
}

const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});
