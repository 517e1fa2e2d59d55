// nodeplane demo: the main job on this machine, no configuration.

import { runLoopStory } from "../demo/loop_story.js";
import { type DemoReport, runStory } from "../demo/story.js";
import { allFlows, flowCells, flowColumns } from "../observe/flows.js";
import { readStats } from "../observe/stats.js";
import { table } from "../observe/table.js";
import type { Dataplane } from "../runtime/dataplane.js";
import { type AddCommand, action, complain, Failed, print, printJson } from "./context.js";

const flowLines = 8;

function flowsOf(dataplane: Dataplane): string[] {
  const rows = allFlows(dataplane).map(flowCells);
  return table([...flowColumns], rows)
    .split("\n")
    .slice(0, flowLines);
}

function render(r: DemoReport): string {
  const { throughput: t, memif: m } = r;
  const pod = !m
    ? []
    : [
        `${m.pod}, a service's endpoint over memif: ${m.answered} of ${m.sent} datagrams answered, p50 ${m.latencyUs.p50} us, p99 ${m.latencyUs.p99} us`,
      ];
  const bulk = !t
    ? []
    : "skipped" in t
      ? [`throughput: skipped, ${t.skipped}`]
      : [`throughput of one TCP stream through a service: ${t.gbitPerSecond.toFixed(2)} Gbit/s`];
  return [
    "",
    `${r.requests} requests over ${r.driver}: ${Object.entries(r.endpoints)
      .map(([n, c]) => `${n} ${c}`)
      .join(", ")}`,
    `failed on live endpoints: ${r.failed}; cut because ${r.removed.endpoint} was removed: ${r.removed.failedAfter}`,
    `latency: p50 ${r.latencyUs.p50} us, p99 ${r.latencyUs.p99} us`,
    ...bulk,
    ...pod,
    `every packet accounted for: ${r.balanced ? "yes" : "NO"}`,
    "",
    "nodeplane flows (first lines):",
    ...r.flows,
  ].join("\n");
}

async function demo(options: { json?: boolean; loop?: boolean }): Promise<void> {
  const say = (line: string): void => complain(line);
  const isRoot = process.getuid?.() === 0;
  if (!isRoot && !options.loop)
    say("not root: no namespaces and no AF_XDP here; run as root to see real sockets");
  const report =
    isRoot && !options.loop
      ? await runStory(say)
      : await runLoopStory(say, flowsOf, (d) => readStats(d).imbalance === 0);
  if (options.json) printJson(report);
  else print(render(report));
  const unanswered = report.memif ? report.memif.sent - report.memif.answered : 0;
  if (report.failed > 0 || unanswered > 0 || !report.balanced) throw new Failed();
}

export const addDemo: AddCommand = (program) => {
  program
    .command("demo")
    .description("see the main job work on this machine, no configuration")
    .option("--json", "one JSON document on standard output; the story goes to standard error")
    .option("--loop", "on loop ports in this process, as without root")
    .action(action(demo));
};
