// Real stacks for tests: namespaces (src/demo/topology), servers in them, nodeplane on AF_XDP between.
import { type ChildProcess, execFile, execFileSync } from "node:child_process";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { defaultFile } from "../../src/cli/flow_file.js";
import {
  clientNet,
  createTopology,
  type Server,
  spawnIn,
  type Topology,
} from "../../src/demo/topology.js";
import { manifest, type ServiceWish } from "../kit/kubernetes.js";
import { command } from "../kit/root.js";
import { tied } from "../kit/tied.js";
import { until, waitMs } from "../kit/until.js";

export { clientNet, sleep, until, waitMs };

/** nodeplane ends in much less; what does not is killed. */
const endMs = 20_000;
const here = dirname(fileURLToPath(import.meta.url));

export interface NetOptions {
  servers?: number;
  driver?: string;
  /** Further top-level keys of the configuration. */
  config?: Record<string, unknown>;
  /** Further keys of every port. */
  port?: Record<string, unknown>;
  /** Before nodeplane starts. */
  prepare?: (net: Net) => void;
}
export interface Ended {
  code: number | null;
  signal: string | null;
}
/** A program that runs beside the test; its standard output's lines are JSON. */
export interface Held<T> {
  first: T;
  /** Asks for its state, until it is as it should be. */
  until(holds: (state: T) => boolean): Promise<T>;
  /** Ends the program's input and gives its last line. */
  finish(): Promise<T>;
}

/** The virtual addresses: HTTP 80, TCP echo 7000, UDP echo 7001, ticks 7002; on both families. */
export const virtual = { 4: "10.96.0.10", 6: "fd00:96::10" } as const;
/** For URLs. */
export const host = (address: string): string => (address.includes(":") ? `[${address}]` : address);

export class Net {
  readonly directory = mkdtempSync(join(tmpdir(), "nodeplane-net-"));
  readonly #children = new Set<ChildProcess>();
  node: ChildProcess | undefined;
  errors = "";

  private constructor(
    readonly topology: Topology,
    readonly options: NetOptions,
  ) {}

  static async open(options: NetOptions = {}): Promise<Net> {
    const net = new Net(createTopology(options.servers ?? 3), options);
    process.once("exit", net.#removeAll);
    try {
      options.prepare?.(net);
      net.writeServices(net.servers);
      net.writeConfig(net.config());
      await Promise.all([...net.servers.map((server) => net.#startServer(server)), net.start()]);
      return net;
    } catch (error) {
      await net.close();
      throw error;
    }
  }

  get servers(): readonly Server[] {
    return this.topology.servers;
  }
  get socket(): string {
    return join(this.directory, "control.sock");
  }
  get configFile(): string {
    return join(this.directory, "nodeplane.yaml");
  }
  get namespaces(): string[] {
    return [this.topology.client, this.topology.node, ...this.servers.map((s) => s.namespace)];
  }

  config(): Record<string, unknown> {
    const driver = this.options.driver ?? "af_xdp";
    const port = (name: string, addresses: string[]) => ({
      name,
      driver,
      addresses,
      ...this.options.port,
    });
    const beside = (address: string): string => address.replace(/2$/, "1");
    return {
      ports: [
        port("client", [`${clientNet.node4}/24`, `${clientNet.node6}/64`]),
        ...this.servers.map((s) =>
          port(s.port, [`${beside(s.address4)}/24`, `${beside(s.address6)}/64`]),
        ),
      ],
      node: { name: "node-a", addresses: [clientNet.node4] },
      manifests: ["services.json"],
      control: { socket: this.socket },
      workers: { count: 1, mode: "adaptive" },
      ...this.options.config,
    };
  }

  writeConfig(config: unknown): void {
    this.#replace(this.configFile, JSON.stringify(config, null, 1)); // JSON is YAML
  }

  /** The service over these servers; file watching or reload() brings it in. */
  writeServices(ready: readonly Server[], draining: readonly Server[] = []): void {
    const endpoints = this.servers
      .filter((s) => ready.includes(s) || draining.includes(s))
      .flatMap((s) =>
        [s.address4, s.address6].map((address) => ({
          address,
          name: s.name,
          ready: ready.includes(s),
          terminating: draining.includes(s),
        })),
      );
    const of = (name: string, protocol: "TCP" | "UDP", port: number, targetPort: number) => ({
      name,
      protocol,
      port,
      targetPort,
    });
    const wish: ServiceWish = {
      name: "web",
      addresses: [virtual[4], virtual[6]],
      ports: [
        of("http", "TCP", 80, 8080),
        of("echo", "TCP", 7000, 7000),
        of("echo-udp", "UDP", 7001, 7001),
        of("ticks", "TCP", 7002, 7002),
        of("closed", "UDP", 7009, 7009),
      ],
      endpoints,
    };
    this.#replace(join(this.directory, "services.json"), manifest([wish]));
  }

  // A new file moved over the old one: a reader never sees half of it.
  #replace(file: string, text: string): void {
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  }

  /** The node's addresses for its kernel too: as a host that shares its interfaces has them. */
  addHostAddresses(): void {
    const { node } = this.topology;
    this.ip(node, "addr", "add", `${clientNet.node4}/24`, "dev", "client");
    for (const s of this.servers)
      this.ip(node, "addr", "add", `${s.address4.replace(/2$/, "1")}/24`, "dev", s.port);
  }

  spawn(namespace: string, program: string, args: readonly string[]): ChildProcess {
    const child = spawnIn(namespace, ...tied(program, args));
    this.#children.add(child);
    child.once("exit", () => this.#children.delete(child));
    return child;
  }

  async #startServer(server: Server): Promise<void> {
    const child = this.spawn(server.namespace, process.execPath, [
      join(here, "server.js"),
      server.name,
    ]);
    await new Promise<void>((ready, fail) => {
      child.stdout?.once("data", () => ready());
      child.once("exit", (code) => fail(new Error(`${server.name} ended with ${code}`)));
    });
  }

  /** Starts nodeplane and waits until it says that it runs. */
  async start(): Promise<void> {
    const node = this.spawn(this.topology.node, process.execPath, [
      command,
      "run",
      "-c",
      this.configFile,
    ]);
    this.node = node;
    this.errors = "";
    node.stdout?.resume();
    node.stderr?.on("data", (data: Buffer) => {
      this.errors = (this.errors + data).slice(-8000);
    });
    await this.says(/"running"/);
  }

  /** Waits until nodeplane has said this since its start, or since `errors` was emptied. */
  async says(what: RegExp): Promise<void> {
    const node = this.node;
    await until(`nodeplane says ${what}`, () => {
      if (what.test(this.errors)) return true;
      if (node?.exitCode !== null || node.signalCode !== null)
        throw new Error(`nodeplane ended: ${this.errors}`);
      return false;
    });
  }

  /** What a query command prints with --json. */
  ask<T = Record<string, unknown>>(query: string): T {
    const out = execFileSync(
      process.execPath,
      [command, query, "--json", "--socket", this.socket],
      {
        stdio: ["ignore", "pipe", "pipe"],
        maxBuffer: 64 << 20,
      },
    );
    return JSON.parse(out.toString()) as T;
  }

  /** What the books are out by; packets on their way get a moment to arrive. */
  async imbalance(): Promise<number> {
    for (const end = Date.now() + waitMs; ; await sleep(50)) {
      const { imbalance } = this.ask<{ imbalance: number }>("stats");
      if (imbalance === 0 || Date.now() > end) return imbalance;
    }
  }

  async signal(signal: NodeJS.Signals): Promise<Ended> {
    const node = this.node;
    if (!node || node.exitCode !== null || node.signalCode !== null)
      throw new Error("nodeplane is not running");
    const ended = new Promise<Ended>((done) =>
      node.once("exit", (code, by) => done({ code, signal: by })),
    );
    node.kill(signal);
    return ended;
  }

  reload(): void {
    this.node?.kill("SIGHUP");
  }

  /** Runs a program of the client's namespace to its end; its last line is JSON. */
  async client<T>(...args: (string | number)[]): Promise<T> {
    const out = await this.run(
      this.topology.client,
      process.execPath,
      join(here, "client.js"),
      ...args.map(String),
    );
    return JSON.parse(out.trim().split("\n").at(-1) ?? "") as T;
  }

  async hold<T>(...args: (string | number)[]): Promise<Held<T>> {
    const all = [join(here, "client.js"), ...args.map(String)];
    const child = this.spawn(this.topology.client, process.execPath, all);
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[
      Symbol.asyncIterator
    ]();
    const next = async (): Promise<T> => JSON.parse(String((await lines.next()).value)) as T;
    const first = await next();
    const look = async (holds: (state: T) => boolean): Promise<T> => {
      for (const end = Date.now() + waitMs; ; await sleep(50)) {
        child.stdin?.write("\n");
        const state = await next();
        if (holds(state) || Date.now() > end) return state;
      }
    };
    const finish = (): Promise<T> => {
      child.stdin?.end();
      return next();
    };
    return { first, until: look, finish };
  }

  /** Standard output, whatever the program's status. */
  run(namespace: string, program: string, ...args: string[]): Promise<string> {
    return new Promise((done) => {
      execFile(
        "ip",
        ["netns", "exec", namespace, program, ...args],
        { maxBuffer: 64 << 20 },
        (_, out, err) => done(out + err),
      );
    });
  }

  ip(namespace: string, ...args: string[]): string {
    return execFileSync("ip", ["-n", namespace, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
    }).toString();
  }

  /** The kernels' own verdict on sums: TCP, UDP and ICMP of both families, over all namespaces. */
  async badSums(): Promise<Record<string, number>> {
    const bad: Record<string, number> = {};
    for (const namespace of this.namespaces) {
      const text = await this.run(namespace, "cat", "/proc/net/snmp", "/proc/net/snmp6");
      const rows = text.split("\n").map((line) => line.split(/\s+/));
      for (const [i, row] of rows.entries()) {
        const values = rows[i + 1];
        if (row[0]?.endsWith(":") && row[0] === values?.[0])
          for (const [column, name] of row.entries())
            if (name === "InCsumErrors") bad[`${namespace} ${row[0]}`] = Number(values[column]);
        if (/InCsumErrors$/.test(row[0] ?? "")) bad[`${namespace} ${row[0]}`] = Number(row[1]);
      }
    }
    return Object.fromEntries(Object.entries(bad).filter(([, count]) => count > 0));
  }

  /** Segments that the TCP of a namespace has sent again. */
  async sentAgain(namespace: string): Promise<number> {
    const text = await this.run(namespace, "cat", "/proc/net/snmp");
    const [names, values] = text
      .split("\n")
      .filter((line) => line.startsWith("Tcp:"))
      .map((line) => line.split(" "));
    return Number(values?.[names?.indexOf("RetransSegs") ?? -1]);
  }

  /** XDP programs on the node's interfaces. */
  programs(): string[] {
    const links = JSON.parse(this.ip(this.topology.node, "-j", "link", "show")) as {
      ifname: string;
      xdp?: unknown;
    }[];
    return links.filter((link) => link.xdp).map((link) => link.ifname);
  }

  /** What a clean exit must not leave: programs, the socket, interfaces of its own. */
  leftovers(): string[] {
    const links = JSON.parse(this.ip(this.topology.node, "-j", "link", "show")) as {
      ifname: string;
    }[];
    const known = ["lo", "client", ...this.servers.map((s) => s.port)];
    return [
      ...this.programs().map((name) => `program on ${name}`),
      ...links.filter((l) => !known.includes(l.ifname)).map((l) => `interface ${l.ifname}`),
      ...(existsSync(this.socket) ? ["control socket"] : []),
    ];
  }

  readonly #removeAll = (): void => {
    for (const child of this.#children) child.kill("SIGKILL");
    this.topology.remove();
    for (const file of [defaultFile(this.socket), `${defaultFile(this.socket)}.ids`])
      rmSync(file, { force: true });
    rmSync(this.directory, { recursive: true, force: true });
  };

  async close(): Promise<void> {
    const running = this.node && this.node.exitCode === null && this.node.signalCode === null;
    if (running)
      await Promise.race([this.signal("SIGTERM"), sleep(endMs, undefined, { ref: false })]);
    process.removeListener("exit", this.#removeAll);
    this.#removeAll();
  }
}

/** Namespaces of this process that still exist. */
export function namespacesLeft(): string[] {
  const pid = new RegExp(`^np-.*\\b${process.pid}\\b`);
  return existsSync("/run/netns") ? readdirSync("/run/netns").filter((name) => pid.test(name)) : [];
}

/** Nanoseconds of CPU that all threads of a process have had (schedstat; ticks are too coarse). */
export function cpuTimeNs(pid: number): number {
  let sum = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`))
    sum += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
  return sum;
}
