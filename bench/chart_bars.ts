// Charts of bars, as ECharts wants them told.
import type { EChartsOption } from "echarts";
import type { BarChart } from "./chart.js";
import { axisLook, colours, common, letterWidth, muted, text } from "./chart_look.js";

export function barOption(chart: BarChart): EChartsOption {
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
