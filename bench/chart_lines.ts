// Charts of lines, as ECharts wants them told.
import type { EChartsOption } from "echarts";
import type { Line, LineChart } from "./chart.js";
import {
  axisLook,
  colours,
  common,
  dashes,
  goalColour,
  letterWidth,
  muted,
  short,
  symbols,
  text,
  width,
} from "./chart_look.js";

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

/** Where our own lines have points, or else the others'; a peer's may be a little beside them. */
function placesOf({ lines }: LineChart): number[] {
  const own = lines.filter((l) => l.kind === "ours");
  const shown = own.length > 0 ? own : lines;
  return [...new Set(shown.flatMap((l) => l.points.map((p) => p.x)))].sort((a, b) => a - b);
}

const lineSeries = (line: Line, nth: number, colour: string) => ({
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
});

const goalSeries = (goals: LineChart["goals"]) => ({
  type: "scatter" as const,
  name: "goal",
  data: goals.map(({ x, y }) => [x, y]),
  symbol: "rect",
  symbolSize: [26, 3],
  itemStyle: { color: goalColour },
});

/** Lines, whiskers over all of them, goals over both. */
function seriesOf({ lines, goals }: LineChart): NonNullable<EChartsOption["series"]> {
  const counts = { ours: 0, peer: 0, beside: 0 };
  const drawn = lines.map((line) => {
    const all = colours[line.kind];
    const nth = counts[line.kind]++;
    return { line, nth, colour: all[nth % all.length] as string };
  });
  return [
    ...drawn.map(({ line, nth, colour }) => lineSeries(line, nth, colour)),
    ...drawn.map(({ line, colour }) => whiskers(line, colour)),
    ...(goals.length > 0 ? [goalSeries(goals)] : []),
  ] as NonNullable<EChartsOption["series"]>;
}

export function lineOption(chart: LineChart): EChartsOption {
  const places = placesOf(chart);
  const names = [...chart.lines.map((l) => l.name), ...(chart.goals.length > 0 ? ["goal"] : [])];
  const rows = legendRows(names);
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
      axisLabel: { ...muted, customValues: places, formatter: (n: number) => short(n) },
      axisTick: { ...axisLook.axisTick, customValues: places },
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
    series: seriesOf(chart),
  };
}
