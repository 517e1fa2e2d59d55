// DPDK's testpmd as a peer: a process with one memif port and one forwarding core, driven over its
// command line. Its main core only reads commands; a forwarding core that was stopped sleeps.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";

const program = "dpdk-testpmd";
const prompt = "testpmd> ";
const startMs = 60_000;
/** Where others have the cores, too. */
const answerMs = 60_000;
const quitMs = 1_000;
/** Packets in a ring are read at once, unless somebody else has the core. */
const arriveMs = 60_000;
const lookMs = 2;

/** What comes in goes out as it is, or with its MAC addresses exchanged. */
export const forwardings = ["io", "macswap"] as const;
export type Forwarding = (typeof forwardings)[number];

export interface TestpmdOptions {
  readonly role: "server" | "client";
  /** A path, or `@NAME`. */
  readonly socket: string;
  /** Where it forwards, and where it reads commands. */
  readonly core: number;
  readonly otherCore: number;
  readonly forward: Forwarding | "rxonly" | "txonly";
  /** log2 of the ring's slots. */
  readonly ringLog2?: number;
  /** Bytes of a slot's buffer. Packets of its mbufs have one segment as long as they fit. */
  readonly bufferBytes?: number;
  readonly zeroCopy?: boolean;
  readonly packetBytes?: number;
}

/** What a stop tells of the port since the start. */
export interface Forwarded {
  readonly received: number;
  readonly sent: number;
  /** That its transmit did not take. */
  readonly dropped: number;
  /** Time of the forwarding core in bursts that held packets, per packet; NaN without one. */
  readonly nsPerPacket: number;
}

/** Why there is none here, or null. */
export function testpmdMissing(): string | null {
  try {
    execFileSync(program, ["--version"], { stdio: "ignore", timeout: startMs });
    return null;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") return null;
    return `${program} is not installed (Debian: dpdk-dev; scripts/setup.sh --bench)`;
  }
}

const mbufHeadroom = 128;
let processes = 0;
/** Those that run; killed when this process ends before it has closed them. */
const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** Processor time of all that run, in ticks of the system (proc(5), stat: utime and stime). */
export function testpmdTicks(): number {
  let ticks = 0;
  for (const { pid } of running) {
    try {
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
      ticks += Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
    } catch {
      // It has just ended.
    }
  }
  return ticks;
}

export class Testpmd {
  readonly #child: ChildProcess;
  readonly #prefix: string;
  #output = "";
  #arrived: (() => void) | null = null;

  private constructor(o: TestpmdOptions, hasHugePages: boolean) {
    this.#prefix = `nodeplane-${process.pid}-${processes++}`;
    const { bufferBytes = 2048, ringLog2 = 10 } = o;
    const isAbstract = o.socket.startsWith("@");
    const memif = [
      "net_memif0",
      `role=${o.role}`,
      `socket=${isAbstract ? o.socket.slice(1) : o.socket}`,
      `socket-abstract=${isAbstract ? "yes" : "no"}`,
      `rsize=${ringLog2}`,
      `bsize=${bufferBytes}`,
      ...(o.zeroCopy ? ["zero-copy=yes"] : []),
    ];
    const mbufs = Math.max(4096, 8 << ringLog2);
    const memory = hasHugePages ? ["--in-memory", "--single-file-segments"] : ["--no-huge"];
    const eal = [
      ...["-l", `${o.core},${o.otherCore}`, "--main-lcore", String(o.otherCore)],
      ...["--no-pci", "--no-telemetry", "--file-prefix", this.#prefix, ...memory],
      ...["-m", String(Math.ceil((mbufs * (bufferBytes + 512)) / 2 ** 20) + 64)],
      ...["--vdev", memif.join(",")],
    ];
    const own = [
      ...["-i", "--nb-cores=1", "--disable-link-check", "--no-lsc-interrupt", "--no-flush-rx"],
      ...["--record-core-cycles", `--forward-mode=${o.forward}`, `--total-num-mbufs=${mbufs}`],
      `--mbuf-size=${bufferBytes + mbufHeadroom}`,
      ...(o.packetBytes ? [`--txpkts=${o.packetBytes}`] : []),
    ];
    // Its standard output is a pipe, and so would keep what it says until 4 KiB are full.
    const child = spawn("stdbuf", ["-oL", program, ...eal, "--", ...own], { stdio: "pipe" });
    this.#child = child;
    running.add(child);
    const take = (chunk: Buffer): void => {
      this.#output += chunk.toString();
      this.#arrived?.();
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.stdin.on("error", () => {}); // it ended; exit says so
    child.once("exit", () => {
      running.delete(child);
      rmSync(`/var/run/dpdk/${this.#prefix}`, { recursive: true, force: true });
      this.#arrived?.();
    });
  }

  /** Throws with its last words when it does not come up. */
  static async open(options: TestpmdOptions, hasHugePages = false): Promise<Testpmd> {
    const testpmd = new Testpmd(options, hasHugePages);
    try {
      await testpmd.#until(prompt, startMs);
      return testpmd;
    } catch (cause) {
      await testpmd.close();
      throw cause;
    }
  }

  /** Its answer, without the prompt. */
  async command(text: string, end = prompt): Promise<string> {
    this.#output = "";
    this.#child.stdin?.write(`${text}\n`);
    return this.#until(end, answerMs);
  }

  /** `bursts` of 32 packets are sent before the forwarding starts. */
  async start(bursts = 0): Promise<void> {
    await this.command(bursts > 0 ? `start tx_first ${bursts}` : "start");
  }

  async stop(): Promise<Forwarded> {
    const text = await this.command("stop", "Done.");
    const number = (pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? Number.NaN);
    const cycles = number(/CPU cycles\/packet=([\d.]+)/);
    const received = number(/RX-packets: (\d+)/);
    return {
      received,
      sent: number(/TX-packets: (\d+)/),
      dropped: number(/TX-dropped: (\d+)/),
      nsPerPacket: (cycles * 1000) / number(/at (\d+) MHz/),
    };
  }

  /** Packets so far, of the present connection; while it forwards. */
  async counts(): Promise<{ received: number; sent: number; atMs: number }> {
    const before = performance.now();
    const text = await this.command("show port stats 0");
    return {
      received: Number(/RX-packets: (\d+)/.exec(text)?.[1]),
      sent: Number(/TX-packets: (\d+)/.exec(text)?.[1]),
      atMs: (before + performance.now()) / 2,
    };
  }

  /** What its transmit did not take since the start; while it forwards. */
  async dropped(): Promise<number> {
    const text = await this.command("show fwd stats all");
    return Number(/TX-dropped: (\d+)/.exec(text)?.[1]);
  }

  /** Stops it once it has received so many packets since its start, or when they do not come. */
  async stopAfter(packets: number): Promise<Forwarded> {
    const end = performance.now() + arriveMs;
    let received = 0;
    while (received < packets && performance.now() < end) {
      await new Promise((done) => setTimeout(done, lookMs));
      const text = await this.command("show fwd stats all");
      received = Number(/RX-packets: (\d+)/.exec(text)?.[1]);
    }
    return this.stop();
  }

  async close(): Promise<void> {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exit = new Promise<void>((done) => child.once("exit", () => done()));
    child.stdin?.write("quit\n");
    const timer = setTimeout(() => child.kill("SIGKILL"), quitMs);
    await exit;
    clearTimeout(timer);
  }

  async #until(end: string, ms: number): Promise<string> {
    const deadline = performance.now() + ms;
    for (;;) {
      const at = this.#output.indexOf(end);
      if (at >= 0) return this.#output.slice(0, at);
      const left = deadline - performance.now();
      const isGone = this.#child.exitCode !== null || this.#child.signalCode !== null;
      if (isGone || left <= 0) {
        const what = isGone ? "ended" : `did not answer with "${end}"`;
        throw new Error(`${program} ${what}: ${this.#output.trim().slice(-600)}`);
      }
      await new Promise<void>((done) => {
        const timer = setTimeout(done, left);
        this.#arrived = () => {
          clearTimeout(timer);
          done();
        };
      });
      this.#arrived = null;
    }
  }
}
