// The charts of a report: its figures, put together by the rows of plot_rows_*.ts.
import type { Bar, BarChart, Chart, Line, LineChart, Point } from "./chart.js";
import type { BarRow, Kind, LineRow } from "./plot_row.js";
import { memoryBars, memoryLines } from "./plot_rows_memory.js";
import { networkBars, networkLines } from "./plot_rows_network.js";
import type { Measured, Report } from "./report.js";

const alike = ({ subject, unit, parameters: { cores, ...rest } }: Measured): string =>
  JSON.stringify([subject, unit, rest]);

/**
 * Of figures that two cores made, one for each state of the cores: the state that most samples of all
 * found the cores in, or else the one with most samples.
 */
function steady(cases: readonly Measured[]): readonly Measured[] {
  const counts = new Map<unknown, number>();
  const isTold = (c: Measured) => /^(near|far)$/.test(String(c.parameters.cores));
  for (const c of cases)
    if (isTold(c))
      counts.set(c.parameters.cores, (counts.get(c.parameters.cores) ?? 0) + c.samples.length);
  const [most] = [...counts].sort((a, b) => b[1] - a[1])[0] ?? [];
  const worth = (c: Measured): number =>
    c.samples.length + (isTold(c) ? 1e6 : 0) + (c.parameters.cores === most ? 1e9 : 0);
  const best = new Map<string, Measured>();
  for (const c of cases) {
    const other = best.get(alike(c));
    if (!other || worth(c) > worth(other)) best.set(alike(c), c);
  }
  return cases.filter((c) => best.get(alike(c)) === c);
}

function point(x: number, samples: readonly number[]): Point {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))] as number;
  return { x, y: at(0.5), low: at(0.25), high: at(0.75) };
}

interface Own {
  readonly kind: Kind;
  readonly points: Point[];
}

/** Lines that know no x lie from the first to the last. */
function laid(drawn: ReadonlyMap<string, Own>): Line[] {
  const all = [...drawn.values()].filter((d) => d.kind !== "flat");
  const xs = all.flatMap((d) => d.points.map((p) => p.x));
  return [...drawn].map(([name, { kind, points }]) => {
    if (kind !== "flat") return { name, kind, points: points.sort((a, b) => a.x - b.x) };
    const ends = [...new Set([Math.min(...xs), Math.max(...xs)])].filter(Number.isFinite);
    return { name, kind: "beside", points: ends.map((x) => ({ ...(points[0] as Point), x })) };
  });
}

function lineChart(row: LineRow, all: readonly Measured[]): LineChart | undefined {
  const cases = steady(all.filter((c) => c.unit !== "ratio"));
  const drawn = new Map<string, Own>();
  const goals: { x: number; y: number }[] = [];
  for (const c of cases) {
    const line = row.line(c, cases);
    if (line === undefined) continue;
    const { name, kind } = typeof line === "string" ? { name: line, kind: "ours" as const } : line;
    const place = typeof row.x === "string" ? c.parameters[row.x] : row.x(c.parameters);
    const x = typeof place === "number" ? place : 0;
    if (x <= 0 && kind !== "flat") continue;
    const y = (value: number) => row.y?.(value, c.parameters) ?? value;
    const own: Own = drawn.get(name) ?? { kind, points: [] };
    drawn.set(name, own);
    own.points.push(point(x, c.samples.map(y)));
    if (c.goal) goals.push({ x, y: y("atMost" in c.goal ? c.goal.atMost : c.goal.atLeast) });
  }
  const lines = laid(drawn).filter((line) => line.points.length > 0);
  if (lines.length === 0) return undefined;
  const { name, title, xLabel, yLabel, isLogX = false, isLogY = false } = row;
  return { name, title, xLabel, yLabel, isLogX, isLogY, goals, lines };
}

function barChart(row: BarRow, all: readonly Measured[]): BarChart | undefined {
  const bars = all.flatMap((c): Bar[] => {
    const name = row.bar(c);
    return name === undefined ? [] : [{ name, y: c.median }];
  });
  const { name, title, yLabel } = row;
  return bars.length > 0 ? { name, title, yLabel, bars } : undefined;
}

/** In the order in which they are shown. */
export function chartsOf(report: Report): Chart[] {
  const all = report.cases.filter((c): c is Measured => !("skipped" in c));
  const own = <R extends { question: string }>(rows: readonly R[]) =>
    rows.filter((row) => row.question === report.question);
  return [
    ...own([...memoryLines, ...networkLines]).map((row) => lineChart(row, all)),
    ...own([...memoryBars, ...networkBars]).map((row) => barChart(row, all)),
  ].filter((chart) => chart !== undefined);
}
