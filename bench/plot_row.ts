// What a chart is made by: a row of data (plot_rows_*.ts), so that a question gets one by one row more.
import type { Line } from "./chart.js";
import type { Measured, Parameters } from "./report.js";

/** `flat`: of one that knows no x and is drawn all along. */
export type Kind = Line["kind"] | "flat";

/** A line's name, of one of ours as it is. */
export type Drawn = string | { readonly name: string; readonly kind: Kind };

export const peer = (name: string): Drawn => ({ name, kind: "peer" });
export const beside = (name: string): Drawn => ({ name, kind: "beside" });
export const flat = (name: string): Drawn => ({ name, kind: "flat" });

export interface LineRow {
  readonly question: string;
  readonly name: string;
  readonly title: string;
  /** A parameter, or what is made of all of them. */
  readonly x: string | ((p: Parameters) => Parameters[string] | undefined);
  readonly xLabel: string;
  readonly isLogX?: boolean;
  readonly isLogY?: boolean;
  readonly yLabel: string;
  /** Of a sample. */
  y?(value: number, p: Parameters): number;
  /** To which line a figure belongs, undefined: to none. */
  line(c: Measured, all: readonly Measured[]): Drawn | undefined;
}

export interface BarRow {
  readonly question: string;
  readonly name: string;
  readonly title: string;
  readonly yLabel: string;
  bar(c: Measured): string | undefined;
}

export const ip = (p: Parameters): string => `IPv${p.family}`;
export const flowsText = (p: Parameters): string => `${Number(p.flows).toLocaleString("en")} flows`;
