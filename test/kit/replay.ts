// `nodeplane replay` as a function, for tests: frames in, frames out and the report.
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Captured, readPcap, writePcap } from "./pcap.js";
import { command } from "./root.js";

export interface ReplayReport {
  packets: Record<string, { in: number; out: number }>;
  drops: Record<string, number>;
  consumed: number;
  originated: number;
  counters?: Record<string, number>;
  flows: Record<string, unknown>[];
}
export interface Replayed {
  report: ReplayReport;
  out: Map<string, Captured[]>;
}

/** Runs to the end of the inputs. `files` are written beside the configuration. Throws with the command's words. */
export async function replay(
  config: unknown,
  files: Readonly<Record<string, string>>,
  inputs: ReadonlyMap<string, readonly Captured[]>,
  outputs: readonly string[],
): Promise<Replayed> {
  const dir = mkdtempSync(join(tmpdir(), "nodeplane-replay-"));
  try {
    const file = (name: string): string => join(dir, name);
    for (const [name, text] of Object.entries(files)) writeFileSync(file(name), text);
    writeFileSync(file("nodeplane.yaml"), JSON.stringify(config)); // JSON is YAML
    const args = ["replay", "-c", file("nodeplane.yaml"), "--report", file("report.json")];
    for (const [port, packets] of inputs) {
      writeFileSync(file(`${port}-in.pcap`), writePcap(packets));
      args.push("--in", `${port}=${file(`${port}-in.pcap`)}`);
    }
    for (const port of outputs) args.push("--out", `${port}=${file(`${port}-out.pcap`)}`);
    await promisify(execFile)(process.execPath, [command, ...args]); // rejects with what it said
    return {
      report: JSON.parse(readFileSync(file("report.json"), "utf8")) as ReplayReport,
      out: new Map(outputs.map((port) => [port, readPcap(readFileSync(file(`${port}-out.pcap`)))])),
    };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Packets that came in or were made, minus those whose end is told: zero, always. */
export function imbalance(report: ReplayReport): number {
  const sum = (numbers: number[]): number => numbers.reduce((a, b) => a + b, 0);
  const ports = Object.values(report.packets);
  const came = sum(ports.map((p) => p.in)) + report.originated;
  return came - sum(ports.map((p) => p.out)) - sum(Object.values(report.drops)) - report.consumed;
}
