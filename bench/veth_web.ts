// A real web server in the backend's namespace (nginx) and a client in the client's (ApacheBench):
// a connection of its own for every request.
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { atEnd } from "./at_end.js";
import { backendAddresses, outsideCore, runIn } from "./veth_net.js";
import { web } from "./veth_services.js";
import { isBare, type Subject } from "./veth_subjects.js";

/** Connections at a time. */
export const concurrency = 64;
const readyMs = 60_000;
const requestSecondsMax = 30;

export interface WebSample {
  readonly connectionsPerSecond: number;
  /** Of connecting, asking and being answered, us. */
  readonly p50: number;
  readonly p99: number;
}

const configuration = (directory: string): string => `
daemon off;
master_process off;
pid ${directory}/pid;
error_log ${directory}/error.log;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  server {
    listen ${web.port} backlog=4096;
    location / { return 200 "hello\\n"; }
  }
}
`;

function run(namespace: string, args: readonly string[]): Promise<string> {
  const before = ["netns", "exec", namespace, "taskset", "-c", String(outsideCore)];
  const options = { timeout: requestSecondsMax * 1000, killSignal: "SIGKILL" as const };
  return new Promise((resolve, reject) => {
    execFile("ip", [...before, ...args], options, (error, out, said) => {
      if (error) reject(new Error(`${args[0]}: ${said.trim() || out.trim() || error.message}`));
      else resolve(out);
    });
  });
}

/** nginx behind a subject; `sample` asks it. */
export class Web {
  readonly #directory = mkdtempSync(join(tmpdir(), "nodeplane-web-"));
  readonly #target: string;
  readonly #forget: () => void;

  private constructor(readonly subject: Subject) {
    const { client, backend } = subject.net.namespaces;
    this.#forget = atEnd(() => rmSync(this.#directory, { recursive: true, force: true }));
    const to = isBare(subject.name) ? backendAddresses[0] : web.address;
    this.#target = `http://${to}:${web.port}/`;
    runIn(backend, "sysctl", "-qw", "net.core.somaxconn=4096");
    runIn(client, "sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 65000");
    const file = join(this.#directory, "nginx.conf");
    writeFileSync(file, configuration(this.#directory));
    subject.spawn("backend", outsideCore, ["nginx", "-p", this.#directory, "-c", file]);
  }

  static async open(subject: Subject): Promise<Web> {
    const one = new Web(subject);
    for (const until = performance.now() + readyMs; ; await sleep(50)) {
      try {
        await one.sample(1);
        return one;
      } catch (cause) {
        if (performance.now() < until) continue;
        one.close();
        throw new Error(`no answer through ${subject.name}`, { cause });
      }
    }
  }

  async sample(requests: number): Promise<WebSample> {
    const file = join(this.#directory, "percentiles.csv");
    const many = ["-n", String(requests), "-c", String(Math.min(requests, concurrency))];
    const args = ["ab", "-q", "-r", "-s", "60", ...many, "-e", file, this.#target];
    const out = await run(this.subject.net.namespaces.client, args);
    const field = (pattern: RegExp): number => Number(pattern.exec(out)?.[1] ?? Number.NaN);
    const failed = field(/^Failed requests:\s+(\d+)/m);
    if (failed !== 0) throw new Error(`${failed} requests failed through ${this.subject.name}`);
    const rows = readFileSync(file, "utf8").split("\n");
    const us = (percent: number): number =>
      Number(rows.find((r) => r.startsWith(`${percent},`))?.split(",")[1]) * 1000;
    const connectionsPerSecond = field(/^Requests per second:\s+([\d.]+)/m);
    return { connectionsPerSecond, p50: us(50), p99: us(99) };
  }

  close(): void {
    this.#forget();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
