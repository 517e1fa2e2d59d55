// How charts look: inks, letters, axes.
import type { EChartsOption } from "echarts";
import type { Chart } from "./chart.js";

// Inks that the style below changes with the page's; colours that are seen on light and on dark.
const ink = {
  text: "#1c2024",
  muted: "#60646c",
  grid: "#d9d9e0",
  paper: "#fcfcfd",
} as const;
export const colours = {
  ours: ["#3e7bfa", "#0ea5a0", "#46a758", "#8e63ce", "#2aa3d8", "#7a8a3a"],
  peer: ["#e5484d", "#e08a1e", "#d6409f", "#a86b3c", "#c2570c", "#b4447a"],
  beside: ["#8b8d98", "#a5a7b0", "#777a86"],
} as const;
export const symbols = { ours: "circle", peer: "rect", beside: "none" } as const;
/** Of lines beside: drawn and left out, in pixels. */
export const dashes: readonly (readonly number[])[] = [
  [7, 4],
  [2, 4],
  [10, 3, 2, 3],
];
export const goalColour = "#12944a";

/** For a page that is dark; alone or inside one. */
export const style = `<style>@media (prefers-color-scheme: dark) {
${(Object.keys(ink) as (keyof typeof ink)[])
  .map((name) => {
    const dark = { text: "#edeef0", muted: "#b0b4ba", grid: "#363a3f", paper: "#18191b" }[name];
    return ["fill", "stroke"]
      .map((what) => `svg [${what}="${ink[name]}"] { ${what}: ${dark}; }`)
      .join("\n");
  })
  .join("\n")}
}</style>`;

export const width = 760;
const fontFamily = "system-ui, sans-serif";
export const text = { color: ink.text, fontFamily, fontSize: 12 };
export const muted = { color: ink.muted, fontFamily, fontSize: 12 };
/** Of a letter of such text, at most, whatever font there is: nothing here can measure it. */
export const letterWidth = 7.3;

/** `1 k`, `16 M`. */
export function short(n: number): string {
  for (const [scale, letter] of [
    [1e6, "M"],
    [1e3, "k"],
  ] as const)
    if (n >= scale && Number.isInteger((10 * n) / scale)) return `${n / scale} ${letter}`;
  return String(n);
}

export const axisLook = {
  nameTextStyle: muted,
  axisLabel: muted,
  axisLine: { lineStyle: { color: ink.muted } },
  axisTick: { lineStyle: { color: ink.muted } },
  splitLine: { lineStyle: { color: ink.grid } },
  nameLocation: "middle" as const,
};

export function common(chart: Chart): EChartsOption {
  return {
    animation: false,
    backgroundColor: ink.paper,
    title: { text: chart.title, left: 12, top: 8, textStyle: { ...text, fontSize: 16 } },
  };
}
