// Which charts there are: rows of data, so that a question gets one by one row more. plots.ts makes them.
import type { Measured, Parameters } from "./report.js";
import { betterBulk } from "./rte_hash.js";

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
  /**
   * To which line a figure belongs, undefined: to none. Before its name `peer:`, `beside:`, or
   * `flat:` for one that knows no x and is drawn all along.
   */
  line(c: Measured, all: readonly Measured[]): string | undefined;
}

export interface BarRow {
  readonly question: string;
  readonly name: string;
  readonly title: string;
  readonly yLabel: string;
  bar(c: Measured): string | undefined;
}

const ip = (p: Parameters): string => `IPv${p.family}`;
const flowsText = (p: Parameters): string => `${Number(p.flows).toLocaleString("en")} flows`;
/** Of nanoseconds each: millions per second. */
const perSecond = (ns: number): number => 1000 / ns;

/** Flows of a table, keys of rte_hash, of whose bulks the faster one is drawn. */
const flowsOf = (p: Parameters) => p.flows ?? p.keys;
const isBetterBulk = (c: Measured, all: readonly Measured[]): boolean =>
  c.subject === "rte_hash" && betterBulk(all, Number(c.parameters.entries)) === c;

/** The kernel's ways, ours, and those without services. */
function vethLine({ subject, parameters: p }: Measured): string {
  if (p.services === 0) return `flat:${subject}`;
  return /tables/.test(subject) ? `peer:${subject}` : subject;
}

export const lineRows: readonly LineRow[] = [
  {
    question: "path",
    name: "path",
    title: "The corridor in memory, one core",
    x: flowsOf,
    xLabel: "established flows",
    isLogX: true,
    yLabel: "ns per packet",
    line(c, all) {
      const { subject, parameters: p } = c;
      if (subject === "rte_hash")
        return isBetterBulk(c, all) ? "peer:DPDK rte_hash, lookup alone" : undefined;
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
    x: flowsOf,
    xLabel: "connections",
    isLogX: true,
    yLabel: "ns per lookup",
    line(c, all) {
      const { subject, parameters: p } = c;
      if (subject === "rte_hash") return isBetterBulk(c, all) ? "peer:DPDK rte_hash" : undefined;
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
      return `${what}, ${flowsText(p)}`;
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
      !c.parameters.sink &&
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
    line: (c: Measured) => (c.unit === unit ? vethLine(c) : undefined),
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
  {
    question: "control",
    name: "control",
    title: "A change of services before it reaches the workers",
    x: "services",
    xLabel: "services",
    isLogX: true,
    isLogY: true,
    yLabel: "ms",
    line: (c) => (c.unit === "ms" ? c.subject : undefined),
  },
];

export const barRows: readonly BarRow[] = [
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
    bar({ parameters: p, unit }) {
      if (unit !== "ns/connection") return undefined;
      return `${ip(p)}, ends by ${p.end}, ${flowsText(p)}`;
    },
  },
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
  {
    question: "kernels",
    name: "kernels",
    title: "Kernels: gain over scalar",
    yLabel: "times as fast",
    bar({ subject, parameters: p }) {
      if (!subject.endsWith(", gain")) return undefined;
      return `${subject.slice(0, -6)}${p.bytes ? ` ${p.bytes} bytes` : ""}, ${p.variant}`;
    },
  },
];
