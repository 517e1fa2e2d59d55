// `nodeplane run` between namespaces is killed under real TCP connections with data under way (stream.ts).
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { manifests, web, webPort } from "../src/demo/services.js";
import { clientNet, createTopology, spawnIn } from "../src/demo/topology.js";
import { atEnd } from "./at_end.js";
import { root } from "./programs.js";
import { ended, type Killed, linesOf, pagesOf } from "./restart_kill.js";
import type { Streamed } from "./stream.js";

const readyMs = 60_000;
const streamMs = 1500;

/** The node and its world, for one sample. */
class World {
  readonly directory = mkdtempSync(join(tmpdir(), "nodeplane-bench-"));
  readonly flowDirectory = mkdtempSync(join("/dev/shm", "nodeplane-bench-"));
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

  spawn(namespace: string, ...args: string[]): ChildProcess {
    const child = spawnIn(namespace, process.execPath, args);
    child.stderr?.resume();
    this.#children.push(child);
    return child;
  }

  /** Until it says that it runs, and what it said. */
  async node(): Promise<{ child: ChildProcess; said: string }> {
    const command = join(root, "bin/nodeplane.js");
    const args = [command, "run", "-c", join(this.directory, "np.yaml")];
    const child = this.spawn(this.topology.node, ...args);
    let said = "";
    let late: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((ready, fail) => {
        late = setTimeout(() => fail(new Error(`nodeplane is not ready: ${said}`)), readyMs);
        child.once("exit", () => fail(new Error(`nodeplane ended: ${said}`)));
        child.stderr?.on("data", (chunk: Buffer) => {
          said += chunk;
          if (said.includes('"running"')) ready();
        });
      });
      return { child, said };
    } finally {
      clearTimeout(late);
    }
  }

  close(): void {
    for (const child of this.#children) child.kill("SIGKILL");
    this.topology.remove();
    rmSync(this.directory, { recursive: true, force: true });
    rmSync(this.flowDirectory, { recursive: true, force: true });
    this.#forget?.();
  }
}

export async function killUnderTraffic(connections: number): Promise<Killed> {
  const world = new World();
  try {
    const program = join(import.meta.dirname, "stream.js");
    for (const s of world.topology.servers)
      await linesOf(world.spawn(s.namespace, program, "serve", String(webPort)))();
    const node = await world.node();
    const args = [program, "ask", String(connections), web.address4, String(web.port)];
    const client = world.spawn(world.topology.client, ...args);
    const next = linesOf(client);
    const begun = JSON.parse(await next()) as { connections: number };
    if (begun.connections !== connections)
      throw new Error(`${begun.connections} connections began`);
    await sleep(streamMs / 3);
    const killed = Date.now();
    node.child.kill("SIGKILL");
    await ended(node.child);
    const second = await world.node();
    await sleep(streamMs);
    client.stdin?.end();
    const streamed = JSON.parse(await next()) as Streamed;
    second.child.kill("SIGTERM");
    await ended(second.child);
    const gapMs = streamed.silenceEnd - killed;
    return { gapMs, lost: streamed.lost, memory: pagesOf(second.said) };
  } finally {
    world.close();
  }
}
