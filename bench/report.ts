// What a benchmark says: the JSON of `nodeplane bench --json` and its table on the terminal.
import { readFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";

export type Parameters = Readonly<Record<string, number | string>>;

export interface Measured {
  readonly subject: string;
  readonly parameters: Parameters;
  readonly unit: string;
  readonly min: number;
  readonly median: number;
  readonly max: number;
  readonly samples: readonly number[];
  /** Of two-core samples: nanoseconds before and after each (cores.ts). */
  readonly roundTripNs?: readonly (readonly [number, number])[];
  /** Of ratios: how many pairs, the 95 % interval of the median, what the median should at least be. */
  readonly pairs?: number;
  readonly interval?: readonly [number, number];
  readonly goal?: number;
}

export interface Skipped {
  readonly subject: string;
  readonly parameters?: Parameters;
  readonly skipped: string;
}

export interface Report {
  readonly question: string;
  readonly machine: Readonly<Record<string, number | string | boolean>>;
  readonly cases: readonly (Measured | Skipped)[];
  /** What must be said with the figures: what is measured, what is modelled. */
  readonly notes?: readonly string[];
  /** Settings that the figures speak for. */
  readonly recommended?: Readonly<Record<string, Parameters>>;
}

/** Middle value; the mean of the two middle ones for an even count. */
export function median(samples: readonly number[]): number {
  if (samples.length === 0) throw new RangeError("median of nothing");
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const high = sorted[middle] as number;
  return sorted.length % 2 ? high : (high + (sorted[middle - 1] as number)) / 2;
}

export function measured(
  subject: string,
  parameters: Parameters,
  unit: string,
  samples: readonly number[],
): Measured {
  return {
    subject,
    parameters,
    unit,
    min: Math.min(...samples),
    median: median(samples),
    max: Math.max(...samples),
    samples,
  };
}

function field(file: string, pattern: RegExp): string {
  try {
    return pattern.exec(readFileSync(file, "utf8"))?.[1]?.trim() ?? "";
  } catch {
    return "";
  }
}

/** Stolen time of all processors since boot, in ticks: what the host took from this machine. */
export const stolenTicks = (): number =>
  Number(field("/proc/stat", /^cpu(?:\s+\d+){7}\s+(\d+)/m) || 0);

/** Time that all processors together were busy since boot, in ticks. */
export function busyTicks(): number {
  const fields = field("/proc/stat", /^cpu +(.*)/m)
    .split(" ")
    .map(Number);
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = fields;
  return user + nice + system + irq + softirq;
}

/** What must be known to judge figures. `extra` is the benchmark's own. */
export function machineFacts(extra: Report["machine"] = {}): Report["machine"] {
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    governor: field("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", /(.*)/) || "unknown",
    hugePages2M: Number(field("/proc/sys/vm/nr_hugepages", /(\d+)/) || 0),
    stolenTicks: stolenTicks(),
    ...extra,
  };
}

const round = (n: number): string =>
  n >= 1000 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2);

const nsPerMicrosecond = 1000;

/** What stands behind the unit: the time per packet of a rate, the interval and goal of a ratio. */
function judge(c: Measured): string {
  if (c.unit === "Mpps") return ` (${round(nsPerMicrosecond / c.median)} ns/packet)`;
  if (!c.interval) return "";
  const interval = ` (${c.pairs} pairs, 95 %: ${c.interval.map(round).join(" to ")})`;
  if (c.goal === undefined) return interval;
  return `${interval}, goal ${c.goal}: ${c.median >= c.goal ? "met" : "MISSED"}`;
}

/** The table for people. */
export function renderReport(report: Report): string {
  const head = ["subject", "parameters", "min", "median", "max", "unit"];
  const rows = report.cases.map((c) => {
    const p = Object.entries(c.parameters ?? {})
      .map(([k, v]) => `${k}=${v}`)
      .join(" ");
    return "skipped" in c
      ? [c.subject, p, "", "skipped:", c.skipped, ""]
      : [c.subject, p, round(c.min), round(c.median), round(c.max), c.unit + judge(c)];
  });
  const widths = head.map((h, i) => Math.max(h.length, ...rows.map((r) => (r[i] ?? "").length)));
  const line = (cells: readonly string[]) =>
    cells
      .map((c, i) => (i < 2 || i > 4 ? c.padEnd(widths[i] ?? 0) : c.padStart(widths[i] ?? 0)))
      .join("  ")
      .trimEnd();
  const facts = Object.entries(report.machine)
    .map(([k, v]) => `${k} ${v}`)
    .join(", ");
  const settings = Object.entries(report.recommended ?? {}).map(([section, values]) => {
    const inside = Object.entries(values).map(([k, v]) => `${k}: ${v}`);
    return `recommended:  ${section}: { ${inside.join(", ")} }`;
  });
  const notes = [...(report.notes ?? []), ...settings];
  return [`${report.question}  (${facts})`, line(head), ...rows.map(line), ...notes].join("\n");
}
