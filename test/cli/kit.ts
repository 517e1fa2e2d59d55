// The command as a user starts it, and a configuration for it.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { command } from "../kit/root.js";
import { one, service, slice } from "../sources/world.js";

export function nodeplane(...args: string[]): { status: number | null; out: string; err: string } {
  // From elsewhere: the command runs from any directory.
  const run = spawnSync(process.execPath, [command, ...args], { encoding: "utf8", cwd: "/" });
  return { status: run.status, out: run.stdout, err: run.stderr };
}

/** Paths of sockets are short: tap's own folders are too deep. */
export function folder(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), "np-"));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export const list = (...objects: unknown[]): string =>
  JSON.stringify({ kind: "List", items: objects });
export const endpoints = (...addresses: string[]): object =>
  slice(addresses.map((a) => ({ addresses: [a] })));

export function writeConfig(dir: string): string {
  const file = join(dir, "np.yaml");
  writeFileSync(join(dir, "services.json"), list(service(one), endpoints("10.1.0.1", "10.1.0.2")));
  writeFileSync(
    file,
    `ports:
  - { name: p, driver: loop, interface: np-test-${process.pid}, addresses: [192.0.2.1/24] }
manifests: [services.json]
control: { socket: np.sock }
flows: { capacity: 1024 }
frames: { count: 1024 }
`,
  );
  return file;
}
