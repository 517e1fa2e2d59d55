// A chart as SVG. Drawn by Apache ECharts without a browser; loaded only when asked for.
import { type Chart, isLines } from "./chart.js";
import { barOption } from "./chart_bars.js";
import { lineOption } from "./chart_lines.js";
import { style, width } from "./chart_look.js";

const height = 400;

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
