// Charts of questions about what is in memory: the corridor, the flow table, control.
import { type BarRow, beside, flowsText, ip, type LineRow, peer } from "./plot_row.js";
import type { Measured, Parameters } from "./report.js";
import { betterBulk } from "./rte_hash.js";

/** Of nanoseconds each: millions per second. */
const perSecond = (ns: number): number => 1000 / ns;

/** Flows of a table, keys of rte_hash, of whose bulks the faster one is drawn. */
const flowsOf = (p: Parameters) => p.flows ?? p.keys;
const isBetterBulk = (c: Measured, all: readonly Measured[]): boolean =>
  c.subject === "rte_hash" && betterBulk(all, Number(c.parameters.entries)) === c;

export const memoryLines: readonly LineRow[] = [
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
        return isBetterBulk(c, all) ? peer("DPDK rte_hash, lookup alone") : undefined;
      if (p.services !== 1)
        return subject === "corridor" ? `corridor ${ip(p)}, 5,000 services` : undefined;
      if (subject === "corridor") return `corridor ${ip(p)}`;
      if (p.family !== 4) return undefined;
      if (subject === "floor") return beside("floor: one random line");
      return subject === "empty" ? beside("empty lap") : undefined;
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
      if (subject === "rte_hash") return isBetterBulk(c, all) ? peer("DPDK rte_hash") : undefined;
      if (subject === "floor") return p.family === 4 ? beside("floor: one random line") : undefined;
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
      if (subject === "floor") return p.family === 4 && !p.masquerade ? beside("floor") : undefined;
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
    line({ subject }) {
      if (subject === "floor") return undefined;
      return subject === "new" ? "new connections" : "packets of established flows";
    },
  },
  {
    question: "workers",
    name: "workers",
    title: "Scale with workers on one flow table",
    x: "workers",
    xLabel: "workers",
    yLabel: "million per second",
    line({ subject, parameters: p }) {
      if (subject === "floor") return undefined;
      const what = p.steering ? `${subject}, ${p.steering}` : subject;
      return `${what}, ${flowsText(p)}`;
    },
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

export const memoryBars: readonly BarRow[] = [
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
