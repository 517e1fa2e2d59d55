// Two processes joined by memif: what their logs and stats say, and what a wrong secret gets.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { Dataplane, type PortNews } from "../../src/index.js";
import type { Stats } from "../../src/observe/stats.js";
import { command } from "../kit/root.js";
import { tied } from "../kit/tied.js";
import { folder, nodeplane } from "./kit.js";

const waitMsMax = 120_000;

async function until(what: string, isTrue: () => boolean): Promise<void> {
  const end = Date.now() + waitMsMax;
  while (!isTrue()) {
    if (Date.now() > end) throw new Error(`never: ${what}`);
    await sleep(50);
  }
}

interface Line {
  readonly level: number;
  readonly msg: string;
  readonly port?: string;
  readonly why?: string;
}

class Process {
  #heard = "";
  readonly #child: ChildProcess;

  constructor(
    t: Test,
    readonly dir: string,
    readonly name: string,
    port: string,
    copy = "{ engine: cpu }",
  ) {
    const file = join(dir, `${name}.yaml`);
    writeFileSync(
      file,
      `name: ${name}
ports: [{ name: ${name}, driver: memif, addresses: [192.0.2.1/24], ${port} }]
control: { socket: ${name}.sock }
flows: { capacity: 1024 }
frames: { count: 4096 }
copy: ${copy}
`,
    );
    this.#child = spawn(...tied(process.execPath, [command, "run", "-c", file]), {
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#child.stderr?.on("data", (chunk: Buffer) => {
      this.#heard += chunk;
    });
    t.teardown(() => this.#child.kill("SIGKILL"));
  }
  get lines(): Line[] {
    const whole = this.#heard.split("\n").slice(0, -1);
    return whole.map((line) => JSON.parse(line) as Line);
  }
  says(words: RegExp): Promise<void> {
    return until(`${this.name}: ${words} in ${this.#heard}`, () =>
      this.lines.some(({ msg }) => words.test(msg)),
    );
  }
  ask(...args: string[]): string {
    return nodeplane(...args, "-s", join(this.dir, `${this.name}.sock`)).out;
  }
  async stop(): Promise<number | null> {
    const ended = new Promise<number | null>((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGTERM");
    return ended;
  }
}

t.test("a server and its clients", { timeout: 600_000 }, async (t) => {
  const dir = folder(t);
  const server = new Process(t, dir, "pods", "socket: m.sock, secret: sesame, quota: 256");
  await server.says(/^running$/);
  t.ok(existsSync(join(dir, "m.sock")), "a relative path starts at the file's folder");

  const stranger = new Process(t, dir, "stranger", "socket: m.sock, role: client, secret: x");
  await server.says(/secret/);
  await stranger.says(/secret/);
  t.equal(await stranger.stop(), 0);

  const client = new Process(t, dir, "up", "socket: m.sock, role: client, secret: sesame");
  await server.says(/ connected$/);
  await client.says(/ connected$/);
  const stats = JSON.parse(server.ask("stats", "--json")) as Stats;
  t.match(stats.driverStats.pods, {
    connects: 1,
    disconnects: 0,
    violations: 0,
    frames_held: 0,
    quota: 256,
    last_reason: /secret/,
  });
  t.ok(Number(stats.driverStats.pods?.refused) >= 1);
  t.not(stats.driverStats.pods?.peer, "");
  t.match(stats.copy, { engine: /^cpu/, why: "", counters: { copies: 0, by_cpu: 0 } });
  t.match(server.ask("stats"), /^MEMIF +PEER .*\npods +\S+ +1 +0 +0 +\d+ +0 of 256 .*secret/m);

  t.equal(await client.stop(), 0);
  await server.says(/disconnected/);
  const about = (words: RegExp): Line | undefined => server.lines.find((l) => words.test(l.msg));
  t.match(about(/ connected$/), { level: 30, port: "pods" });
  t.match(about(/disconnected/), { level: 40, port: "pods" });
  t.match(JSON.parse(server.ask("stats", "--json")), {
    driverStats: { pods: { peer: "", disconnects: 1 } },
  });
  t.equal(await server.stop(), 0);
  t.notOk(existsSync(join(dir, "m.sock")), "nothing left behind");
});

t.test("an engine that cannot be had is told once", { timeout: 600_000 }, async (t) => {
  const wished = "{ engine: dsa, queues: [wq99.0] }";
  const server = new Process(t, folder(t), "s", "socket: m.sock", wished);
  await server.says(/^running$/);
  t.match(
    server.lines.filter((l) => /^copies by/.test(l.msg)),
    [{ level: 40, msg: /^copies by cpu/, why: "wq99.0: there is no such queue" }],
  );
  t.match(server.ask("stats"), /^copies by cpu.* \(wq99\.0: there is no such queue\)$/m);
  t.equal(await server.stop(), 0);
});

t.test("the library hears of its peers", { timeout: 600_000 }, async (t) => {
  const socket = `@np-ts-${process.pid}`;
  const least = { flows: { capacity: 1024 }, frames: { count: 2048 } };
  const port = { driver: "memif", socket, queues: 2 };
  const server = await Dataplane.open({ ports: [{ ...port, name: "a" }], ...least });
  const client = await Dataplane.open({
    ports: [{ ...port, name: "b", role: "client", zeroCopy: true, ringSize: 64 }],
    ...least,
  });
  t.match(client.ports[0]?.description, /lent/);
  const heard: PortNews[] = [];
  server.onNews((news) => heard.push(news));
  for (const dataplane of [server, client]) dataplane.start();
  await until("connected", () => heard.some((n) => n.port === "a" && !n.isWarning));
  t.match(server.driverStats().a, { connects: 1, violations: 0 });
  await until("slots posted", () => Number(client.driverStats().b?.frames_held) > 0);
  t.equal(client.close(), true, "every frame came back");
  await until("disconnected", () => heard.some((n) => n.isWarning));
  t.equal(server.close(), true);
});
