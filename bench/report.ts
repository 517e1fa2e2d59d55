// What a benchmark says: the JSON of `nodeplane bench --json` and its table on the terminal.
import { type Goal, goalText, samplesMin, verdict } from "./goal.js";
import { type Facts, machineFacts } from "./machine.js";

export { machineFacts };

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
  /** Of ratios: how many pairs of samples. */
  readonly pairs?: number;
  /** Of ratios and where there is a goal: the 95 % interval of the median. */
  readonly interval?: readonly [number, number];
  readonly goal?: Goal;
  /** Of restarts: connections, over all samples. */
  readonly lost?: number;
}

export interface Skipped {
  readonly subject: string;
  readonly parameters?: Parameters;
  readonly skipped: string;
}

export interface Report {
  readonly question: string;
  readonly machine: Facts;
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

/** For people: three digits or so. */
export const round = (n: number): string =>
  n >= 1000 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2);

const nsPerMicrosecond = 1000;

/** How the goal stands; why it is open when there are too few samples. */
export function judged(c: Measured): string {
  if (!c.goal || !c.interval) return "";
  const found = verdict(c.goal, c.interval, c.samples.length);
  const few =
    c.samples.length < samplesMin ? ` (of ${samplesMin} samples ${c.samples.length})` : "";
  return `goal ${goalText(c.goal)}: ${found}${few}`;
}

/** What stands behind the unit: the time per packet of a rate, interval and goal. */
export function remarks(c: Measured): string {
  const rate = c.unit === "Mpps" ? ` (${round(nsPerMicrosecond / c.median)} ns/packet)` : "";
  if (c.lost !== undefined) return ` (${c.lost} connections lost)`;
  if (!c.interval) return rate;
  const pairs = c.pairs === undefined ? "" : `${c.pairs} pairs, `;
  const interval = ` (${pairs}95 %: ${c.interval.map(round).join(" to ")})`;
  return rate + interval + (c.goal ? `, ${judged(c)}` : "");
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
      : [c.subject, p, round(c.min), round(c.median), round(c.max), c.unit + remarks(c)];
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
