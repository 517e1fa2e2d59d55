// A real HTTP client for the demo's client namespace, a program of its own:
//   node load.js URL [URL …]
// Requests run on new and on kept-alive connections in turn over all URLs until standard input ends.
// Lines on standard output: one JSON result per request. A failed request on a kept-alive connection
// names the server that the connection belonged to.
import { Agent, get } from "node:http";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const urls = process.argv.slice(2);
const concurrency = 4;
const pauseMs = 8;
const timeoutMs = 5000;

export interface RequestResult {
  readonly kept: boolean;
  readonly family: 4 | 6;
  readonly server: string | null;
  readonly error: string | null;
  readonly us: number;
}

const owners = new WeakMap<Socket, string>();

function request(url: string, agent: Agent, kept: boolean): Promise<RequestResult> {
  const started = process.hrtime.bigint();
  const family = url.includes("[") ? 6 : 4;
  return new Promise((resolve) => {
    let socket: Socket | undefined;
    const end = (server: string | null, error: string | null): void =>
      resolve({
        kept,
        family,
        server,
        error,
        us: Number((process.hrtime.bigint() - started) / 1000n),
      });
    const req = get(url, { agent, timeout: timeoutMs }, (response) => {
      const server = String(response.headers["x-server"] ?? "");
      if (socket) owners.set(socket, server);
      response.resume();
      response.on("end", () =>
        end(server, response.statusCode === 200 ? null : `status ${response.statusCode}`),
      );
      response.on("error", (e) => end(server, e.message));
    });
    req.on("socket", (s) => {
      socket = s;
    });
    req.on("timeout", () => req.destroy(new Error("timeout")));
    req.on("error", (e) => end((socket && owners.get(socket)) ?? null, e.message));
  });
}

let running = true;
process.stdin.on("end", () => {
  running = false;
});
process.stdin.resume();

async function loop(index: number): Promise<void> {
  const kept = index % 2 === 1;
  const agent = new Agent({ keepAlive: kept, maxSockets: urls.length });
  for (let turn = index; running; turn++) {
    const result = await request(urls[turn % urls.length] as string, agent, kept);
    process.stdout.write(`${JSON.stringify(result)}\n`);
    await sleep(pauseMs);
  }
  agent.destroy();
}

await Promise.all(Array.from({ length: concurrency * 2 }, (_, i) => loop(i)));
