// Charts of questions about ports: memif and its copies, veth, restarts.
import { type BarRow, type Drawn, flat, flowsText, type LineRow, peer } from "./plot_row.js";
import type { Measured, Parameters } from "./report.js";

/** The kernel's ways, ours, and those without services. */
function vethLine({ subject, parameters: p }: Measured): Drawn {
  if (p.services === 0) return flat(subject);
  return /tables/.test(subject) ? peer(subject) : subject;
}

export const networkLines: readonly LineRow[] = [
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
      return subject === "testpmd" ? peer("testpmd") : `engine ${p.engine}`;
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
      const mode = p.mode ? ` ${p.mode}` : "";
      return subject === "testpmd" ? peer(`testpmd${mode}${client}`) : subject + client;
    },
  })),
  ...(
    [
      ["established", "Mpps", "million packets per second"],
      ["established", "Mpps per CPU second", "million packets per CPU second of the node"],
      ["new flow each", "Mpps", "million packets per second"],
    ] as const
  ).map(([packets, unit, yLabel], i) => ({
    question: "veth",
    name: ["veth-established", "veth-cpu", "veth-new"][i] as string,
    title: `Over veth, one core for the node: ${packets === "established" ? "established flows" : "every packet a new flow"}`,
    x: "services",
    xLabel: "services",
    isLogX: true,
    yLabel,
    line: (c: Measured) =>
      c.unit === unit &&
      c.parameters.packets === packets &&
      !c.parameters.deferred &&
      (i === 2 || c.parameters.flows === 10_000)
        ? vethLine(c)
        : undefined,
  })),
  {
    question: "veth",
    name: "veth-latency",
    title: "Over veth: latency at 20,000 packets per second",
    x: "services",
    xLabel: "services",
    isLogX: true,
    yLabel: "microseconds, 99 %",
    line: (c) => (c.unit === "us p99" ? vethLine(c) : undefined),
  },
  ...(["connections/s", "us node CPU/connection"] as const).map((unit, i) => ({
    question: "veth_connections",
    name: ["veth-connections", "veth-connections-cpu"][i] as string,
    title: "TCP connections to a web server over veth",
    x: "services",
    xLabel: "services",
    isLogX: true,
    yLabel: unit,
    line: (c: Measured) => (c.unit === unit && !c.parameters.deferred ? vethLine(c) : undefined),
  })),
  {
    question: "restart",
    name: "restart",
    title: "kill -9 and a start with the same flow file: until packets go on",
    x: "connections",
    xLabel: "connections",
    isLogX: true,
    yLabel: "ms",
    line: (c) => (c.unit.startsWith("ms") ? c.subject : undefined),
  },
];

export const networkBars: readonly BarRow[] = [
  {
    question: "af_xdp",
    name: "af_xdp",
    title: "CPU time over veth, one worker",
    yLabel: "ns CPU per packet",
    bar: ({ subject, unit, parameters: p }) =>
      unit === "ns CPU/packet" ? `${subject}, ${flowsText(p)}` : undefined,
  },
  {
    question: "veth_bulk",
    name: "veth-bulk",
    title: "One TCP connection over veth (iperf3)",
    yLabel: "Gbit per second",
    bar: (c) => (c.unit === "Gbit/s" ? c.subject : undefined),
  },
];
