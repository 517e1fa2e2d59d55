// Which charts a report gives: rows of data, so that a question gets one by one row more. A figure is
// drawn by what its row makes of it; figures that are not in the report are left out.
import type { Bar, Chart, Line, Point } from "./chart.js";
import type { Measured, Parameters, Report } from "./report.js";
import { betterBulk } from "./rte_hash.js";

interface Lines {
  readonly question: string;
  readonly name: string;
  readonly title: string;
  /** Of the parameters. */
  readonly x: string;
  readonly xLabel: string;
  readonly isLogX?: boolean;
  readonly isLogY?: boolean;
  readonly yLabel: string;
  /** Of a sample. */
  y?(value: number, p: Parameters): number;
  /** To which line a figure belongs, `peer:` or `beside:` before its name; undefined: to none. */
  line(c: Measured): string | undefined;
}

interface Bars {
  readonly question: string;
  readonly name: string;
  readonly title: string;
  readonly yLabel: string;
  bar(c: Measured): string | undefined;
}

const ip = (p: Parameters): string => `IPv${p.family}`;
/** Of nanoseconds each: millions per second. */
const perSecond = (ns: number): number => 1000 / ns;

/** Each table of rte_hash with its faster bulk, x being its keys. */
const rteHash = (c: Measured, all: readonly Measured[]): boolean =>
  c.subject === "rte_hash" && betterBulk(all, Number(c.parameters.entries)) === c;

const lineCharts: readonly Lines[] = [
  {
    question: "path",
    name: "path",
    title: "The corridor in memory, one core",
    x: "flows",
    xLabel: "established flows",
    isLogX: true,
    yLabel: "ns per packet",
    line({ subject, parameters: p }) {
      if (subject === "rte_hash") return "peer:DPDK rte_hash, lookup alone";
      if (p.services !== 1)
        return subject === "corridor" ? `corridor ${ip(p)}, 5,000 services` : undefined;
      if (subject === "corridor") return `corridor ${ip(p)}`;
      if (p.family !== 4) return undefined;
      if (subject === "floor") return "beside:floor: one random line";
      return subject === "empty" ? "beside:empty lap" : undefined;
    },
  },
  {
    question: "flows",
    name: "flows-find",
    title: "The flow table alone: finding",
    x: "flows",
    xLabel: "connections",
    isLogX: true,
    yLabel: "ns per lookup",
    line({ subject, parameters: p }) {
      if (subject === "rte_hash") return "peer:DPDK rte_hash";
      if (subject === "floor") return p.family === 4 ? "beside:floor: one random line" : undefined;
      if (subject === "find_hit") return `hit ${ip(p)}`;
      return subject === "find_miss" ? `miss ${ip(p)}` : undefined;
    },
  },
  {
    question: "flows",
    name: "flows-change",
    title: "The flow table alone: coming and going",
    x: "flows",
    xLabel: "connections",
    isLogX: true,
    yLabel: "ns per connection",
    line: ({ subject, parameters: p }) =>
      /^(keep|remove|expire)$/.test(subject) ? `${subject} ${ip(p)}` : undefined,
  },
  {
    question: "new-flows",
    name: "new-flows",
    title: "New connections through the corridor, one core",
    x: "flows",
    xLabel: "established flows beside them",
    isLogX: true,
    yLabel: "ns per connection",
    line({ subject, parameters: p }) {
      if (subject === "floor") return p.family === 4 && !p.masquerade ? "beside:floor" : undefined;
      return `${p.masquerade ? "masqueraded " : ""}${ip(p)}`;
    },
  },
  {
    question: "services",
    name: "services",
    title: "Throughput against services, 100 k flows, one core",
    x: "services",
    xLabel: "services of 5 endpoints",
    isLogX: true,
    yLabel: "million per second",
    y: perSecond,
    line: (c) => (c.subject === "new" ? "new connections" : "packets of established flows"),
  },
  {
    question: "workers",
    name: "workers",
    title: "Scale with workers on one flow table",
    x: "workers",
    xLabel: "workers",
    yLabel: "million per second",
    line({ subject, parameters: p }) {
      const what = p.steering ? `${subject}, ${p.steering}` : subject;
      return `${what}, ${Number(p.flows).toLocaleString("en")} flows`;
    },
  },
  ...(["receive", "send"] as const).map((way) => ({
    question: "copy",
    name: `copy-${way}`,
    title: `Copy rates of a memif server's worker core: ${way}`,
    x: "bytes",
    xLabel: "bytes per packet",
    isLogX: true,
    isLogY: true,
    yLabel: "GB per second",
    y: (ns: number, p: Parameters) => Number(p.bytes) / ns,
    line({ subject, parameters: p }: Measured) {
      if (p.way !== way || subject === "break-even") return undefined;
      return subject === "testpmd" ? "peer:testpmd" : `engine ${p.engine}`;
    },
  })),
  ...(["one way", "forward"] as const).map((path) => ({
    question: "memif",
    name: `memif-${path.replace(" ", "-")}`,
    title: `memif, ${path}: packets per second`,
    x: "bytes",
    xLabel: "bytes per packet",
    isLogX: true,
    isLogY: true,
    yLabel: "million packets per second",
    line({ subject, parameters: p }: Measured) {
      // The other engines' threads share a core with the client here (README).
      if (p.path !== path || (p.engine ?? "cpu") !== "cpu") return undefined;
      const client = p.client ? `, client ${p.client}` : "";
      return subject === "testpmd" ? `peer:testpmd${client}` : subject + client;
    },
  })),
  {
    question: "control",
    name: "control",
    title: "A change of services before it reaches the workers",
    x: "services",
    xLabel: "services",
    isLogX: true,
    isLogY: true,
    yLabel: "ms",
    line: (c) => c.subject,
  },
];

const barCharts: readonly Bars[] = [
  {
    question: "path",
    name: "path-kernels",
    title: "The corridor by kernels",
    yLabel: "ns per packet",
    bar: (c) => (c.subject === "forced kernel" ? String(c.parameters.kernel) : undefined),
  },
  {
    question: "churn",
    name: "churn",
    title: "New connections while as many end, one core",
    yLabel: "ns per connection",
    bar({ parameters: p }) {
      return `${ip(p)}, ends by ${p.end}, ${Number(p.flows).toLocaleString("en")} flows`;
    },
  },
];

const gains: Bars = {
  question: "kernels",
  name: "kernels",
  title: "Kernels: gain over scalar",
  yLabel: "times as fast",
  bar({ subject, parameters: p }) {
    if (!subject.endsWith(", gain")) return undefined;
    return `${subject.slice(0, -6)}${p.bytes ? ` ${p.bytes} bytes` : ""}, ${p.variant}`;
  },
};

const alike = ({ subject, parameters: { cores, ...rest } }: Measured): string =>
  JSON.stringify([subject, rest]);

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

const kinds = { peer: "peer", beside: "beside" } as const;

function lineChart(row: Lines, all: readonly Measured[]): Chart | undefined {
  const cases = steady(all.filter((c) => c.unit !== "ratio"));
  const lines = new Map<string, Point[]>();
  const goals: { x: number; y: number }[] = [];
  for (const c of cases) {
    const isPeer = rteHash(c, cases);
    const x = Number(c.parameters[isPeer ? "keys" : row.x]);
    const name = c.subject === "rte_hash" && !isPeer ? undefined : row.line(c);
    if (name === undefined || !(x > 0)) continue;
    const y = (value: number) => row.y?.(value, c.parameters) ?? value;
    const points = lines.get(name) ?? [];
    lines.set(name, points);
    points.push(point(x, c.samples.map(y)));
    if (c.goal) goals.push({ x, y: y("atMost" in c.goal ? c.goal.atMost : c.goal.atLeast) });
  }
  if (lines.size === 0) return undefined;
  const { name, title, xLabel, yLabel, isLogX = false, isLogY = false } = row;
  return {
    ...{ name, title, xLabel, yLabel, isLogX, isLogY, goals },
    lines: [...lines].map(([full, points]): Line => {
      const [, kind, own] = /^(peer|beside):(.*)$/.exec(full) ?? [];
      return {
        name: own ?? full,
        kind: kinds[kind as keyof typeof kinds] ?? "ours",
        points: points.sort((a, b) => a.x - b.x),
      };
    }),
  };
}

function barChart(row: Bars, all: readonly Measured[]): Chart | undefined {
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
  const figures = all.filter((c) => c.unit !== "ratio");
  const own = <T extends { question: string }>(rows: readonly T[]) =>
    rows.filter((row) => row.question === report.question);
  return [
    ...own(lineCharts).map((row) => lineChart(row, all)),
    ...own(barCharts).map((row) => barChart(row, figures)),
    ...own([gains]).map((row) => barChart(row, all)),
  ].filter((chart) => chart !== undefined);
}
