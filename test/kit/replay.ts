// `nodeplane replay` as a function, for tests: frames in, frames out and the report. The command's own,
// in this process: starting one for each of many short stories takes far longer than the stories.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { replay as replayFiles } from "../../src/cli/replay.js";
import { loadFile } from "../../src/sources/file.js";
import { type Captured, readPcap, writePcap } from "./pcap.js";

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

/** Runs to the end of the inputs. `files` are written beside the configuration. Throws when the command fails. */
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
    for (const [port, packets] of inputs)
      writeFileSync(file(`${port}-in.pcap`), writePcap(packets));
    const named = (ports: Iterable<string>, end: string): Map<string, string> =>
      new Map([...ports].map((port) => [port, file(`${port}-${end}.pcap`)]));
    await replayFiles(
      { loadFile },
      {
        config: file("nodeplane.yaml"),
        in: named(inputs.keys(), "in"),
        out: named(outputs, "out"),
        report: file("report.json"),
      },
    );
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
