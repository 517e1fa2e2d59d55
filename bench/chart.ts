// Charts as data, and as SVG. Drawn by Apache ECharts without a browser; loaded only when asked for.
import type { EChartsOption } from "echarts";

export interface Point {
  readonly x: number;
  readonly y: number;
  /** Where the middle half of the samples lies. */
  readonly low: number;
  readonly high: number;
}

export interface Line {
  readonly name: string;
  /** `beside`: what figures are compared with: a floor, an empty lap. */
  readonly kind: "ours" | "peer" | "beside";
  readonly points: readonly Point[];
}

export interface Bar {
  readonly name: string;
  readonly y: number;
}

interface Titled {
  /** Of its file, without an ending. */
  readonly name: string;
  readonly title: string;
  readonly yLabel: string;
}

export interface LineChart extends Titled {
  readonly xLabel: string;
  readonly isLogX: boolean;
  readonly isLogY: boolean;
  readonly lines: readonly Line[];
  /** Where the figures should be at most, or at least. */
  readonly goals: readonly { readonly x: number; readonly y: number }[];
}

export interface BarChart extends Titled {
  readonly bars: readonly Bar[];
}

export type Chart = LineChart | BarChart;

export const isLines = (chart: Chart): chart is LineChart => "lines" in chart;

// Inks that the style below changes with the page's; colours that are seen on light and on dark.
const ink = { text: "#1c2024", muted: "#60646c", grid: "#d9d9e0", paper: "#fcfcfd" } as const;
const colours = {
  ours: ["#3e7bfa", "#0ea5a0", "#46a758", "#8e63ce", "#2aa3d8", "#7a8a3a"],
  peer: ["#e5484d", "#e08a1e", "#d6409f", "#a86b3c", "#c2570c", "#b4447a"],
  beside: ["#8b8d98", "#a5a7b0", "#777a86"],
} as const;
const symbols = { ours: "circle", peer: "rect", beside: "none" } as const;
/** Of lines beside: drawn and left out, in pixels. */
const dashes: readonly (readonly number[])[] = [
  [7, 4],
  [2, 4],
  [10, 3, 2, 3],
];
const goalColour = "#12944a";

/** For a page that is dark; alone or inside one. */
const style = `<style>@media (prefers-color-scheme: dark) {
${(Object.keys(ink) as (keyof typeof ink)[])
  .map((name) => {
    const dark = { text: "#edeef0", muted: "#b0b4ba", grid: "#363a3f", paper: "#18191b" }[name];
    return ["fill", "stroke"]
      .map((what) => `svg [${what}="${ink[name]}"] { ${what}: ${dark}; }`)
      .join("\n");
  })
  .join("\n")}
}</style>`;

const width = 760;
const height = 400;
const fontFamily = "system-ui, sans-serif";
const text = { color: ink.text, fontFamily, fontSize: 12 };
const muted = { color: ink.muted, fontFamily, fontSize: 12 };
/** Of a letter of such text, at most, whatever font there is: nothing here can measure it. */
const letterWidth = 7.3;
const legend = { top: 38, left: 12, itemWidth: 22, itemGap: 28, rowHeight: 20 } as const;

/** As many names in a row as fit. */
function legendRows(names: readonly string[]): string[][] {
  const rows: string[][] = [];
  let left = Number.POSITIVE_INFINITY;
  for (const name of names) {
    const own = legend.itemWidth + legend.itemGap + 5 + name.length * letterWidth;
    if (left + own > width - 2 * legend.left) {
      rows.push([]);
      left = 0;
    }
    rows.at(-1)?.push(name);
    left += own;
  }
  return rows;
}

/** `1 k`, `16 M`. */
export function short(n: number): string {
  for (const [scale, letter] of [
    [1e6, "M"],
    [1e3, "k"],
  ] as const)
    if (n >= scale && Number.isInteger((10 * n) / scale)) return `${n / scale} ${letter}`;
  return String(n);
}

const axisLook = {
  nameTextStyle: muted,
  axisLabel: muted,
  axisLine: { lineStyle: { color: ink.muted } },
  axisTick: { lineStyle: { color: ink.muted } },
  splitLine: { lineStyle: { color: ink.grid } },
  nameLocation: "middle" as const,
};

function common(chart: Chart): EChartsOption {
  return {
    animation: false,
    backgroundColor: ink.paper,
    title: { text: chart.title, left: 12, top: 8, textStyle: { ...text, fontSize: 16 } },
  };
}

/** From low to high of each point, as a thin upright line. */
const whiskers = (line: Line, colour: string) => ({
  type: "custom" as const,
  silent: true,
  encode: { x: 0, y: [1, 2] },
  data: line.points.map((p) => [p.x, p.low, p.high]),
  // What is drawn for one of them, in pixels (ECharts' manual, custom series).
  renderItem: (_: unknown, api: { value(i: number): unknown; coord(at: number[]): number[] }) => {
    const [x, low, high] = [0, 1, 2].map((i) => Number(api.value(i))) as [number, number, number];
    const [x1, y1] = api.coord([x, low]) as [number, number];
    const [x2, y2] = api.coord([x, high]) as [number, number];
    const style = { stroke: colour, lineWidth: 1.5, opacity: 0.6 };
    return { type: "line" as const, shape: { x1, y1, x2, y2 }, style };
  },
});

function lineOption(chart: LineChart): EChartsOption {
  const counts = { ours: 0, peer: 0, beside: 0 };
  // Those of our own lines; a peer's may be a little beside them.
  const own = chart.lines.some((l) => l.kind === "ours") ? ["ours"] : ["peer", "beside"];
  const values = [
    ...new Set(
      chart.lines.filter((l) => own.includes(l.kind)).flatMap((l) => l.points.map((p) => p.x)),
    ),
  ].sort((a, b) => a - b);
  const names = [...chart.lines.map((l) => l.name), ...(chart.goals.length > 0 ? ["goal"] : [])];
  const rows = legendRows(names);
  const drawn = chart.lines.map((line) => {
    const all = colours[line.kind];
    const nth = counts[line.kind]++;
    return { line, nth, colour: all[nth % all.length] as string };
  });
  const lines = drawn.map(({ line, nth, colour }) => ({
    type: "line" as const,
    name: line.name,
    data: line.points.map((p) => [p.x, p.y]),
    symbol: symbols[line.kind],
    symbolSize: 7,
    showSymbol: true,
    itemStyle: { color: colour },
    lineStyle: {
      color: colour,
      width: 2,
      type: line.kind === "beside" ? [...(dashes[nth % dashes.length] ?? [])] : ("solid" as const),
    },
  }));
  const goals = {
    type: "scatter" as const,
    name: "goal",
    data: chart.goals.map(({ x, y }) => [x, y]),
    symbol: "rect",
    symbolSize: [26, 3],
    itemStyle: { color: goalColour },
  };
  return {
    ...common(chart),
    grid: { left: 70, right: 30, top: 62 + legend.rowHeight * rows.length, bottom: 56 },
    legend: rows.map((data, i) => ({
      ...{ top: legend.top + legend.rowHeight * i, left: legend.left, textStyle: text, data },
      ...{ itemWidth: legend.itemWidth, itemGap: legend.itemGap, itemHeight: 8 },
    })),
    xAxis: {
      ...axisLook,
      type: chart.isLogX ? "log" : "value",
      name: chart.xLabel,
      nameGap: 32,
      min: "dataMin",
      max: "dataMax",
      axisLabel: { ...muted, customValues: values, formatter: (n: number) => short(n) },
      axisTick: { ...axisLook.axisTick, customValues: values },
      splitLine: { show: false },
    },
    yAxis: {
      ...axisLook,
      type: chart.isLogY ? "log" : "value",
      name: chart.yLabel,
      nameGap: 46,
      ...(chart.isLogY ? {} : { min: 0 }),
      axisLabel: { ...muted, formatter: (n: number) => short(n) },
    },
    series: [
      ...lines,
      ...drawn.map(({ line, colour }) => whiskers(line, colour)),
      ...(chart.goals.length > 0 ? [goals] : []),
    ] as NonNullable<EChartsOption["series"]>,
  };
}

function barOption(chart: BarChart): EChartsOption {
  return {
    ...common(chart),
    grid: {
      left: 24 + letterWidth * Math.max(...chart.bars.map((b) => b.name.length)),
      ...{ right: 60, top: 48, bottom: 48 },
    },
    xAxis: { ...axisLook, type: "value", name: chart.yLabel, nameGap: 30 },
    yAxis: {
      ...axisLook,
      type: "category",
      inverse: true,
      data: chart.bars.map((b) => b.name),
      axisLabel: text,
      splitLine: { show: false },
    },
    series: [
      {
        type: "bar",
        data: chart.bars.map((b) => b.y),
        barMaxWidth: 18,
        itemStyle: { color: colours.ours[0] },
        label: {
          ...{ ...muted, show: true, position: "right" },
          formatter: ({ value }) => String(Number(Number(value).toPrecision(3))),
        },
      },
    ],
  };
}

/** One SVG document. Names and titles may hold any text. */
export async function renderChart(chart: Chart): Promise<string> {
  const echarts = await import("echarts");
  const tall = isLines(chart) ? height : Math.max(160, 110 + 26 * chart.bars.length);
  const drawing = echarts.init(null, null, { renderer: "svg", ssr: true, width, height: tall });
  try {
    drawing.setOption(isLines(chart) ? lineOption(chart) : barOption(chart));
    const svg = drawing.renderToSVGString({ useViewBox: true });
    return svg.replace(/^<svg[^>]*>/, (head) => `${head}\n${style}`);
  } finally {
    drawing.dispose();
  }
}
