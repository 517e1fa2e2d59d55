// Charts as data: plots.ts makes them, chart_svg.ts draws them.

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
