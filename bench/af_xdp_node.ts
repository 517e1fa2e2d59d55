// The node of bench af_xdp and bench veth, a program of its own inside the node's namespace:
//   node af_xdp_node.js CONFIG corridor|forward [SERVICES]
// SERVICES: a file with more services, as the model has them.
// Answers each line on standard input with one JSON line: the workers' processor time so far and the
// packets that left. Ends when standard input does.
import { readdirSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { InvalidInput } from "../src/kit/error.js";
import type { Service } from "../src/model/model.js";
import { readCounters } from "../src/observe/counters.js";
import { Dataplane } from "../src/runtime/dataplane.js";
import { loadFile } from "../src/sources/file.js";

export interface NodeSample {
  readonly cpuNs: number;
  readonly packetsIn: number;
  readonly packetsOut: number;
  readonly port: string;
}

/** Run time of this process's workers, ns: the first figure of schedstat (Documentation/scheduler/sched-stats.rst). */
function workersCpuNs(): number {
  let total = 0;
  for (const task of readdirSync("/proc/self/task")) {
    const name = readFileSync(`/proc/self/task/${task}/comm`, "utf8");
    if (!name.startsWith("np-worker")) continue;
    total += Number(readFileSync(`/proc/self/task/${task}/schedstat`, "utf8").split(" ")[0]);
  }
  return total;
}

const [config = "", what = "corridor", more] = process.argv.slice(2);
const loaded = await loadFile(config);
if (!loaded.ok) throw new InvalidInput(loaded.error);
const { model } = loaded.value;
const added = more ? (JSON.parse(readFileSync(more, "utf8")) as Service[]) : [];
const services = [...model.services, ...added];
const dataplane = Dataplane.open({ ...model, services }, { bridge: what === "forward" });
dataplane.start();
for await (const _ of createInterface({ input: process.stdin })) {
  const { counts } = readCounters(dataplane);
  const sample: NodeSample = {
    cpuNs: workersCpuNs(),
    packetsIn: counts.packets_in,
    packetsOut: counts.packets_out,
    port: dataplane.ports[0]?.description ?? "",
  };
  process.stdout.write(`${JSON.stringify(sample)}\n`);
}
dataplane.close();
